"""The law of what a component remembers between steps; it holds for every kind that has a state."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from safetensors.torch import load, save
from torch import Tensor

from zero3d.interfaces import Component
from zero3d.testing.laws.common import Laws, same

C = TypeVar("C", bound=Component)


def check_state(laws: Laws, fresh: Callable[[], C], use: Callable[[C, int], dict[str, Tensor]]) -> None:
    """Two steps, save, a fresh instance, load, two more: the same answers as without the break.

    Args:
        fresh: makes an instance of the same options, loaded.
        use: one step with it (the component, the step's index): what it answers, and all that changes it in a run.
    """
    whole, first, second = fresh(), fresh(), fresh()
    expected = [use(whole, index) for index in range(4)]
    found = [use(first, index) for index in range(2)]
    read = _through_a_file(laws, first)
    with laws.runs("what it remembers is in its state", "load_state_dict() fails with what state_dict() gave"):
        second.load_state_dict(read)
        found += [use(second, index) for index in range(2, 4)]
    for index, (a, b) in enumerate(zip(expected, found, strict=True)):
        laws("what it remembers is in its state", same(a, b), f"step {index} differs after saving and loading")
    _refuses_others(laws, fresh(), read)


def check_kept(laws: Laws, component: Component) -> None:
    """Of a part that was used, of which the kit has one instance: its state goes through a file and comes back the same."""
    read = _through_a_file(laws, component)
    with laws.runs("what it remembers is in its state", "load_state_dict() fails with what state_dict() gave"):
        component.load_state_dict(read)
    again = _through_a_file(laws, component)
    laws("what it remembers is in its state", same(read, again), "it is another after saving and loading")
    _refuses_others(laws, component, read)


def _through_a_file(laws: Laws, component: Component) -> dict[str, Any]:
    with laws.runs("its state is tensors and JSON values", "state_dict() cannot be saved"):
        state = component.state_dict()
        tensors = {name: value.detach().contiguous() for name, value in state.items() if isinstance(value, Tensor)}
        return load(save(tensors)) | dict(json.loads(json.dumps({n: v for n, v in state.items() if n not in tensors})))
    raise AssertionError("unreachable: what fails above is a broken law")


def _refuses_others(laws: Laws, component: Component, state: dict[str, Any]) -> None:
    if state:
        try:
            component.load_state_dict({"no such thing": torch.zeros(1)})
        except ValueError:
            return
        except Exception as error:
            laws.broken("a state that is not its own is refused", f"{type(error).__name__}; raise a ValueError")
        laws.broken("a state that is not its own is refused", "nothing is raised; raise a ValueError")
