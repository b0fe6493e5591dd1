"""(kind, name) -> component class, with the package each came from."""

from __future__ import annotations

from dataclasses import dataclass

from zero3d.errors import PluginError, RecipeError, did_you_mean
from zero3d.interfaces import Component
from zero3d.registered import Promised, Registered, check_component, reason

__all__ = ["BrokenPlugin", "Promised", "Registered", "Registry", "check_component"]


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
        self._entries: dict[tuple[str, str], list[Registered | Promised]] = {}
        self.broken: list[BrokenPlugin] = []
        self._dropped: set[tuple[str, str]] = set()

    def add(self, entry: Registered | Promised) -> None:
        """Register a component.

        Raises:
            TypeError: the class breaks the rules of `Component`; the message says which.
        """
        if isinstance(entry, Registered):
            check_component(entry.component)
        self._entries.setdefault((entry.kind, entry.name), []).append(entry)

    def get(self, kind: str, name: str, place: str) -> type[Component]:
        """The component; `place` (file: key path) begins the error's line.

        Raises:
            RecipeError: there is none of that name, or two plug-ins claim it.
        """
        return self.entry(kind, name, place).component

    def entry(self, kind: str, name: str, place: str) -> Registered:
        """Like `get`, with the package it came from."""
        found = self._kept(kind, name)
        self.check_name(kind, name, place)
        return found[0]

    def check_name(self, kind: str, name: str, place: str) -> None:
        """What `get` can tell without importing the component.

        Raises:
            RecipeError: as `get`.
        """
        if not (found := self._entries.get((kind, name), ())):
            others = "".join(f" There is {other} {name!r}." for other, one in self._entries if one == name)
            known = f"{did_you_mean(name, self.names(kind))}{others}{self.failed}"
            raise RecipeError(f"{place}: no {kind} called {name!r}.{known}")
        if len(found) > 1:
            packages = " and ".join(f"{entry.package} ({entry.plugin})" for entry in found)
            raise RecipeError(f"{place}: {kind} {name!r} is claimed by {packages}; uninstall one of them")

    def names(self, kind: str) -> list[str]:
        """The registered names of a kind, sorted."""
        return sorted(name for entry_kind, name in self._entries if entry_kind == kind)

    def all(self, kind: str | None = None, name: str | None = None) -> list[Registered]:
        """Every registered component (of that kind, and name), by kind and name; each is imported. What fails goes to
        `broken`."""
        keys = [key for key in sorted(self._entries) if kind in (None, key[0]) and name in (None, key[1])]
        found = [entry for key in keys for entry in self._kept(*key)]
        return [entry for entry in found if not self._lost(entry)]

    def brought(self) -> list[Registered | Promised]:
        """Every registered component as it was registered; nothing is imported."""
        return [entry for key in sorted(self._entries) for entry in self._entries[key]]

    def _kept(self, kind: str, name: str) -> list[Registered]:
        """The components of that name, imported. A plug-in of which one fails is none: all that it brought goes."""
        for entry in list(self._entries.get((kind, name), ())):
            if isinstance(entry, Promised):
                try:
                    kept = entry.kept()
                except (Exception, SystemExit) as error:  # somebody else's code
                    self._drop(entry, error)
                else:
                    entries = self._entries[kind, name]
                    entries[entries.index(entry)] = kept
        return [entry for entry in self._entries.get((kind, name), ()) if isinstance(entry, Registered)]

    def _drop(self, entry: Promised, error: BaseException) -> None:
        """Raises: PluginError, if it was asked for by name."""
        if entry.path:
            raise PluginError(f"--plugin {entry.path}: {entry.plugin}: {reason(error)}") from error
        self.broken.append(BrokenPlugin(entry.plugin, entry.package, reason(error), error))
        self._dropped.add((entry.plugin, entry.package))
        left = {key: [other for other in entries if not self._lost(other)] for key, entries in self._entries.items()}
        self._entries = {key: entries for key, entries in left.items() if entries}

    def _lost(self, entry: Registered | Promised) -> bool:
        """Whether its plug-in has turned out to be broken."""
        return (entry.plugin, entry.package) in self._dropped

    @property
    def local(self) -> dict[str, str]:
        """The plug-ins that are not installed, and the path that each was loaded from."""
        return {entry.plugin: entry.path for entry in self.brought() if entry.path}

    @property
    def failed(self) -> str:
        """A sentence for each plug-in that could not be loaded: what is missed may have been its."""
        return "".join(f" Plug-in {broken.plugin!r} failed to load: {broken.error}." for broken in self.broken)
