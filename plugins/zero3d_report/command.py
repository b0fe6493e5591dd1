"""`zero3d report`: the page of a run, made anew."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar

from zero3d.errors import UserError
from zero3d.interfaces import Command


class MakeReport(Command):
    """Make a run's report.html anew, of an older or a stopped run too: one file that needs no network."""

    name: ClassVar[str] = "report"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", help="the run's folder (its out)")
        parser.add_argument("--out", type=Path, metavar="FILE", help="where the page goes (RUN/report.html)")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d_report.report import write_report

        check_page(arguments.out)
        print(write_report(arguments.run, arguments.out))
        return 0


def check_page(out: Path | None) -> None:
    """Hold the place of a page against what can be written.

    Raises:
        UserError: a folder, or in none.
    """
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise UserError(
            f"--out: {out}: a folder, or in a folder that is not there; name an HTML file, for example a.html"
        )
