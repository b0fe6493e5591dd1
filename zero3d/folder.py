"""A run's folder: made only when everything is checked, readable by people, movable."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from zero3d.errors import RunError
from zero3d.registry import Registry

RECIPE, MANIFEST, METRICS, PICTURE = "recipe.yaml", "manifest.json", "metrics.jsonl", "picture.png"
STAGE = "[1-9]*-*"
"""What the folders of a run's stages are called."""
REPORTED_PACKAGES = ("zero3d", "torch", "numpy", "diffusers", "transformers", "omegaconf", "pluggy", "trimesh")


def check_out(out: str | None, overwrite: bool) -> Path:
    """The folder a run may write, not yet made.

    Raises:
        RunError: none given, not empty (and not to be overwritten, or no run's folder), or not writable.
    """
    if not out:
        raise RunError("out: missing; say where the run goes, for example out=runs/cat")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"out: {folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise RunError(
                f"out: {folder} is not empty; take another folder, overwrite=true, or `zero3d resume {folder}`"
            )
        if not (folder / MANIFEST).is_file():
            raise RunError(
                f"out: {folder} is no run's folder (no {MANIFEST}), so overwrite=true does not delete it; take another"
            )
    parent = next(p for p in (folder, *folder.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryDirectory(dir=parent):  # trying tells more than permission bits, which root ignores
            return folder
    except OSError as error:
        raise RunError(f"out: {folder} cannot be made in {parent} ({error.strerror}); take another folder") from None


def create(folder: Path, recipe: dict[str, Any], picture: Any, manifest: dict[str, Any]) -> None:
    """Make the folder (emptying a former run's) with the resolved recipe, the picture (H, W, 4) uint8 and the manifest.

    Raises:
        RunError: the folder cannot be made or written.
    """
    try:
        if folder.is_dir():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        save_picture(picture, folder / PICTURE)
        write_atomically(folder / RECIPE, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))
        write_atomically(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    except OSError as error:
        raise RunError(f"out: {folder} cannot be written ({error.strerror}); take another folder") from None


def save_picture(picture: Any, path: Path) -> None:
    """Write (H, W, 4) uint8 as PNG; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture, "RGBA").save(path)


def open_run(folder: str | Path) -> Path:
    """The folder of an existing run; of a recipe with stages, that of the last one with a checkpoint, if any.

    Raises:
        RunError: it is none.
    """
    path = Path(folder)
    for name in (RECIPE, MANIFEST, PICTURE):
        if not (path / name).is_file():
            raise RunError(f"{path}: no run's folder (no {name}); name the folder that `zero3d run` wrote, its out")
    begun = [state.parents[1] for state in path.glob(f"{STAGE}/checkpoint/*.safetensors")]
    return max(begun, key=lambda stage: int(stage.name.partition("-")[0]), default=path)


def whole_run(folder: str | Path) -> Path:
    """The folder of all stages for that of one; any other as it is."""
    path = Path(folder)
    above = path.absolute().parent
    return above if path.absolute().match(STAGE) and (above / RECIPE).is_file() else path


def make_manifest(registry: Registry, components: dict[str, str], notes: list[str], **facts: Any) -> dict[str, Any]:
    """What made this run: packages, plug-ins, device, and facts such as the implied input scale."""
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "packages": {name: found for name in REPORTED_PACKAGES if (found := _version(name))},
        "plugins": {entry.plugin: f"{entry.package} {entry.version}" for entry in registry.all()},
        "local_plugins": registry.local,
        "components": components,
        "notes": notes,
        **facts,
    }


def missing_plugins(folder: Path, registry: Registry) -> str:
    """A sentence for each plug-in that the run was given by `--plugin` and that is not here now; else nothing.

    (They are not loaded by themselves: a run's folder may come from a stranger, and names no code to execute.)
    """
    try:
        made_with = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["local_plugins"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    here = {entry.plugin for entry in registry.all()}
    return "".join(
        f" The run was made with --plugin {path}; give that again." for n, path in made_with.items() if n not in here
    )


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(paths: Sequence[Path]) -> dict[str, str]:
    """Path from the files' common folder -> sha256: parts of one model often share a file name."""
    if not paths:
        return {}
    common = os.path.commonpath([path.parent for path in paths])
    return {Path(os.path.relpath(path, common)).as_posix(): file_sha256(path) for path in paths}


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


class MetricsLog:
    """metrics.jsonl (or `name`): a flushed line a step. Opening it at step n drops the lines of steps to be done again."""

    def __init__(self, folder: Path, first_step: int, name: str = METRICS) -> None:
        path = folder / name
        kept = []
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    if json.loads(line)["step"] < first_step:
                        kept.append(line)
                except (ValueError, KeyError):
                    break  # the last line of a killed run may be half a line
        write_atomically(path, "".join(line + "\n" for line in kept))
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)

    def write(self, step: int, figures: dict[str, Any]) -> None:
        self._file.write(json.dumps({"step": step, **figures}) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
