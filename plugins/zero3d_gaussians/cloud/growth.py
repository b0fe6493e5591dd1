"""How a cloud grows and is pruned: published strategies as options, and the plan of one change.

`dreamgaussian`: DreamGaussian's (arXiv 2309.16653), in INRIA's order of clone, split and prune. `default`: gsplat's
DefaultStrategy, the same with 3DGS's numbers for a scene of size 1. `absgrad`: that with absolute gradients (AbsGS,
arXiv 2404.10484). `mcmc`: see `Mcmc`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zero3d.errors import did_you_mean
from zero3d_gaussians.cloud.mcmc import Mcmc
from zero3d_gaussians.drawing.projection import rotations

SHRINK = 1.6
"""The two halves of a split are smaller by this (0.8 times two)."""


@dataclass(frozen=True)
class Growth:
    """`densify`: how a cloud grows; in steps, counted from 1, and world units.

    start, stop, every: when. gradient: the mean gradient of a centre on the screen, [-1, 1] across the picture, from which a
    Gaussian grows. clone_scale: up to this size it is cloned, above it is split in two. prune_opacity: what is fainter goes.
    prune_scale: what is larger goes, `prune_scale_after` so many steps. reset_every: steps between two resets of the
    opacities to `reset_opacity` at most; 0 for never. absolute: sum the pixels' absolute gradients.
    """

    start: int = 100
    stop: int = 500
    every: int = 100
    gradient: float = 0.01
    clone_scale: float = 0.04
    prune_opacity: float = 0.01
    prune_scale: float = 0.4
    prune_scale_after: int = 0
    reset_every: int = 700
    reset_opacity: float = 0.01
    absolute: bool = False

    def __post_init__(self) -> None:
        for name in ("start", "stop", "prune_scale_after", "reset_every"):
            if not 0 <= getattr(self, name) <= 10**9:
                raise ValueError(f"densify.{name}: {getattr(self, name)}; 0 to 1e9 steps")
        if not 1 <= self.every <= 10**9:
            raise ValueError(f"densify.every: {self.every}; 1 to 1e9 steps")
        for name in ("gradient", "clone_scale", "prune_scale"):
            if not 0 <= getattr(self, name) <= 1e9:
                raise ValueError(f"densify.{name}: {getattr(self, name)}; 0 to 1e9")
        for name in ("prune_opacity", "reset_opacity"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"densify.{name}: {getattr(self, name)}; 0 to below 1")

    def watches(self, iteration: int) -> bool:
        """Whether the gradients of this step count."""
        return self.start <= iteration <= self.stop

    def acts(self, iteration: int) -> bool:
        """Whether the cloud changes after this step."""
        return self.watches(iteration) and iteration % self.every == 0

    def resets(self, iteration: int) -> bool:
        """Whether opacities are reset after this step."""
        return self.watches(iteration) and self.reset_every > 0 and iteration % self.reset_every == 0


PRESETS: dict[str, Growth | Mcmc] = {
    "dreamgaussian": Growth(),
    "default": Growth(500, 15000, 100, 0.0002, 0.01, 0.005, 0.1, 3000, 3000, 0.01),
    "absgrad": Growth(500, 15000, 100, 0.0008, 0.01, 0.005, 0.1, 3000, 3000, 0.01, True),
    "mcmc": Mcmc(),
}


def parse(source: Any) -> Growth | Mcmc | None:
    """`none`, a preset's name, or {type: preset, option: value}.

    Raises:
        ValueError: none of these; the message names `densify`.
    """
    options = dict(source) if isinstance(source, Mapping) else {"type": source}
    kind = options.pop("type", "dreamgaussian")
    if kind in (None, "none") and not options:
        return None
    if not isinstance(kind, str) or kind not in PRESETS:
        raise ValueError(f"densify: {kind!r}.{did_you_mean(str(kind), {'none', *PRESETS})}")
    fields = {field.name: field.default for field in dataclasses.fields(PRESETS[kind])}
    for name, value in options.items():
        if name not in fields:
            raise ValueError(f"densify.{name}: no such option.{did_you_mean(str(name), fields)}")
        wants = type(fields[name])
        numbers = (int, float) if wants is float else wants
        if not isinstance(value, numbers) or isinstance(value, bool) != (wants is bool):
            wanted = {bool: "true or false", int: "a whole number", float: "a number"}[wants]
            raise ValueError(f"densify.{name}: {value!r}; {wanted}")
    return dataclasses.replace(PRESETS[kind], **options)


@dataclass(frozen=True)
class Change:
    """Rows of the cloud to be: `rows` (M,) of the present one, `new` (M,) those that begin without moments.

    halves (H,) indices among the M of what a split made; their centres and log scales. held_back: how many
    had gradients to grow but no room.
    """

    rows: Tensor
    new: Tensor
    halves: Tensor
    means: Tensor
    log_scales: Tensor
    held_back: int = 0


def plan(
    growth: Growth,
    iteration: int,
    gradient: Tensor,
    means: Tensor,
    log_scales: Tensor,
    quaternions: Tensor,
    opacities: Tensor,
    most: int,
    generator: torch.Generator,
) -> Change:
    """Clone, split, prune. Order: what stays, clones, first halves, second halves.

    Args:
        gradient: (N,), the mean over the views that saw each.
        opacities: (N,), in [0, 1].
        most: Gaussians at most; where more would grow, those with the largest gradients do.
        generator: draws where the halves lie, all first ones, then all second ones.
    """
    size = log_scales.exp().amax(dim=-1)
    grows = gradient >= growth.gradient
    room = max(most - len(means), 0)
    held_back = max(int(grows.sum()) - room, 0)
    if held_back:
        strongest = torch.where(grows, gradient, -torch.inf).argsort(descending=True, stable=True)[:room]
        grows = torch.zeros_like(grows).index_fill(0, strongest, True)
    small = size <= growth.clone_scale
    clones, splits = (grows & small).nonzero()[:, 0], (grows & ~small).nonzero()[:, 0]
    stays = (~(grows & ~small)).nonzero()[:, 0]
    rows = torch.cat([stays, clones, splits, splits])
    new = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    new[len(stays) :] = True
    twice = torch.cat([splits, splits])
    normals = torch.randn(len(twice), 3, generator=generator, dtype=means.dtype).to(means)
    offsets = rotations(quaternions[twice]) @ (normals * log_scales[twice].exp())[..., None]
    centres, logs = means[twice] + offsets[..., 0], (log_scales[twice].exp() / SHRINK).log()
    # prune: a half by its own size
    sizes = size[rows]
    sizes[len(rows) - len(twice) :] = logs.exp().amax(dim=-1)
    kept = opacities[rows] >= growth.prune_opacity
    if iteration > growth.prune_scale_after:
        kept &= sizes <= growth.prune_scale
    first = len(rows) - len(twice)
    halves = kept[first:].nonzero()[:, 0]
    place = kept.long().cumsum(dim=0) - 1
    return Change(rows[kept], new[kept], place[first:][halves], centres[halves], logs[halves], held_back)
