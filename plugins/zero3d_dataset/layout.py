"""The published Zero-1-to-3 folder: uid/000.png, uid/000.npy (world to camera, 3x4, OpenGL axes), valid_paths.json."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d.files import write_text

VALID = "valid_paths.json"
FAILED = "failed.json"
NOTES = "notes.json"
"""What was drawn without its texture, or some of its triangles."""

PARTIAL = ".partial"
"""Objects under way, inside the data set so that a finished one is moved in one step."""

VIEW = re.compile(r"\d{3,}\.(png|npy)")


def world_to_camera(camera_to_world: Tensor) -> numpy.ndarray:
    """(B, 4, 4) camera-to-world poses as the (B, 3, 4) float64 matrices of the files."""
    return torch.linalg.inv(camera_to_world.double())[:, :3].numpy()


class ObjectWriter:
    """Writes an object's views where nobody looks, then moves them to their place: all of them or none."""

    def __init__(self, root: Path, uid: str) -> None:
        self.target = root / uid
        self._folder = Path(tempfile.mkdtemp(prefix=f"{uid}.", dir=root / PARTIAL))
        self._views = 0

    def add(self, picture: numpy.ndarray, matrix: numpy.ndarray) -> None:
        """The next view: (H, W, 4) uint8, straight alpha, and its (3, 4) world-to-camera matrix."""
        name = f"{self._views:03d}"
        Image.fromarray(picture, "RGBA").save(self._folder / f"{name}.png")
        numpy.save(self._folder / f"{name}.npy", matrix)
        self._views += 1

    def finish(self) -> None:
        """Put the object in its place, over an incomplete one."""
        os.chmod(self._folder, 0o755)  # mkdtemp lets nobody else in
        if self.target.exists():
            shutil.rmtree(self.target)
        os.rename(self._folder, self.target)

    def discard(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def complete_views(folder: Path) -> int:
    """How many of 000, 001, ... have a picture and a pose that are not empty files; 0 where there is no such folder."""
    try:
        sizes = {entry.name: entry.stat().st_size for entry in os.scandir(folder) if VIEW.fullmatch(entry.name)}
    except OSError:
        return 0
    views = 0
    while sizes.get(f"{views:03d}.png", 0) > 0 and sizes.get(f"{views:03d}.npy", 0) > 0:
        views += 1
    return views


def write_valid_paths(root: Path, uids: Iterable[str]) -> None:
    """Replace valid_paths.json. The published split keeps the last hundredth for validation.

    Ordered by a hash of the name: a fair split, which stays nearly the same as objects are added.
    """
    ordered = sorted(uids, key=lambda uid: (hashlib.sha256(uid.encode()).hexdigest(), uid))
    write_json(root / VALID, ordered)


def write_json(path: Path, value: object) -> None:
    """Replace a file whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
