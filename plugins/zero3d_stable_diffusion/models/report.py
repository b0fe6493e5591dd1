"""What a file or folder of weights holds, in lines."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from zero3d import RecipeError
from zero3d.weights import Choice, check_fit, index_of, local_files, open_tensors, part_config
from zero3d_stable_diffusion.models.families import family_of_file, family_of_folder
from zero3d_stable_diffusion.models.folder import FolderModel
from zero3d_stable_diffusion.models.single_file import SingleFile, renamed


def report(path: Path, family: str, parts: Mapping[str, str], config: str) -> Iterator[str] | None:
    """Lines, or None if it is of another family.

    Raises:
        RecipeError: it is of this one, but damaged.
    """
    if not path.exists() or recognized(path) != family:
        return None
    return _folder(path, family, parts) if path.is_dir() else _file(path, family, parts, config)


def recognized(path: Path) -> str:
    """What a file or folder is by its names and shapes, of this package or not; "" if it cannot be told.

    Raises:
        RecipeError: it is damaged.
    """
    if path.is_dir():
        has_unet = (path / "unet" / "config.json").is_file()
        found = family_of_folder(path, index_of(path), part_config(path, "unet") if has_unet else None)
    else:
        found = family_of_file(open_tensors(path))
    return "" if found == "unknown" else found


def _folder(path: Path, family: str, parts: Mapping[str, str]) -> Iterator[str]:
    model = FolderModel(path, local_files(path), Choice(), family, parts)
    size = sum(file.stat().st_size for file in model.weight_files)
    yield f"{path}: {family} in diffusers' layout, {size / 1e9:.2f} GB to load"
    yield f"{'prediction':14s}{model.prediction}"
    for part in parts:
        yield f"{part:14s}variant {model.variant(part) or '(default)'}"


def _file(path: Path, family: str, parts: Mapping[str, str], config: str) -> Iterator[str]:
    model = SingleFile(path, family, parts, config)
    yield f"{path}: {family}, {path.stat().st_size / 1e9:.2f} GB"
    yield f"{'prediction':14s}{model.prediction or 'not said: set denoiser.prediction'}"
    for part in parts:
        state, sketch = model.state(part), model.sketch(part)
        try:
            check_fit(path, part, sketch, renamed(sketch, state))
            fits = "fits"
        except RecipeError as error:
            fits = "does not fit: " + str(error).split(": ", 2)[-1]
        count = sum(math.prod(tensor.shape) for tensor in state.values())
        yield f"{part:14s}{len(state):5d} tensors {count:13,d} parameters  {fits}"
    yield f"{'unet EMA':14s}" + ("there, taken unless ema is false" if model.has_ema else "none beside it")
