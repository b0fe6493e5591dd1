"""What one-shot reconstructors make: coloured points and a closed surface, read as a cloud, a mesh or a field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces import PointCloud, RadianceField, SurfaceRepresentation
from zero3d.values import Step

DENSE = 10.0
"""The density inside, per cell: one cell hides nearly all that lies behind."""
HELD_AS_MESH: Mapping[str, Any] = {
    "cameras": {"type": "sphere", "resolution": 64},
    "representation": {"type": "mesh", "start": "previous"},
    "renderer": {"type": "rasterizer"},
    "observers": {"turntable": {}},
    "export": {"mesh": {"type": "marching_cubes"}},
}
"""`Reconstructor.recipe` of one whose result has a surface."""


class SampledSolid(PointCloud, SurfaceRepresentation, RadianceField):
    """A solid by its signed distances on a grid; nothing of it is optimised.

    Density rises across a cell about the surface. Colours of the field are those of the nearest vertex, or of the nearest
    point of the cloud where `paint_by_cloud`.
    """

    name: ClassVar[str] = "sampled_solid"
    paint_by_cloud: ClassVar[bool] = False

    def __init__(
        self,
        cloud: tuple[Tensor, Tensor],
        mesh: tuple[Tensor, Tensor, Tensor],
        distances: Tensor,
        to_grid: Tensor,
        spacing: float,
        box: Tensor,
    ) -> None:
        """All in world axes.

        Args:
            cloud: places (N, 3), colours (N, 3) in [0, 1].
            mesh: vertices (V, 3), faces (F, 3) counter-clockwise seen from outside, colours (V, 3).
            distances: (G, G, G) from the surface in cells, indexed [x, y, z], above 0 inside.
            to_grid: (3, 4), from a point (x, y, z, 1) to [-1, 1]^3, where the first and last samples lie.
            spacing: a cell's side.
            box: (2, 3), lowest and highest corner of what it fills.
        """
        super().__init__(None)
        self.channels = 3
        self.spacing = spacing
        self.box: Tensor
        held = {"places": cloud[0], "colours": cloud[1], "distances": distances, "to_grid": to_grid, "box": box}
        for name, value in {**held, **dict(zip(("vertices", "faces", "vertex_colours"), mesh, strict=True))}.items():
            self.register_buffer(name, value)

    def initialise(self, step: Step) -> None:
        """It is as it was made."""

    def points(self) -> tuple[Tensor, Tensor]:
        return self.get_buffer("places"), self.get_buffer("colours")

    def surface(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.get_buffer("vertices"), self.get_buffer("faces"), self.get_buffer("vertex_colours")

    @property
    def surface_density(self) -> float:
        return DENSE / self.spacing / 2

    def density(self, points: Tensor) -> Tensor:
        distances, to_grid = self.get_buffer("distances"), self.get_buffer("to_grid")
        where = points.to(to_grid) @ to_grid[:, :3].T + to_grid[:, 3]
        inside = (where.abs() <= 1).all(dim=-1)
        # grid_sample names the last axis first
        found = functional.grid_sample(distances[None, None], where.flip(-1)[None, None, None], align_corners=True)
        return DENSE / self.spacing * (0.5 + found[0, 0, 0, 0]).clamp(0, 1) * inside

    def features(self, points: Tensor) -> Tensor:
        vertices, _, vertex_colours = self.surface()
        painted, colours = self.points() if self.paint_by_cloud else (vertices, vertex_colours)
        return colours[nearest(points, painted)]


def nearest(queries: Tensor, points: Tensor) -> Tensor:
    """(Q,) the index of the point (N, 3) nearest to each query (Q, 3)."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points.detach().cpu().double().numpy())
    return torch.from_numpy(tree.query(queries.detach().cpu().double().numpy())[1]).to(queries.device)
