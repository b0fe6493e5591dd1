"""Neighbouring faces look the same way."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces import Regularizer, SurfaceRepresentation
from zero3d.values import LossContext
from zero3d_surface.topology import edges, face_pairs


class MeshNormalConsistency(Regularizer):
    """Mean 1 - cos of the angle between the normals of faces that share an edge; 0 where the mesh is flat.

    PyTorch3D's mesh_normal_consistency. Default weight 0.01, as PyTorch3D's own mesh-fitting tutorial.
    """

    name: ClassVar[str] = "mesh_normal_consistency"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = SurfaceRepresentation
    default_weight: ClassVar[float] = 0.01

    def penalty(self, context: LossContext) -> Tensor:
        assert isinstance(context.representation, SurfaceRepresentation)
        vertices, faces, _ = context.representation.surface()
        pairs = face_pairs(edges(faces)[1])
        corners = vertices[faces]
        normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        if not len(pairs):
            return normals.sum() * 0
        one, other = normals[pairs[:, 0]], normals[pairs[:, 1]]
        return (1 - functional.cosine_similarity(one, other, dim=-1)).mean()
