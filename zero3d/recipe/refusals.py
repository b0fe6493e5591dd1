"""What a component refuses, told in the recipe's words: under the key that it has there, and another family's weights by
their name. A component knows its own kind and its own weights alone."""

from __future__ import annotations

import dataclasses
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zero3d.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zero3d.interfaces import Component
    from zero3d.registry import Registry

KINDS = ("denoiser", "encoder", "reconstructor")
"""Of components whose published weights are a family; only these are imported."""


@contextmanager
def told_under(component: Component | type[Component], key: str, better: Callable[[], str] = str) -> Iterator[None]:
    """An error's line that names an option of the component's kind ("denoiser.weights") names it by the recipe's key
    ("denoisers.words.weights"; "" leaves it). `better`: says more of what is wrong, or ""; asked after an error alone."""
    try:
        yield
    except UserError as error:
        options = "|".join(["type", *(option.name for option in dataclasses.fields(component.Config))])
        own = rf"(?<![\w./-]){component.kind}\.(?=(?:{options})\b)"
        raise type(error)(re.sub(own, f"{key or component.kind}.", better() or str(error))) from None


def of_another_family(registry: Registry, component: type[Component], config: Any) -> str:
    """A line for the weights that the component's options name, if they are another's; "" if they are not, or nobody's.

    Every component of `KINDS` with published weights is asked; of its own family it knows more than the others.
    """
    path = Path(str(getattr(config, "weights", ""))).expanduser()
    if not component.published or not path.exists():
        return ""
    owners = [entry.component for kind in KINDS for entry in registry.all(kind) if entry.component.published]
    try:
        told = {owner: owner.recognize_weights(path) for owner in owners}
    except UserError:
        return ""
    takers = [owner for owner, family in told.items() if family and family == owner.family]
    found = takers[0].family if takers else next(filter(None, told.values()), "")
    if not found or component in takers:
        return ""
    kind, own = component.kind, component.family
    remedy = next((f"set {kind}.type={taker.name}" for taker in takers if taker.kind == kind), f"give weights of {own}")
    return f"{kind}.weights: {path} is {found}, not {own}; {remedy} (`zero3d weights list`)"
