"""Metric: figures that tell how near a prediction is to the truth."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zero3d.interfaces.component import Component

if TYPE_CHECKING:
    from torch import Tensor

    from zero3d.interfaces.teachers.encoder import Encoder


class Metric(Component):
    """What a protocol names. A subclass is a ShapeMetric, a PictureMetric or a DistributionMetric."""

    kind: ClassVar[str] = "metric"
    better: Literal["less", "more"]
    """Which of two of its figures is the better one."""
    wants_encoder: str = ""
    """TYPE:WEIGHTS of the encoder that it compares by; "" for none. `zero3d.evaluation.make_metric` makes and loads it."""

    def use_encoder(self, encoder: Encoder) -> None:
        """Take the loaded encoder that `wants_encoder` names; called before `load`."""
        raise TypeError(f"{self.name} asks for no encoder")


class ShapeMetric(Metric):
    """Compares surfaces, placed already as the protocol says."""

    @abstractmethod
    def shape(self, mesh: Any, truth: Any, seed: int = 0) -> Mapping[str, float]:
        """Figure -> value for two meshes (trimesh.Trimesh, world axes); each is sampled with a seed of its own."""

    def floor(self, truth: Any, seed: int = 0) -> Mapping[str, float]:
        """What the truth scores against another sample of itself: no reconstruction is expected to score better."""
        return self.shape(truth, truth, seed)


class PictureMetric(Metric):
    """Compares pictures one by one."""

    @abstractmethod
    def pictures(self, images: Tensor, truths: Tensor, masks: Tensor | None = None) -> Mapping[str, Tensor]:
        """Figure -> (B,) values for (B, H, W, 3) in [0, 1], on white; `masks` (B, H, W) bool: where it counts, if it can."""


class DistributionMetric(Metric):
    """Compares sets of pictures by their features."""

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """(B, D) of (B, H, W, 3) in [0, 1]."""

    @abstractmethod
    def distance(self, features: Tensor, truths: Tensor) -> Mapping[str, float]:
        """Figure -> value for (N, D) and (M, D)."""
