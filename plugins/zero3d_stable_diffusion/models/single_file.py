"""Stable Diffusion as one file: the original layout, .ckpt or .safetensors, read without running what is pickled in
it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.weights import Configs, SafeTensors, changed_configs, check_fit, filled, find, one_line, open_tensors
from zero3d.weights.ldm import (
    CLIP,
    EMA,
    UNET,
    UNET_CONFIG,
    VAE_CONFIG,
    convert_clip,
    convert_clip_text,
    convert_unet,
    convert_vae,
)
from zero3d_stable_diffusion.models.families import CONTEXT, TEXT_1, TEXT_2, check_family, family_of_file
from zero3d_stable_diffusion.models.folder import module_class
from zero3d_stable_diffusion.models.known import IMAGE_VARIATIONS, STABLE_DIFFUSION
from zero3d_stable_diffusion.models.schedule import EPSILON, V

SUFFIXES = (".ckpt", ".safetensors", ".pt")
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
TEXT: dict[str, Any] = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "bos_token_id": 49406,
    "eos_token_id": 49407,
}
PUBLISHED: dict[int, Configs] = {
    768: {
        "unet": UNET_CONFIG,
        "vae": VAE_CONFIG,
        "text_encoder": {**TEXT, **CLIP_L, "hidden_act": "quick_gelu", "projection_dim": 768},
        "image_encoder": {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "patch_size": 14,
            "image_size": 224,
            "projection_dim": 768,
            "hidden_act": "quick_gelu",
        },
    },
    1024: {
        "unet": {
            **UNET_CONFIG,
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],  # heads again
            "use_linear_projection": True,
        },
        "vae": VAE_CONFIG,
        "text_encoder": {
            **TEXT,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
            "hidden_act": "gelu",
            "projection_dim": 1024,
            "pad_token_id": 0,
        },
    },
}
"""Width of the text -> the configuration: Stable Diffusion 1 and 2. Of 2's 24 text layers the last is not used."""
LATENT_768 = 96
"""Of Stable Diffusion 2's U-Net that predicts v: a side of its latent, of 768 pixels."""
PREFIXES = {"unet": UNET, "vae": "first_stage_model.", "image_encoder": CLIP}


class SingleFile:
    """The parts that a denoiser wants of a checkpoint. `parts`: part -> what it is (see folder.CLASSES)."""

    def __init__(
        self,
        path: Path,
        family: str,
        parts: Mapping[str, str],
        config_file: str = "",
        ema: bool = True,
        prediction: str = "auto",
    ) -> None:
        """Reads the table of contents alone. `ema`: the averaged U-Net where the file has both.
        `prediction`: what is asked for, where the file does not say: of Stable Diffusion 2, v is the one of 768 pixels.

        Raises:
            RecipeError: no such file, another family, a part missing, or (of the sizes) no such configuration.
        """
        if not path.is_file():
            entry = find(path.name, (*STABLE_DIFFUSION, *IMAGE_VARIATIONS)) or STABLE_DIFFUSION[0]
            raise RecipeError(f"denoiser.weights: no file {str(path)!r}; get {entry.name} from {entry.line}")
        self.path, self._kinds = path, dict(parts)
        self.tensors = open_tensors(path)
        check_family(str(path), family_of_file(self.tensors), family)
        self.second = any(name.startswith(f"{TEXT_2}transformer.") for name in self.tensors)
        for part in parts:
            prefix = self._prefix(part)
            if not any(name.startswith(prefix) for name in self.tensors):
                raise RecipeError(
                    f"denoiser.weights: {path}: no {part} (no tensor named {prefix}*); give the whole checkpoint"
                )
        published = PUBLISHED[1024 if self.second else 768]
        self.prediction = self._prediction()
        if self.second and (self.prediction or prediction) == V:
            published = published | {"unet": published["unet"] | {"sample_size": LATENT_768}}
        self.configs: Configs = changed_configs({part: published[part] for part in parts}, config_file)
        self.has_ema = any(name.startswith(EMA) for name in self.tensors)
        self._ema = ema and self.has_ema
        width = int(self.tensors[CONTEXT].shape[1]) if CONTEXT in self.tensors else None
        if width != self.configs["unet"]["cross_attention_dim"]:
            raise RecipeError(
                f"denoiser.weights: {path}: its U-Net attends to tokens of {width} numbers, the configuration says "
                f"{self.configs['unet']['cross_attention_dim']}; it is another network, or of another size (denoiser.config)"
            )
        self.scheduler: dict[str, Any] = {}
        self.pad_id = 0 if self.second else None

    def _prefix(self, part: str) -> str:
        if part == "text_encoder":
            return TEXT_2 if self.second else TEXT_1
        return PREFIXES[part]

    def _prediction(self) -> str | None:
        """What it predicts, as far as the file, its name or its kind says."""
        told = self.tensors.metadata.get("modelspec.prediction_type") if isinstance(self.tensors, SafeTensors) else None
        if told:
            return {"v": V, "epsilon": EPSILON}.get(told, told)
        entry = find(self.path.name, STABLE_DIFFUSION)
        if entry and entry.note:
            return V if entry.note.endswith(", v") else EPSILON
        return None if self.second else EPSILON

    @property
    def tokenizer(self) -> None:
        """A checkpoint has none."""
        return None

    @property
    def weight_files(self) -> list[Path]:
        """The file, for hashes."""
        return [self.path]

    def state(self, part: str) -> dict[str, Tensor]:
        """One part's tensors under the names of diffusers and transformers, mapped, not read.

        Raises:
            RecipeError: a tensor is missing, or is no such part's.
        """
        try:
            if part == "unet":
                return convert_unet(self.tensors, self._ema)
            if part == "vae":
                return convert_vae(self.tensors)
            return convert_clip(self.tensors) if part == "image_encoder" else self._text()
        except (KeyError, ValueError, IndexError, RuntimeError, StopIteration) as error:
            raise RecipeError(
                f"denoiser.weights: {self.path}: its {part} is not the published network's ({one_line(error)})"
            ) from None

    def _text(self) -> dict[str, Tensor]:
        """The text tower; of Stable Diffusion 2's without the last layer, and without projections."""
        if not self.second:
            names = {name: name.removeprefix(TEXT_1).removeprefix("text_model.") for name in self.tensors}
            return {new: self.tensors[name] for name, new in names.items() if name.startswith(TEXT_1)}
        layers = int(self.configs["text_encoder"]["num_hidden_layers"])
        found = convert_clip_text({n: t for n, t in self.tensors.items() if not n.startswith(CLIP)}, TEXT_2)
        return {
            name: tensor
            for name, tensor in found.items()
            if not name.startswith((f"encoder.layers.{layers}.", "text_projection"))
        }

    def sketch(self, part: str) -> nn.Module:
        """The module of its configuration, without memory."""
        with torch.device("meta"):
            return untrained(self._kinds[part], self.configs[part])

    def check(self) -> None:
        """Hold every part against its configuration.

        Raises:
            RecipeError: one does not fit; the tensor is named.
        """
        for part in self._kinds:
            module = self.sketch(part)
            check_fit(self.path, part, module, renamed(module, self.state(part)))

    def load(self, part: str, dtype: torch.dtype) -> nn.Module:
        """One part, in `dtype`.

        Raises:
            RecipeError: its tensors do not fit its configuration.
        """
        module = self.sketch(part)
        return filled(self.path, part, module, renamed(module, self.state(part)), dtype)


def untrained(kind: str, config: Mapping[str, Any]) -> nn.Module:
    """A module as its library makes it, on the default device."""
    made = module_class(kind)
    if kind in ("clip_text", "t5_text", "image_encoder"):
        module: nn.Module = made(made.config_class(**config))
        return module
    module = made(**{key: value for key, value in config.items() if not key.startswith("_")})
    return module


def published_names(kind: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a part as folders name them: CLIP's text tower with its prefix, and no position counters."""
    prefix = "text_model." if kind == "clip_text" else ""
    return {prefix + name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}


def renamed(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """CLIP's text tower has names of its own before transformers 5; position counters are made anew."""
    prefix = "text_model." if any(name.startswith("text_model.") for name in module.state_dict()) else ""
    return {prefix + name: tensor for name, tensor in state.items() if not name.endswith("position_ids")}
