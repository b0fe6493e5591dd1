"""Metrics of sets of pictures, by features of a network that the user points to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zero3d.interfaces import DistributionMetric
from zero3d.interfaces.published import Published
from zero3d_metrics.components.options import one_of
from zero3d_metrics.fid import ClipFeatures, frechet_distance, kernel_distance
from zero3d_metrics.inception import FILE, MODES, PARAMETERS, WANTED, Inception, prepared, read_inception

FEATURES = (*MODES, "clip")
SUFFIX = {"pytorch-fid": "", "clean-fid": "_clean", "clip": "_clip"}
"""What a figure's name says of its features."""
BATCH = 16
INCEPTION = Published(
    FILE,
    f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}",
    "Apache-2.0",
    0.1,
)


@dataclass
class FidConfig:
    """Options of `fid`. features: pytorch-fid or clean-fid (Inception, each with its own resizing), or clip.

    weights: pytorch-fid's pt_inception-2015-12-05-6726825d.pth, for either of the first two; for clip, a folder with a CLIP
    vision model (transformers).
    """

    weights: str = ""
    features: str = "pytorch-fid"

    def __post_init__(self) -> None:
        one_of("features", self.features, FEATURES)
        if not self.weights.strip():
            raise ValueError(f"weights: missing; {'a CLIP vision folder' if self.features == 'clip' else WANTED}")


class FeatureMetric(DistributionMetric):
    """What `fid` and `kid` share: features of Inception or CLIP."""

    better: Literal["less", "more"] = "less"
    _network: Inception | ClipFeatures

    def load(self, device: torch.device, place: str = "") -> None:
        """`place`: what errors begin with.

        Raises:
            UserError: the file or folder is missing, damaged, TorchScript or of another network.
        """
        self._device, place = device, place or f"{self.name}: weights"
        if self.config.features == "clip":
            self._network = ClipFeatures(Path(self.config.weights), place)
        else:
            self._network = read_inception(Path(self.config.weights), place).to(device)

    def weight_files(self) -> list[Path]:
        path = Path(self.config.weights)
        return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]

    def size(self, device: torch.device) -> tuple[int, int] | None:
        return None if self.config.features == "clip" else (PARAMETERS, 4 * PARAMETERS)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        if isinstance(self._network, ClipFeatures):
            return self._network(images)
        parts = [prepared(part, self.config.features).to(self._device) for part in images.split(BATCH)]
        return torch.cat([self._network(part).cpu() for part in parts])

    def figure(self) -> str:
        """The name of its figure."""
        return f"{self.name}{SUFFIX[self.config.features]}"


class Fid(FeatureMetric):
    """Frechet distance of Gaussians fitted to features (Heusel et al. 2017): FID where they are Inception's.

    Below 2,049 pictures covariances are singular: it is too high then, and comparable only at one count, which belongs
    beside it. Its figure is fid (pytorch-fid), fid_clean or fid_clip; the three do not compare.
    """

    name: ClassVar[str] = "fid"
    Config: ClassVar[type[Any]] = FidConfig
    published: ClassVar[tuple[Published, ...]] = (INCEPTION,)

    def distance(self, features: Tensor, truths: Tensor) -> Mapping[str, float]:
        return {self.figure(): frechet_distance(features, truths)}


@dataclass
class KidConfig(FidConfig):
    """Options of `kid`. features, weights: as of `fid`.

    subset: pictures drawn from each set at a time, 0 for all at once, else 2 to 100,000 (1,000 in torch-fidelity and
    clean-fid). subsets: how often, 1 to 10,000.
    """

    subset: int = 0
    subsets: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.subset != 0 and not 2 <= self.subset <= 100_000:
            raise ValueError(f"subset: {self.subset}; 0 (all pictures), or 2 to 100,000")
        if not 1 <= self.subsets <= 10_000:
            raise ValueError(f"subsets: {self.subsets}; 1 to 10,000")


class Kid(FeatureMetric):
    """Kernel distance of features (Binkowski et al. 2018), unbiased: the safer figure for a few hundred pictures.

    Its figure is kid (pytorch-fid's resizing), kid_clean or kid_clip; about 0, and below, for sets that are alike.
    """

    name: ClassVar[str] = "kid"
    Config: ClassVar[type[Any]] = KidConfig
    published: ClassVar[tuple[Published, ...]] = (INCEPTION,)

    def distance(self, features: Tensor, truths: Tensor) -> Mapping[str, float]:
        """Raises UserError: fewer than two pictures in a set."""
        return {self.figure(): kernel_distance(features, truths, self.config.subset, self.config.subsets)}
