"""Metrics of pictures, pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zero3d import UserError
from zero3d.interfaces import Encoder, PictureMetric
from zero3d.interfaces.published import Published
from zero3d_metrics.components.options import one_of
from zero3d_metrics.image import FILLS, OUTSIDE, QUANTISED, SSIM, check_masks, filled, psnr, quantised, ssim
from zero3d_metrics.lpips import TRUNK_FILES, TRUNKS, Lpips, parameters_of

BITS = {"none": "", "round": "_8bit", "truncate": "_8bit_truncated"}
"""What a figure's name says of `quantise`."""
Pair = tuple[Tensor, Tensor, Tensor | None]


def _prepared(
    images: Tensor, truths: Tensor, masks: Tensor | None, who: str, outside: str, steps: str = "none"
) -> Pair:
    """Both in steps of 1/255, or not; one colour outside the masks, which are then used up.

    Raises:
        UserError: see `check_masks`.
    """
    check_masks(images, truths, masks, who)
    images, truths = quantised(images, steps), quantised(truths, steps)
    if masks is None or outside == "ignored":
        return images, truths, masks
    return filled(images, masks, FILLS[outside]), filled(truths, masks, FILLS[outside]), None


def on_white(images: Tensor, truths: Tensor, masks: Tensor | None, who: str) -> tuple[Tensor, Tensor]:
    """Both made white outside the masks, for what looks at whole pictures. Raises UserError: see `check_masks`."""
    return _prepared(images, truths, masks, who, "white")[:2]


@dataclass
class PsnrConfig:
    """Options of `psnr`. quantise: none, round (to 1/255: pictures of 8 bits), or truncate (EscherNet's uint8(255 x)).

    outside: what becomes of pixels outside a mask, where one is given: ignored, black or white (the last two are then equal
    there, and count).
    """

    quantise: str = "none"
    outside: str = "ignored"

    def __post_init__(self) -> None:
        one_of("quantise", self.quantise, QUANTISED)
        one_of("outside", self.outside, OUTSIDE)


class Psnr(PictureMetric):
    """Peak signal-to-noise ratio in decibels, of pictures in [0, 1]; infinite for equal ones.

    Average the decibels of the pictures, not their errors, leave infinite ones out, and say how many. White surroundings
    raise it: compare figures with masks only with such. Its figure is psnr, psnr_8bit or psnr_8bit_truncated.
    """

    name: ClassVar[str] = "psnr"
    Config: ClassVar[type[Any]] = PsnrConfig
    better: Literal["less", "more"] = "more"

    def pictures(self, images: Tensor, truths: Tensor, masks: Tensor | None = None) -> Mapping[str, Tensor]:
        how = self.config
        return {f"psnr{BITS[how.quantise]}": psnr(*_prepared(images, truths, masks, "psnr", how.outside, how.quantise))}


@dataclass
class SsimConfig:
    """Options of `ssim`. form: wang, skimage (EscherNet), torchmetrics (its default, SyncDreamer) or torchmetrics_range1.

    quantise, outside: as of `psnr`; where the outside is ignored, the map of similarities is averaged inside the mask,
    and windows at its edge look beyond it.
    """

    form: str = "wang"
    quantise: str = "none"
    outside: str = "ignored"

    def __post_init__(self) -> None:
        one_of("form", self.form, SSIM)
        one_of("quantise", self.quantise, QUANTISED)
        one_of("outside", self.outside, OUTSIDE)


class Ssim(PictureMetric):
    """Structural similarity (Wang et al. 2004), 1 for equal pictures, in each of the forms that codes compute.

    Its figure is ssim, or ssim_skimage, ssim_torchmetrics, ssim_torchmetrics_range1; with _8bit where it quantises.
    """

    name: ClassVar[str] = "ssim"
    Config: ClassVar[type[Any]] = SsimConfig
    better: Literal["less", "more"] = "more"

    def pictures(self, images: Tensor, truths: Tensor, masks: Tensor | None = None) -> Mapping[str, Tensor]:
        how = self.config
        a, b, inside = _prepared(images, truths, masks, "ssim", how.outside, how.quantise)
        figure = ("ssim" if how.form == "wang" else f"ssim_{how.form}") + BITS[how.quantise]
        return {figure: ssim(a, b, how.form, inside)}


@dataclass
class LpipsConfig:
    """Options of `lpips`. net: alex (EscherNet, the package's default) or vgg (SyncDreamer).

    trunk: the network's file, torchvision's alexnet-owt-7be5be79.pth or vgg16-397923af.pth, or both in one with the heads.
    heads: the file of the five heads; empty: from the trunk's file, or from the installed package lpips or torchmetrics.
    own_heads: take heads that are not the published ones of version 0.1.
    """

    net: str = "alex"
    trunk: str = ""
    heads: str = ""
    own_heads: bool = False

    def __post_init__(self) -> None:
        one_of("net", self.net, TRUNKS)
        if not self.trunk.strip():
            raise ValueError(f"trunk: missing; torchvision's {TRUNK_FILES[self.net]}")


class LpipsMetric(PictureMetric):
    """LPIPS 0.1 (Zhang et al. 2018), 0 for equal pictures; outside a mask both are made white.

    Its figure is lpips over AlexNet, lpips_vgg over VGG16.
    """

    name: ClassVar[str] = "lpips"
    Config: ClassVar[type[Any]] = LpipsConfig
    better: Literal["less", "more"] = "less"
    published: ClassVar[tuple[Published, ...]] = (
        Published(
            TRUNK_FILES["alex"],
            "https://download.pytorch.org/models/" + TRUNK_FILES["alex"],
            "BSD-3-Clause",
            0.2,
            part="trunk",
        ),
        Published(
            TRUNK_FILES["vgg"],
            "https://download.pytorch.org/models/" + TRUNK_FILES["vgg"],
            "BSD-3-Clause",
            0.6,
            part="trunk",
        ),
    )

    def load(self, device: torch.device) -> None:
        """Raises UserError: a file is missing, damaged, of the other network, or its heads are not version 0.1's."""
        how = self.config
        heads = Path(how.heads) if how.heads else None
        self._network = Lpips(Path(how.trunk), heads, how.own_heads, "lpips: trunk").to(device)
        if self._network.net != how.net:
            raise UserError(
                f"lpips: trunk {how.trunk}: is {self._network.net}'s, not {how.net}'s; say net={self._network.net}"
            )

    def weight_files(self) -> list[Path]:
        return [Path(path) for path in (self.config.trunk, self.config.heads) if path]

    def size(self, device: torch.device) -> tuple[int, int]:
        count = parameters_of(self.config.net)
        return count, 4 * count

    @torch.no_grad()
    def pictures(self, images: Tensor, truths: Tensor, masks: Tensor | None = None) -> Mapping[str, Tensor]:
        """Raises UserError: pictures under 32 pixels a side; see `check_masks`."""
        pair = on_white(images, truths, masks, self.name)
        return {"lpips" if self.config.net == "alex" else "lpips_vgg": self._network(*pair).cpu()}


@dataclass
class ClipSimilarityConfig:
    """Options of `clip_similarity`. encoder: TYPE:WEIGHTS, a registered encoder and where its weights are.

    DreamGaussian's figure is of laion/CLIP-ViT-bigG-14-laion2B-39B-b160k: name the model beside it.
    """

    encoder: str = "clip:openai/clip-vit-base-patch32"

    def __post_init__(self) -> None:
        if not all(self.encoder.partition(":")):
            raise ValueError(f"encoder: {self.encoder!r}; TYPE:WEIGHTS, for example clip:openai/clip-vit-base-patch32")


class ClipSimilarity(PictureMetric):
    """Cosine of an encoder's vectors of a picture and the true one, in [-1, 1]; outside a mask both are made white.

    The truth may be the input, repeated for each render (DreamGaussian: 8 at elevation 0). `zero3d.evaluation.make_metric`
    makes it with its encoder; who makes it otherwise calls `use_encoder` with a loaded one.
    """

    name: ClassVar[str] = "clip_similarity"
    Config: ClassVar[type[Any]] = ClipSimilarityConfig
    better: Literal["less", "more"] = "more"

    def __init__(self, config: ClipSimilarityConfig) -> None:
        super().__init__(config)
        self.wants_encoder = config.encoder
        self._encoder: Encoder | None = None

    def use_encoder(self, encoder: Encoder) -> None:
        self._encoder = encoder

    @torch.no_grad()
    def pictures(self, images: Tensor, truths: Tensor, masks: Tensor | None = None) -> Mapping[str, Tensor]:
        assert self._encoder is not None, "use_encoder comes first"
        pair = on_white(images, truths, masks, self.name)
        drawn, true = (self._encoder.encode_pictures(picture.float()) for picture in pair)
        return {self.name: (drawn * true).sum(dim=1).cpu()}
