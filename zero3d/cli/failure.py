"""What the command line says of an exception that is no user's mistake: one line, and where the traceback is."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import traceback
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from zero3d import __version__
from zero3d.errors import one_line
from zero3d.registry import Registry

PACKAGES = ("torch", "numpy", "omegaconf", "diffusers", "transformers")
"""Whose versions a log names."""


def failure(error: Exception, arguments: Sequence[str], registry: Registry | None) -> str:
    """One line: what happened, the log with the traceback, and whom to tell."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, of a GPU
        mend = "lower representation.resolution, cameras.resolution or cameras.views"
        return f"out of memory ({_shortened(said)}); {mend}"
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {error.filename}" if error.filename else ""
        return one_line(f"{error.strerror}{where}; --debug shows what wanted it")
    author = _author(error, registry)
    whom = f"the author of the plug-in {author}" if author else "the zero3d project"
    told = f"this is a bug{f' in the plug-in {author}' if author else ''}: {_shortened(said)}"
    return f"{told}; report it to {whom} with {_log(error, arguments)}; --debug shows the traceback"


def _shortened(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= 200 else f"{line[:200]}[...]"


def _author(error: Exception, registry: Registry | None) -> str:
    """The package of the plug-in that raised it; empty if it is zero3d's own."""
    packages = {entry.module.partition(".")[0]: entry.package for entry in registry.brought()} if registry else {}
    ours = {**packages, "zero3d": "zero3d"}
    modules = [
        str(frame.f_globals.get("__name__", "")).partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    last = next((ours[module] for module in reversed(modules) if module in ours), "zero3d")
    return "" if last == "zero3d" else last


def _log(error: Exception, arguments: Sequence[str]) -> str:
    """Where everything that a report needs was written: a file in the folder for temporary ones, else stderr."""
    facts = {"zero3d": __version__, "python": sys.version.split()[0], "platform": platform.platform()}
    for package in PACKAGES:
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    lines = [f"arguments: {list(arguments)!r}", *(f"{name}: {value}" for name, value in facts.items())]
    text = "\n".join(lines) + "\n\n" + "".join(traceback.format_exception(error))
    try:
        handle, path = tempfile.mkstemp(prefix="zero3d-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        return f"the log {path}"
    except OSError:
        print(text, file=sys.stderr)
        return "what stands above"
