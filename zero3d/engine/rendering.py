"""A step's views: rendered together where their sizes agree, cut from the graph for the terms, and joined again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from zero3d.errors import StepError
from zero3d.interfaces import Renderer
from zero3d.parts import Parts
from zero3d.values import Cameras, Step, TermGradient, View


@dataclass
class Rendered:
    """A rendered view, cut from its graph: terms see `leaf`."""

    cameras: Cameras
    view: View
    leaf: View


def render_views(parts: Parts, asked: dict[str, Cameras], needs: frozenset[str], step: Step) -> dict[str, Rendered]:
    """Render the named cameras, those of one size in one call, each before its background."""
    behind = _backgrounds(parts, asked, step)
    rendered: dict[str, Rendered] = {}
    for size in dict.fromkeys((c.height, c.width) for c in asked.values()):
        group = {name: c for name, c in asked.items() if (c.height, c.width) == size}
        cameras = list(group.values())
        background = _joined([behind[name] for name in group], cameras)
        views = Cameras.joined(cameras)
        drawn = parts.renderer.render(parts.representation, views, background, needs, step.scoped("renderer"))
        parted = drawn.split([len(c) for c in cameras], needs | {"image", "opacity"})
        for (name, own), view in zip(group.items(), parted, strict=True):
            if "background" in needs:
                view = replace(view, extra={**view.extra, "background": _for_each(behind[name], own)})
            rendered[name] = Rendered(own, view, view.changed(lambda tensor: tensor.detach().requires_grad_()))
    return rendered


def together(rendered: dict[str, Rendered], terms: Iterable[TermGradient]) -> tuple[list[Tensor], list[Tensor]]:
    """The rendered tensors that any of these terms acts on, and the sum of the terms' gradients on each."""
    sums: dict[str, dict[str, Tensor]] = {view: {} for view in rendered}
    for term in terms:
        for view, own in term.views.items():
            for name, gradient in own.items():
                sums[view][name] = sums[view][name] + gradient if name in sums[view] else gradient
    pairs = []
    for view, own in sums.items():
        pairs += [(rendered[view].view.get(name), gradient) for name, gradient in own.items()]
    kept = [(tensor, gradient) for tensor, gradient in pairs if tensor is not None and tensor.requires_grad]
    return [tensor for tensor, _ in kept], [gradient for _, gradient in kept]


def _backgrounds(parts: Parts, asked: dict[str, Cameras], step: Step) -> dict[str, Tensor]:
    """Near views share the background of their novel ones; input views keep their picture's white."""
    found = dict.fromkeys(asked, parts.white)
    for name, cameras in asked.items():
        if name.partition(".")[0] not in ("input", "near"):
            painted = parts.background.paint(cameras, step.scoped(f"background.{name}"), parts.white)
            if painted is parts.white:
                continue
            fits = painted.ndim in (1, 3) or (painted.ndim == 4 and len(painted) == len(cameras))
            if not fits or painted.shape[-1] != parts.white.shape[-1]:
                raise StepError(
                    f"step {step.index}: background {parts.background.name!r}: paint() returned {tuple(painted.shape)} for "
                    f"{len(cameras)} views of {parts.white.shape[-1]} channels; return (C,), (h, w, C) or (B, h, w, C)"
                )
            if not bool(painted.isfinite().all()):
                raise StepError(f"step {step.index}: background {parts.background.name!r}: paint() made nan or inf")
            found[name] = painted.to(parts.white)
    return found | ({"near": found["novel"]} if "near" in asked else {})


def _joined(backgrounds: list[Tensor], cameras: list[Cameras]) -> Tensor:
    """One for all views of a call where they agree, else one a view."""
    first = backgrounds[0]
    if all(background is first for background in backgrounds) and (first.ndim < 4 or len(backgrounds) == 1):
        return first
    return torch.cat([_for_each(b, c) for b, c in zip(backgrounds, cameras, strict=True)])


def _for_each(background: Tensor, cameras: Cameras) -> Tensor:
    """(B, H, W, C)."""
    return Renderer.behind(background, cameras).expand(len(cameras), cameras.height, cameras.width, -1)
