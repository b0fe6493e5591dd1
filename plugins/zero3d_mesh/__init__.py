"""Meshes out of radiance fields."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_mesh.marching_cubes import MarchingCubes
    from zero3d_mesh.textured_mesh import TexturedMesh

    register(MarchingCubes)
    register(TexturedMesh)
