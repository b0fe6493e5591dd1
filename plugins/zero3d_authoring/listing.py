"""The list of what is installed: a table for people, JSON for programs."""

from __future__ import annotations

import json
import sys
from typing import Any

from zero3d.interfaces import Component
from zero3d.registry import Registered, Registry

WIDE = 400
"""Columns of a table that goes into a pipe: one line a component, for grep."""


def summary(component: type[Component]) -> str:
    """The docstring's first line; empty under python -OO, which drops docstrings."""
    return "".join((component.__doc__ or "").strip().splitlines()[:1])


def contract(component: type[Component]) -> dict[str, Any]:
    """What its kind lets it declare: needs, provides (sorted names) and accepts (a class's name)."""
    found: dict[str, Any] = {}
    for key in ("needs", "provides"):
        declared = getattr(component, key, None)
        if isinstance(declared, (frozenset, set)):
            found[key] = sorted(declared)
    accepts = getattr(component, "accepts", object)
    if accepts is not object and isinstance(accepts, type):
        found["accepts"] = accepts.__name__
    return found


def as_json(registry: Registry) -> str:
    """{"components": [...], "broken": [...]}, all that the table shows and the paths of local plug-ins."""
    return json.dumps({"components": [_record(e) for e in registry.all()], "broken": _broken(registry)}, indent=2)


def print_table(registry: Registry) -> None:
    """One row a component, then one line a broken plug-in."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "package", "version", "what it is", "needs, provides"):
        table.add_column(column, overflow="fold")
    for entry in registry.all():
        declared = contract(entry.component)
        words = [f"{key} {', '.join(declared[key])}" for key in ("needs", "provides") if declared.get(key)]
        if "accepts" in declared:
            words.append(f"for {declared['accepts']}")
        version = f"{entry.version} (local)" if entry.path else entry.version
        row = (entry.component.kind, entry.component.name, entry.package, version, summary(entry.component))
        table.add_row(*map(escape, (*row, "; ".join(words))))
    console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False)
    console.print(table)
    for broken in registry.broken:
        console.print(f"[red]broken[/red]: {escape(f'{broken.plugin} ({broken.package}): {broken.error}')}")
    if registry.broken:
        console.print("zero3d plugins doctor tells more")


def _record(entry: Registered) -> dict[str, Any]:
    component = entry.component
    named = {"kind": component.kind, "name": component.name, "plugin": entry.plugin, "package": entry.package}
    told = {"version": entry.version, "path": entry.path or None, "doc": summary(component)}
    return {**named, **told, **contract(component)}


def _broken(registry: Registry) -> list[dict[str, str]]:
    return [{"plugin": b.plugin, "package": b.package, "error": b.error} for b in registry.broken]
