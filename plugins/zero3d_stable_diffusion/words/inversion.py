"""Textual inversion: learned embeddings of a new token (arXiv 2208.01618), read from a file and added to CLIP's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.weights import is_pickled, open_tensors, refuse_impostor

PLACE = "denoiser.inversion"


def read_embeddings(path: Path, token: str = "") -> dict[str, Tensor]:
    """Token -> its vectors (n, D), float32, from learned_embeds.bin ({token: vector}), .safetensors or a .pt of
    webui's.

    `token`: what a file without a name for it is called; by default <NAME> of NAME.pt.

    Raises:
        RecipeError: no such file, not of this form, or hostile; nothing pickled is run.
    """
    if not path.is_file():
        raise RecipeError(f"{PLACE}: no file {str(path)!r}; give learned_embeds.bin or a .safetensors")
    refuse_impostor(path, PLACE)
    named = token or f"<{path.stem}>"
    found: dict[str, Any] = _pickled(path) if is_pickled(path) else dict(open_tensors(path, PLACE).items())
    if isinstance(found.get("string_to_param"), Mapping):  # webui's
        found = {named: next(iter(found["string_to_param"].values()), None)}
    if set(found) == {"emb_params"}:
        found = {named: found["emb_params"]}
    if not found or not all(
        isinstance(v, Tensor) and v.ndim in (1, 2) and v.is_floating_point() for v in found.values()
    ):
        raise RecipeError(f"{PLACE}: {path}: holds no {{token: vector}}; give what textual inversion wrote")
    if token and len(found) == 1:
        found = {token: next(iter(found.values()))}
    return {name: value.detach().float().reshape(-1, value.shape[-1]) for name, value in found.items()}


def _pickled(path: Path) -> dict[str, Any]:
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile file raises whatever the zip or the unpickler stumble over
        raise RecipeError(
            f"{PLACE}: {path}: cannot be read as tensors alone ({type(error).__name__}); take a .safetensors"
        ) from None
    if not isinstance(held, dict):
        raise RecipeError(f"{PLACE}: {path}: holds no {{token: vector}}; give what textual inversion wrote")
    return held


def add_tokens(tokenizer: Any, encoder: Any, learned: Mapping[str, Tensor], where: str) -> dict[str, str]:
    """Teach tokenizer and text encoder the tokens. Returns token -> what stands for it in a text: one name a vector.

    Raises:
        RecipeError: a vector of another width, or a token that the tokenizer has.
    """
    table = encoder.get_input_embeddings()
    spelt: dict[str, str] = {}
    for token, vectors in learned.items():
        if vectors.shape[1] != table.weight.shape[1]:
            raise RecipeError(
                f"{PLACE}: {where}: {token} has {vectors.shape[1]} numbers, this text encoder {table.weight.shape[1]}; "
                "it was learned for another model"
            )
        names = [token, *(f"{token}_{k}" for k in range(1, len(vectors)))]
        if set(names) & set(tokenizer.get_vocab()):
            raise RecipeError(
                f"{PLACE}: {where}: {token} is a token of this model's already; set denoiser.token to another"
            )
        tokenizer.add_tokens(names)
        spelt[token] = " ".join(names)
    encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    weight = encoder.get_input_embeddings().weight
    with torch.no_grad():
        for token, vectors in learned.items():
            rows = tokenizer.convert_tokens_to_ids(spelt[token].split(" "))
            weight[rows] = vectors.to(weight)
    return spelt


def spell(text: str, spelt: Mapping[str, str]) -> str:
    """A token of several vectors becomes all of its names."""
    for token, names in spelt.items():
        text = text.replace(token, names)
    return text
