"""One component in full: what it is, what it needs, its options, and a recipe's block that names it."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

from zero3d.errors import RecipeError, did_you_mean
from zero3d.interfaces import Component, Regularizer
from zero3d.recipe import BLOCK_MAPS, SINGLE_BLOCKS
from zero3d.registered import KINDS, Registered
from zero3d.registry import Registry
from zero3d_authoring.listing import contract
from zero3d_authoring.options import Option, options_of, plain

OTHER_BLOCKS = {"dataset": "dataset", "set": "evaluation_set", "executor": "executor"}
"""Those of a training's recipe and of a benchmark's file, which also have a map of `metrics`."""


def show(registry: Registry, words: Sequence[str]) -> str:
    """The text on [KIND,] NAME; a name that several kinds know is shown for each.

    Raises:
        RecipeError: there is no such kind or name; the line has the nearest one.
    """
    place = "zero3d plugins show"
    if len(words) > 2:
        raise RecipeError(f"{place}: {' '.join(words)!r}: give a name, or a kind and a name")
    kind, name = (None, words[0]) if len(words) == 1 else words
    if kind is not None and kind not in KINDS:
        raise RecipeError(f"{place}: no kind {kind!r}.{did_you_mean(kind, KINDS)}")
    entries = registry.all(kind, name)
    if kind is not None and not entries:
        registry.check_name(kind, name, place)  # says so
    if not entries:
        known = sorted({entry.name for entry in registry.brought()})
        raise RecipeError(f"{place}: no component called {name!r}.{did_you_mean(name, known)}{registry.failed}")
    return "\n\n\n".join(_page(entry) for entry in entries)


def example(component: type[Component]) -> str:
    """A recipe's block with every option at its default; "???" stands where a value is required."""
    if component.kind == "command":
        return f"zero3d {component.name} --help"
    options = options_of(component.Config)
    lines = [f"{option.name}: {'???' if option.required else plain(option.value)}" for option in options]
    single = {kind: key for key, kind in {**SINGLE_BLOCKS, **OTHER_BLOCKS}.items()}
    if component.kind in single:
        return "\n".join([f"{single[component.kind]}:", *(f"  {line}" for line in [f"type: {component.name}", *lines])])
    key = {kind: key for key, kind in {**BLOCK_MAPS, "metrics": "metric"}.items()}[component.kind]
    if issubclass(component, Regularizer):
        often = [f"every: {component.default_every}"] if component.default_every > 1 else []
        lines = [f"weight: {component.default_weight:g}", *often, f"view: {component.default_view}", *lines]
    elif component.kind == "guidance":
        lines = ["weight: 1", *lines]
    label = component.name
    if component.kind == "exporter":  # the label is the file's name
        label, lines = "mesh", [f"type: {component.name}", *lines]
    if not lines:
        return f"{key}:\n  {label}: {{}}"
    return "\n".join([f"{key}:", f"  {label}:", *(f"    {line}" for line in lines)])


def _page(entry: Registered) -> str:
    component = entry.component
    parts = [
        f"{component.kind} {component.name}\n{entry.package} {entry.version}, {_file(component)}",
        inspect.cleandoc(component.__doc__ or ""),
    ]
    declared = contract(component)
    facts = [f"{key}: {', '.join(declared[key]) or 'nothing'}" for key in ("needs", "provides") if key in declared]
    if "accepts" in declared:
        facts.append(f"for representations that are a {declared['accepts']}")
    if facts:
        parts.append("\n".join(facts))
    options = options_of(component.Config)
    parts.append(_table(options) if options else "no options")
    heading = "on the command line" if component.kind == "command" else f"in {_where(component)}, with the defaults"
    parts.append(f"{heading}:\n\n{example(component)}")
    return "\n\n".join(parts)


def _where(component: type[Component]) -> str:
    return {"metric": "a protocol"}.get(component.kind) or (
        "a benchmark's file" if component.kind in ("evaluation_set", "executor") else "a recipe"
    )


def _file(component: type[Component]) -> str:
    """The source file, from the working folder if it lies below."""
    path = Path(inspect.getfile(component))
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _table(options: Sequence[Option]) -> str:
    """Name, type and default in columns; what is said of the option is wrapped below them."""
    import textwrap

    rows = [("option", "type", "default")] + [(option.name, option.type, option.default) for option in options]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{'option':<{widths[0]}}  {'type':<{widths[1]}}  default"]
    for option in options:
        lines.append(f"{option.name:<{widths[0]}}  {option.type:<{widths[1]}}  {option.default}")
        lines += textwrap.wrap(option.text, 100, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)
