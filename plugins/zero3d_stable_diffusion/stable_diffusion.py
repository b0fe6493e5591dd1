"""Stable Diffusion 1.5, 2.1-base and 2.1 as teachers of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.weights import Published
from zero3d_stable_diffusion.base import Latent, Model
from zero3d_stable_diffusion.models.families import SD
from zero3d_stable_diffusion.models.known import STABLE_DIFFUSION
from zero3d_stable_diffusion.models.report import recognized
from zero3d_stable_diffusion.models.schedule import PREDICTIONS, noise_levels, prediction_of
from zero3d_stable_diffusion.models.sketch import Sketch
from zero3d_stable_diffusion.text import TextConfig, TextDenoiser
from zero3d_stable_diffusion.words.encoders import clip_context
from zero3d_stable_diffusion.words.inversion import read_embeddings
from zero3d_stable_diffusion.words.tokenizers import CLIP, OPENAI, find_tokenizer


@dataclass
class StableDiffusionConfig(TextConfig):
    """Options of `stable_diffusion`. What is wanted in words is the recipe's `prompt`, what is not its `negative`.

    weights: a folder in diffusers' layout, a hub id, or one checkpoint file (.ckpt, .safetensors); `zero3d weights
    list`. prediction: epsilon, v_prediction, or auto: as the weights say. image_size: side of the pictures it sees, a
    multiple of 64; 0 is the model's own. dtype: of the U-Net, float32, float16 or bfloat16; auto is float16 on CUDA,
    else float32. vae_dtype: of the autoencoder; auto is float32. vae_slicing: the autoencoder takes one picture at a
    time, and computes its activations again in the backward pass: for small GPUs. samples_at_once: the U-Net takes no
    more (views times branches); 0 all. view_words: suffix ("a cat, front view"), prefix ("front view of a cat") or
    none. front_deg, back_deg: half the angles that count as front and as back, degrees. overhead_deg: the elevation
    above which a view is from overhead; 90 never. blend: the condition moves from front to side to back with the
    azimuth, as threestudio's for Perp-Neg. texts: {front, side, back or overhead: a text of its own}. unconditional:
    what "null" is, empty or negative (the negative prompt). debias: a masked language model, a folder or hub id, that
    leaves words out of the texts of views they pull away from; debias_words: those that may go, counted from 0 (all).
    inversion: a file of learned embeddings, learned_embeds.bin or .safetensors; token: what its only token is called
    in the prompt. embeddings: a file that keeps the texts' embeddings (safetensors); read where it is there, else
    written. tokenizer: a folder or hub id with CLIP's, for checkpoint files. ema: of a checkpoint file with both, the
    averaged U-Net. variant: of a folder's files, for example fp16. revision: of a hub id. offline: take what was
    fetched before, never the network. config: a JSON file {part: {entry: value}} for a checkpoint that is not of the
    published size."""

    weights: str = STABLE_DIFFUSION[1].name
    prediction: str = "auto"
    image_size: int = 0
    vae_dtype: str = "auto"
    vae_slicing: bool = False
    inversion: str = ""
    token: str = ""
    ema: bool = True
    config: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prediction not in PREDICTIONS:
            raise ValueError(f"prediction: {self.prediction!r}; one of {', '.join(PREDICTIONS)}")
        if self.token and not self.inversion:
            raise ValueError(f"token: {self.token!r}; it is of inversion, which names no file")


class StableDiffusion(Latent, TextDenoiser):
    """Stable Diffusion 1.5, 2.1-base or 2.1 (arXiv 2112.10752): words, one for each direction of view."""

    name: ClassVar[str] = "stable_diffusion"
    Config: ClassVar[type[Any]] = StableDiffusionConfig
    published: ClassVar[Sequence[Published]] = STABLE_DIFFUSION
    family: ClassVar[str] = SD
    kinds: ClassVar[Mapping[str, str]] = {"unet": "unet", "vae": "vae", "text_encoder": "clip_text"}

    def __init__(self, config: StableDiffusionConfig, model: Model | None = None) -> None:
        """Reads configurations and tables of contents only. `model`: in place of what config.weights names.

        Raises: RecipeError: the weights are not there or of another family, another prediction than asked, no
        tokenizer, or a file of embeddings that is none."""
        super().__init__(config)
        model = model or self._open(config, config.prediction, config.revision)
        self._prepare(model, noise_levels(model.scheduler, config.weights))
        self.prediction = prediction_of(model.prediction, config.prediction, config.weights)
        sketched = isinstance(model, Sketch)
        self._learned: dict[str, Tensor] = {}
        if config.inversion:
            self._learned = read_embeddings(Path(config.inversion).expanduser(), config.token)
        if not sketched:
            self._tokenizer = find_tokenizer(
                model.tokenizer, config.tokenizer, CLIP, config.offline, STABLE_DIFFUSION, OPENAI
            )
        made_by = f"{config.weights} with {config.inversion}" if config.inversion else config.weights
        self._open_words(made_by, STABLE_DIFFUSION)
        self._check_widths()

    @property
    def text_width(self) -> int:
        return int(self._model.configs["unet"]["cross_attention_dim"])

    def _check_widths(self) -> None:
        width = self._model.configs["text_encoder"].get("hidden_size", 512)
        self._check_width("text_encoder", width, self.text_width)
        for token, vectors in self._learned.items():
            if vectors.shape[1] != width:
                raise RecipeError(
                    f"denoiser.inversion: {self.config.inversion}: {token} has {vectors.shape[1]} numbers, this text "
                    f"encoder {width}; it was learned for another model"
                )

    def load(self, device: torch.device) -> None:
        self._device = device
        super().load(device)

    def _encode(self, texts: Sequence[str]) -> Tensor:
        if isinstance(self._model, Sketch):
            return self._model.embeddings(len(texts), self.text_width)
        return clip_context(
            texts,
            self._tokenizer,
            lambda: self._model.load("text_encoder", torch.float32),
            self._device,
            self._model.pad_id,
            self._learned,
            self.config.inversion,
        )

    @classmethod
    def recognize_weights(cls, path: Path) -> str:
        return recognized(path)
