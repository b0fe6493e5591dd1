"""Triangle meshes that are optimised: the representation, its rasterizer and its regularizers."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_surface.edge_length import MeshEdgeLength
    from zero3d_surface.laplacian import MeshLaplacian
    from zero3d_surface.mesh import Mesh
    from zero3d_surface.normal_consistency import MeshNormalConsistency
    from zero3d_surface.rasterizer import Rasterizer

    for component in (Mesh, Rasterizer, MeshEdgeLength, MeshLaplacian, MeshNormalConsistency):
        register(component)
