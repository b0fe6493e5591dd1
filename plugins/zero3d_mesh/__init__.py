"""Meshes out of radiance fields."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("exporter", "marching_cubes", "zero3d_mesh.marching_cubes:MarchingCubes"))
    register(Lazy("exporter", "textured_mesh", "zero3d_mesh.textured_mesh:TexturedMesh"))
    register(Lazy("exporter", "print_file", "zero3d_mesh.printing.print_file:PrintFile"))
