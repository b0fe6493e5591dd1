"""Which vertices are neighbours and which faces share an edge."""

from __future__ import annotations

import torch
from torch import Tensor


def edges(faces: Tensor) -> tuple[Tensor, Tensor]:
    """The edges (E, 2) of faces (F, 3), each once with the smaller vertex first, and each face's three (F, 3).

    A face's edges come in the order (1, 2), (2, 0), (0, 1): number k lies opposite corner k.
    """
    ends = torch.stack([faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]], dim=1)
    ends = ends.sort(dim=-1).values.reshape(-1, 2)
    count = int(faces.max()) + 1 if len(faces) else 1
    keys, numbers = (ends[:, 0] * count + ends[:, 1]).unique(return_inverse=True)
    return torch.stack([keys // count, keys % count], dim=-1), numbers.reshape(-1, 3)


def face_pairs(face_edges: Tensor) -> Tensor:
    """(P, 2) faces on either side of an edge; where more than two meet, each with each. `face_edges` as from `edges`."""
    order = face_edges.reshape(-1).argsort(stable=True)
    edge, face = face_edges.reshape(-1)[order], order // 3
    pairs, apart = [], 1
    while bool((same := edge[apart:] == edge[:-apart]).any()):
        pairs.append(torch.stack([face[:-apart][same], face[apart:][same]], dim=-1))
        apart += 1
    return torch.cat(pairs) if pairs else face.new_zeros(0, 2)
