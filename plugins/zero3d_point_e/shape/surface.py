"""A mesh around the points, by the model of signed distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d_point_e.network.distance import DistanceNetwork

SIDE = 1.02
"""Of the cube around the origin in which the surface is sought; the points fill one of side 1."""
QUERIES = 4096
"""Asked at a time; each is independent of the others."""


def grid(network: DistanceNetwork, points: Tensor, resolution: int, after: Callable[[], None] = lambda: None) -> Tensor:
    """Signed distances (G, G, G), indexed [x, y, z], above 0 inside: of the points (P, 3), on G samples across the cube.

    `after` is called after each of the G planes.
    """
    axis = (torch.arange(resolution, device=points.device) * (SIDE / (resolution - 1)) - SIDE / 2).to(points)
    latents = network.encode(points[None])
    # a plane of x at a time, so that only the answers are held for the whole cube
    y, z = torch.meshgrid(axis, axis, indexing="ij")
    planes = []
    for x in axis:
        queries = torch.stack([x.expand_as(y), y, z], dim=-1).reshape(1, -1, 3)
        planes.append(torch.cat([network.distance(part, latents)[0] for part in queries.split(QUERIES, dim=1)]))
        after()
    return torch.stack(planes).reshape(resolution, resolution, resolution)


def levelled(values: Tensor) -> tuple[Tensor, bool]:
    """The distances so that they have a surface, and whether they had none: less their mean where all have one sign.

    (Where they are all the same, nothing helps.)
    """
    none = bool((values > 0).all() or (values <= 0).all())
    return (values - values.mean() if none else values), none


def march(values: Tensor) -> tuple[Tensor, Tensor]:
    """The surface at 0 of `grid`'s distances: vertices (V, 3), faces (F, 3) counter-clockwise seen from outside."""
    from skimage.measure import marching_cubes

    cells = values.shape[0] - 1
    volume: Any = values.detach().float().cpu().numpy()
    vertices, faces, _, _ = marching_cubes(volume, 0.0, spacing=(SIDE / cells,) * 3, allow_degenerate=False)
    places = torch.from_numpy((vertices - SIDE / 2).astype(numpy.float32))
    return places, torch.from_numpy(faces[:, [1, 0, 2]].astype(numpy.int64))
