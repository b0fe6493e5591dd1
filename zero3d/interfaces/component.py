"""What every registered part is: a named class with a typed `Config`."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass
class NoOptions:
    """A component without options."""


class Component(ABC):
    """Base of all interfaces.

    A component is a subclass of one interface with a `name` (what recipes call it), a one-line docstring (what
    `zero3d plugins` prints) and a dataclass `Config` whose fields are its options: typed, with defaults, units in
    the docstring, range checks in `__post_init__` (raise ValueError: "field: value; remedy"). A field that may
    change over a run is annotated `Any` and parsed with `Schedule.parse(value, "field")` in `__post_init__`.
    Making a component is cheap: no weights, no large allocation; those wait for the interface's own method.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    Config: ClassVar[type[Any]] = NoOptions
    extras: ClassVar[Mapping[str, str]] = {}
    """What it uses beyond its package's dependencies: the package's extra -> the module that must then be importable."""

    def __init__(self, config: Any) -> None:
        self.config = config
