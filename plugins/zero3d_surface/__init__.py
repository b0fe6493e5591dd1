"""Triangle meshes that are optimised: the representation, its rasterizer and its regularizers."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("representation", "mesh", "zero3d_surface.mesh:Mesh"))
    register(Lazy("renderer", "rasterizer", "zero3d_surface.rasterizer:Rasterizer"))
    register(Lazy("regularizer", "mesh_edge_length", "zero3d_surface.edge_length:MeshEdgeLength"))
    register(Lazy("regularizer", "mesh_laplacian", "zero3d_surface.laplacian:MeshLaplacian"))
    register(Lazy("regularizer", "mesh_normal_consistency", "zero3d_surface.normal_consistency:MeshNormalConsistency"))
