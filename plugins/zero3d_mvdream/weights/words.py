"""CLIP's tokenizer: where it is, and a prompt as token ids."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from zero3d import RecipeError
from zero3d.weights import HUB_ID, HubFolder
from zero3d_mvdream.weights.known import TOKENIZER

LENGTH = 77
FILES = ("vocab.json", "merges.txt")


def find_tokenizer(option: str, own: Path | None, offline: bool) -> Path:
    """The folder of the tokenizer that a recipe names, or of the weights' own.

    Raises:
        RecipeError: it is missing, or lacks a file.
    """
    folder = own
    if option:
        path = Path(option).expanduser()
        if path.is_dir():
            folder = path / "tokenizer" if (path / "tokenizer").is_dir() else path
        elif HUB_ID.fullmatch(option):
            folder = (
                HubFolder(option, "", offline, configs=("tokenizer/*",), place="denoiser.tokenizer").root / "tokenizer"
            )
        else:
            raise RecipeError(f"denoiser.tokenizer: {option!r} is neither a folder nor a hub id; {_remedy()}")
    if folder is None:
        raise RecipeError(f"denoiser.tokenizer: missing, and the weights have none of their own; {_remedy()}")
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing and not (folder / "tokenizer.json").is_file():
        raise RecipeError(f"denoiser.tokenizer: {folder}: {' and '.join(missing)} missing; {_remedy()}")
    for name in (n for n in ("vocab.json", "tokenizer.json") if (folder / n).is_file()):
        try:
            json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise RecipeError(f"denoiser.tokenizer: {folder / name}: no valid JSON; download it again") from None
    return folder


def _remedy() -> str:
    return f"give a folder with {' and '.join(FILES)}, or denoiser.tokenizer={TOKENIZER} (a hub id)"


def open_tokenizer(folder: Path) -> Any:
    """transformers' CLIPTokenizer; nothing of the folder is run.

    Raises:
        RecipeError: the files are no tokenizer's.
    """
    from transformers import CLIPTokenizer

    try:
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # damaged files raise a dozen types in this library
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise RecipeError(f"denoiser.tokenizer: {folder}: {reason[:160]}; download it again") from None


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """77 ids: start, words, end, then zeros as OpenCLIP pads, which both models were trained with.

    (A tokenizer's own padding may be the end token, and gives another context.) Words beyond 75 tokens are left out, with
    a warning.
    """
    every = list(tokenizer(text).input_ids)
    if len(every) > LENGTH:
        warnings.warn(f"prompt: {text[:40]!r}…: {len(every) - 2} tokens, only the first 75 are read", stacklevel=2)
        every = [*every[: LENGTH - 1], every[-1]]
    return every + [0] * (LENGTH - len(every))
