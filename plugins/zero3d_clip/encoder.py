"""CLIP as an encoder: options, preprocessing, and the two towers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces import Encoder
from zero3d.weights import CLIP_MEAN, CLIP_STD, Conversion, Published, filled
from zero3d_clip.known import KNOWN
from zero3d_clip.source import PLACE, Source, open_source

DTYPES = ("float32", "float16", "bfloat16")
DEFAULTS = {"hidden_size": 768, "projection_dim": 512}
"""transformers' own, where a configuration does not say."""
LAYERS = ("projected", "last_hidden")


@dataclass
class ClipEncoderConfig:
    """Options of `clip`.

    weights: a CLIP of transformers (a folder, or a hub id such as openai/clip-vit-base-patch16, fetched at its first use),
    or one file with OpenAI's or OpenCLIP's names. config: of one file, a config.json of transformers where its tensors
    do not tell all. tokenizer: a folder with CLIP's tokenizer, where the weights bring none. revision: of a hub id, a
    commit or branch. offline: take what was fetched before, never the network. layer: projected (the space shared with
    texts) or last_hidden (the class token as it leaves the last layer, before its norm: DietNeRF; no texts). texts: false
    leaves the text tower out of memory. antialias: average where pictures are made smaller; DietNeRF and Dream Fields do
    not. dtype: float32, float16 or bfloat16; in the last two the gradients of single pixels lose most of their digits.
    """

    weights: str = ""
    config: str = ""
    tokenizer: str = ""
    revision: str = ""
    offline: bool = False
    layer: str = "projected"
    texts: bool = True
    antialias: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.weights.strip():
            raise ValueError("weights: missing; a folder, or a hub id such as openai/clip-vit-base-patch16")
        if self.layer not in LAYERS:
            raise ValueError(f"layer: {self.layer!r}; one of {', '.join(LAYERS)}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: {self.dtype!r}; one of {', '.join(DTYPES)}")


class ClipEncoder(Encoder):
    """CLIP: pictures and texts as unit vectors (Radford et al. 2021, arXiv 2103.00020; OpenCLIP's too).

    Pictures are resized bilinearly to the network's square whatever their aspect, with CLIP's mean and deviation, and
    neither clamped nor rounded: so do DietNeRF and Dream Fields. Computed in `dtype`, returned in float32.
    """

    name: ClassVar[str] = "clip"
    Config: ClassVar[type[Any]] = ClipEncoderConfig
    published: ClassVar[Sequence[Published]] = KNOWN
    family: ClassVar[str] = "CLIP"

    def __init__(self, config: ClipEncoderConfig) -> None:
        """Reads the configuration alone; of a hub id it is fetched.

        Raises:
            RecipeError: no CLIP there; one line.
        """
        super().__init__(config)
        self._source: Source = open_source(config)
        self._model: Any = None
        vision = self._source.vision
        width = "hidden_size" if config.layer == "last_hidden" else "projection_dim"
        self.dimensions = int(vision.get(width, DEFAULTS[width]))
        self.picture_resolution = self._side = int(vision.get("image_size", 224))
        self.reads = frozenset({"picture"} if self.wordless else {"picture", "prompt"})

    @property
    def wordless(self) -> str:
        """Why it reads no texts, and what to set; empty if it reads them."""
        key = self.key or self.kind
        if not self.config.texts:
            return f"set {key}.texts=true"
        if self.config.layer != "projected":
            return f"{key}.layer: {self.config.layer} has no texts; set {key}.layer=projected"
        if self._source.alone:
            return f"{self._source.path} has no text tower; name another one with {key}.weights"
        if not self._source.tokenizer:
            return f"{self._source.path} has no tokenizer; name a folder with CLIP's, {key}.tokenizer=FOLDER"
        return ""

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        from zero3d_clip.files import is_clip, report

        return report(path, config) if is_clip(path) else None

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        from zero3d_clip.files import convert, is_clip

        if not asked.path.is_file() or not is_clip(asked.path):
            return False
        convert(asked)
        return True

    def load(self, device: torch.device) -> None:
        """Read the towers that are needed, frozen.

        Raises:
            RecipeError: the weights cannot be had or read, or a tensor is missing or of another shape.
        """
        empty = self._empty()
        model: Any = filled(self._source.path, "CLIP", empty, self._source.fitting(empty), self._dtype, PLACE)
        self._model = model.requires_grad_(False).eval().to(device)

    def encode_pictures(self, image: Tensor) -> Tensor:
        planes = image.permute(0, 3, 1, 2).float()
        size = (self._side, self._side)
        if planes.shape[2:] != size:
            smooth = {"mode": "bilinear", "align_corners": False, "antialias": self.config.antialias}
            planes = functional.interpolate(planes, size, **smooth)
        mean, std = (planes.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
        weight = self._model.visual_projection.weight
        out = self._model.vision_model(pixel_values=((planes - mean) / std).to(weight.dtype))
        if self.config.layer == "last_hidden":
            return functional.normalize(out.last_hidden_state[:, 0].float(), dim=-1)
        return functional.normalize(self._model.visual_projection(out.pooler_output).float(), dim=-1)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """N texts, cut after the network's 77 tokens -> (N, D) on its device."""
        longest = self._model.config.text_config.max_position_embeddings
        options: dict[str, Any] = {"padding": "max_length", "truncation": True, "max_length": longest}
        return self.encode_tokens(self._tokenizer(list(texts), return_tensors="pt", **options).input_ids)

    @torch.no_grad()
    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Token numbers (N, 77), each text ended by the end token -> unit vectors (N, D)."""
        weight = self._model.text_projection.weight
        out = self._model.text_model(input_ids=tokens.to(weight.device))
        return functional.normalize(self._model.text_projection(out.pooler_output).float(), dim=-1)

    def weight_files(self) -> list[Path]:
        return [file for file in self._source.files if file.is_file()]

    def size(self, device: torch.device) -> tuple[int, int] | None:
        parameters = sum(p.numel() for p in self._empty().parameters())
        return parameters, parameters * self._dtype.itemsize

    @property
    def _dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.config.dtype)
        return dtype

    def _empty(self) -> Any:
        """The network on the meta device."""
        return self._source.sketch("prompt" in self.reads)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer, CLIPTokenizer

        folder = self._source.tokenizer
        assert folder is not None
        told = (folder / "config.json").is_file()  # a tokenizer's files alone do not say whose they are
        return (AutoTokenizer if told else CLIPTokenizer).from_pretrained(folder, local_files_only=True)
