"""The laws of a denoiser."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import Denoiser, PixelDenoiser
from zero3d.testing.laws.common import Laws, random_picture


def check_denoiser(denoiser: Denoiser, condition: Any = None) -> None:
    """The laws of a denoiser, loaded. Call it from a test; the first broken one is an AssertionError of one line.

    - Its noise levels are finite, above 0 and ascending, and it answers at the lowest and the highest.
    - x0 has the shape of what was noised, is finite, carries no graph (the weights are frozen), changes no input; the
      same question gets the same answer, whatever a process's shared random numbers are.
    - It declares its precision, `dtype`. To within that a batch equals its singles, and guidance is uncond + s (cond -
      uncond): linear in the scale s.
    - The null branch (scale 0) does not know the picture: conditions of two pictures get one answer there. (Asked
      where `condition` is None and `denoiser.condition` makes one.)
    - `encode` gives its image space, differentiably, `decode` RGB of `picture_resolution`; for a PixelDenoiser both
      leave a picture as it is, and its background is white. `background()` is (C,) or (h, w, C).
    - `weight_files` are there, and `size` tells nothing or two whole numbers.

    Args:
        denoiser: yours, after `load`. Random weights will do.
        condition: what `denoiser.condition` returned; if None it is asked for noise pictures seen from azimuth 0.
    """
    laws = Laws(type(denoiser))
    laws.refuses(denoiser.config)
    sigmas, size, channels = denoiser.sigmas, denoiser.resolution, denoiser.channels
    ascending = sigmas.ndim == 1 and len(sigmas) > 1 and bool((sigmas.diff() > 0).all())
    laws("noise levels ascend", ascending, f"sigmas of shape {tuple(sigmas.shape)} do not")
    good = bool(torch.isfinite(sigmas).all()) and bool(sigmas[0] > 0)
    laws("noise levels are above 0", good, f"they run from {float(sigmas[0]):.4g} to {float(sigmas[-1]):.4g}")
    fits = isinstance(denoiser.dtype, torch.dtype) and denoiser.dtype.is_floating_point
    laws("it declares its precision", fits, f"dtype is {denoiser.dtype!r}, not a torch.dtype of floating point")
    rounding = max(1e-4, torch.finfo(denoiser.dtype).eps)
    other = None
    if condition is None:
        condition, other = (_shown(laws, denoiser, seed) for seed in (9, 10))
    asked = _Question(denoiser, condition)
    with laws.own_randomness("nothing: D is a function"), laws.runs("it answers", "denoise() fails"):
        zero, one, three = (asked(scale) for scale in (0.0, 1.0, 3.0))
    shape = (2, size, size, channels)
    laws("x0 has the shape of what was noised", tuple(one.shape) == shape, f"{tuple(one.shape)} for {shape}")
    laws("x0 is finite", all(torch.isfinite(x).all() for x in (zero, one, three)), "it holds nan or inf")
    laws("no graph", not one.requires_grad, "x0 requires a gradient; freeze the weights in load")
    laws("the inputs are not changed", asked.untouched(), "noised or sigma was written to")
    laws("the same question gets the same answer", torch.equal(one, asked(1.0)), "two answers differ")
    off = float((asked(1.0, slice(0, 1)) - one[:1]).abs().max())
    laws("a batch equals its singles", off <= rounding, f"a view alone differs by {off:.3g}")
    off = float((three - (zero + 3 * (one - zero))).abs().max())
    laws("guidance is uncond + s (cond - uncond)", off <= 10 * rounding, f"at s = 3 it is off by {off:.3g}")
    if other is not None:
        off = float((zero - _Question(denoiser, other)(0.0)).abs().max())
        laws("the null branch does not know the picture", off <= rounding, f"two pictures' answers differ by {off:.3g}")
    _sigma_range(laws, asked)
    _space(laws, denoiser)
    missing = [str(path) for path in denoiser.weight_files() if not path.exists()]
    laws("weight_files are there", not missing, f"missing: {', '.join(missing)}")
    told = denoiser.size(torch.device("cpu"))
    good = told is None or (len(told) == 2 and all(isinstance(n, int) and n >= 0 for n in told))
    laws("size tells parameters and bytes", good, f"it is {told!r}")


def _shown(laws: Laws, denoiser: Denoiser, seed: int) -> Any:
    side = denoiser.picture_resolution
    with laws.runs("it takes a picture", "condition() fails; is the denoiser loaded?"):
        return denoiser.condition(random_picture(side, seed), orbit(20.0, 0.0, side))


class _Question:
    """Two noised views at two levels, from two cameras."""

    def __init__(self, denoiser: Denoiser, condition: Any) -> None:
        size, levels = denoiser.resolution, denoiser.sigmas
        self.denoiser, self.condition = denoiser, condition
        self.cameras = orbit(20.0, torch.tensor([10.0, 200.0]), size)
        shape = (2, size, size, denoiser.channels)
        self.noised = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        self.sigma = levels[[len(levels) // 3, len(levels) // 2]]
        self._before = self.noised.clone(), self.sigma.clone()

    def __call__(self, scale: float, rows: slice = slice(None)) -> Tensor:
        return self.denoiser.denoise(self.noised[rows], self.sigma[rows], self.condition, self.cameras[rows], scale)

    def untouched(self) -> bool:
        return torch.equal(self.noised, self._before[0]) and torch.equal(self.sigma, self._before[1])


def _sigma_range(laws: Laws, asked: _Question) -> None:
    ends = asked.denoiser.sigmas[[0, -1]]
    noised = ends[:, None, None, None] * asked.noised + asked.denoiser.centre
    answer = asked.denoiser.denoise(noised, ends, asked.condition, asked.cameras, 1.0)
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
