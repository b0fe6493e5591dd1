"""What a file or folder of weights holds, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zero3d import RecipeError
from zero3d.weights import index_of, is_pickled, local_files, open_tensors, part_config
from zero3d_novel_views.known import SV3D
from zero3d_novel_views.sv3d.source import PARTS as SV3D_PARTS
from zero3d_novel_views.sv3d.source import VECTOR, SingleFile, family
from zero3d_novel_views.sv3d.source import Folder as Sv3dFolder
from zero3d_novel_views.zero123plus.source import PARTS as TILE_PARTS
from zero3d_novel_views.zero123plus.source import Folder

SUFFIXES = (".safetensors", ".ckpt", ".pt")


def is_zero123plus(path: Path) -> bool:
    """A folder of Zero123++, whole or not."""
    return path.is_dir() and "ramping_coefficients" in index_of(path)


def report_zero123plus(path: Path) -> Iterator[str] | None:
    """Of a folder of Zero123++; None if it is none."""
    if not is_zero123plus(path):
        return None
    source = Folder(path, local_files(path))
    return _lines(path, "Zero123++ in diffusers layout", source, TILE_PARTS)


def report_sv3d(path: Path, config: str) -> Iterator[str] | None:
    """Of SV3D's file, or the folder made of it; None if it is another's."""
    if not is_sv3d(path):
        return None
    if path.is_dir():
        return _lines(path, "SV3D_p in diffusers layout", Sv3dFolder(path), SV3D_PARTS)
    return _lines(path, "SV3D_p in one file", SingleFile(path, SV3D, config), SV3D_PARTS)


def is_sv3d(path: Path) -> bool:
    """SV3D_p's file, or the folder made of it, whole or not."""
    if path.is_dir() and (path / "unet" / "config.json").is_file():
        return part_config(path, "unet").get("projection_class_embeddings_input_dim") == VECTOR
    return is_sv3d_file(path)


def is_sv3d_file(path: Path) -> bool:
    """SV3D_p in one file."""
    if not path.is_file() or (path.suffix not in SUFFIXES and not is_pickled(path)):
        return False
    return family(open_tensors(path)) == "SV3D_p"


def _lines(path: Path, what: str, source: Any, parts: tuple[str, ...]) -> Iterator[str]:
    size = sum(file.stat().st_size for file in source.weight_files)
    yield f"{path}: {what}, {size / 1e9:.2f} GB to load"
    for part in parts:
        given = source.state(part, source.sketch(part)) if isinstance(source, Folder) else source.state(part)
        yield _line(part, given, _fits(source, part))


def _fits(source: Any, part: str) -> str:
    try:
        source.check(part)
    except RecipeError as error:
        return "does not fit: " + str(error).split(": ", 2)[-1]
    return "fits"


def _line(part: str, state: Mapping[str, Tensor], fits: str) -> str:
    kinds = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in state.values())
    count = sum(tensor.numel() for tensor in state.values())
    return f"{part:14s}{len(state):5d} tensors {count:13,d} parameters {'/'.join(kinds)}  {fits}"
