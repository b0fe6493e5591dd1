"""The command `zero3d views` as a benchmark's method: its words, read and checked."""

from __future__ import annotations

import argparse
import contextlib
import io
from typing import NoReturn

from zero3d.errors import RecipeError
from zero3d.interfaces import Command
from zero3d.recipe import make_block
from zero3d.registry import Registry
from zero3d_benchmark.options import MethodOptions


class _Words(argparse.ArgumentParser):
    """Says what is wrong in a line, without its usage."""

    def error(self, message: str) -> NoReturn:
        raise RecipeError(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise RecipeError(message or "--help and the like have no place here")


def parsed(method: MethodOptions, registry: Registry, words: list[str]) -> tuple[Command, argparse.Namespace]:
    """The command `zero3d views` with `words` and the method's own arguments read.

    Raises:
        RecipeError: it does not take the method's arguments.
    """
    command = registry.get("command", "views", "methods")
    assert issubclass(command, Command)
    views, parser = command(command.Config()), _Words(prog="zero3d views")
    views.add_arguments(parser)
    given = [*words, "--denoiser", str(method.views), "--mask", "alpha", *map(str, method.arguments)]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            found = parser.parse_args(given)
    except RecipeError as error:
        own = " ".join(map(str, method.arguments))
        raise RecipeError(f"arguments: zero3d views does not take {own!r}: {error}; see zero3d views --help") from None
    found.registry = registry
    return views, found


def check_views(method: MethodOptions, registry: Registry) -> None:
    """Its arguments, its options, its weights, before anything runs.

    Raises:
        UserError: one of them is wrong, or not there.
    """
    _, found = parsed(method, registry, ["picture.png", "--out", "views"])
    weights = getattr(found, "weights", None)
    block = {"type": method.views, **method.options, **({} if weights is None else {"weights": weights})}
    denoiser = make_block(registry, "denoiser", "views", "options", block).build()
    gone = [path for path in denoiser.weight_files() if not path.exists()]
    if gone:
        raise RecipeError(f"options.weights: {gone[0]}: no such file")
