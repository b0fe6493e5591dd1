"""`zero3d weights`: look into, convert and find published weights; each component knows its own."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from zero3d.errors import RecipeError
from zero3d.interfaces import Command, Component
from zero3d.interfaces.component import own_hook
from zero3d.registry import Registry

LONGEST = 1000
"""Characters of a row in a pipe; the longest are about half that."""


class Weights(Command):
    """List, inspect or convert published weights."""

    name: ClassVar[str] = "weights"
    examples: ClassVar[str] = """
        zero3d weights list
        zero3d weights inspect 105000.ckpt
        zero3d weights convert 105000.ckpt zero123/
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="list|inspect|convert")
        listing = actions.add_parser("list", help="the published weights: where, how large, which licence")
        listing.add_argument("component", nargs="?", help="one component's alone: zero123, stable_diffusion, …")
        inspect = actions.add_parser("inspect", help="what a checkpoint or folder holds; no pickled code is run")
        inspect.add_argument("path", type=Path, help="a .ckpt, a .safetensors or a diffusers folder")
        convert = actions.add_parser("convert", help="an original checkpoint to a diffusers folder")
        convert.add_argument("path", type=Path, help="a .ckpt or .safetensors in the original layout")
        convert.add_argument("out", type=Path, help="the folder to write")
        convert.add_argument(
            "--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="what is written (float32)"
        )
        convert.add_argument("--raw", action="store_true", help="the raw U-Net, not the averaged one (EMA)")
        convert.add_argument("--pose", choices=("auto", "zero123", "stable"), default="auto", help="of Stable Zero123?")
        convert.add_argument(
            "--tokenizer", default="", help="a folder or hub id with the tokenizer, copied beside them"
        )
        convert.add_argument(
            "--prediction",
            choices=("auto", "epsilon", "v_prediction"),
            default="auto",
            help="of Stable Diffusion 2, if the file does not say",
        )
        for action in (inspect, convert):
            action.add_argument("--type", default="", help="whose weights they are (found): zero123, …")
            action.add_argument(
                "--config", default="", help="the component's option config, if not of the published size"
            )

    def run(self, arguments: argparse.Namespace) -> int:
        return {"list": _list, "inspect": _inspect, "convert": _convert}[arguments.action](arguments)


def owners(registry: Registry, name: str | None = None, action: str = "list") -> Iterator[type[Component]]:
    """The components that know published weights and what `action` asks of them; of one name, where it is given.

    Raises:
        RecipeError: none of that name.
    """
    from zero3d.errors import did_you_mean

    known = [entry.component for entry in registry.all() if entry.component.published]
    able = [component for component in known if action == "list" or own_hook(getattr(component, f"{action}_weights"))]
    if name and not any(component.name == name for component in able):
        without = any(component.name == name for component in known)
        lacks = (
            f"its weights are none that {action} reads"
            if without
            else "no component of that name has published weights"
        )
        raise RecipeError(f"{name!r}: {lacks}.{did_you_mean(name, {component.name for component in able})}")
    return (component for component in able if name in (None, "", component.name))


def _list(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    found = [(c, entry) for c in owners(arguments.registry, arguments.component) for entry in c.published]
    rows = [
        (
            component.name if entry.part == "weights" else f"{component.name}.{entry.part}",
            entry.name,
            _gigabytes(entry.gigabytes),
            entry.licence,
            entry.where.removeprefix("https://"),
            entry.note,
        )
        for component, entry in found
    ]
    if Console().is_terminal:
        _on_terminal(rows)
    else:
        _in_pipe(rows)
    return 0


def _on_terminal(rows: Sequence[Sequence[str]]) -> None:
    """What one types in a line, and under it the rest, broken between words."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    console = Console()
    for label, name, size, *rest in rows:
        console.print(Text(f"{label}  {name}  {size} GB", style="bold"), overflow="ignore", no_wrap=True, crop=False)
        console.print(Padding(Text("; ".join(filter(None, rest)), overflow="fold"), (0, 0, 0, 4)))


def _in_pipe(rows: Sequence[Sequence[str]]) -> None:
    """A row in a line, whatever its length, for whoever searches them."""
    from rich.console import Console
    from rich.table import Column, Table

    names = ("for", "weights", "GB", "licence", "where", "note")
    table = Table(*(Column(name, no_wrap=True) for name in names), box=None)
    for row in rows:
        table.add_row(*row)
    Console(width=LONGEST).print(table)


def _gigabytes(size: float | None) -> str:
    """One decimal, two below 1; "?" where nobody has seen it."""
    return "?" if size is None else f"{size:.{1 if size >= 1 else 2}f}"


def _inspect(arguments: argparse.Namespace) -> int:
    path: Path = arguments.path
    if not path.exists():
        raise RecipeError(f"{path}: no such file or folder")
    for component in owners(arguments.registry, arguments.type, arguments.action):
        lines = component.inspect_weights(path, arguments.config)
        if lines is not None:
            for line in lines:
                print(line)
            return 0
    raise RecipeError(f"{path}: {_nobodys(arguments)}")


def _convert(arguments: argparse.Namespace) -> int:
    from zero3d.weights import Conversion

    if not arguments.path.exists():
        raise RecipeError(f"{arguments.path}: no such file")
    if arguments.path.is_dir():
        raise RecipeError(f"{arguments.path}: is a folder already; a run takes it as denoiser.weights")
    asked = Conversion(
        arguments.path,
        arguments.out,
        arguments.dtype,
        not arguments.raw,
        arguments.pose,
        arguments.config,
        arguments.tokenizer,
        arguments.prediction,
        tell=print,
    )
    for component in owners(arguments.registry, arguments.type, arguments.action):
        if component.convert_weights(asked):
            print(f"written to {arguments.out}; use it as {_key(component)}.weights={arguments.out}")
            return 0
    raise RecipeError(f"{arguments.path}: {_nobodys(arguments)}")


def _key(component: type[Component]) -> str:
    """Where a recipe names it."""
    return {"reconstructor": "start"}.get(component.kind, component.kind)


def _nobodys(arguments: argparse.Namespace) -> str:
    able = owners(arguments.registry, arguments.type, arguments.action)
    names = ", ".join(sorted({component.name for component in able}))
    told = f"no weights that {arguments.action} knows of {names}; `zero3d weights list` shows which those are"
    asked = (component.recognize_weights(arguments.path) for component in owners(arguments.registry))
    found = next((answer for answer in asked if answer), "")
    return f"is {found}, {told}" if found else told
