"""The picture on a mesh: every texel coloured from what is exported, and the gaps between charts filled."""

from __future__ import annotations

from typing import Any

import numpy

from zero3d.interfaces import ExportSubject
from zero3d_mesh.colour import colours
from zero3d_mesh.texturing.atlas import Atlas, texels
from zero3d_mesh.texturing.projection import from_pictures


def bake(mesh: Any, atlas: Atlas, size: int, subject: ExportSubject, project: bool = False) -> numpy.ndarray:
    """(size, size, 3) uint8, sRGB: the colour of the surface under each texel; `project`: the pictures' where they show it.

    Texels beside the charts take the nearest one's colour, so that neither interpolation nor a viewer's smaller copies
    of the picture bring a seam to light.
    """
    from scipy.ndimage import distance_transform_edt

    shown = texels(atlas, size)
    corners = atlas.vertices[atlas.faces]
    normals = shown.mean(numpy.asarray(mesh.vertex_normals)[corners])
    normals /= numpy.maximum(numpy.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    points = shown.mean(numpy.asarray(mesh.vertices)[corners])
    found = colours(points, normals, subject)
    if project:
        seen, weight = from_pictures(points, normals, mesh, subject, size)
        found += weight[:, None] * (seen - found)
    picture = numpy.zeros((size, size, 3))
    picture[shown.row, shown.column] = found
    empty = numpy.ones((size, size), bool)
    empty[shown.row, shown.column] = False
    row, column = distance_transform_edt(empty, return_distances=False, return_indices=True)
    return numpy.round(255 * picture[row, column]).astype(numpy.uint8)
