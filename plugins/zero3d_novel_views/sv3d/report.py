"""Whether weights are SV3D_p's, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from zero3d.weights import is_pickled, open_tensors, part_config
from zero3d_novel_views.known import SV3D
from zero3d_novel_views.report import weight_lines
from zero3d_novel_views.sv3d.source import PARTS, VECTOR, Folder, SingleFile, Source, family

SUFFIXES = (".safetensors", ".ckpt", ".pt")


def report_sv3d(path: Path, config: str) -> Iterator[str] | None:
    """Of SV3D's file, or the folder made of it; None if it is another's."""
    if not is_sv3d(path):
        return None
    source: Source = Folder(path) if path.is_dir() else SingleFile(path, SV3D, config)
    layout = "in diffusers layout" if path.is_dir() else "in one file"
    states = {part: partial(source.state, part) for part in PARTS}
    return weight_lines(f"{path}: SV3D_p {layout}", source.weight_files, states, source.check)


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
