"""A mesh laid flat for a texture: where each face lies in the picture, and what each texel shows."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d_surface.fragments import rasterize

PADDING = 2
"""Texels between charts."""


def layout(vertices: Tensor, faces: Tensor, size: int) -> Tensor:
    """Places (F, 3, 2) of the faces' corners in a square picture of `size` texels, [-1, 1], x right and y down (xatlas)."""
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(vertices.detach().cpu().float().numpy(), faces.cpu().numpy().astype(numpy.uint32))
    options = xatlas.PackOptions()
    options.resolution, options.padding, options.bilinear = size, PADDING, True
    atlas.generate(pack_options=options)
    _, corners, uv = atlas[0]
    return torch.from_numpy(2 * uv[corners.astype(numpy.int64)] - 1).to(vertices)


def painted(places: Tensor, features: Tensor, size: int) -> Tensor:
    """A texture (size * size, C), row by row, of features (F, 3, C) at the faces' corners, linear between them.

    Texels beside the charts take the nearest one's features.
    """
    from scipy.ndimage import distance_transform_edt

    flat = torch.cat([places.reshape(-1, 2), places.new_ones(places.shape[0] * 3, 1)], dim=-1)
    own = torch.arange(len(flat), device=flat.device).reshape(-1, 3)
    found = rasterize(flat, own, size, size, 0.0, 1)
    face = found.face[:, 0]
    texture = (features[face.clamp(min=0)] * found.corners[:, 0, :, None]).sum(dim=-2)
    empty = (face < 0).reshape(size, size).cpu().numpy()
    row, column = distance_transform_edt(empty, return_distances=False, return_indices=True)
    return texture[torch.from_numpy(row.astype(numpy.int64) * size + column).reshape(-1).to(texture.device)]


def looked_up(texture: Tensor, places: Tensor) -> Tensor:
    """Features (..., C) of a texture (size * size, C) at places (..., 2), bilinear."""
    size = round(len(texture) ** 0.5)
    planes = texture.T.reshape(1, -1, size, size)
    read = functional.grid_sample(planes, places.reshape(1, 1, -1, 2), padding_mode="border", align_corners=False)
    return read[0, :, 0].T.reshape(*places.shape[:-1], -1)
