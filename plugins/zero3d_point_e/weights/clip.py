"""CLIP ViT-L/14 through transformers: what the base models are shown or told."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.weights import check_fit, filled, local_folder, open_tensors, read_json, variants
from zero3d_point_e.weights.known import CLIP, KNOWN

PLACE = "start.clip"
PREFIXES = {"vision": ("vision_model.", "visual_projection."), "text": ("text_model.", "text_projection.")}
FETCH = f"fetch it with `hf download {CLIP}` ({KNOWN[-1].line})"


class Clip:
    """One tower: "vision" or "text", checked and not yet loaded."""

    def __init__(self, named: str, tower: str) -> None:
        """Reads the configuration and the weights' table of contents.

        Raises:
            RecipeError: it is not there, damaged, or no CLIP with this tower.
        """
        self.tower = tower
        self.folder = local_folder(named, PLACE, FETCH)
        config = read_json(self.folder / "config.json", PLACE)
        if config.get("model_type") != "clip" or not isinstance(config.get(f"{tower}_config"), dict):
            kind = config.get("model_type")
            raise RecipeError(
                f"{PLACE}: {self.folder}: its config.json is of {kind!r}, no CLIP with both towers; {FETCH}"
            )
        self.config = {**config[f"{tower}_config"], "projection_dim": config.get("projection_dim", 512)}
        found = variants("", [f"/{path.name}" for path in self.folder.iterdir()])
        if not found:
            raise RecipeError(f"{PLACE}: {self.folder}: no model.safetensors or pytorch_model.bin; {FETCH}")
        self.files = [self.folder / name.removeprefix("/") for name in found[min(found, key=len)]]
        self._module: Any = None
        self._size = side = int(self.config.get("image_size", 224))
        check_fit(self.files[0], f"{tower} tower", self._sketch(), self._state(), PLACE)
        if tower == "vision" and (side // int(self.config.get("patch_size", 32))) ** 2 != 256:
            raise RecipeError(f"{PLACE}: {self.folder}: its patches are no 16 x 16; Point-E needs ViT-L/14: {FETCH}")
        if tower == "text":
            self.tokenizer()

    @property
    def width(self) -> int:
        """Of the grid's features."""
        return int(self.config["hidden_size"])

    @property
    def projected(self) -> int:
        """Of an embedding."""
        return int(self.config["projection_dim"])

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self._sketch().parameters())

    def load(self, device: torch.device, dtype: torch.dtype) -> None:
        made = filled(self.files[0], f"{self.tower} tower", self._sketch(), self._state(), dtype, PLACE)
        self._module = made.to(device).eval().requires_grad_(False)

    def grid(self, rgb: Tensor) -> Tensor:
        """(1, width, 256), row by row: the last block's patch tokens of a picture (H, W, 3), before any norm."""
        tokens: Tensor = self._module.vision_model(self._pixels(rgb)).last_hidden_state
        return tokens[:, 1:].transpose(1, 2).float()

    def picture_vector(self, rgb: Tensor) -> Tensor:
        """(1, projected): a picture's embedding, of length 1."""
        return nn.functional.normalize(self._module(self._pixels(rgb)).image_embeds.float(), dim=-1)

    def text_vector(self, text: str) -> Tensor:
        """(1, projected): a text's embedding, of length 1. Of a long one the first 75 tokens are read."""
        asked: Any = {"padding": "max_length", "max_length": 77, "truncation": True, "return_tensors": "pt"}
        ids = self.tokenizer()(text, **asked).input_ids.to(self._module.device)
        return nn.functional.normalize(self._module(input_ids=ids).text_embeds.float(), dim=-1)

    def tokenizer(self) -> Any:
        """transformers' CLIPTokenizer of the folder."""
        from transformers import CLIPTokenizer

        try:
            return CLIPTokenizer.from_pretrained(self.folder, local_files_only=True)
        except Exception as error:  # damaged files raise a dozen types in this library
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise RecipeError(f"{PLACE}: {self.folder}: no tokenizer ({reason[:120]}); {FETCH}") from None

    def _pixels(self, rgb: Tensor) -> Tensor:
        return clip_pixels(rgb, self._size).to(self._module.device, self._module.dtype)

    def _sketch(self) -> nn.Module:
        from transformers import (
            CLIPTextConfig,
            CLIPTextModelWithProjection,
            CLIPVisionConfig,
            CLIPVisionModelWithProjection,
        )

        with torch.device("meta"):
            if self.tower == "text":
                return CLIPTextModelWithProjection(CLIPTextConfig(**self.config))
            return CLIPVisionModelWithProjection(CLIPVisionConfig(**self.config))

    def _state(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = {}
        for file in self.files:
            opened = open_tensors(file, PLACE)
            state |= {name: opened[name] for name in opened if name.startswith(PREFIXES[self.tower])}
        return state


def clip_pixels(rgb: Tensor, size: int = 224) -> Tensor:
    """(H, W, 3) in [0, 1] -> (1, 3, size, size) as OpenAI's CLIP prepares a picture: 8 bits, PIL's bicubic, centre crop."""
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    whole = Image.fromarray((rgb.detach().cpu() * 255).round().clamp(0, 255).to(torch.uint8).numpy())
    width, height = whole.size
    short = min(width, height)
    small = whole.resize((int(size * width / short), int(size * height / short)), Image.Resampling.BICUBIC)
    left, top = round((small.width - size) / 2), round((small.height - size) / 2)
    pixels = torch.from_numpy(numpy.array(small.crop((left, top, left + size, top + size)))).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return ((pixels - mean) / std)[None]
