"""DeepFloyd IF's first stage: a teacher of words over 64 x 64 pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.interfaces import PixelDenoiser
from zero3d.values import Subject
from zero3d.weights import Choice, Published
from zero3d_stable_diffusion.base import Model
from zero3d_stable_diffusion.models.families import IF
from zero3d_stable_diffusion.models.folder import open_folder
from zero3d_stable_diffusion.models.known import DEEPFLOYD_IF
from zero3d_stable_diffusion.models.schedule import EPSILON, noise_levels, prediction_of
from zero3d_stable_diffusion.models.sketch import Sketch
from zero3d_stable_diffusion.text import TextCondition, TextConfig, TextDenoiser
from zero3d_stable_diffusion.words.encoders import t5_context
from zero3d_stable_diffusion.words.tokenizers import T5, find_tokenizer


@dataclass
class DeepFloydConfig(TextConfig):
    """Options of `deepfloyd_if`. What is wanted in words is the recipe's `prompt`, what is not its `negative`.

    weights: a folder in diffusers' layout or a hub id. dtype: of the U-Net and of T5's encoder, float32, float16 or
    bfloat16; auto is float16 on CUDA, else float32. embeddings: a file that keeps the texts' embeddings (safetensors,
    the text is a tensor's name); read where it is there, else written: T5's encoder, four times the U-Net, then runs
    once for all runs, and a folder without it will do. samples_at_once: the U-Net takes no more (views times
    branches); 0 all. view_words: suffix ("a cat, front view"), prefix ("front view of a cat") or none. front_deg,
    back_deg: half the angles that count as front and as back, degrees. overhead_deg: the elevation above which a view
    is from overhead; 90 never. blend: the condition moves from front to side to back with the azimuth. texts: {front,
    side, back or overhead: a text of its own}. unconditional: what "null" is, empty or negative (the negative
    prompt). debias: a masked language model, a folder or hub id, that leaves words out of the texts of views they
    pull away from; debias_words: those that may go, counted from 0 (all). tokenizer: a folder or hub id with T5's.
    variant: of a folder's files, for example fp16. revision: of a hub id. offline: take what was fetched before,
    never the network."""

    weights: str = DEEPFLOYD_IF[0].name


class DeepFloydIF(PixelDenoiser, TextDenoiser):
    """DeepFloyd IF, first stage: 64 pixels, T5's embeddings; its predicted variance is not used, x0 is not clamped."""

    name: ClassVar[str] = "deepfloyd_if"
    Config: ClassVar[type[Any]] = DeepFloydConfig
    published: ClassVar[Sequence[Published]] = DEEPFLOYD_IF
    family: ClassVar[str] = IF
    kinds: ClassVar[Mapping[str, str]] = {"unet": "unet", "text_encoder": "t5_text"}
    unit = 0.5
    centre = 0.5

    def __init__(self, config: DeepFloydConfig, model: Model | None = None) -> None:
        """Reads configurations only. `model`: in place of what config.weights names.

        Raises: RecipeError: the weights are not there or of another family, no tokenizer, or a file of embeddings
        that is none."""
        super().__init__(config)
        cached = bool(config.embeddings) and Path(config.embeddings).expanduser().is_file()
        self._model = model or _open(config, cached)
        self.sigmas = self.unit * noise_levels(
            self._model.scheduler or {"beta_schedule": "squaredcos_cap_v2"}, config.weights
        )
        self.prediction = prediction_of(self._model.prediction, EPSILON, config.weights)
        self.resolution = self.picture_resolution = int(self._model.configs["unet"].get("sample_size") or 64)
        self._reads = "text_encoder" in self._model.configs and not isinstance(self._model, Sketch)
        if self._reads:
            self._tokenizer = find_tokenizer(self._model.tokenizer, config.tokenizer, T5, config.offline, DEEPFLOYD_IF)
        self._open_words(config.weights, DEEPFLOYD_IF)

    @property
    def text_width(self) -> int:
        return int(self._model.configs["unet"]["encoder_hid_dim"])

    def _part_dtype(self, part: str, device: torch.device) -> torch.dtype:
        return self._precision(device)

    def load(self, device: torch.device) -> None:
        """Make ready; the U-Net is read when the texts are embedded, so that it and T5's encoder are never held
        together."""
        self._device, self._unet = device, None
        self.dtype = self._precision(device)

    def condition(self, subject: Subject) -> TextCondition:
        made = super().condition(subject)
        if self._unet is None:
            self._take(self._model.load("unet", self._precision(self._device)), self._device)
        return made

    def _encode(self, texts: Sequence[str]) -> Tensor:
        if isinstance(self._model, Sketch):
            return self._model.embeddings(len(texts), self.text_width)
        if not self._reads:
            raise RecipeError(
                f"denoiser.embeddings: {self.config.embeddings} has not {texts[0]!r}, and {self.config.weights} has no "
                f"text_encoder to make it; it has {', '.join(map(repr, self._store.known[:6]))}"
            )
        return t5_context(
            texts,
            self._tokenizer,
            lambda: self._model.load("text_encoder", self._precision(self._device)),
            self._device,
        )


def _open(config: DeepFloydConfig, cached: bool) -> Model:
    """With a file of embeddings T5's encoder may be missing."""
    choice = Choice(True, config.dtype != "float32" and config.dtype != "auto", config.variant)
    parts = dict(DeepFloydIF.kinds)
    folder = Path(config.weights).expanduser()
    if cached and folder.is_dir() and not (folder / "text_encoder").is_dir():
        parts.pop("text_encoder")
    return open_folder(config.weights, config.revision, config.offline, choice, IF, parts, DEEPFLOYD_IF)
