"""Commands of plug-ins, called from Python."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from zero3d.errors import UserError
from zero3d.interfaces import Command
from zero3d.registry import Registry


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {message}")


def command_output(registry: Registry, name: str, arguments: Sequence[str]) -> str:
    """Run `zero3d NAME ARGUMENTS` in this process; what it printed on stdout.

    Raises:
        UserError: no such command, arguments that it does not take, or what it says itself.
    """
    component = registry.get("command", name, "zero3d")
    command = component(component.Config())
    assert isinstance(command, Command)
    parser = _Parser(prog=name, add_help=False)
    command.add_arguments(parser)
    parsed = parser.parse_args(list(arguments))
    vars(parsed).update(registry=registry, command=name)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        command.run(parsed)
    return printed.getvalue()


def option_words(options: Mapping[str, Any]) -> list[str]:
    """`{"mesh": path, "masks": True, "metrics": ["iou", "psnr"]}` -> --mesh PATH --masks --metrics iou psnr.

    None and False leave an option out; an underscore is a hyphen.
    """
    given: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            given.append(flag)
        elif isinstance(value, list | tuple):
            given += [flag, *map(str, value)]
        else:
            text = str(value.expanduser() if isinstance(value, Path) else value)
            given.append(f"{flag}={text}")  # a value may begin with a hyphen
    return given
