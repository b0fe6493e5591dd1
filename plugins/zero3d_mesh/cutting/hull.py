"""The visual hull: a surface ends where the pictures' masks do (Laurentini 1994)."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor

from zero3d.geometry import project
from zero3d.interfaces import ExportSubject
from zero3d.values import PosedPicture
from zero3d_mesh.colour import lookup
from zero3d_mesh.cutting.grid import DensityGrid

SIZE = 512
"""Pixels of a mask's side: a third of a sample of 128 a side, or less."""
SOFTNESS = 3.0
"""Pixels over which the distance to the mask's edge is averaged: its steps would be ripples of the surface."""
BEYOND = 0.5
"""Samples: the surface of a hard edge lies so far off, as it is cut, and what is right to within that is left alone."""
LEAST = 0.01
"""Of the threshold: what is thinner is no surface anyway."""
LEAST_KEPT = 0.2
"""Of what is solid, inside of the masks: with less, the model is of something else than they."""


def within_masks(grid: DensityGrid, threshold: float, subject: ExportSubject) -> DensityGrid:
    """The grid with no more than `threshold` BEYOND the edge of a picture's mask, falling to 0 a sample's width from there.

    A sample as far inside keeps up to twice the threshold, where `extract` cuts off: the surface within stays as it is. What
    lies outside of a picture's frame is as the field has it; all is, with a note, if the masks would leave little of it.
    """
    pictures = subject.framed_at(SIZE).pictures if subject.framed_at else ()
    if not pictures:
        return grid
    values = grid.values.copy()
    dense = numpy.argwhere(values > threshold * LEAST)
    points = torch.from_numpy(grid.origin + grid.spacing * dense).float()
    allowed = numpy.full(len(dense), numpy.inf)
    for posed in pictures:
        numpy.minimum(allowed, 1 + BEYOND + _margin(points, posed.to("cpu")).numpy() / grid.spacing, out=allowed)
    index = tuple(dense.T)
    before = int((values >= threshold).sum())
    values[index] = numpy.minimum(values[index], threshold * allowed.clip(min=0))
    if int((values >= threshold).sum()) < LEAST_KEPT * before:
        subject.tell("note: the model's outline is not that of the pictures' masks, it stays as it is (hull)")
        return grid
    return DensityGrid(values, grid.origin, grid.spacing)


def _margin(points: Tensor, posed: PosedPicture) -> Tensor:
    """(N,) how far inside of a picture's mask points are seen, world units across the line of sight; below 0 outside.

    Infinite beyond the frame, of which the picture says nothing, and everywhere if the mask has no edge.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    mask = posed.picture.mask[..., 0].numpy() > 0.5
    if mask.all() or not mask.any():  # no edge, from which to measure
        return torch.full((len(points),), torch.inf)
    pixels = numpy.where(mask, distance_transform_edt(mask) - 0.5, 0.5 - distance_transform_edt(~mask))
    pixels = gaussian_filter(pixels, SOFTNESS).astype(numpy.float32)
    places, distance = project(points, posed.camera)
    found = lookup(torch.from_numpy(pixels)[None, ..., None], places)[:, 0]
    margin = found * distance[0] * (2 * float(torch.tan(posed.camera.fovs[0] / 2)) / len(mask))
    return torch.where((places[0].abs() <= 1).all(dim=-1), margin, torch.inf)
