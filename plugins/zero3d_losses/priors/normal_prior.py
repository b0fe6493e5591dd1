"""The normals of the picture, as another program saw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from zero3d.interfaces import Regularizer
from zero3d.map_files import read_map, sized
from zero3d.values import LossContext
from zero3d_losses.priors.seen import object_pixels

SHORTEST = 1e-3


@dataclass
class NormalPriorConfig:
    """Options of `normal_prior`.

    file: .npy (H, W, 3) in [-1, 1], or an RGB PNG of 8 bits, n = 2 rgb - 1; square, framed as the prepared picture (the run
    folder's `picture.png`), in the camera's axes: x right, y up, z towards the camera. flip: axes whose sign is turned, of
    "xyz" ("yz" for OpenCV's: y down, z away).
    """

    file: str = ""
    flip: str = ""

    def __post_init__(self) -> None:
        if not set(self.flip) <= set("xyz") or len(set(self.flip)) != len(self.flip):
            raise ValueError(f"flip: {self.flip!r}; some of x, y, z, each once")
        if float(read_normals(self.file).norm(dim=-1).max()) < 0.5:
            raise ValueError(f"file: {self.file}: holds no normals, all are near 0; unit vectors in [-1, 1] are needed")


class NormalPrior(Regularizer):
    """Mean 1 - n . p over the input view's pixels that mask and opacity call solid; n the model's normal, p the file's.

    Both of length 1; pixels whose file says nothing (shorter than 0.001) are left out. The cosine of MonoSDF (arXiv
    2206.00665, eq. 15). Default weight 1, this project's own choice.
    """

    name: ClassVar[str] = "normal_prior"
    needs: ClassVar[frozenset[str]] = frozenset({"input_view", "normals", "opacity"})
    default_weight: ClassVar[float] = 1.0
    default_view: ClassVar[str] = "input"
    Config: ClassVar[type[Any]] = NormalPriorConfig

    def __init__(self, config: NormalPriorConfig) -> None:
        super().__init__(config)
        turned = torch.tensor([-1.0 if axis in config.flip else 1.0 for axis in "xyz"])
        self._file = read_normals(config.file) * turned

    def penalty(self, context: LossContext) -> Tensor:
        assert context.view.normals is not None
        normals = context.view.normals[0]
        own = normalize(normals @ context.cameras.camera_to_world[0, :3, :3].to(normals), dim=-1, eps=SHORTEST)
        prior = sized(self._file.to(normals), *normals.shape[:2])
        told = object_pixels(context) & (prior.norm(dim=-1) > SHORTEST)
        off = 1 - (own[told] * normalize(prior[told], dim=-1)).sum(dim=-1)
        return off.sum() / max(len(off), 1)


def read_normals(path: str) -> Tensor:
    """(H, W, 3) in [-1, 1].

    Raises:
        ValueError: as `read_map`, or numbers out of range.
    """
    found = read_map(path, 3)
    if not path.lower().endswith(".npy"):
        found = 2 * found - 1
    if float(found.abs().max()) > 1.01:
        raise ValueError(f"file: {path}: holds numbers up to {float(found.abs().max()):.3g}; normals are in [-1, 1]")
    return found
