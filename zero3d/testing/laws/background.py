"""The laws of a background."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import Background
from zero3d.testing.laws.common import Laws
from zero3d.testing.laws.state import check_state
from zero3d.testing.samples import fresh_step
from zero3d.values import Step

SIZE = 12
CPU = torch.device("cpu")


def check_background(component: type[Background], config: Any = None, channels: int = 3) -> None:
    """The laws of a background. Call it from a test with your class; the first broken one is an AssertionError of one line.

    - `paint` gives (C,), (h, w, C) or (B, h, w, C), finite, and for RGB within [0, 1]; on white's device, of its dtype.
    - The same seed gives the same; random numbers come from `step.generator(name)` alone.
    - `parameters` are the same leaves each time, and what is painted depends on each; `load` moves them.
    - What it remembers is in `state_dict`, which safetensors and JSON can hold.

    Args:
        component: your class.
        config: its options, the defaults if None.
        channels: C; another number than 3 only for one that is `latent`.
    """
    laws = Laws(component)
    options = laws.default(component, config)

    def fresh(device: torch.device = CPU) -> Background:
        made = component(options)
        made.load(device)
        return made

    white, background = torch.ones(channels), fresh()
    for views in (1, 3):
        cameras = orbit(20.0, 100.0 * torch.arange(views), SIZE)
        with laws.own_randomness(), laws.runs("it paints", "paint() fails"):
            first, again = (background.paint(cameras, fresh_step(), white).detach() for _ in range(2))
        shape = tuple(first.shape)
        good = len(shape) in (1, 3, 4) and shape[-1] == channels and (len(shape) < 4 or shape[0] == views)
        laws("it paints (C,), (h, w, C) or (B, h, w, C)", good, f"{shape} for {views} views of {channels} channels")
        laws("what it paints is finite", torch.isfinite(first).all(), "it holds nan or inf")
        inside = channels != 3 or (first.min() >= 0 and first.max() <= 1)
        laws("RGB lies in [0, 1]", inside, f"it spans {float(first.min()):.3g} to {float(first.max()):.3g}")
        laws("same seed, same background", torch.equal(first, again), "two calls of one seed differ")
    for elsewhere in (white.double(), white.to("meta")):
        moved = fresh(elsewhere.device)
        painted = moved.paint(cameras, fresh_step(), elsewhere)
        held = [p.device.type for p in moved.parameters()]
        law = "it follows white's device and dtype"
        found = (
            f"{painted.dtype} on {painted.device}, parameters on {held}; white: {elsewhere.dtype} {elsewhere.device}"
        )
        there = (painted.device, painted.dtype) == (elsewhere.device, elsewhere.dtype)
        laws(law, there and set(held) <= {elsewhere.device.type}, found)
    _parameters(laws, background, white)

    def use(made: Background, index: int) -> dict[str, Tensor]:
        for parameter in made.parameters():
            parameter.data.add_(0.1)
        return {"painted": made.paint(cameras, replace(fresh_step(index), total=4), white).detach()}

    check_state(laws, fresh, use)


def _parameters(laws: Laws, background: Background, white: Tensor) -> None:
    parameters, again = background.parameters(), background.parameters()
    alike = [id(p) for p in parameters] == [id(p) for p in again]
    laws("its parameters stay the same leaves", alike and all(p.is_leaf for p in parameters), "others at a second call")
    if not parameters:
        return
    step: Step = fresh_step()
    painted = background.paint(orbit(20.0, 0.0, SIZE), step, white)
    law = "what it paints depends on its parameters"
    with laws.runs(law, "no gradient reaches them"):
        found = torch.autograd.grad(painted.square().sum(), parameters)
    laws(law, all(bool(g.any()) for g in found), "the gradient of one is 0")
