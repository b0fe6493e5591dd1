"""table.csv, table.json and table.md: a row for each run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zero3d.files import write_text

NOT_IN_TABLES = ("picture", "views", "curves", "made_of")


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row without pictures; maps within it by dotted keys."""
    first = {"name": row["name"], "status": row.get("status"), "image": row.get("image") or "", **row.get("keys", {})}
    plain = {k: row[k] for k in ("seconds", "attempts", "device", "error") if row.get(k) is not None}
    exports = {
        f"{label}.{key}": value for label, own in row.get("export", {}).items() for key, value in dict(own).items()
    }
    return {**first, **plain, **exports, **row.get("losses", {})}


def columns(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Every key of any row, in order of appearance; `error` last."""
    names = list(dict.fromkeys(key for row in rows for key in row))
    return [name for name in names if name != "error"] + [name for name in names if name == "error"]


def write_tables(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replace the three files.

    Raises:
        WriteError: the disk is full, or not ours.
    """
    plain = [flat(row) for row in rows]
    names = columns(plain)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain)
    write_text(out / "table.csv", text.getvalue())
    kept = [{k: v for k, v in row.items() if k not in NOT_IN_TABLES} for row in rows]
    write_text(out / "table.json", json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name, "")) for name in names) + " |" for row in plain]
    write_text(out / "table.md", "\n".join(lines) + "\n")


def _cell(value: Any) -> str:
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
