"""The oracle teacher: it knows the object. What a reconstruction lacks with it, the engine, field and export lack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.errors import RecipeError
from zero3d.interfaces import PixelDenoiser
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.values import Cameras, Subject


@dataclass
class OracleConfig:
    """`mesh`: a file in glTF axes, drawn at its own size (world units). `resolution`: pixels of a view."""

    mesh: str
    resolution: int = 64

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= 1024:
            raise ValueError(f"resolution: {self.resolution}; 8 to 1024 pixels")


class OracleDenoiser(PixelDenoiser):
    """A teacher that knows the object: its x0 is a mesh, drawn from the asked camera."""

    name: ClassVar[str] = "oracle"
    needs: frozenset[str] = frozenset()
    Config: ClassVar[type[Any]] = OracleConfig

    def __init__(self, config: OracleConfig) -> None:
        super().__init__(config)
        if not Path(config.mesh).is_file():
            raise RecipeError(f"denoiser.mesh: {config.mesh}: no such file; give a GLB, OBJ, PLY or STL file")
        self.resolution = self.picture_resolution = config.resolution
        self._scene: MeshScene | None = None

    def load(self, device: torch.device) -> None:
        self._scene = MeshScene(load_mesh(self.config.mesh))

    def weight_files(self) -> list[Path]:
        return [Path(self.config.mesh)]

    def condition(self, subject: Subject) -> None:
        """The oracle needs no picture."""

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        size = self.resolution
        if self._scene is None:
            raise RuntimeError("load() first")
        drawn = self._scene.draw(cameras.resized(size, size)).image.to(noised.device)
        return dict.fromkeys(branches, drawn)
