"""A tokenizer's files: found and checked before anything loads, then read from disk alone."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from zero3d import RecipeError
from zero3d.weights import HUB_ID, HubFolder, Published

FILES = ("tokenizer.json", "vocab.json", "merges.txt", "spiece.model", "*_config.json", "special_tokens_map.json")
CLIP, T5 = "clip", "t5"
OPENAI = "openai/clip-vit-large-patch14"
"""Whose tokenizer Stable Diffusion's checkpoint files were trained with."""


def find_tokenizer(
    inside: Path | None, asked: str, kind: str, offline: bool, known: Iterable[Published], fallback: str = ""
) -> Path:
    """The folder that holds a tokenizer's files. `inside`: the model's own; `asked`: the option `tokenizer`, which
    wins.

    Raises:
        RecipeError: no files there, or none that can be read here.
    """
    named = asked or ("" if inside else fallback)
    if named:
        path = Path(named).expanduser()
        if path.is_dir():
            folder = path
        elif HUB_ID.fullmatch(named):
            folder = HubFolder(named, "", offline, list(known), FILES, "denoiser.tokenizer").root
        else:
            raise RecipeError(f"denoiser.tokenizer: {named!r} is neither a folder nor a hub id, for example {OPENAI}")
    else:
        assert inside is not None
        folder = inside
    check_files(folder, kind)
    return folder


def check_files(folder: Path, kind: str) -> None:
    """Raises RecipeError, with what is missing, unless `folder` holds a tokenizer of that kind."""
    if (folder / "tokenizer.json").is_file():
        return
    if kind == T5:
        if not (folder / "spiece.model").is_file():
            raise RecipeError(
                f"denoiser.tokenizer: {folder} has neither tokenizer.json nor spiece.model; download the whole model, or "
                "name a folder with T5's"
            )
        if importlib.util.find_spec("sentencepiece") is None:
            raise RecipeError(
                f"denoiser.tokenizer: {folder} has spiece.model alone; pip install sentencepiece, which reads it"
            )
        return
    missing = [name for name in ("vocab.json", "merges.txt") if not (folder / name).is_file()]
    if missing:
        raise RecipeError(
            f"denoiser.tokenizer: {folder} has no {' and no '.join(missing)}; download the whole model, or name a folder "
            f"with CLIP's, or a hub id, {OPENAI}"
        )


def read_tokenizer(folder: Path, kind: str) -> Any:
    """transformers' tokenizer of those files, from disk alone.

    Raises:
        RecipeError: they are damaged.
    """
    import transformers

    made = transformers.CLIPTokenizer if kind == CLIP else transformers.AutoTokenizer
    try:
        return made.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exceptions
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise RecipeError(f"denoiser.tokenizer: {folder}: cannot be read ({reason}); download it again") from None
