"""Image Variations: Stable Diffusion that is told of one picture, and of no camera."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces import COND
from zero3d.values import Cameras, Subject
from zero3d.weights import CLIP_MEAN, CLIP_STD, Published, planes
from zero3d_stable_diffusion.base import Latent, Model, check_options, frozen
from zero3d_stable_diffusion.models.families import VARIATIONS
from zero3d_stable_diffusion.models.known import IMAGE_VARIATIONS
from zero3d_stable_diffusion.models.schedule import noise_levels, prediction_of


@dataclass
class VariationsConfig:
    """Options of `image_variations`.

    weights: a folder in diffusers' layout, a hub id, or one checkpoint file (.ckpt, .safetensors); `zero3d weights
    list`. image_size: side of the pictures it sees, a multiple of 64; 0 is the model's own. dtype: of the U-Net,
    float32, float16 or bfloat16; auto is float16 on CUDA, else float32. vae_dtype: of the autoencoder; auto is
    float32. vae_slicing: the autoencoder takes one picture at a time, and computes its activations again in the
    backward pass: for small GPUs. samples_at_once: the U-Net takes no more (views times branches); 0 all. ema: of a
    checkpoint file with both, the averaged U-Net. variant: of a folder's files, for example fp16. revision: of a hub
    id. offline: take what was fetched before, never the network. config: a JSON file {part: {entry: value}} for a
    checkpoint that is not of the published size."""

    weights: str = IMAGE_VARIATIONS[0].name
    image_size: int = 0
    dtype: str = "auto"
    vae_dtype: str = "auto"
    vae_slicing: bool = False
    samples_at_once: int = 0
    ema: bool = True
    variant: str = ""
    revision: str = "v2.0"
    offline: bool = False
    config: str = ""

    def __post_init__(self) -> None:
        check_options(self)


class ImageVariations(Latent):
    """Image Variations (Lambda): one token of the picture, the same for every view; the null token is zeros."""

    name: ClassVar[str] = "image_variations"
    Config: ClassVar[type[Any]] = VariationsConfig
    published: ClassVar[Sequence[Published]] = IMAGE_VARIATIONS
    family: ClassVar[str] = VARIATIONS
    kinds: ClassVar[Mapping[str, str]] = {"unet": "unet", "vae": "vae", "image_encoder": "image_encoder"}

    def __init__(self, config: VariationsConfig, model: Model | None = None) -> None:
        """Reads configurations and tables of contents only. `model`: in place of what config.weights names.

        Raises:
            RecipeError: the weights are not there or of another family.
        """
        super().__init__(config)
        model = model or self._open(config)
        self._prepare(model, noise_levels(model.scheduler, config.weights))
        self.prediction = prediction_of(model.prediction, "auto", config.weights)
        width = model.configs["image_encoder"].get("projection_dim", 512)
        context = model.configs["unet"].get("cross_attention_dim", 1280)
        self._check_width("image_encoder", width, context)

    def load(self, device: torch.device) -> None:
        super().load(device)
        self._encoder: Any = frozen(self._model.load("image_encoder", torch.float32), device)

    @torch.no_grad()
    def condition(self, subject: Subject) -> Tensor:
        """The picture's token, (1, 1, D)."""
        pixels = clip_pixels(planes(subject.pictures[0].picture.rgb[None]), self._encoder.config.image_size)
        token: Tensor = self._encoder(pixel_values=pixels).image_embeds[:, None]
        return token

    def _context(self, branch: str, condition: Tensor, cameras: Cameras) -> Tensor:
        return float(branch == COND) * condition.expand(len(cameras), -1, -1)


def clip_pixels(picture: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> CLIP's input as its README makes it: bicubic, no antialiasing, overshoot kept."""
    small = functional.interpolate(picture, (size, size), mode="bicubic", align_corners=False, antialias=False)
    mean, std = (picture.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (small - mean) / std
