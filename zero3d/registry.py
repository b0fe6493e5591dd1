"""(kind, name) -> component class, with the package each came from."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from dataclasses import dataclass

from zero3d.api_changes import outdated
from zero3d.errors import RecipeError, did_you_mean
from zero3d.interfaces import INTERFACES, Component

KINDS: dict[str, type[Component]] = {interface.kind: interface for interface in INTERFACES}
"""Kind -> its interface."""


@dataclass(frozen=True)
class Registered:
    """A component and the distribution that brought it; `path` of a plug-in that is not installed (`--plugin`)."""

    component: type[Component]
    plugin: str
    package: str
    version: str
    path: str = ""


@dataclass(frozen=True)
class BrokenPlugin:
    """A plug-in that could not be loaded, and why: in one line, and as the exception."""

    plugin: str
    package: str
    error: str
    cause: BaseException | None = None


class Registry:
    """What is installed. Look-ups fail with the nearest known name, and with the plug-ins that failed to load."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], list[Registered]] = {}
        self.broken: list[BrokenPlugin] = []

    def add(self, entry: Registered) -> None:
        """Register a component.

        Raises:
            TypeError: the class breaks the rules of `Component`; the message says which.
        """
        check_component(entry.component)
        key = (entry.component.kind, entry.component.name)
        self._entries.setdefault(key, []).append(entry)

    def get(self, kind: str, name: str, place: str) -> type[Component]:
        """The component; `place` (file: key path) begins the error's line.

        Raises:
            RecipeError: there is none of that name, or two plug-ins claim it.
        """
        return self.entry(kind, name, place).component

    def entry(self, kind: str, name: str, place: str) -> Registered:
        """Like `get`, with the package it came from."""
        found = self._entries.get((kind, name), [])
        if not found:
            raise RecipeError(f"{place}: no {kind} called {name!r}.{did_you_mean(name, self.names(kind))}{self.failed}")
        if len(found) > 1:
            packages = " and ".join(f"{entry.package} ({entry.plugin})" for entry in found)
            raise RecipeError(f"{place}: {kind} {name!r} is claimed by {packages}; uninstall one of them")
        return found[0]

    def names(self, kind: str) -> list[str]:
        """The registered names of a kind, sorted."""
        return sorted(name for entry_kind, name in self._entries if entry_kind == kind)

    def all(self) -> list[Registered]:
        """Every registered component, by kind and name."""
        return [entry for key in sorted(self._entries) for entry in self._entries[key]]

    @property
    def local(self) -> dict[str, str]:
        """The plug-ins that are not installed, and the path that each was loaded from."""
        return {entry.plugin: entry.path for entry in self.all() if entry.path}

    @property
    def failed(self) -> str:
        """A sentence for each plug-in that could not be loaded: what is missed may have been its."""
        return "".join(f" Plug-in {broken.plugin!r} failed to load: {broken.error}." for broken in self.broken)


def check_component(component: type[Component]) -> None:
    """Hold a class against the rules of `Component`.

    Raises:
        TypeError: it is no subclass of an interface, is abstract (without a `build` of its own), or lacks `name`, a
            docstring or a dataclass `Config`.
    """
    if not (inspect.isclass(component) and any(issubclass(component, interface) for interface in INTERFACES)):
        raise TypeError(f"{component!r} is no subclass of an interface in zero3d.interfaces")
    where = f"{component.__module__}.{component.__qualname__}"
    changed = outdated(component)
    if changed:
        raise TypeError(f"{where} was written for plug-in API 1: {changed}; then state ZERO3D_API = 2")
    if inspect.isabstract(component) and not hasattr(component, "build"):
        missing = ", ".join(sorted(component.__abstractmethods__))
        raise TypeError(f"{where} does not implement {missing}")
    if not isinstance(getattr(component, "name", None), str):
        raise TypeError(f"{where} has no `name`, the string that recipes use")
    if not (component.__doc__ or "").strip() and sys.flags.optimize < 2:  # python -OO leaves none
        raise TypeError(f"{where} has no docstring; its first line is what `zero3d plugins` shows")
    if not (inspect.isclass(component.Config) and dataclasses.is_dataclass(component.Config)):
        raise TypeError(f"{where}.Config is no dataclass")
