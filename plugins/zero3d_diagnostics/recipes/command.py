"""`zero3d recipes`: the recipes, what each needs, and whether that is on this machine."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d.errors import RecipeError, RunError, did_you_mean
from zero3d.interfaces import Command

if TYPE_CHECKING:
    from zero3d_diagnostics.recipes.reading import RecipeSummary

WIDE = 200
CAUSE = re.compile(r"; | \(")
"""What follows in an error's line is its remedy, which stands above."""
COPY = "copy"
USAGE = """zero3d recipes [NAME] [--folder DIR] [--json]
       zero3d recipes copy NAME [FILE.yaml]"""
EXAMPLES = """
  zero3d recipes                       all of them
  zero3d recipes mvdream               one, with all that it needs
  zero3d recipes copy nano my.yaml     a file to change; then zero3d run my.yaml image=cat.png
"""


class Recipes(Command):
    """List the recipes: what each makes, needs and costs, and whether its weights are here; copy one."""

    name: ClassVar[str] = "recipes"
    examples: ClassVar[str] = EXAMPLES

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.usage = USAGE
        parser.add_argument(
            "words", nargs="*", default=[], metavar="NAME", help="one recipe, or: copy NAME [FILE.yaml]"
        )
        parser.add_argument("--folder", type=Path, help="where recipes lie (those that came with zero3d)")
        parser.add_argument("--json", action="store_true", help="for programs")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d.recipe import recipes

        words = arguments.words
        files = _files(arguments.folder) if arguments.folder else recipes()
        if words[:1] == [COPY]:
            return _copy(words[1:], files)
        if len(words) > 1:
            raise RecipeError(f"zero3d recipes {' '.join(words)}: one name at a time, or copy NAME FILE.yaml")
        return _show(words[0] if words else None, files, arguments)


def _show(name: str | None, files: Mapping[str, Path], arguments: argparse.Namespace) -> int:
    from zero3d_diagnostics.recipes.reading import tell

    if name is not None:
        _check_name(name, files)
    summaries = [tell(path, arguments.registry) for own, path in files.items() if name in (None, own)]
    if arguments.json:
        print(json.dumps([_plain(one) for one in summaries], indent=2))
    elif name is not None:
        _print_one(summaries[0])
    else:
        _print_table(summaries)
    return 0


def _copy(words: list[str], files: Mapping[str, Path]) -> int:
    """Write a recipe's text where the user can change it; never over a file.

    Raises:
        RecipeError: no such recipe, or no name that a recipe's file can have.
        RunError: there is a file already.
    """
    from zero3d.files import write_bytes

    if not 1 <= len(words) <= 2:
        raise RecipeError("zero3d recipes copy: write zero3d recipes copy NAME [FILE.yaml]")
    _check_name(words[0], files)
    target = Path(words[1] if len(words) == 2 else f"{words[0]}.yaml")
    if target.is_dir():
        target = target / f"{words[0]}.yaml"
    if target.suffix not in (".yaml", ".yml"):
        raise RecipeError(f"{target}: a recipe's file ends in .yaml; write {target}.yaml")
    if target.exists() or target.is_symlink():
        raise RunError(f"{target}: is there already, and is not overwritten; take another name")
    write_bytes(target, files[words[0]].read_bytes())
    print(f"written to {target}; run it with: zero3d run {target}")
    return 0


def _check_name(name: str, files: Mapping[str, Path]) -> None:
    if name not in files:
        raise RecipeError(f"{name!r}: no such recipe.{did_you_mean(name, files)}")


def _files(folder: Path) -> dict[str, Path]:
    """The recipes of a folder.

    Raises:
        RecipeError: there is none.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not found:
        raise RecipeError(f"{folder}: no folder with recipes (*.yaml); name another, or leave --folder out")
    return found


def _plain(summary: RecipeSummary) -> dict[str, Any]:
    return {**asdict(summary), "extras": dict(summary.extras), "here": summary.here}


def _print_table(summaries: list[RecipeSummary]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    columns = ("recipe", "what it makes", "give it", "steps", "on", "weights", "size, licence", "here")
    table = Table(*columns, box=None, pad_edge=False)
    for one in summaries:
        weights = list({own.name: own for own in one.weights}.values())
        licences = [
            ", ".join(filter(None, (own.size, own.published.licence if own.published else ""))) for own in weights
        ]
        row = (
            one.name,
            one.summary,
            ", ".join(one.needs),
            f"{one.steps:,}" if one.steps else "",
            one.hardware,
            "\n".join(own.name for own in weights),
            "\n".join(licences),
            "cannot be read" if one.wrong else "yes" if one.here else "no",
        )
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else WIDE, highlight=False).print(table)
    print(
        "zero3d recipes NAME tells all that one needs, zero3d run NAME ... runs it, zero3d recipes copy NAME copies it"
    )


def _print_one(summary: RecipeSummary) -> None:
    print(f"{summary.name}: {summary.summary}")
    if summary.wrong:
        print(f"cannot be read: {summary.wrong}")
    print(f"  {summary.example}")
    print(f"give it: {', '.join(summary.needs) or 'nothing'}")
    steps = f"{summary.steps:,} steps" if summary.steps else ""
    costs = [
        f"{steps} on {summary.hardware}" if steps and summary.hardware and not summary.costs else steps,
        *summary.costs,
    ]
    print(f"costs: {'; '.join(filter(None, costs)) or 'not stated'}")
    for own in summary.weights:
        about = f", {own.published.line}" if own.published else ""
        print(f"weights: {own.name}{about}; others by {own.place}=...")
        print(f"  not here: {CAUSE.split(own.missing)[0]}" if own.missing else "  here")
    for extra, there in summary.extras:
        print(
            f"extra: {extra}, {'installed' if there else f'''not installed: pip install 'zero3d[{extra}]' '''}".rstrip()
        )
