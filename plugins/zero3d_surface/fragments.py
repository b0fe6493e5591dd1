"""Which faces of a mesh are near each pixel: ours in plain PyTorch, or PyTorch3D's rasterizer, with one result.

Plane coordinates are PyTorch3D's normalised ones up to their signs: [-1, 1] across a square picture.
"""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import torch
from torch import Tensor

SMALLEST_AREA = 1e-8
"""Twice a face's area in the picture below which it is not drawn, as in PyTorch3D (kEpsilon)."""
PAIRS = 2**21
"""(face, pixel) pairs held at a time while the nearest are sought: about 200 bytes each."""


class Fragments(NamedTuple):
    """For each of P pixels the K nearest faces in depth, nearest first; `face` is -1 where there are fewer.

    face (P, K) int64; depth (P, K) along the view axis; corners (P, K, 3) barycentric, perspective-correct, clipped to
    the face; distance (P, K) squared, in the plane, to the face's outline, negative inside. All but `face`
    differentiable in the vertices.
    """

    face: Tensor
    depth: Tensor
    corners: Tensor
    distance: Tensor


def has_pytorch3d() -> bool:
    """Whether PyTorch3D is installed."""
    return importlib.util.find_spec("pytorch3d") is not None


def rasterize(vertices: Tensor, faces: Tensor, height: int, width: int, radius: float, count: int) -> Fragments:
    """The `count` nearest faces of each pixel, among those that cover it or pass within sqrt(`radius`) of it.

    What PyTorch3D's rasterize_meshes does with perspective correction and clipped barycentric coordinates, in PyTorch: the
    candidates are found without a graph, pixel by pixel within each face's bounding box and chunk by chunk of faces, and
    only those that are kept are worked out again with one.

    Args:
        vertices: (V, 3): x to the right and y down, [-1, 1] across the picture; z the distance along the view axis.
        faces: (F, 3) int64.
        radius: squared distance in the plane.
    """
    with torch.no_grad():
        pixel, face = _nearest(vertices.detach()[faces], height, width, radius, count)
    slot = _ranks(pixel)
    depth, corners, distance = _pairs(vertices[faces[face]], _centres(pixel, height, width))
    place = pixel * count + slot
    found = torch.full((height * width * count,), -1, dtype=torch.int64, device=faces.device)
    found[place] = face

    def dense(values: Tensor, empty: float) -> Tensor:
        everywhere = values.new_full((len(found), *values.shape[1:]), empty)
        return everywhere.index_put((place,), values).reshape(height * width, count, *values.shape[1:])

    return Fragments(found.reshape(-1, count), dense(depth, 0.0), dense(corners, 0.0), dense(distance, torch.inf))


def with_covering(near: Fragments, covering: Fragments) -> Fragments:
    """`near` and the nearest face that covers each pixel (`covering`, K of 1), where it is not among them.

    Where many small faces pass in front of a pixel, none of the K nearest may cover it: it would be seen through.
    """
    among = (near.face == covering.face).any(dim=1, keepdim=True)
    face = torch.where(among, -1, covering.face)
    distance = torch.where(among, torch.inf, covering.distance)
    extra = Fragments(face, covering.depth, covering.corners, distance)
    return Fragments(*(torch.cat(parts, dim=1) for parts in zip(near, extra, strict=True)))


def rasterize_pytorch3d(
    vertices: Tensor, faces: Tensor, height: int, width: int, radius: float, count: int
) -> Fragments:
    """The same by PyTorch3D; its x runs to the left and its y up."""
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    turned = vertices * vertices.new_tensor([-1.0, -1.0, 1.0])
    face, depth, corners, distance = rasterize_meshes(
        Meshes([turned], [faces]),
        image_size=(height, width),
        blur_radius=radius,
        faces_per_pixel=count,
        perspective_correct=True,
        clip_barycentric_coords=True,
        cull_backfaces=False,
    )
    distance = torch.where(face < 0, torch.inf, distance)
    pixels = height * width
    return Fragments(
        face.reshape(pixels, count),
        depth.reshape(pixels, count),
        corners.reshape(pixels, count, 3),
        distance.reshape(pixels, count),
    )


def _nearest(triangles: Tensor, height: int, width: int, radius: float, count: int) -> tuple[Tensor, Tensor]:
    """(pixel, face) pairs (N,) of triangles (F, 3, 3), by pixel and then by depth, at most `count` a pixel."""
    size = torch.tensor([width, height], device=triangles.device)
    plane = triangles[..., :2]
    reach = radius**0.5
    # pixel i has its centre at (2 i + 1) / size - 1
    first = ((plane.amin(1) - reach + 1) * size / 2 - 0.5).ceil().clamp(min=0)
    last = torch.minimum(((plane.amax(1) + reach + 1) * size / 2 - 0.5).floor(), size - 1)
    area = _cross(plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0])
    ahead = (triangles[..., 2] > 0).all(1) & (area.abs() > SMALLEST_AREA)
    extent = torch.where(ahead[:, None], last - first + 1, 0).clamp(min=0).long()
    first = first.nan_to_num().long()
    pairs = extent.prod(-1)
    chosen: list[tuple[Tensor, Tensor, Tensor]] = []
    start = 0
    ends = pairs.cumsum(0)
    while start < len(pairs):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(torch.searchsorted(ends, before + PAIRS, right=True)))
        face = torch.arange(start, stop, device=pairs.device).repeat_interleave(pairs[start:stop])
        if len(face):
            within = torch.arange(len(face), device=pairs.device) + before - (ends - pairs)[face]
            across = extent[face, 0]
            column, row = first[face, 0] + within % across, first[face, 1] + within // across
            pixel = row * width + column
            depth, _, distance = _pairs(triangles[face], _centres(pixel, height, width))
            near = (distance < radius) & (depth >= 0)
            chosen.append((pixel[near], face[near], depth[near]))
            if len(chosen) > 1:
                chosen = [_kept(chosen, count)]
        start = stop
    if not chosen:
        none = torch.zeros(0, dtype=torch.int64, device=triangles.device)
        return none, none
    pixel, face, _ = _kept(chosen, count)
    return pixel, face


def _kept(found: list[tuple[Tensor, Tensor, Tensor]], count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The `count` nearest in depth of each pixel, in order, among lists of (pixel, face, depth)."""
    pixel, face, depth = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = depth.argsort(stable=True)
    order = order[pixel[order].argsort(stable=True)]
    order = order[_ranks(pixel[order]) < count]
    return pixel[order], face[order], depth[order]


def _ranks(ordered: Tensor) -> Tensor:
    """0, 1, 2, ... within each run of equal values."""
    index = torch.arange(len(ordered), device=ordered.device)
    begins = torch.ones_like(ordered, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    return index - torch.where(begins, index, 0).cummax(0).values if len(ordered) else index


def _centres(pixel: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """x and y (N,) of pixels' centres."""
    return (2 * (pixel % width) + 1) / width - 1, (2 * (pixel // width) + 1) / height - 1


def _pairs(triangles: Tensor, centres: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Depth (N,), corners (N, 3) and distance (N,), as in Fragments, of N triangles (N, 3, 3) at N points."""
    points = torch.stack(centres, dim=-1).to(triangles)
    plane, z = triangles[..., :2], triangles[..., 2]
    offsets = plane - points[:, None]  # from the point to each corner
    following, last = offsets.roll(-1, dims=1), offsets.roll(-2, dims=1)
    area = _cross(plane[:, 1] - plane[:, 0], plane[:, 2] - plane[:, 0])
    # a corner's share of the area is the triangle of the point and the opposite edge
    flat = _cross(following, last) / area[:, None]
    inside = (flat > 0).all(dim=1)
    corrected = flat * z.roll(-1, dims=1) * z.roll(-2, dims=1)
    total = corrected.sum(dim=1, keepdim=True)
    corrected = corrected / torch.where(total.abs() < 1e-12, 1e-12, total)
    clipped = corrected.clamp(min=0)
    clipped = clipped / clipped.sum(dim=1, keepdim=True).clamp(min=1e-5)
    side = following - offsets
    along = -(offsets * side).sum(dim=-1) / (side * side).sum(dim=-1).clamp(min=1e-12)
    nearest = offsets + along.clamp(0, 1)[..., None] * side
    squared = (nearest * nearest).sum(dim=-1).amin(dim=1)
    return (clipped * z).sum(dim=1), clipped, torch.where(inside, -squared, squared)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
