"""Cutting a mesh open and laying it flat: texture coordinates, and what each texel shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

PATCH = 64
"""Faces of a patch that is laid flat by itself, at least."""
ROUNDS = 20
"""In which smaller patches join those around them."""


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
    """Charts by xatlas, packed into one square of `size` texels, `padding` texels apart.

    xatlas takes time as the square of a mesh's faces, so it is given those that face each of six ways by themselves.
    """
    import xatlas

    vertices, faces = numpy.asarray(mesh.vertices, numpy.float32), numpy.asarray(mesh.faces, numpy.int64)
    sides, atlas, corners = _sides(mesh), xatlas.Atlas(), []
    for side in sides:
        used, own = numpy.unique(faces[side], return_inverse=True)
        atlas.add_mesh(vertices[used], own.reshape(-1, 3).astype(numpy.uint32))
        corners.append(used)
    options = xatlas.PackOptions()
    options.resolution, options.padding, options.bilinear = size, padding, True
    atlas.generate(pack_options=options)
    laid, split, uv, count = numpy.zeros_like(faces), [], [], 0
    for number, (side, used) in enumerate(zip(sides, corners, strict=True)):
        which, laid_out, places = atlas[number]
        laid[side] = laid_out.astype(numpy.int64) + count
        split.append(used[which])
        uv.append(places.astype(numpy.float64))
        count += len(which)
    return Atlas(numpy.concatenate(split), laid, numpy.concatenate(uv), atlas.chart_count)


def _sides(mesh: Any) -> list[numpy.ndarray]:
    """Which faces look most along +-x, +-y, +-z: their numbers, where there are any.

    A patch of few of them takes the way of the patch around it: a chart of its own would be smaller than a texel.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    normals, pairs, count = mesh.face_normals, mesh.face_adjacency, len(mesh.faces)
    axis = abs(normals).argmax(axis=1)
    way = 2 * axis + (normals[numpy.arange(count), axis] > 0)
    for _ in range(ROUNDS):
        same = pairs[way[pairs[:, 0]] == way[pairs[:, 1]]]
        _, patch = connected_components(
            coo_array((numpy.ones(len(same), bool), same.T), (count, count)), directed=False
        )
        few = (numpy.bincount(patch) < PATCH)[patch]
        edge = pairs[way[pairs[:, 0]] != way[pairs[:, 1]]]
        both = numpy.concatenate([edge, edge[:, ::-1]])
        both = both[few[both[:, 0]] & ~few[both[:, 1]]]
        if not len(both):
            break
        joins = numpy.full(patch.max() + 1, -1)
        joins[patch[both[:, 0]]] = way[both[:, 1]]
        way = numpy.where(joins[patch] >= 0, joins[patch], way)
    return [found for found in (numpy.flatnonzero(way == k) for k in range(6)) if len(found)]


def texels(atlas: Atlas, size: int) -> Texels:
    """The texels on charts: rays through their centres, cast at the flat mesh.

    A face so small that no centre lies on it has those in which its corners and its middle lie, if they are free.
    """
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
    shown = Texels(row[hit], column[hit], found["primID"][hit], numpy.stack([1 - u - v, u, v], axis=1))
    return _with_slivers(shown, atlas, size)


def _with_slivers(shown: Texels, atlas: Atlas, size: int) -> Texels:
    left = numpy.setdiff1d(numpy.arange(len(atlas.faces)), shown.face)
    shares = numpy.concatenate([numpy.eye(3), numpy.full((1, 3), 1 / 3)])
    face, weight = numpy.repeat(left, len(shares)), numpy.tile(shares, (len(left), 1))
    places = (numpy.einsum("nk,nkc->nc", weight, atlas.uv[atlas.faces[face]]) * size).astype(numpy.int64)
    column, row = places.clip(0, size - 1).T
    free = numpy.ones((size, size), bool)
    free[shown.row, shown.column] = False
    _, first = numpy.unique(row * size + column, return_index=True)
    taken = first[free[row[first], column[first]]]
    return Texels(
        numpy.concatenate([shown.row, row[taken]]),
        numpy.concatenate([shown.column, column[taken]]),
        numpy.concatenate([shown.face, face[taken]]),
        numpy.concatenate([shown.weight, weight[taken]]),
    )
