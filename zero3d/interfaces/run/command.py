"""Command: a sub-command of `zero3d` that a plug-in brings; imported when the command line is."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from typing import ClassVar

from zero3d.interfaces.component import Component


class Command(Component):
    """`zero3d NAME ...`; the class docstring's first line is its help. Heavy imports belong inside `run`."""

    kind: ClassVar[str] = "command"
    examples: ClassVar[str] = ""
    """Command lines, one a line, for the end of `--help`, which fits a screen with them."""

    @abstractmethod
    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    @abstractmethod
    def run(self, arguments: argparse.Namespace) -> int:
        """Do it and return the exit code (0); a user's mistake is raised as a UserError (exit code 2).

        `arguments.registry` is the Registry that the command line loaded, with what `--plugin` named.
        """
