"""Every vertex lies where its neighbours' mean is."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer, SurfaceRepresentation
from zero3d.values import LossContext
from zero3d_surface.topology import edges


class MeshLaplacian(Regularizer):
    """Mean distance of a vertex from the mean of its neighbours: the uniform Laplacian's norm.

    PyTorch3D's mesh_laplacian_smoothing(method="uniform"), Nealen et al. 2006. Default weight 1, as PyTorch3D's own
    mesh-fitting tutorial; where picture terms are sums over 64x64 pixels, some hundreds are felt.
    """

    name: ClassVar[str] = "mesh_laplacian"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = SurfaceRepresentation
    default_weight: ClassVar[float] = 1.0

    def penalty(self, context: LossContext) -> Tensor:
        assert isinstance(context.representation, SurfaceRepresentation)
        vertices, faces, _ = context.representation.surface()
        pairs, _ = edges(faces)
        total = vertices.new_zeros(vertices.shape).index_add(0, pairs[:, 0], vertices[pairs[:, 1]])
        total = total.index_add(0, pairs[:, 1], vertices[pairs[:, 0]])
        neighbours = vertices.new_zeros(len(vertices)).index_add(0, pairs.reshape(-1), vertices.new_ones(pairs.numel()))
        apart = total / neighbours.clamp(min=1)[:, None] - vertices
        return apart.norm(dim=-1)[neighbours > 0].sum() / len(vertices)
