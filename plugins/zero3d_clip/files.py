"""CLIP's files for `zero3d weights`: what one holds, and one file -> a folder of transformers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from zero3d import RecipeError
from zero3d.weights import (
    HUB_ID,
    Conversion,
    HubFolder,
    check_fit,
    check_new,
    new_folder,
    open_tensors,
    read_json,
    save_image_processor,
    save_part,
    save_tokenizer,
)
from zero3d_clip.known import KNOWN
from zero3d_clip.names import original
from zero3d_clip.source import ALONE, PLACE, SMALL, check_tokenizer, open_file, open_folder


def is_clip(path: Path) -> bool:
    """Whether it is a file with OpenAI's or OpenCLIP's names, or a CLIP of transformers.

    Raises:
        RecipeError: a file that cannot be read.
    """
    if path.is_dir():
        config = path / "config.json"
        return config.is_file() and read_json(config, PLACE).get("model_type") in ("clip", ALONE)
    return path.is_file() and original(open_tensors(path, PLACE))


def report(path: Path, config: str) -> Iterator[str]:
    """Size, towers, and whether the tensors fit the configuration.

    Raises:
        RecipeError: damaged, or a configuration that its tensors do not tell.
    """
    source = open_folder(path) if path.is_dir() else open_file(path, config)
    size = sum(file.stat().st_size for file in source.files)
    yield f"{path}: CLIP {'of transformers' if path.is_dir() else 'in one file'}, {size / 1e9:.2f} GB"
    sketch = source.sketch()
    state = source.fitting(sketch)
    for tower in ("vision", "text"):
        held = [
            tensor for name, tensor in state.items() if name.startswith((f"{tower}_model.", f"{tower}_projection."))
        ]
        count = sum(tensor.numel() for tensor in held)
        yield f"{tower + ' tower':14s}{len(held):5d} tensors {count:13,d} parameters"
    try:
        check_fit(source.path, "CLIP", sketch, state, PLACE)
        yield f"{'all':14s}fits"
    except RecipeError as error:
        yield f"{'all':14s}does not fit: " + str(error).split(": ", 2)[-1]
    yield f"{'tokenizer':14s}" + ("its own" if source.tokenizer else "none; name one with encoder.tokenizer")


def convert(asked: Conversion) -> None:
    """Write `asked.out`, whole or not at all; the tokenizer if one is given.

    Raises:
        RunError: `asked.out` exists and is not empty, or cannot be written.
        RecipeError: the tensors do not fit the configuration, or no tokenizer where one is named.
    """
    check_new(asked.out)
    source = open_file(asked.path, asked.config)
    words = _words(asked.tokenizer) if asked.tokenizer else None
    sketch = source.sketch()
    state = source.fitting(sketch)
    check_fit(source.path, "CLIP", sketch, state, PLACE)
    asked.tell("CLIP …")
    with new_folder(asked.out) as folder:
        save_part(folder, sketch, state, getattr(torch, asked.dtype))
        save_image_processor(folder, int(source.vision["image_size"]))
        if words:
            save_tokenizer(folder, words)


def _words(named: str) -> Path:
    """The folder of a tokenizer's files."""
    folder = Path(named).expanduser()
    if not folder.is_dir() and HUB_ID.fullmatch(named):
        folder = HubFolder(named, "", False, KNOWN, SMALL, "encoder.tokenizer").root
    check_tokenizer(folder)
    return folder
