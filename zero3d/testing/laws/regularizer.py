"""The laws of a regularizer."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zero3d.interfaces import Encoder, Regularizer
from zero3d.testing.laws.common import Laws, differences
from zero3d.testing.laws.state import check_state
from zero3d.testing.samples import fresh_step, loss_context, random_picture, random_view
from zero3d.testing.sphere import SphereConfig, SphereField
from zero3d.values import VIEW_FIELDS, LossContext, Picture, Prompt, View

SIZE = 8
CONTENT = 0.02
"""What a penalty may be at its optimum, as a share of what it is for noise: some are softened there on purpose."""


def check_regularizer(
    component: type[Regularizer],
    config: Any = None,
    representation: Any = None,
    optimum: LossContext | None = None,
    smooth: bool = True,
    encoder: Encoder | None = None,
    extras: Mapping[str, Tensor] | None = None,
) -> None:
    """The laws of a regularizer. Call it from a test with your class; the first broken one is an AssertionError of one line.

    - `needs` names what there is; `default_view` and `default_weight` are a view and a weight.
    - The penalty is a finite scalar, not negative, differentiable in something that is optimised; asking twice gives
      the same of a fresh instance, random numbers come from `context.step.generator(name)`, and the context is left as it
      was. What it remembers from step to step is in `state_dict`.
    - Declared needs suffice: with every field, view and decoder withheld that `needs` does not name, the penalty is the
      same. (Image and opacity are always there.)
    - Its gradient is that of its value: backpropagation and central differences agree, in the views and in the
      parameters of the representation, in float64 (in float32 where it cannot).
    - It is 0 where the term is content, if you hand in such an `optimum`.

    Args:
        component: your class.
        config: its options, the defaults if None.
        representation: for a penalty on the representation itself; a `SphereField` if None and it `accepts` one.
        optimum: a context in which the penalty must vanish; `loss_context` makes one from views.
        smooth: False for a penalty whose gradient is not that of its value on purpose (it stops some gradients).
        encoder: for one that asks an encoder, a loaded one.
        extras: for one that needs extras of a renderer: each by its name, for two views, (2, ...).
    """
    laws = Laws(component)
    _declarations(laws, component, encoder, extras or {})
    options = laws.default(component, config)

    def fresh() -> Regularizer:
        made = component(options, encoder) if encoder else component(options)
        made.load(torch.device("cpu"))
        return made

    regularizer = fresh()
    if representation is None and component.accepts is not object:
        law = "it accepts a SphereField, or is tried with a representation of its own"
        laws(law, issubclass(SphereField, component.accepts), f"hand in a {component.accepts.__name__}")
        representation = SphereField(SphereConfig())

    def given(only_needs: bool, dtype: torch.dtype = torch.float32, field: Any = representation) -> LossContext:
        return _context(component, field, only_needs, dtype, extras or {})

    penalty = _penalty(laws, fresh, given(False), given(True))
    _same_again(laws, fresh(), given(True), float(penalty))
    check_state(laws, fresh, lambda made, index: _one_step(made, index, given(True)))
    if smooth:
        _gradient(laws, regularizer, given, representation)
    if optimum is not None:
        least = float(regularizer.penalty(optimum).detach())
        allowed = CONTENT * float(penalty)
        laws(
            "0 where the term is content",
            least <= allowed,
            f"{least:.4g} at the optimum, {float(penalty):.4g} for noise",
        )


def _declarations(
    laws: Laws, component: type[Regularizer], encoder: Encoder | None, extras: Mapping[str, Tensor]
) -> None:
    from zero3d.parts import ENGINE_PROVIDES  # which reads recipes; the command line need not, to start
    from zero3d.recipe import VIEWS

    known = VIEW_FIELDS | ENGINE_PROVIDES | extras.keys()
    unknown = sorted(component.needs - known)
    laws("needs name what there is", not unknown, f"{unknown}; known are {sorted(known)}, a renderer's as `extras`")
    laws("default_view is a view", component.default_view in VIEWS, f"{component.default_view!r}; one of {VIEWS}")
    laws("default_weight is a weight", component.default_weight >= 0, f"{component.default_weight}; 0 or more")
    law = "what it asks is handed in"
    laws(law, component.asks is None or encoder is not None, f"it asks an {component.asks}; hand in a loaded one")


def _penalty(laws: Laws, fresh: Callable[[], Regularizer], everything: LossContext, declared: LossContext) -> Tensor:
    """What it is for noise, the same with everything there as with what is declared alone; no graph."""
    with laws.runs("it answers for any views", "penalty() fails with everything there"):
        full = fresh().penalty(everything).detach()
    law = "declared needs suffice"
    asking = fresh()
    with laws.runs(law, f"needs = {sorted(asking.needs)}, but without the rest penalty() fails"):
        found = asking.penalty(declared)
    laws("it is differentiable", found.requires_grad, "the penalty depends on nothing that is optimised")
    penalty = found.detach()
    laws("the penalty is a scalar", penalty.ndim == 0, f"its shape is {tuple(penalty.shape)}; average it")
    laws("the penalty is finite", torch.isfinite(penalty), f"it is {float(penalty)}")
    laws("the penalty is not negative", penalty >= 0, f"it is {float(penalty)}")
    laws(law, torch.equal(full, penalty), f"it is {float(full)} with, {float(penalty)} without what is not declared")
    return penalty


def _context(
    component: type[Regularizer],
    representation: Any,
    only_needs: bool,
    dtype: torch.dtype,
    extras: Mapping[str, Tensor],
) -> LossContext:
    """Views of noise; with `only_needs`, without what the component does not declare."""
    drawn = {
        "novel": random_view(2, SIZE, seed=0),
        "near": random_view(2, SIZE, seed=1),
        "input": random_view(1, SIZE, seed=2),
    }
    drawn = {name: replace(v, extra={k: e[: len(v.image)] for k, e in extras.items()}) for name, v in drawn.items()}
    needs, acts_on = component.needs, component.default_view
    kept: dict[str, View | None] = {name: _leaves(view, dtype) for name, view in drawn.items()}
    if only_needs:
        wanted = {acts_on} | {need.removesuffix("_view") for need in needs if need.endswith("_view")}
        kept = {name: _only(view, needs) if view and name in wanted else None for name, view in kept.items()}
    noise = random_picture(SIZE)
    picture = Picture(noise.rgb.to(dtype), noise.mask.to(dtype))
    decode = _no_decoder if only_needs and "rgb" not in needs else _identity
    prompt = Prompt("a red ball") if "prompt" in component.reads or not only_needs else None
    views = kept["novel"], kept["near"], kept["input"]
    return loss_context(*views, picture, representation, acts_on, decode, prompt)


def _leaves(view: View, dtype: torch.dtype) -> View:
    return view.changed(lambda tensor: tensor.detach().to(dtype).requires_grad_())


def _only(view: View, needs: frozenset[str]) -> View:
    withheld: dict[str, Any] = dict.fromkeys(VIEW_FIELDS - needs - {"image", "opacity"})
    return replace(view, extra={name: value for name, value in view.extra.items() if name in needs}, **withheld)


def _identity(image: Tensor) -> Tensor:
    return image


def _no_decoder(image: Tensor) -> Tensor:
    raise LookupError("decode was called without 'rgb' in needs")


def _one_step(regularizer: Regularizer, index: int, context: LossContext) -> dict[str, Tensor]:
    step = fresh_step(index, total=4, seed=index)
    return {"penalty": regularizer.penalty(replace(context, step=step)).detach()}


def _same_again(laws: Laws, regularizer: Regularizer, context: LossContext, first: float) -> None:
    before = [tensor.detach().clone() for tensor in _tensors(context)]
    with laws.own_randomness("context.step.generator(name)"):
        again = float(regularizer.penalty(context).detach())
    law = "same seed, same penalty"
    laws(law, again == first, f"{first} and {again}; draw from context.step.generator(name) alone")
    untouched = all(torch.equal(a, b) for a, b in zip(before, _tensors(context), strict=True))
    laws("the context is not changed", untouched, "a view was written to")


def _tensors(context: LossContext) -> list[Tensor]:
    return [tensor for view in context.views.values() for tensor in view.tensors().values()]


def _gradient(laws: Laws, regularizer: Regularizer, given: Callable[..., LossContext], representation: Any) -> None:
    law = "its gradient is that of its value"
    try:
        pairs = _differences(regularizer, given, representation, torch.float64, 1e-6)
        tolerance = 1e-3
    except RuntimeError:  # a network or a constant in float32
        pairs = _differences(regularizer, given, representation, torch.float32, 3e-3)
        tolerance = 0.05
    largest = max(abs(measured) for _, measured in pairs)
    for told, measured in pairs:
        close = abs(told - measured) <= tolerance * max(largest, 1e-6)
        laws(
            law, close, f"backpropagation says {told:.6g}, central differences {measured:.6g}; smooth=False if meant so"
        )


def _differences(
    regularizer: Regularizer,
    given: Callable[..., LossContext],
    representation: Any,
    dtype: torch.dtype,
    step: float,
) -> list[tuple[float, float]]:
    moved = copy.deepcopy(representation)
    inputs: list[Tensor] = []
    if isinstance(moved, torch.nn.Module):
        moved = moved.to(dtype)
        inputs += [parameter for parameter in moved.parameters() if parameter.requires_grad]
    context = given(True, dtype, moved)
    inputs += [tensor for tensor in _tensors(context) if tensor.requires_grad]

    def value() -> Tensor:
        return regularizer.penalty(replace(context, step=fresh_step()))

    asked: Callable[[], Tensor] = value
    return differences(asked, inputs, step)
