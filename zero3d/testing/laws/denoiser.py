"""The laws of a denoiser."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.geometry import orbit
from zero3d.interfaces import AdaptableDenoiser, Denoiser, PixelDenoiser
from zero3d.testing.laws.common import Laws
from zero3d.testing.laws.state import check_kept
from zero3d.testing.samples import random_picture
from zero3d.values import Cameras, Subject


def check_denoiser(denoiser: Denoiser, condition: Any = None) -> None:
    """The laws of a denoiser, loaded. Call it from a test; the first broken one is an AssertionError of one line.

    - Its noise levels are finite, above 0 and ascending, and it answers at the lowest and the highest.
    - `predict` answers the branches asked for and no others, each the same whatever others are asked. x0 has the shape of
      what was noised, is finite, carries no graph (the weights are frozen), changes no input; the same question gets the
      same answer, whatever a process's shared random numbers are.
    - It declares its precision, `dtype`; all that follows holds to within that.
    - If its views are fixed (`views`), they are one group, and all is asked from them.
    - A batch equals its groups (of one view, for most): other views change nothing. Of a joint denoiser, the views of a
      group in another order get their answers in that order.
    - The null branch does not know the picture: conditions of two pictures get one answer there. (Asked
      where `condition` is None and `denoiser.condition` makes one.)
    - `encode` gives its image space, differentiably, `decode` RGB of `picture_resolution`; for a PixelDenoiser both
      leave a picture as it is, and its background is white. `background()` is (C,) or (h, w, C).
    - Of an AdaptableDenoiser: `outline` has its network's tensors on the meta device, `predict_by` its own network is
      `predict`, and by a copy it answers with a graph to the copy's parameters and leaves the network as it was.
    - `weight_files` are there, and `size` tells nothing or two whole numbers.

    Args:
        denoiser: yours, after `load`. Random weights will do.
        condition: what `denoiser.condition` returned; if None it is asked for noise pictures seen from azimuth 0.
    """
    laws = Laws(type(denoiser))
    laws.refuses(denoiser.config)
    _declarations(laws, denoiser)
    rounding = max(1e-4, torch.finfo(denoiser.dtype).eps)
    other, subject = None, Subject()
    if condition is None:
        subject = _subject(denoiser, 9)
        condition, other = (_shown(laws, denoiser, _subject(denoiser, seed)) for seed in (9, 10))
    views = denoiser.views(subject)
    fits = views is None or len(views) == denoiser.group
    laws("its own views are one group", fits, f"{len(views or [])} views for a group of {denoiser.group}")
    asked = _Question(denoiser, condition, views)
    every, one = _answers(laws, asked)
    check_kept(laws, denoiser)
    off = float((every["cond"] - one["cond"]).abs().max())
    laws("a branch does not depend on the others asked", off <= rounding, f"cond differs by {off:.3g}")
    _groups(laws, asked, one["cond"], rounding)
    if other is not None and "null" in every:
        off = float((every["null"] - _Question(denoiser, other, views)("null")["null"]).abs().max())
        laws("the null branch does not know the picture", off <= rounding, f"two pictures' answers differ by {off:.3g}")
    _sigma_range(laws, asked)
    _space(laws, denoiser)
    if isinstance(denoiser, AdaptableDenoiser):
        _adaptable(laws, denoiser, asked, one["cond"], rounding)
    missing = [str(path) for path in denoiser.weight_files() if not path.exists()]
    laws("weight_files are there", not missing, f"missing: {', '.join(missing)}")
    laws.sized(denoiser)


def _declarations(laws: Laws, denoiser: Denoiser) -> None:
    sigmas, names = denoiser.sigmas, tuple(denoiser.branches)
    ascending = sigmas.ndim == 1 and len(sigmas) > 1 and bool((sigmas.diff() > 0).all())
    laws("noise levels ascend", ascending, f"sigmas of shape {tuple(sigmas.shape)} do not")
    good = bool(torch.isfinite(sigmas).all()) and bool(sigmas[0] > 0)
    laws("noise levels are above 0", good, f"they run from {float(sigmas[0]):.4g} to {float(sigmas[-1]):.4g}")
    fits = isinstance(denoiser.dtype, torch.dtype) and denoiser.dtype.is_floating_point
    laws("it declares its precision", fits, f"dtype is {denoiser.dtype!r}, not a torch.dtype of floating point")
    laws("its branches have names, each once", "cond" in names and len(set(names)) == len(names), f"they are {names}")


def _answers(laws: Laws, asked: _Question) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The predictions of all branches asked at once, and of cond asked alone."""
    names, shape = tuple(asked.denoiser.branches), tuple(asked.noised.shape)
    with laws.own_randomness("nothing: D is a function"), laws.runs("it answers", "predict() fails"):
        every = asked(*names)
    for name, x0 in every.items():
        laws("x0 has the shape of what was noised", tuple(x0.shape) == shape, f"{name}: {tuple(x0.shape)} for {shape}")
        laws("x0 is finite", torch.isfinite(x0).all(), f"{name} holds nan or inf")
        laws("no graph", not x0.requires_grad, f"{name} requires a gradient; freeze the weights in load")
    laws("the inputs are not changed", asked.untouched(), "noised or sigma was written to")
    law = "it answers the branches asked for"
    laws(law, tuple(sorted(every)) == tuple(sorted(names)), f"of {', '.join(names)} it answers {', '.join(every)}")
    one = asked("cond")
    laws(law, list(one) == ["cond"], f"asked for cond alone it answers {', '.join(one)}")
    laws(
        "the same question gets the same answer", torch.equal(one["cond"], asked("cond")["cond"]), "two answers differ"
    )
    return every, one


def _subject(denoiser: Denoiser, seed: int) -> Subject:
    side = denoiser.picture_resolution
    return Subject.of(random_picture(side, seed), orbit(20.0, 0.0, side))


def _shown(laws: Laws, denoiser: Denoiser, subject: Subject) -> Any:
    with laws.runs("it takes a picture", "condition() fails; is the denoiser loaded?"):
        return denoiser.condition(subject)


class _Question:
    """Two groups of noised views at two levels, from cameras around the object, or from its own fixed ones."""

    def __init__(self, denoiser: Denoiser, condition: Any, views: Cameras | None) -> None:
        size, levels, group = denoiser.resolution, denoiser.sigmas, denoiser.group
        self.denoiser, self.condition = denoiser, condition
        around = 360 / group * torch.arange(group)
        self.cameras = orbit(20.0, torch.cat([10.0 + around, 200.0 + around]), size)
        if views is not None:
            self.cameras = Cameras.joined([views, views]).resized(size, size)
        shape = (2 * group, size, size, denoiser.channels)
        self.noised = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.sigma = levels[[len(levels) // 3, len(levels) // 2]].repeat_interleave(group)
        self._before = self.noised.clone(), self.sigma.clone()

    def __call__(self, *branches: str, rows: slice | Tensor = slice(None)) -> dict[str, Tensor]:
        noised, sigma, cameras = self.noised[rows], self.sigma[rows], self.cameras[rows]
        return self.denoiser.predict(noised, sigma, self.condition, cameras, branches)

    def untouched(self) -> bool:
        return torch.equal(self.noised, self._before[0]) and torch.equal(self.sigma, self._before[1])


def _groups(laws: Laws, asked: _Question, whole: Tensor, rounding: float) -> None:
    group = asked.denoiser.group
    off = float((asked("cond", rows=slice(0, group))["cond"] - whole[:group]).abs().max())
    who = "a view" if group == 1 else f"a group of {group}"
    laws("a batch equals its groups", off <= rounding, f"{who} alone differs by {off:.3g}")
    if group > 1:
        turned = torch.arange(group).roll(1)
        off = float((asked("cond", rows=turned)["cond"] - whole[turned]).abs().max())
        laws("views in another order get their answers in that order", off <= rounding, f"they differ by {off:.3g}")


def _sigma_range(laws: Laws, asked: _Question) -> None:
    ends = asked.denoiser.sigmas[[0, -1]]
    levels = ends.repeat_interleave(asked.denoiser.group)
    noised = levels[:, None, None, None] * asked.noised + asked.denoiser.centre
    answer = asked.denoiser.predict(noised, levels, asked.condition, asked.cameras, ("cond",))["cond"]
    law = "it answers at the lowest and the highest noise level"
    laws(law, torch.isfinite(answer).all(), f"nan or inf at {float(ends[0]):.4g} or {float(ends[1]):.4g}")


def _space(laws: Laws, denoiser: Denoiser) -> None:
    side, size, channels = denoiser.picture_resolution, denoiser.resolution, denoiser.channels
    picture = random_picture(side).rgb[None].requires_grad_()
    with laws.runs("it encodes and decodes", "encode() or decode() fails"):
        encoded = denoiser.encode(picture)
        decoded = denoiser.decode(encoded.detach())
    found, expected = tuple(encoded.shape), (1, size, size, channels)
    laws("encode gives its image space", found == expected, f"{found} for a picture of {side} pixels, not {expected}")
    found, expected = tuple(decoded.shape), (1, side, side, 3)
    laws("decode gives RGB of picture_resolution", found == expected, f"{found}, not {expected}")
    laws("encode is differentiable", encoded.requires_grad, "it carries no graph to the picture")
    white = denoiser.background()
    good = white.shape[-1] == channels and white.ndim in (1, 3) and bool(torch.isfinite(white).all())
    laws("the background is (C,) or (h, w, C)", good, f"{tuple(white.shape)} for {channels} channels")
    if isinstance(denoiser, PixelDenoiser):
        off = float((decoded - picture).abs().max().detach())
        laws("decode undoes encode", off <= 1e-6, f"a picture changes by {off:.3g}")
        laws("its background is white", (white == 1).all(), f"it is {white.flatten()[:3].tolist()}")


def _adaptable(laws: Laws, denoiser: AdaptableDenoiser, asked: _Question, cond: Tensor, rounding: float) -> None:
    outline, network = denoiser.outline().state_dict(), denoiser.network.state_dict()
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in (outline, network)]
    bare = all(value.is_meta for value in outline.values())
    found = f"{len(shapes[0])} tensors, of them {len(shapes[1].keys() - shapes[0].keys())} missing"
    laws("its outline has its network's tensors, without values", bare and shapes[0] == shapes[1], found)

    own = {name: p.requires_grad for name, p in denoiser.network.named_parameters()}

    def answer(network: nn.Module) -> Tensor:
        return denoiser.predict_by(network, asked.noised, asked.sigma, asked.condition, asked.cameras)

    with laws.runs("it answers by another network", "predict_by() fails"):
        off = float((answer(denoiser.network).detach() - cond).abs().max())
    laws("by its own network it answers as ever", off <= rounding, f"cond differs by {off:.3g}")
    copy = deepcopy(denoiser.network).requires_grad_()
    laws("it answers by another network", answer(copy).requires_grad, "no graph leads to the network that it was given")
    as_before = own == {name: p.requires_grad for name, p in denoiser.network.named_parameters()}
    laws("its own network stays as it was", as_before, "a parameter requires a gradient that did not before")
