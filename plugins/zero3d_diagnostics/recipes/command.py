"""`zero3d recipes`: the recipes, what each needs, and whether that is on this machine."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d.errors import RecipeError, did_you_mean
from zero3d.interfaces import Command

if TYPE_CHECKING:
    from zero3d_diagnostics.recipes.reading import RecipeSummary

FOLDER = "recipes"
WIDE = 200
CAUSE = re.compile(r"; | \(")
"""What follows in an error's line is its remedy, which stands above."""


class Recipes(Command):
    """List the recipes: what each makes and needs, and whether its weights are here."""

    name: ClassVar[str] = "recipes"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("recipe", nargs="?", help="one recipe's alone, with all that it needs: mvdream, …")
        parser.add_argument("--folder", type=Path, help="where recipes lie (the checkout's recipes/)")
        parser.add_argument("--json", action="store_true", help="for programs")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d_diagnostics.recipes.reading import tell

        files = {path.stem: path for path in sorted(_folder(arguments.folder).glob("*.yaml"))}
        asked = arguments.recipe
        if asked is not None and asked not in files:
            raise RecipeError(f"{asked!r}: no such recipe.{did_you_mean(asked, files)}")
        summaries = [tell(path, arguments.registry) for name, path in files.items() if asked in (None, name)]
        if arguments.json:
            print(json.dumps([_plain(one) for one in summaries], indent=2))
        elif asked is not None:
            _print_one(summaries[0])
        else:
            _print_table(summaries)
        return 0


def _folder(named: Path | None) -> Path:
    """The folder of recipes: the one named, the working directory's, or the checkout's.

    Raises:
        RecipeError: there is none.
    """
    import zero3d

    places = [named] if named else [Path(FOLDER), Path(zero3d.__file__).parents[1] / FOLDER]
    for place in places:
        if place.is_dir() and next(place.glob("*.yaml"), None):
            return place
    raise RecipeError(
        f"{places[0]}: no folder with recipes (*.yaml); name one by --folder, or go to a checkout of zero3d"
    )


def _plain(summary: RecipeSummary) -> dict[str, Any]:
    return {**asdict(summary), "extras": dict(summary.extras), "here": summary.here}


def _print_table(summaries: list[RecipeSummary]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("recipe", "what it makes", "give it", "weights", "size, licence", "here", box=None, pad_edge=False)
    for one in summaries:
        known = [own.published for own in one.weights]
        licences = [
            ", ".join(filter(None, (own.size, entry.licence if entry else "")))
            for own, entry in zip(one.weights, known, strict=True)
        ]
        row = (
            one.name,
            one.summary,
            ", ".join(one.needs),
            "\n".join(own.name for own in one.weights),
            "\n".join(licences),
            "cannot be read" if one.wrong else "yes" if one.here else "no",
        )
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else WIDE, highlight=False).print(table)
    print("zero3d recipes NAME tells all that one needs")


def _print_one(summary: RecipeSummary) -> None:
    print(f"{summary.name}: {summary.summary}")
    if summary.wrong:
        print(f"cannot be read: {summary.wrong}")
    print(f"  {summary.example}")
    print(f"give it: {', '.join(summary.needs) or 'nothing'}")
    for own in summary.weights:
        about = f", {own.published.line}" if own.published else ""
        print(f"weights: {own.name}{about}; others by {own.place}=...")
        print(f"  not here: {CAUSE.split(own.missing)[0]}" if own.missing else "  here")
    for extra, there in summary.extras:
        print(
            f"extra: {extra}, {'installed' if there else f'''not installed: pip install 'zero3d[{extra}]' '''}".rstrip()
        )
