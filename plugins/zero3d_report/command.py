"""`zero3d report`: the page of a run, made anew. `zero3d compare`: several runs on one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar

from zero3d.errors import UserError
from zero3d.interfaces import Command


class MakeReport(Command):
    """Make a run's report.html anew, of an older or a stopped run too: one file that needs no network."""

    name: ClassVar[str] = "report"
    examples: ClassVar[str] = """
        zero3d report runs/nano-cat
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", help="the run's folder (its out)")
        parser.add_argument("--out", type=Path, metavar="FILE", help="where the page goes (RUN/report.html)")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d import folder
        from zero3d.run import say
        from zero3d_report.report import write_report

        check_page(arguments.out)
        other = folder.other_version(folder.whole_run(arguments.run))
        if other:
            say(f"note: {arguments.run} was {other}")
        print(write_report(arguments.run, arguments.out))
        return 0


class Compare(Command):
    """Put several runs on one page: models that turn together, curves over each other, what their recipes differ in."""

    name: ClassVar[str] = "compare"
    examples: ClassVar[str] = """
        zero3d compare runs/nano-cat runs/nano-cat-2 --out both.html
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("runs", nargs="+", metavar="RUN", help="the runs' folders, and out=FILE (compare.html)")
        parser.add_argument("--out", type=Path, metavar="FILE", help="the same as out=FILE")
        parser.add_argument("--force", action="store_true", help="compare runs of different pictures or prompts too")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d_report.compare import write_comparison

        runs = [run for run in arguments.runs if not run.startswith("out=")]
        outs = [Path(run.removeprefix("out=")) for run in arguments.runs if run.startswith("out=")]
        outs += [arguments.out] if arguments.out else []
        if len(outs) > 1:
            raise UserError(f"compare: out: given {len(outs)} times; name one file")
        out = outs[0] if outs else Path("compare.html")
        check_page(out)
        print(write_comparison(runs, out, arguments.force))
        return 0


def check_page(out: Path | None) -> None:
    """Hold the place of a page against what can be written.

    Raises:
        UserError: a folder, or in none; or of another kind, such as a picture, which a page may not replace.
    """
    if out is None:
        return
    if out.is_dir() or not out.parent.is_dir():
        wrong = "a folder, or in a folder that is not there"
    elif out.suffix.lower() not in (".html", ".htm"):
        wrong = "no page's name"
    else:
        return
    raise UserError(f"--out: {out}: {wrong}; name an HTML file, for example a.html")
