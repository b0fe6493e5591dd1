"""What components are tried with: a step, views of noise, a picture, and what a regularizer looks at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.random import Generators
from zero3d.values import LossContext, Picture, Prompt, Step, Subject, View


def fresh_step(index: int = 0, total: int = 10, seed: int = 0) -> Step:
    """Step `index` of `total`, with random streams of its own that `seed` alone decides."""
    return Step(index, total, Generators(seed), "test")


def random_view(views: int, size: int, channels: int = 3, samples: int = 5, seed: int = 0) -> View:
    """`views` pictures of `size` pixels with every field filled: uniform in [0, 1), leaves that require a gradient.

    The `samples` weights of a ray sum to less than 1, as a renderer's do.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(last: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.rand(views, size, size, last, generator=generator)).requires_grad_()

    distances = (2 + draw(samples).detach().sort(dim=-1).values).requires_grad_()
    return View(draw(channels), draw(1), draw(1), draw(samples, 1 / samples), draw(3), distances)


def random_picture(size: int, seed: int = 9) -> Picture:
    """A picture of `size` pixels, uniform noise, its mask too."""
    generator = torch.Generator().manual_seed(seed)
    return Picture(torch.rand(size, size, 3, generator=generator), torch.rand(size, size, 1, generator=generator))


def loss_context(
    view: View | None,
    near: View | None = None,
    input: View | None = None,
    picture: Picture | None = None,
    representation: Any = None,
    acts_on: str = "novel",
    decode: Callable[[Tensor], Tensor] = lambda image: image,
    prompt: Prompt | None = None,
) -> LossContext:
    """What a regularizer looks at, from rendered views: `view` is the novel one, `near` and `input` the others (or None).

    Args:
        view: (B, H, W, ...) from azimuths 10 and 200 degrees; of another B than 2, evenly around.
        picture: the prepared input; noise of the view's size if not given.
        acts_on: which of them `context.view` is: "novel", "near" or "input".
    """
    views = {name: own for name, own in (("novel", view), ("near", near), ("input", input)) if own is not None}
    if acts_on not in views:
        raise ValueError(f"acts_on: {acts_on!r}, but no such view was given")
    count, size = views[acts_on].image.shape[0], views[acts_on].image.shape[1]
    azimuth = torch.tensor([10.0, 200.0]) if count == 2 else 360 * torch.arange(count) / count
    front = orbit(20.0, 0.0, size)
    shown = random_picture(size) if picture is None else picture
    return LossContext(
        step=fresh_step(),
        view=views[acts_on],
        cameras=front if acts_on == "input" else orbit(20.0, azimuth, size),
        views=views,
        subject=replace(Subject.of(shown, front), prompt=prompt),
        representation=representation,
        decode=decode,
    )
