"""Fewer faces for the same surface."""

from __future__ import annotations

from typing import Any

import numpy


def decimated(mesh: Any, faces: int) -> Any:
    """A trimesh.Trimesh of at most `faces` faces (0: as many as there are), by libigl's `qslim`.

    Edges are collapsed in the order of their quadric error (Garland and Heckbert 1997), and only where the surface stays
    a manifold: a closed mesh stays closed and of its genus, so that a very small budget may not be reached.
    """
    import trimesh

    if not faces or len(mesh.faces) <= faces:
        return mesh
    import igl

    vertices = numpy.asfortranarray(mesh.vertices, dtype=numpy.float64)
    vertices, kept, *_ = igl.qslim(vertices, numpy.asfortranarray(mesh.faces, dtype=numpy.int32), faces)
    return trimesh.Trimesh(vertices, kept, process=False)
