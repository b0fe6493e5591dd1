"""Texts -> the tokens that a U-Net attends to; the text encoder is loaded for that, run once and let go."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d_stable_diffusion.words.inversion import add_tokens, spell
from zero3d_stable_diffusion.words.tokenizers import CLIP, T5, read_tokenizer

LENGTH = 77
"""Tokens of a text, padded; longer ones are cut off there, and said."""


@torch.no_grad()
def clip_context(
    texts: Sequence[str],
    tokenizer_folder: Path,
    load: Callable[[], nn.Module],
    device: torch.device,
    pad_id: int | None = None,
    learned: Mapping[str, Tensor] | None = None,
    where: str = "",
) -> Tensor:
    """(N, 77, D) on the CPU, float32: the last hidden states behind the final norm, as Stable Diffusion takes them.

    `load`: the text encoder. `pad_id`: what texts are padded with, if not as the tokenizer says (Stable Diffusion 2:
    0)."""
    tokenizer, encoder = read_tokenizer(tokenizer_folder, CLIP), load()
    if pad_id is not None:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(pad_id)
    spelt = add_tokens(tokenizer, encoder, learned, where) if learned else {}
    ids = _tokens(tokenizer, [spell(text, spelt) for text in texts]).input_ids
    encoder = encoder.to(device).eval()
    rows = [encoder(input_ids=row[None].to(device)).last_hidden_state.float().cpu() for row in ids]
    _let_go(device)
    return torch.cat(rows)


@torch.no_grad()
def t5_context(
    texts: Sequence[str], tokenizer_folder: Path, load: Callable[[], nn.Module], device: torch.device
) -> Tensor:
    """(N, 77, D) on the CPU, float32: T5's last hidden states, seen through the texts' mask, lower case as IF's
    pipeline."""
    tokenizer = read_tokenizer(tokenizer_folder, T5)
    told = _tokens(tokenizer, [text.lower().strip() for text in texts])
    encoder = load().to(device).eval()
    rows = [
        encoder(input_ids=row[None].to(device), attention_mask=mask[None].to(device)).last_hidden_state.float().cpu()
        for row, mask in zip(told.input_ids, told.attention_mask, strict=True)
    ]
    del encoder
    _let_go(device)
    return torch.cat(rows)


def _tokens(tokenizer: Any, texts: Sequence[str]) -> Any:
    """Padded to LENGTH; a text that is cut off is told."""
    for text in texts:
        count = len(tokenizer(text, truncation=False, verbose=False).input_ids)
        if count > LENGTH:
            warnings.warn(f"{text[:60]!r}…: {count} tokens, of which the model reads {LENGTH}", stacklevel=2)
    return tokenizer(list(texts), padding="max_length", max_length=LENGTH, truncation=True, return_tensors="pt")


def _let_go(device: torch.device) -> None:
    """The memory of what was deleted is free now, not some time later."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
