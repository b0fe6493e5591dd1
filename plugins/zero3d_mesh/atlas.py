"""Cutting a mesh open and laying it flat: texture coordinates, and what each texel shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy


@dataclass(frozen=True)
class Atlas:
    """A mesh laid flat: its vertices are split where charts meet.

    vertices: (V,) of each vertex of the atlas, its number in the mesh. faces (F, 3), in the mesh's order. uv (V, 2) in
    [0, 1], u right and v down the picture, as in glTF. charts: how many pieces there are.
    """

    vertices: numpy.ndarray
    faces: numpy.ndarray
    uv: numpy.ndarray
    charts: int


@dataclass(frozen=True)
class Texels:
    """What those texels of a square picture show whose centre lies on a chart.

    row, column (N,); face (N,) of the atlas; weight (N, 3) of its corners.
    """

    row: numpy.ndarray
    column: numpy.ndarray
    face: numpy.ndarray
    weight: numpy.ndarray

    def mean(self, corners: numpy.ndarray) -> numpy.ndarray:
        """Values (F, 3, C) at the faces' corners, interpolated: (N, C)."""
        return numpy.einsum("nk,nkc->nc", self.weight, corners[self.face])


def unwrap(mesh: Any, size: int, padding: int) -> Atlas:
    """Charts by xatlas, packed into one square of `size` texels, `padding` texels apart."""
    import xatlas

    atlas = xatlas.Atlas()
    atlas.add_mesh(numpy.asarray(mesh.vertices, numpy.float32), numpy.asarray(mesh.faces, numpy.uint32))
    options = xatlas.PackOptions()
    options.resolution, options.padding, options.bilinear = size, padding, True
    atlas.generate(pack_options=options)
    vertices, faces, uv = atlas[0]
    return Atlas(vertices.astype(numpy.int64), faces.astype(numpy.int64), uv.astype(numpy.float64), atlas.chart_count)


def texels(atlas: Atlas, size: int) -> Texels:
    """The texels on charts: rays through their centres, cast at the flat mesh."""
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    flat = numpy.zeros((len(atlas.uv), 3), numpy.float32)
    flat[:, :2] = atlas.uv * size
    scene = EmbreeScene()
    TriangleMesh(scene, numpy.ascontiguousarray(flat[atlas.faces]))
    row, column = (grid.ravel() for grid in numpy.mgrid[:size, :size])
    origins = numpy.stack([column + 0.5, row + 0.5, numpy.ones(size * size)], axis=1).astype(numpy.float32)
    down = numpy.tile(numpy.array([0, 0, -1], numpy.float32), (size * size, 1))
    found = scene.run(origins, down, output=True)
    hit = found["primID"] >= 0
    u, v = found["u"][hit].astype(numpy.float64), found["v"][hit].astype(numpy.float64)
    return Texels(row[hit], column[hit], found["primID"][hit], numpy.stack([1 - u - v, u, v], axis=1))
