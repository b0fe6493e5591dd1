"""`zero3d plan`, which is `zero3d run --dry-run`."""

from __future__ import annotations

import argparse
from typing import ClassVar

from zero3d.interfaces import Command
from zero3d.processes import import_torch


class PlanCommand(Command):
    """Say what a run would do, without a step or a file written: `zero3d run --dry-run`."""

    name: ClassVar[str] = "plan"
    examples: ClassVar[str] = """
        zero3d plan nano image=cat.png
        zero3d plan mvdream prompt="a cat" steps=500
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("recipe", help="a recipe's name (nano), or a YAML file")
        parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="any key of the recipe")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d.recipe import look_over

        look_over(arguments.recipe, arguments.registry, arguments.overrides)  # without torch
        import_torch()
        from rich.console import Console

        from zero3d.run import plans
        from zero3d_diagnostics.plan import sections, table

        console = Console(width=None if Console().is_terminal else 200, highlight=False)
        for found in plans(arguments.recipe, arguments.registry, arguments.overrides):
            if found.recipe.whole:
                console.print(f"\n{found.recipe.file}", style="bold", markup=False)
            for section in sections(found, arguments.registry):
                console.print(f"\n{section.title}", style="bold", markup=False)
                console.print(table(section))
        return 0
