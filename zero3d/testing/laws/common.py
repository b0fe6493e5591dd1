"""What the laws of all kinds share: how a broken one is told, and how gradients and states are compared."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d.errors import UserError
from zero3d.interfaces import Component
from zero3d.registry import check_component
from zero3d.values import Cameras


class BrokenLaw(AssertionError):
    """A component breaks a law of its kind; `str(error)` is one line: "kind name: the law: what was found"."""


class Laws:
    """The laws as held against one component. Making it checks those that every component must obey."""

    def __init__(self, component: type[Component]) -> None:
        kind = getattr(component, "kind", "component")
        self._who = f"{kind} {getattr(component, 'name', getattr(component, '__name__', component))}"
        try:
            check_component(component)
        except TypeError as error:
            self.broken("a component is a named, documented class with a dataclass Config", str(error))
        documented = " ".join(base.__doc__ or "" for base in component.Config.__mro__[:-1])
        for field in dataclasses.fields(component.Config):
            named = re.search(rf"\b{re.escape(field.name)}\b", documented)
            self("every option is documented", bool(named), f"the docstring of Config does not name {field.name!r}")

    def __call__(self, law: str, holds: bool | Tensor, found: str) -> None:
        """Raises BrokenLaw unless `holds`."""
        if not bool(holds):
            self.broken(law, found)

    def broken(self, law: str, found: str) -> None:
        """Raises BrokenLaw."""
        raise BrokenLaw(" ".join(f"{self._who}: {law}: {found}".split()))

    @contextmanager
    def runs(self, law: str, found: str) -> Iterator[None]:
        """Whatever is raised inside is this law, broken."""
        try:
            yield
        except BrokenLaw:
            raise
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "")
            self.broken(law, f"{found} ({type(error).__name__}: {reason})")

    @contextmanager
    def own_randomness(self, source: str = "step.generator(name)") -> Iterator[None]:
        """Nothing inside draws from the random numbers that a whole process shares."""
        before = _shared_randomness()
        yield
        law = "random numbers come from its own stream"
        self(law, _shared_randomness() == before, f"it drew from torch's, numpy's or Python's own; draw from {source}")

    def says(self, law: str, act: Callable[[], Any], kind: type[UserError] = UserError) -> None:
        """`act` fails with a `kind` of one line."""
        try:
            act()
        except kind as error:
            self(law, len(str(error).splitlines()) == 1, f"the message is not one line: {str(error)!r}")
        except Exception as error:
            self.broken(law, f"{type(error).__name__} is raised; raise a {kind.__name__} of one line")
        else:
            self.broken(law, f"nothing is raised; raise a {kind.__name__} that names the value and the remedy")

    def default(self, component: type[Component], config: Any) -> Any:
        """`config`, or the component's defaults; how it refuses options out of range is tried."""
        if config is None:
            with self.runs("options have defaults", "Config() cannot be made; hand in a config"):
                config = component.Config()
        self.refuses(config)
        return config

    def refuses(self, config: Any) -> None:
        """A number far out of range is refused, if it is, by a ValueError of the form that recipes show to users."""
        law = "a wrong option is told as `option: value; remedy`"
        options = dataclasses.fields(config) if dataclasses.is_dataclass(config) else ()
        for name in [field.name for field in options if field.type in ("int", "float", int, float)]:
            try:
                dataclasses.replace(config, **{name: -(10**9)})
            except ValueError as error:
                told = str(error)
                good = f"{name}: " in told and ";" in told and len(told.splitlines()) == 1
                self(law, good, f"of {name} = -1000000000 it says {told!r}")
            except Exception as error:
                self.broken(law, f"of {name} = -1000000000 it says {type(error).__name__}; raise a ValueError")

    def sized(self, component: Component) -> None:
        """`size` tells nothing or two whole numbers."""
        told = component.size(torch.device("cpu"))
        good = told is None or (len(told) == 2 and all(isinstance(n, int) and n >= 0 for n in told))
        self("size tells parameters and bytes", good, f"it is {told!r}")


def _shared_randomness() -> tuple[Any, ...]:
    state: Any = numpy.random.get_state()
    return torch.get_rng_state().numpy().tobytes(), state[1].tobytes(), state[2], random.getstate()


def in_double(cameras: Cameras) -> Cameras:
    """The same cameras in float64."""
    return dataclasses.replace(cameras, camera_to_world=cameras.camera_to_world.double())


def differences(
    value: Callable[[], Tensor], inputs: Sequence[Tensor], step: float = 1e-6, probes: int = 6
) -> list[tuple[float, float]]:
    """(by backpropagation, by central differences) of `value` along random directions of all `inputs` together.

    `inputs` are leaves; they are moved by `step` and put back. The last direction is the gradient's own.
    """
    gradients = torch.autograd.grad(value(), inputs, allow_unused=True)
    told = [torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs, strict=True)]
    length = torch.stack([g.double().norm() for g in told]).norm().clamp(min=1e-12)
    pairs = []
    for probe in range(probes):
        generator = torch.Generator().manual_seed(probe)
        directions = [torch.randn(x.shape, generator=generator, dtype=x.dtype) for x in inputs]
        if probe == probes - 1:
            directions = [(g / length).to(g) for g in told]
        expected = sum(float((g.double() * d.double()).sum()) for g, d in zip(told, directions, strict=True))
        ends, kept = [], [x.detach().clone() for x in inputs]
        with torch.no_grad():
            for sign in (1, -1):
                for x, start, direction in zip(inputs, kept, directions, strict=True):
                    x.copy_(start + sign * step * direction)
                ends.append(float(value()))
            for x, start in zip(inputs, kept, strict=True):
                x.copy_(start)
        pairs.append((expected, (ends[0] - ends[1]) / (2 * step)))
    return pairs


def same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Two state_dicts are equal, bit by bit."""
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def copied(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state_dict that later steps do not change."""
    return {name: value.detach().clone() for name, value in state.items()}
