"""The depths of the picture, as another program saw them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.map_files import read_map, sized
from zero3d.values import LossContext
from zero3d_losses.priors.seen import object_pixels

COMPARISONS = ("pearson", "scale_invariant")
LEAST = 1e-6


@dataclass
class DepthPriorConfig:
    """Options of `depth_prior`.

    file: .npy (H, W), or a 16-bit grey PNG; square, framed as the prepared picture (the run folder's `picture.png`).
    disparity: the numbers grow towards the camera (MiDaS and its kind), not away from it. compare: pearson, where scale
    and shift of the file are unknown, or scale_invariant, where its scale alone is.
    """

    file: str = ""
    disparity: bool = False
    compare: str = "pearson"

    def __post_init__(self) -> None:
        if self.compare not in COMPARISONS:
            raise ValueError(f"compare: {self.compare!r}; one of {', '.join(COMPARISONS)}")
        prior = read_map(self.file, 1)
        if self.compare == "scale_invariant" and not bool((prior >= 0).all() and (prior > 0).any()):
            raise ValueError(f"file: {self.file}: holds depths below 0; use compare: pearson")


class DepthPrior(Regularizer):
    """How the object's depth in the input view differs from a file's, over the pixels that mask and opacity call solid.

    pearson: 1 - cov(D, P) / (sd D sd P), in [0, 2]; P = -file of a disparity (FSGS, arXiv 2312.00451, eq. 5).
    scale_invariant: mean d^2 - (mean d)^2, d = ln D - ln P; ln P = -ln file of a disparity (Eigen et al., arXiv 1406.2283,
    eq. 3 with lambda 1). Default weight 1, this project's own choice.
    """

    name: ClassVar[str] = "depth_prior"
    needs: ClassVar[frozenset[str]] = frozenset({"input_view", "depth", "opacity"})
    default_weight: ClassVar[float] = 1.0
    default_view: ClassVar[str] = "input"
    Config: ClassVar[type[Any]] = DepthPriorConfig

    def __init__(self, config: DepthPriorConfig) -> None:
        super().__init__(config)
        self._file = read_map(config.file, 1)

    def penalty(self, context: LossContext) -> Tensor:
        assert context.view.depth is not None
        depth = context.view.depth[0, ..., 0]
        prior = sized(self._file.to(depth), *depth.shape)[..., 0]
        solid = object_pixels(context)
        if self.config.compare == "scale_invariant":
            solid = solid & (prior > 0)
        if int(solid.sum()) < 3:  # two pixels always correlate
            return 0 * depth.sum()
        seen, told = depth[solid], prior[solid]
        sign = -1.0 if self.config.disparity else 1.0
        if self.config.compare == "scale_invariant":
            off = seen.clamp(min=LEAST).log() - sign * told.log()
            return (off - off.mean()).square().mean()
        seen, told = seen - seen.mean(), sign * (told - told.mean())
        spread = (seen.square().mean() * told.square().mean() + LEAST**2).sqrt()
        return (1 - (seen * told).mean() / spread).clamp(min=0)
