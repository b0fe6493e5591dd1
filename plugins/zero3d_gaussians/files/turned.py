"""Between the world's axes (z up) and a file's (glTF's, y up): (x, y, z) becomes (y, z, x), for all of a Gaussian."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from zero3d_gaussians.drawing.projection import basis
from zero3d_gaussians.values import Start

TO_GLTF = (0.5, -0.5, -0.5, -0.5)
"""The quaternion, w first, of (x, y, z) -> (y, z, x)."""


def turned(found: Start, to_gltf: bool) -> Start:
    """The same Gaussians in the other axes."""
    order = [1, 2, 0] if to_gltf else [2, 0, 1]
    w, x, y, z = TO_GLTF
    quaternions, rest = found.quaternions, found.sh_rest
    if quaternions is not None:
        by = quaternions.new_tensor([w, x, y, z] if to_gltf else [w, -x, -y, -z])
        quaternions = product(by, quaternions)
    if rest is not None and rest.shape[1]:
        rest = torch.einsum("ij,njc->nic", harmonic_turn(rest.shape[1] + 1, to_gltf)[1:, 1:].to(rest), rest)
    return found._replace(means=found.means[:, order], quaternions=quaternions, sh_rest=rest)


def product(first: Tensor, second: Tensor) -> Tensor:
    """Quaternions (..., 4), w first: turn by `second`, then by `first`."""
    a, b, c, d = first.unbind(-1)
    e, f, g, h = second.unbind(-1)
    parts = (
        a * e - b * f - c * g - d * h,
        a * f + b * e + c * h - d * g,
        a * g - b * h + c * e + d * f,
        a * h + b * g - c * f + d * e,
    )
    return torch.stack(parts, dim=-1)


@lru_cache(8)
def harmonic_turn(count: int, to_gltf: bool) -> Tensor:
    """(K, K): coefficients in one frame -> those in the other, by fitting the basis at many directions (exact)."""
    directions = torch.randn(256, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    degree = math.isqrt(count) - 1
    here, there = basis(directions, degree), basis(directions[:, [1, 2, 0] if to_gltf else [2, 0, 1]], degree)
    # there @ coefficients_there = here @ coefficients_here
    return torch.linalg.lstsq(there, here).solution
