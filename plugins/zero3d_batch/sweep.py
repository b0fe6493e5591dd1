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
        from zero3d_batch.many.drive import add_executor_arguments

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
        import os

        from zero3d.run import say
        from zero3d_batch.grid import cells, read_axes, subject_words
        from zero3d_batch.many.drive import Drive, executor_of
        from zero3d_batch.many.items import LOGS, checked, folder_of, without_out
        from zero3d_batch.pages.comparison import write_comparison

        common, axes = read_axes(without_out(arguments.overrides))
        source = subject_words(common, axes)
        take = not arguments.list_only
        with folder_of(arguments.out, arguments.overrides, self.name, arguments.recipe, source, take) as (out, named):
            executor = executor_of(arguments.registry, arguments, out / LOGS)
            items = checked(arguments.recipe, arguments.registry, out, common, cells(common, axes))
            page = functools.partial(write_comparison, axes=[axis.key for axis in axes])
            offline = os.environ.get("HF_HUB_OFFLINE") == "1"
            drive = Drive(arguments.recipe, arguments.registry, out, common, items, items, page, offline, named, say)
            if arguments.list_only:
                for item, state in zip(items, drive.states().values(), strict=True):
                    print(f"{state:5} {item.folder}  {' '.join(item.overrides)}".rstrip())
                print(f"{len(items)} runs: {' x '.join(f'{len(a.values)} {a.short}' for a in axes) or 'one'}")
                return 0
            return drive.run(executor)
