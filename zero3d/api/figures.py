"""The figures of a run's steps as lists, without a library for tables."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from typing import Any

SHOWN = 10
"""Rows of a long table that a notebook shows."""


class Figures(dict[str, list[Any]]):
    """Key of metrics.jsonl -> its value in every step, None where it has none; all lists are of one length.

    `pandas.DataFrame(figures)` and `plt.plot(figures["step"], figures[key])` take it as it is. In a notebook it is a table.
    """

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]]) -> Figures:
        """Rows as columns, the keys in the order in which they appear."""
        rows = list(records)
        keys = dict.fromkeys(key for row in rows for key in row)
        return cls({key: [row.get(key) for row in rows] for key in keys})

    def rows(self, every: int = 1, keys: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """Each `every`th step and the last, as mappings of `keys` (default: all)."""
        wanted = list(self) if keys is None else list(keys)
        count = len(next(iter(self.values()), ()))
        chosen = [index for index in range(count) if index % every == 0 or index == count - 1]
        return [{key: self[key][index] for key in wanted} for index in chosen]

    def _repr_html_(self) -> str:
        count = len(next(iter(self.values()), ()))
        rows = self.rows(max(1, -(-count // SHOWN)))
        head = "".join(f"<th>{html.escape(key)}</th>" for key in self)
        body = "".join("<tr>" + "".join(f"<td>{_cell(row[key])}</td>" for key in self) + "</tr>" for row in rows)
        caption = f"{count} steps" + (f", {len(rows)} shown" if len(rows) < count else "")
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{caption}</p>"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return html.escape(f"{value:.5g}" if isinstance(value, float) else str(value))
