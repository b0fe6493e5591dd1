"""What a registered component is: its class or the promise of one, where it came from, and the rules it keeps."""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint

from zero3d import interfaces
from zero3d.errors import UserError, one_line
from zero3d.hookspecs import Lazy
from zero3d.interfaces import Component
from zero3d.interfaces.api_changes import outdated


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
    def kind(self) -> str:
        return self.component.kind

    @property
    def name(self) -> str:
        return self.component.name

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
    def kind(self) -> str:
        return self.lazy.kind

    @property
    def name(self) -> str:
        return self.lazy.name

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


def check_component(component: type[Component]) -> None:
    """Hold a class against the rules of `Component`.

    Raises:
        TypeError: it is no subclass of an interface, is abstract (without a `build` of its own), or lacks `name`, a
            docstring or a dataclass `Config`, or says what it needs as no set.
    """
    interface = KINDS.get(kind) if isinstance(kind := getattr(component, "kind", None), str) else None
    if not (inspect.isclass(component) and interface and issubclass(component, interface)):
        raise TypeError(f"{component!r} is no subclass of an interface in zero3d.interfaces")
    where = f"{component.__module__}.{component.__qualname__}"
    if changed := outdated(component):
        raise TypeError(f"{where} was written for plug-in API 1: {changed}; then state ZERO3D_API = 2")
    if inspect.isabstract(component) and not hasattr(component, "build"):
        raise TypeError(f"{where} does not implement {', '.join(sorted(component.__abstractmethods__))}")
    if not isinstance(getattr(component, "name", None), str):
        raise TypeError(f"{where} has no `name`, the string that recipes use")
    if not (component.__doc__ or "").strip() and sys.flags.optimize < 2:  # python -OO leaves none
        raise TypeError(f"{where} has no docstring; its first line is what `zero3d plugins` shows")
    if isinstance(needs := getattr(component, "needs", None), (str, list, tuple)):
        raise TypeError(f"{where}.needs is {needs!r}; write a set, frozenset({{'opacity'}})")
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
