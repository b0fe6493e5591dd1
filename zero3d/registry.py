"""(kind, name) -> component class, with the package each came from."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from zero3d import interfaces
from zero3d.api_changes import outdated
from zero3d.errors import PluginError, RecipeError, UserError, did_you_mean, one_line
from zero3d.hookspecs import Lazy
from zero3d.interfaces import Component


class _Kinds(Mapping[str, type[Component]]):
    """Imports an interface when it is asked for."""

    def __getitem__(self, kind: str) -> type[Component]:
        found: type[Component] = getattr(interfaces, interfaces.KINDS[kind])
        return found

    def __contains__(self, kind: object) -> bool:
        return kind in interfaces.KINDS

    def __iter__(self) -> Iterator[str]:
        return iter(interfaces.KINDS)

    def __len__(self) -> int:
        return len(interfaces.KINDS)


KINDS: Mapping[str, type[Component]] = _Kinds()
"""Kind -> its interface."""


@dataclass(frozen=True)
class Registered:
    """A component and the distribution that brought it; `path` of a plug-in that is not installed (`--plugin`)."""

    component: type[Component]
    plugin: str
    package: str
    version: str
    path: str = ""

    @property
    def module(self) -> str:
        return self.component.__module__


@dataclass(frozen=True)
class Promised:
    """A component that is imported when it is asked for (`Lazy`), with what `Registered` has of it."""

    lazy: Lazy
    plugin: str
    package: str
    version: str
    path: str = ""

    @property
    def module(self) -> str:
        return self.lazy.target.partition(":")[0]

    def kept(self) -> Registered:
        """The component itself.

        Raises:
            TypeError: it is not what was promised, or breaks the rules of `Component`. Or whatever its module raises.
        """
        lazy, point = self.lazy, EntryPoint(self.lazy.name, self.lazy.target, "")
        component = point.load()
        check_component(component)
        if (component.kind, component.name) != (lazy.kind, lazy.name):
            raise TypeError(f"{lazy.target} is {component.kind} {component.name!r}, not {lazy.kind} {lazy.name!r}")
        return Registered(component, self.plugin, self.package, self.version, self.path)


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
        if isinstance(entry, Promised):
            key = (entry.lazy.kind, entry.lazy.name)
        else:
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
        found = self._kept(kind, name)
        if not found:
            raise RecipeError(f"{place}: no {kind} called {name!r}.{did_you_mean(name, self.names(kind))}{self.failed}")
        if len(found) > 1:
            packages = " and ".join(f"{entry.package} ({entry.plugin})" for entry in found)
            raise RecipeError(f"{place}: {kind} {name!r} is claimed by {packages}; uninstall one of them")
        return found[0]

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
        for key, entries in list(self._entries.items()):
            self._entries[key] = [other for other in entries if not self._lost(other)]
            if not self._entries[key]:
                del self._entries[key]

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


def check_component(component: type[Component]) -> None:
    """Hold a class against the rules of `Component`.

    Raises:
        TypeError: it is no subclass of an interface, is abstract (without a `build` of its own), or lacks `name`, a
            docstring or a dataclass `Config`.
    """
    interface = KINDS.get(kind) if isinstance(kind := getattr(component, "kind", None), str) else None
    if not (inspect.isclass(component) and interface and issubclass(component, interface)):
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


def check_promise(lazy: Lazy) -> None:
    """Hold a `Lazy` against what can be told without importing its target.

    Raises:
        TypeError: a kind that there is not, or a target that is no "module:Class".
    """
    if lazy.kind not in KINDS:
        raise TypeError(f"{lazy!r}: no kind {lazy.kind!r}; one of {', '.join(KINDS)}")
    if not re.fullmatch(r"[\w.]+:\w+", lazy.target) or not lazy.name:
        raise TypeError(f'{lazy!r}: the target is written "module:Class", and the name is the class\'s')


def reason(error: BaseException) -> str:
    """Why a plug-in cannot be loaded, in one line; a UserError explains itself."""
    kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
    return one_line(f"{kind}{error}")
