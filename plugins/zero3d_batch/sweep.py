"""`zero3d sweep`: a recipe over a grid of values."""

from __future__ import annotations

import argparse
from typing import ClassVar

from zero3d.interfaces import Command


class Sweep(Command):
    """Run a recipe for every combination of values, and show them side by side: pictures, curves, figures."""

    name: ClassVar[str] = "sweep"
    examples: ClassVar[str] = """
        zero3d sweep nano image=cat.png guidance.sds.guidance_scale=1,2,4
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        from zero3d_batch.many.call import add_executor_arguments

        parser.add_argument("recipe", help="a recipe's name (see zero3d recipes) or file, for example nano or my.yaml")
        parser.add_argument(
            "overrides",
            nargs="*",
            default=[],
            metavar="key=a,b,c",
            help="out=FOLDER, and any key of the recipe: one value, several with commas between them, or a range of whole "
            "numbers, seed=0..3. A comma in quotes or brackets, or written \\,, is part of a value: "
            "'prompt=\"a cat, asleep\",a dog'; of image a pattern gives all that match",
        )
        add_executor_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        import functools

        from zero3d_batch.grid import cells, read_axes, subject_words
        from zero3d_batch.many.call import carry_out
        from zero3d_batch.many.naming import folder_of, without_out
        from zero3d_batch.pages.comparison import write_comparison

        common, axes = read_axes(without_out(arguments.overrides))
        wanted = cells(axes)
        page = functools.partial(write_comparison, axes=[axis.key for axis in axes])
        with folder_of(self.name, arguments, arguments.overrides, subject_words(common, axes)) as place:
            code = carry_out(arguments, place, common, wanted, page)
        if arguments.list_only:
            print(f"{len(wanted)} runs: {' x '.join(f'{len(a.values)} {a.short}' for a in axes) or 'one'}")
        return code
