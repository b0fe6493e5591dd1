"""Colours straight from the pictures: what their cameras saw of a surface, and how far that is to be trusted."""

from __future__ import annotations

import math
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import project
from zero3d.interfaces import ExportSubject
from zero3d.mesh_views import MeshScene
from zero3d.values import PosedPicture
from zero3d_mesh.colour import lookup

FACING = (0.1, 0.3)
"""Cosine of the angle between the normal and the way to the camera: not taken below the first, trusted from the second."""
SOLID = 0.95
"""Of the mask: less, and the pixel holds some of what is behind the object."""
THIN = 3.0
"""Pixels of the source by which the colour of an edge may be further away than the edge itself."""
FRINGE = 0.02
"""Share of the frame's side by which a surface may stand out beyond the mask and still be given its edge's colours."""
BLEND = 0.012
"""Share of the frame's side over which colours fade where something hides the surface."""
SLACK = 0.03
"""World units that a point may lie behind what the camera sees there, and be that."""
DEPTHS = 384
"""Side of the depth map, pixels."""
RING = tuple((radius, turn) for radius in (0.5, 1.0) for turn in range(8))
"""Where about a point it is asked what hides it: shares of BLEND, and eighths of a turn."""


def from_pictures(
    points: numpy.ndarray, normals: numpy.ndarray, mesh: Any, subject: ExportSubject, size: int
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """What the subject's pictures, framed at `size` pixels, show at N points of a mesh with their unit normals.

    Returns:
        colours (N, 3) in [0, 1], and their weight (N,) in [0, 1]: 1 where a picture shows the point plainly, 0 where
        none does (turned away, hidden by the mesh, outside the mask), smooth between the two. Of several pictures the
        mean, weighted by their own weights too.
    """
    places, ups = (torch.from_numpy(numpy.array(array, dtype=numpy.float32)) for array in (points, normals))
    total, colour = torch.zeros(len(places), 1), torch.zeros(len(places), 3)
    unseen = torch.ones(len(places), 1)
    pictures = subject.framed_at(size).pictures if subject.framed_at else ()
    scene = MeshScene(mesh) if pictures else None
    for posed in pictures:
        assert scene is not None
        found, weight = _seen(places, ups, scene, posed.to("cpu"))
        colour += posed.weight * weight * found
        total += posed.weight * weight
        unseen *= 1 - weight
    return (colour / total.clamp(min=1e-9)).clamp(0, 1).numpy(), (1 - unseen)[:, 0].numpy()


def _seen(points: Tensor, normals: Tensor, scene: MeshScene, posed: PosedPicture) -> tuple[Tensor, Tensor]:
    """Of one picture: colours (N, 3) and weights (N, 1)."""
    places, distance = project(points, posed.camera)
    facing = functional.cosine_similarity(posed.camera.position - points, normals, dim=-1)
    weight = _smooth((facing - FACING[0]) / (FACING[1] - FACING[0]))
    colour, trust = _opened(posed)
    depth = scene.draw(posed.camera.resized(DEPTHS, DEPTHS), supersample=1, light=None).depth
    assert depth is not None
    cosine = facing.clamp(min=FACING[0])
    slope = (1 - cosine.square()).clamp(min=0).sqrt() / cosine * 2 * torch.tan(posed.camera.fovs[0] / 2) * distance[0]
    weight = weight * _unhidden(places[0], distance[0], slope, depth[0, ..., 0]) * lookup(trust, places)[:, 0]
    return lookup(colour, places), weight[:, None]


def _opened(posed: PosedPicture) -> tuple[Tensor, Tensor]:
    """The picture (1, H, W, 3) with its object's colours carried on beyond its edge, and trust (1, H, W, 1) in them.

    The edge's own pixels are mixed with what is behind, also under a mask that knows only yes and no: the nearest that lies
    a pixel of the source further in stands for them, and for what is too thin to have one, itself.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt

    rgb, mask = posed.picture.rgb.numpy(), posed.picture.mask[..., 0].numpy()
    solid = mask >= min(SOLID, float(mask.max()))
    away, nearest = distance_transform_edt(~solid, return_indices=True)
    trust = (1 - away / (FRINGE * len(mask))).clip(0, 1)
    edge = math.ceil(max(1.0, len(mask) / posed.window.side if posed.window else 1.0))
    inner = binary_erosion(solid, numpy.ones((3, 3)), edge, border_value=1)
    if inner.any():
        further, innermost = distance_transform_edt(~inner, return_indices=True)
        nearest = numpy.where(further <= away + THIN * edge, innermost, nearest)
    colour = rgb[tuple(nearest)] if len(mask) else rgb
    return torch.from_numpy(colour)[None].float(), torch.from_numpy(trust)[None, ..., None].float()


def _unhidden(places: Tensor, distance: Tensor, slope: Tensor, depth: Tensor) -> Tensor:
    """(N,): 0 where the mesh hides the point, or nearly: as far as BLEND from the edge of what does.

    slope: by how much the surface itself comes nearer over the frame's side.
    """
    clear = torch.zeros_like(distance)
    for radius, turn in ((0.0, 0), *RING):
        angle = torch.tensor(turn * torch.pi / 4)
        moved = places + 2 * BLEND * radius * torch.stack([angle.cos(), angle.sin()])
        cell = ((moved + 1) * (DEPTHS / 2)).long().clamp(0, DEPTHS - 1)
        clear += distance < depth[cell[:, 1], cell[:, 0]] + SLACK + (BLEND * radius + 1 / DEPTHS) * slope
    return _smooth(2 * clear / (1 + len(RING)) - 1)


def _smooth(share: Tensor) -> Tensor:
    """From 0 to 1 over [0, 1], level at both ends."""
    share = share.clamp(0, 1)
    return share * share * (3 - 2 * share)
