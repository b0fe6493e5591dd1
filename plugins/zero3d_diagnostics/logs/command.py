"""`zero3d metrics`: the figures of runs as a table, or as CSV for a spreadsheet."""

from __future__ import annotations

import argparse
import csv
import fnmatch
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from zero3d.errors import UserError, did_you_mean
from zero3d.interfaces import Command

STDOUT = "-"


class Metrics(Command):
    """Show the figures of runs' steps: a summary of each, or all of them as CSV."""

    name: ClassVar[str] = "metrics"
    examples: ClassVar[str] = """
        zero3d metrics runs/nano-cat
        zero3d metrics runs/nano-cat runs/nano-mug --csv both.csv --keys "guidance.*.distance" seconds --every 10
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("runs", nargs="+", metavar="RUN", help="runs' folders; of a run with stages all of them, or one stage's")
        add(
            "--csv",
            nargs="?",
            const=STDOUT,
            metavar="FILE",
            help="a line a step, as CSV into the file, or onto stdout (then after the runs, or --csv=-)",
        )
        add("--keys", nargs="+", default=["*"], metavar="KEY", help="which figures; * stands for anything (all)")
        add("--every", type=int, default=1, metavar="N", help="each Nth step and the last (1)")

    def run(self, arguments: argparse.Namespace) -> int:
        if arguments.every < 1:
            raise UserError(f"metrics: --every {arguments.every}; at least 1 step")
        if arguments.csv not in (None, STDOUT):
            _check_table(Path(arguments.csv))
        tables = [table for run in arguments.runs for table in _tables(run)]
        keys = _chosen(dict.fromkeys(key for _, _, rows in tables for row in rows for key in row), arguments.keys)
        if arguments.csv is None:
            _show(tables, keys)
            return 0
        text = _csv(tables, keys, arguments.every)
        if arguments.csv == STDOUT:
            print(text, end="")
        else:
            from zero3d.files import write_text

            write_text(arguments.csv, text)
            print(f"wrote {arguments.csv} ({text.count(chr(10)) - 1} lines, {len(keys)} figures)")
        return 0


Table = tuple[str, str, list[dict[str, Any]]]
"""Run, stage ("" of a run without), rows."""


def _tables(run: str) -> list[Table]:
    from zero3d import folder

    folder.open_run(run)
    place = Path(run)
    begun = [stage for stage in folder.stage_folders(place) if (stage / folder.METRICS).is_file()]
    if not begun:
        return [(run, "", folder.read_metrics(place))]
    return [(run, stage.name, folder.read_metrics(stage)) for stage in begun]


def _check_table(file: Path) -> None:
    """Raises: UserError, for a name that is no table's: a picture or a run after --csv may not be replaced."""
    if file.suffix.lower() != ".csv" or file.is_dir() or not file.parent.is_dir():
        raise UserError(f"metrics: --csv {file}; name a .csv file in a folder that is there")


def _chosen(known: Iterable[str], wanted: list[str]) -> list[str]:
    """The keys that a pattern names, in the order of the patterns.

    Raises:
        UserError: a pattern names none.
    """
    names = [name for name in known if name != "step"]
    found: dict[str, None] = {}
    for pattern in wanted:
        these = fnmatch.filter(names, pattern)
        if not these and pattern not in ("*", "step"):
            raise UserError(f"metrics: --keys {pattern}: no run has such a figure.{did_you_mean(pattern, names)}")
        found |= dict.fromkeys(these)
    return list(found)


def _csv(tables: list[Table], keys: list[str], every: int) -> str:
    staged = any(stage for _, stage, _ in tables)
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["run", *(["stage"] if staged else []), "step", *keys])
    for run, stage, rows in tables:
        for index, row in enumerate(rows):
            if index % every == 0 or index == len(rows) - 1:
                figures = ["" if row.get(key) is None else row[key] for key in keys]
                writer.writerow([run, *([stage] if staged else []), row["step"], *figures])
    return written.getvalue()


def _show(tables: list[Table], keys: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table as Shown

    console = Console(width=None if Console().is_terminal else 200, highlight=False)
    for run, stage, rows in tables:
        shown = Shown("figure", box=None, title=f"{run} {stage}".strip(), title_justify="left", pad_edge=False)
        for column in ("steps", "first", "last", "least", "greatest"):
            shown.add_column(column, justify="right")
        for key in keys:
            values = [row[key] for row in rows if isinstance(row.get(key), (int, float))]
            if values:
                figures = (values[0], values[-1], min(values), max(values))
                shown.add_row(key, str(len(values)), *(f"{value:.5g}" for value in figures))
        console.print(shown)
