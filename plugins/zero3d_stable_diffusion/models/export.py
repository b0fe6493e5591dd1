"""One checkpoint file -> a folder that this package, diffusers and transformers load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from zero3d import RecipeError
from zero3d.weights import (
    Conversion,
    check_new,
    new_folder,
    open_tensors,
    save_image_processor,
    save_json,
    save_part,
    save_scheduler,
    save_tokenizer,
)
from zero3d_stable_diffusion.models.families import PIPELINE_OF, family_of_file
from zero3d_stable_diffusion.models.folder import CLASSES, PAD
from zero3d_stable_diffusion.models.known import STABLE_DIFFUSION
from zero3d_stable_diffusion.models.schedule import EPSILON, V, prediction_of
from zero3d_stable_diffusion.models.single_file import SingleFile, published_names
from zero3d_stable_diffusion.words.tokenizers import CLIP, find_tokenizer, read_tokenizer


def convert(conversion: Conversion, family: str, parts: Mapping[str, str]) -> bool:
    """Write `conversion.out`, whole or not at all; False if the file is of another family.

    The tokenizer is written if one is given. model_index.json keeps, under names that diffusers passes over, which U-Net
    it is and what texts are padded with.

    Raises:
        RunError: `conversion.out` exists and is not empty, or cannot be written.
        RecipeError: a part that does not fit its configuration, a file that does not say what it predicts, or no tokenizer
            where one is named.
    """
    if not conversion.path.is_file() or family_of_file(open_tensors(conversion.path)) != family:
        return False
    check_new(conversion.out)
    model = SingleFile(conversion.path, family, parts, conversion.config, conversion.ema, conversion.prediction)
    prediction = _prediction(model, conversion)
    words = None
    if conversion.tokenizer and "text_encoder" in parts:
        words = find_tokenizer(None, conversion.tokenizer, CLIP, False, STABLE_DIFFUSION)
        read_tokenizer(words, CLIP)
    model.check()
    index: dict[str, Any] = {"_class_name": PIPELINE_OF[family], "_source": conversion.path.name}
    if model.has_ema:
        index["_ema"] = conversion.ema
    if model.pad_id is not None:
        index[PAD] = model.pad_id
    with new_folder(conversion.out) as folder:
        for part, kind in parts.items():
            conversion.tell(f"{part} …")
            state, dtype = published_names(kind, model.state(part)), getattr(torch, conversion.dtype)
            save_part(folder / part, model.sketch(part), state, dtype)
            index[part] = list(CLASSES[kind])
        save_scheduler(folder / "scheduler", prediction)
        index |= {"scheduler": ["diffusers", "DDIMScheduler"], "safety_checker": [None, None]}
        index["feature_extractor"] = [None, None]
        if words:
            _save_words(folder / "tokenizer", words, model.pad_id)
            index["tokenizer"] = ["transformers", "CLIPTokenizer"]
        if "image_encoder" in parts:
            save_image_processor(folder / "feature_extractor", int(model.configs["image_encoder"]["image_size"]))
            index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
        save_json(folder / "model_index.json", {**index, "requires_safety_checker": False})
    return True


def _prediction(model: SingleFile, conversion: Conversion) -> str:
    if model.prediction is None and conversion.prediction == "auto":
        raise RecipeError(
            f"{conversion.path}: does not say what it predicts; add --prediction {EPSILON} (2.1-base, 512 pixels) or "
            f"--prediction {V} (2.1, 768 pixels)"
        )
    return prediction_of(model.prediction, conversion.prediction, str(conversion.path))


def _save_words(folder: Path, source: Path, pad_id: int | None) -> None:
    """The tokenizer's files; stock libraries pad with the token that they name."""
    save_tokenizer(folder, source)
    if pad_id is None:
        return
    pad = read_tokenizer(source, CLIP).convert_ids_to_tokens(pad_id)
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        file = folder / name
        held = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        if held is not None or name == "tokenizer_config.json":
            save_json(file, {**(held or {"tokenizer_class": "CLIPTokenizer"}), "pad_token": pad})
