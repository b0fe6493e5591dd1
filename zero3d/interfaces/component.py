"""What every registered part is: a named class with a typed `Config`."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d.interfaces.published import Conversion, Published

if TYPE_CHECKING:
    import torch


@dataclass
class NoOptions:
    """A component without options."""


class Component(ABC):
    """Base of all interfaces.

    A component is a subclass of one interface with a `name` (what recipes call it), a one-line docstring (what
    `zero3d plugins` prints) and a dataclass `Config` whose fields are its options: typed, with defaults, units in
    the docstring, range checks in `__post_init__` (raise ValueError: "field: value; remedy"). A field that may
    change over a run is annotated `Any` and parsed with `Schedule.parse(value, "field")` in `__post_init__`.
    Making a component is cheap: no weights, no large allocation; those wait for `load`.

    The engine loads each part of a run once, hashes its weight files into the manifest, counts its size in the plan, and
    keeps its state in the checkpoint under its key in the recipe. What a part remembers from one step to the next
    (parameters of its own and their moments, held cameras, target pictures, a counter) is its state.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    Config: ClassVar[type[Any]] = NoOptions
    extras: ClassVar[Mapping[str, str]] = {}
    """What it uses beyond its package's dependencies: the package's extra -> the module that must then be importable."""
    published: ClassVar[Sequence[Published]] = ()
    """Weights that others have published and `load` can read: its rows of `zero3d weights list`."""
    family: ClassVar[str] = ""
    """What those are called, "Stable Diffusion": whoever gives them to another component is told so."""
    key: str = ""
    """Where the recipe has its options if not under its kind: "denoisers.words". Set by who builds it."""
    uses: frozenset[str] = frozenset()
    """What it makes something of where the recipe gives it, beside what it cannot do without: "picture", "pictures"
    (those after the first too; "input_view" among a regularizer's needs says so by itself), "prompt", or "negative" (the
    negative prompt; a guidance's branch "negative" asks for it by itself)."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def load(self, device: torch.device) -> None:  # noqa: B027 (a default, not a hook to fill)
        """Read weights and move to `device`. Called once, after every check that needs no weights.

        A network of one's own, which begins from random numbers, is made here, from a generator seeded with a fixed number
        or an option: `load` has no step, and a process's shared random numbers are not the run's.
        """

    def weight_files(self) -> list[Path]:
        """The files that `load` reads, for the manifest's hashes."""
        return []

    def size(self, device: torch.device) -> tuple[int, int] | None:
        """Parameters and bytes that `load` will hold there, known without reading a weight; None if it cannot tell."""
        return (0, 0)

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        """What the file or folder at `path` holds, in lines, for `zero3d weights inspect`; None if it is not this one's.

        `config`: as in Conversion. Raises UserError if it is, but damaged.
        """
        return None

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        """Write `asked.path` as `asked.out` for `zero3d weights convert`; False if it is another component's."""
        return False

    @classmethod
    def recognize_weights(cls, path: Path) -> str:
        """What the file or folder at `path` is, by names and headers alone: its `family`, another's, or what no component
        reads ("a LoRA"), for an error's line; "" if it cannot tell. Raises UserError: it cannot be read."""
        return cls.family if cls.inspect_weights(path) is not None else ""

    def state_dict(self) -> dict[str, Any]:
        """All that it remembers between steps: name -> a tensor or a value that JSON can hold."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, after `load`, on a fresh instance of the same options.

        Tensors arrive on the CPU, of the type they were saved in: copy them into what lives on the device of `load`, or
        move them there. A network of one's own was made in `load` from its fixed seed; its state comes on top.

        Raises:
            ValueError: the state is not one of these options; the message says why.
        """
        if state:
            raise ValueError(f"{self.kind} {self.name!r} keeps no state, but was given {', '.join(sorted(state))}")


def own_hook(hook: Callable[..., Any]) -> bool:
    """Whether a part has written this method of its itself: its interface's does nothing, and need not be called."""
    return not getattr(hook, "__module__", "").startswith("zero3d.interfaces.")
