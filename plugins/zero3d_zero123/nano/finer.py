"""A finer solid than the lift's own: from several framings of the picture, and with its surface where the mask says.

The lift's cells are nearly twice as wide as its pixels, and its logits are unsure of what is thin: there they stay below
zero, though the picture shows the thing. What is solid is the same in every framing, and the mask is known.
"""

from __future__ import annotations

import math
from functools import cache

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import rays
from zero3d.values import Cameras, Picture, Subject
from zero3d_zero123.nano.draw import along, read
from zero3d_zero123.nano.lift import BOX, PICTURE, Lift, Lifted, lift_both_ways, turned

SHIFTS = ((0.0, 0.0), (0.5, 0.5), (-0.5, 0.5), (0.5, -0.5), (-0.5, -0.5))
"""Of the framings, in the network's pixels, right and down: as many to the left as to the right, so that mirror images
still become mirror images. Half a pixel is a third of a cell; other scales and elevations than the network's own make
the solid worse."""
LOWEST, HIGHEST, STEP = -4.0, 1.0, 0.25
"""Logits at which the surface is looked for."""
TOLERANCE = 0.02
"""Silhouettes whose IoU is within this of the best are taken to be as good: the edge of a solid thing's says little, and low
levels thicken it; what is thin and unsure loses more."""
SAMPLES = 96
"""Along a ray, a third of the lift's cell apart."""
TURNS = 16
"""Parts of a full turn by which a solid is turned about its vertical axis and held against itself."""
ALIKE = 0.86
"""Mean of the soft IoUs with its turned copies from which a solid is taken for one of revolution, and made one. Most
validation objects above gained (a can's IoU 0.77 to 0.91), those from 0.8 to 0.85 lost: boxes and vessels guessed askew.
(Averaging what is mirror-symmetric in the same way blurs it.)"""
EMPTIEST, DENSEST = -10.0, 6.0
"""The finer solid's logits: a cell of the densest lets 1/400 of the light through, and more would only be slow to change."""
FINEST_PICTURE = 2 * PICTURE
"""Side of the picture that can be moved by half of the network's pixels, in whole ones of its own."""


def finer(lift: Lift, subject: Subject, resolution: int, sharpness: float) -> Lifted:
    """The subject's first picture, of FINEST_PICTURE pixels, lifted in each of SHIFTS, on resolution^3 cells.

    Logits of what is solid are interpolated by cubic B-splines and averaged, round things over all turns; then they are
    measured from where the silhouette meets the mask, `sharpness` times as steep. Colours are the middle framing's.
    """
    front = subject.pictures[0]
    camera = front.camera.to(front.picture.rgb.device)
    found: list[Tensor] = []
    for shift in SHIFTS:
        lifted = lift_both_ways(lift, _moved(front.picture, shift), camera)
        found.append(spread(lifted.volume[:, :1], resolution, _aside(camera, shift)))
        if shift == SHIFTS[0]:
            middle = lifted
    solid = torch.stack(found).mean(dim=0)
    mask = front.picture.resized(PICTURE, PICTURE).mask[..., 0]
    surface = level_by_mask(Lifted(solid, middle.tokens, camera), mask)
    found_round = of_revolution(solid, surface)
    if found_round is not None:
        solid = found_round
        surface = level_by_mask(Lifted(solid, middle.tokens, camera), mask)
    solid = (sharpness * (solid - surface)).clamp(EMPTIEST, DENSEST)
    colours = functional.interpolate(middle.volume[:, 1:], (resolution,) * 3, mode="trilinear")
    return Lifted(torch.cat([solid, colours], dim=1), middle.tokens, camera)


def level_by_mask(lifted: Lifted, mask: Tensor) -> float:
    """The logit whose surface, of `lifted`'s one solid, casts the silhouette nearest to `mask` (H, W) above one half.

    Nearest by intersection over union, give or take TOLERANCE, and of those the highest. A surface covers a pixel whose ray
    meets a logit as high.
    """
    highest = highest_along_rays(lifted, mask.shape[-1])
    levels = torch.arange(HIGHEST, LOWEST - STEP / 2, -STEP, device=mask.device)
    covered, wanted = highest > levels[:, None, None], mask > 0.5
    both, either = (covered & wanted).sum(dim=(1, 2)), (covered | wanted).sum(dim=(1, 2))
    shares = both / either.clamp(min=1)
    return float(levels[(shares >= shares.max() - TOLERANCE).nonzero()[0, 0]])


def highest_along_rays(lifted: Lifted, size: int) -> Tensor:
    """(size, size): the highest logit of the one solid on each ray of the camera that it was lifted from."""
    origins, directions = rays(lifted.cameras.resized(size, size))
    flat = [turned(part.reshape(1, -1, 3), lifted.cameras) / BOX for part in (origins, directions)]
    t = along(lifted.cameras.distance[:, None], SAMPLES)
    points = flat[0][:, :, None] + flat[1][:, :, None] * t[..., None]
    inside = (points.abs() <= 1).all(dim=-1)
    logits = read(lifted.volume[:, :1], points)[:, 0]
    return torch.where(inside, logits, -torch.inf).amax(dim=-1).reshape(size, size)


def of_revolution(solid: Tensor, surface: float) -> Tensor | None:
    """The mean of the logits (1, 1, z, y, x) turned about the vertical axis; None of what is not ALIKE from all sides.

    The axis goes through the centre of mass, of the shares sigmoid(logit - surface).
    """
    shares = (solid - surface).sigmoid()
    axis = (torch.arange(solid.shape[-1], device=solid.device) + 0.5) * (2 / solid.shape[-1]) - 1
    seen_from_above = shares[0, 0].sum(dim=0)
    middle_x = (seen_from_above.sum(dim=0) * axis).sum() / seen_from_above.sum()
    middle_y = (seen_from_above.sum(dim=1) * axis).sum() / seen_from_above.sum()
    y, x = torch.meshgrid(axis - middle_y, axis - middle_x, indexing="ij")
    turned_ones, alike = solid.clone(), 0.0
    for part in range(1, TURNS):
        angle = 2 * math.pi * part / TURNS
        cosine, sine = math.cos(angle), math.sin(angle)
        places = torch.stack([cosine * x - sine * y + middle_x, sine * x + cosine * y + middle_y], dim=-1)[None]
        one = functional.grid_sample(solid[0], places, mode="bicubic", padding_mode="border", align_corners=False)[None]
        other = (one - surface).sigmoid()
        alike += float(torch.minimum(shares, other).sum() / torch.maximum(shares, other).sum()) / (TURNS - 1)
        turned_ones += one
    return turned_ones / TURNS if alike > ALIKE else None


def spread(volume: Tensor, resolution: int, shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
    """(B, C, n, n, n) [z, y, x] over the box -> (B, C, resolution^3), each cell read `shift` (x, y, z) further on.

    By interpolating cubic B-splines, which keep thin parts that linear interpolation levels; `shift` in world units.
    """
    across = [_spline(volume.shape[-1], resolution, round(float(s), 6)).to(volume) for s in shift]
    return torch.einsum("bczyx,kz,jy,ix->bckji", volume, across[2], across[1], across[0])


@cache
def _spline(cells: int, resolution: int, shift: float) -> Tensor:
    """(resolution, cells): what each cell of the box's side gives to each of the finer, `shift` further on."""
    from scipy.ndimage import map_coordinates

    places = ((numpy.arange(resolution) + 0.5) / resolution + shift / (2 * BOX)) * cells - 0.5
    columns = [map_coordinates(unit, places[None], order=3, mode="nearest") for unit in numpy.eye(cells)]
    return torch.from_numpy(numpy.stack(columns, axis=1)).float()


def _moved(picture: Picture, shift: tuple[float, float]) -> Tensor:
    """The picture (1, 4, PICTURE, PICTURE) moved by `shift` of its pixels, right and down; white comes in."""
    planes = torch.cat([1 - picture.rgb, picture.mask], dim=-1).permute(2, 0, 1)[None]
    right, down = (round(s * FINEST_PICTURE / PICTURE) for s in shift)
    planes = functional.pad(planes, (right, -right, down, -down))
    planes = functional.interpolate(planes, (PICTURE, PICTURE), mode="area")
    return torch.cat([1 - planes[:, :3], planes[:, 3:]], dim=1)


def _aside(camera: Cameras, shift: tuple[float, float]) -> tuple[float, float, float]:
    """Where, in the solid's frame, a thing in the middle goes when the picture moves by `shift` pixels."""
    pose = camera.camera_to_world[:, :3, :3]
    pixel = 2 * float(camera.distance[0]) * float(torch.tan(camera.fovs[0] / 2)) / PICTURE
    moved = pixel * (shift[0] * pose[:, :, 0] - shift[1] * pose[:, :, 1])
    x, y, z = turned(moved[:, None], camera)[0, 0].tolist()
    return x, y, z
