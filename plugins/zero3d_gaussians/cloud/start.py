"""What a cloud can begin from: a ball, a file, a mesh's or a field's surface."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
import torch
from torch import Tensor

from zero3d.errors import UserError
from zero3d.interfaces import RadianceField, SurfaceRepresentation
from zero3d_gaussians.drawing.projection import C0
from zero3d_gaussians.files.reading import read_gaussians, read_points
from zero3d_gaussians.values import Start

GRID = 64
"""Cells along the longest side of a field's box, where its surface is sought."""
DEPTH = 1.3
"""Standard deviations along a surface by which the centres lie below it; seen from the side they then end about there."""
CHUNK = 2**18
"""Points asked of a field at a time."""
CLOSEST = 1e-7
"""Mean squared distance to the neighbours at least (DreamGaussian's)."""


def ball(count: int, radius: float, channels: int, generator: torch.Generator) -> Start:
    """DreamGaussian's: uniform in a ball, nearly grey."""
    azimuth, height, share = torch.rand(3, count, generator=generator)
    azimuth, height = 2 * math.pi * azimuth, 2 * height - 1
    flat = (1 - height.square()).sqrt()
    means = torch.stack([flat * azimuth.cos(), flat * azimuth.sin(), height], dim=-1)
    means = means * (radius * share ** (1 / 3))[:, None]
    base = torch.rand(count, 1, channels, generator=generator) / 255
    return Start(means, None, None, None, base)


def sizes(means: Tensor, spread: float, flat: float) -> Tensor:
    """Log scales (N, 3): the root mean square distance to three neighbours; the third axis is `flat` times as long."""
    from scipy.spatial import cKDTree

    places = means.detach().cpu().double().numpy()
    near = min(4, len(places))
    distances = cKDTree(places).query(places, k=near)[0].reshape(len(places), -1)[:, 1:]
    square = numpy.square(distances).mean(axis=1) if near > 1 else numpy.full(1, 0.01)
    log = torch.from_numpy(numpy.log(numpy.sqrt(numpy.maximum(square, CLOSEST)) * spread)).to(means)
    return log[:, None] + means.new_tensor([0.0, 0.0, math.log(flat)])


def from_field(field: RadianceField, count: int, generator: torch.Generator) -> Start:
    """Evenly on a field's surface: in the cells that hide more than half of what lies behind and have a neighbour that does
    not. Each looks along the field's normal, in the field's colour.

    Raises:
        UserError: no cell is that dense.
    """
    low, high = field.box.detach().cpu()
    size = float((high - low).max()) / GRID
    axes = [torch.arange(float(a) + size / 2, float(b), size) for a, b in zip(low, high, strict=True)]
    centres = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    density = _asked(field.density, centres.reshape(-1, 3), field).reshape(centres.shape[:3])
    # in front of an object its first few cells stop the light, whatever lies behind
    dense = density * size * 3 > math.log(2)
    if not bool(dense.any()):
        raise UserError(
            f"representation.start: the field to start from is empty (highest density {float(density.max()):.4g} per world "
            "unit); optimise that stage for more steps, or start from a ball with representation.start=ball"
        )
    padded = torch.nn.functional.pad(dense, (1,) * 6)
    inner = padded[1:-1, 1:-1, 1:-1].clone()
    for axis in range(3):
        for shift in (1, -1):
            inner &= padded.roll(shift, axis)[1:-1, 1:-1, 1:-1]
    shell = (dense & ~inner).nonzero()
    chosen = shell[torch.randperm(len(shell), generator=generator)[torch.arange(count) % len(shell)]]
    means = centres[tuple(chosen.T)] + size * (torch.rand(count, 3, generator=generator) - 0.5)
    # where the solid ends, seen over five cells: its edge may be hard, and its density as high as it likes
    solid = torch.nn.functional.avg_pool3d(dense.float()[None, None], 5, 1, 2)[0, 0]
    normals = -torch.stack(torch.gradient(solid), dim=-1)[tuple(chosen.T)]
    return _coloured(means, normals, _asked(field.features, means, field))


def from_surface(mesh: SurfaceRepresentation, count: int, generator: torch.Generator) -> Start:
    """Evenly on a mesh, in its colours."""
    vertices, faces, _ = (part.detach() for part in mesh.surface())
    face, corners, normals = _strewn(vertices.cpu(), faces.cpu(), count, generator)
    means = (vertices.cpu()[faces.cpu()[face]] * corners[..., None]).sum(dim=1)
    features = mesh.features_at(face.to(faces.device), corners.to(vertices)).detach().cpu()
    return _coloured(means, normals, features)


def from_points(places: Tensor, features: Tensor) -> Start:
    """One at each point of a cloud (N, 3), in its colour (N, C); round, as large as its neighbours are far."""
    return Start(places.detach().cpu(), None, None, None, _base(features.detach().cpu())[:, None])


def from_file(path: str, count: int, channels: int, generator: torch.Generator) -> Start:
    """Gaussians or points of a file as they are; `count` on a mesh's surface.

    Raises:
        UserError: missing, unreadable, of another layout, empty.
    """
    kind = Path(path).suffix.lower()
    found = read_gaussians(path) if kind in (".ply", ".splat") else None
    if found is None and kind == ".ply":
        found = read_points(path)
    if found is None:
        found = _from_mesh(path, count, generator)
    if found.sh_base.shape[-1] != channels:  # a latent has no colours of a file
        return found._replace(sh_base=found.means.new_zeros(len(found.means), 1, channels), sh_rest=None)
    return found


def _from_mesh(path: str, count: int, generator: torch.Generator) -> Start:
    from zero3d.mesh_files import load_mesh

    mesh = load_mesh(path)
    vertices, faces = (
        torch.from_numpy(numpy.array(mesh.vertices)).float(),
        torch.from_numpy(numpy.array(mesh.faces)).long(),
    )
    face, corners, normals = _strewn(vertices, faces, count, generator)
    means = (vertices[faces[face]] * corners[..., None]).sum(dim=1)
    colours = torch.full((len(vertices), 3), 0.5)
    if mesh.visual.defined:
        visual = mesh.visual.to_color() if mesh.visual.kind == "texture" else mesh.visual
        colours = torch.from_numpy(numpy.array(visual.vertex_colors)[:, :3] / 255).float()
    return _coloured(means, normals, (colours[faces[face]] * corners[..., None]).sum(dim=1))


def _strewn(vertices: Tensor, faces: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Faces (count,) by area, corner weights (count, 3) within them, unit normals (count, 3)."""
    corners = vertices[faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = normals.norm(dim=-1)
    ends = areas.double().cumsum(dim=0)
    # one in each of `count` equal shares of the area
    wanted = (torch.arange(count) + torch.rand(count, generator=generator)) / count * ends[-1]
    face = torch.searchsorted(ends, wanted.double()).clamp(max=len(faces) - 1)
    first, second = torch.rand(2, count, generator=generator)
    root = first.sqrt()
    weights = torch.stack([1 - root, root * (1 - second), root * second], dim=-1)
    return face, weights, normals[face] / areas[face].clamp(min=1e-20)[:, None]


def _coloured(means: Tensor, normals: Tensor, features: Tensor) -> Start:
    """Gaussians with their third axis along the normals."""
    return Start(means, None, facing(normals), None, _base(features)[:, None])


def _base(features: Tensor) -> Tensor:
    """Coefficients of degree 0."""
    return (features - 0.5 if features.shape[-1] == 3 else features) / C0


def facing(normals: Tensor) -> Tensor:
    """Quaternions (N, 4), w first, that turn z onto each normal (N, 3), of length about 1; 0 means z."""
    x, y, z = torch.nn.functional.normalize(normals, dim=-1).unbind(-1)
    none = (x == 0) & (y == 0) & (z == 0)
    z = torch.where(none, torch.ones_like(z), z)
    opposite = z < -0.9999
    turned = torch.stack([1 + z, -y, x, torch.zeros_like(z)], dim=-1)
    half_turn = turned.new_tensor([0.0, 1.0, 0.0, 0.0]).expand_as(turned)
    return torch.nn.functional.normalize(torch.where(opposite[:, None], half_turn, turned), dim=-1)


def _asked(what: object, points: Tensor, field: RadianceField) -> Tensor:
    assert callable(what)
    with torch.no_grad():
        return torch.cat([what(part.to(field.box.device)).float().cpu() for part in points.split(CHUNK)])
