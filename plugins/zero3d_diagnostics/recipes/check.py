"""`zero3d recipe check`: once, or with `--watch` whenever the recipe is saved."""

from __future__ import annotations

import argparse
from typing import ClassVar

from zero3d.interfaces import Command


class CheckRecipe(Command):
    """Check a recipe without running it: once, or whenever it is saved."""

    name: ClassVar[str] = "recipe"
    examples: ClassVar[str] = """
        zero3d recipe check nano
        zero3d recipe check my.yaml image=cat.png steps=500
        zero3d recipe check my.yaml --watch
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        check = actions.add_parser("check", help="is everything spelled right, and do the parts fit?")
        check.add_argument("recipe", help="a recipe's name, or a YAML file")
        check.add_argument(
            "overrides", nargs="*", default=[], metavar="key=value", help="any key of the recipe, steps=500 seed=1"
        )
        check.add_argument(
            "--watch", action="store_true", help="stay, and check again when a file of it is saved; Ctrl-C ends it"
        )

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d_diagnostics.recipes.watching import verdict, watch

        given = (arguments.recipe, arguments.registry, arguments.overrides)
        if arguments.watch:
            watch(*given)
        print("\n".join(verdict(*given)))
        return 0
