"""The folder that `zero3d views` writes: pictures, the contact sheet, views.json; whole or not at all."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from zero3d.errors import RunError
from zero3d.files.labels import is_file_name
from zero3d_views.poses import Pose
from zero3d_views.sheet import contact_sheet

RECORD, SHEET = "views.json", "sheet.png"


def check_out(out: Path, overwrite: bool) -> Path:
    """The folder to write, absolute, links followed, not yet made.

    Raises:
        RunError: not empty, no folder of this command's, or not writable.
    """
    folder = out.expanduser().resolve()
    if folder.exists() and not folder.is_dir():
        raise RunError(f"--out: {out} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not overwrite:
            raise RunError(f"--out: {out} is not empty; take another folder or --overwrite")
        if not (folder / RECORD).is_file():
            raise RunError(f"--out: {out} was not written by this command, so --overwrite does not delete it")
    parent = next(p for p in (folder, *folder.parents) if p.exists())
    try:
        with tempfile.TemporaryDirectory(dir=parent):  # trying tells more than permission bits, which root ignores
            return folder
    except OSError as error:
        raise RunError(f"--out: {out} cannot be made in {parent} ({error.strerror}); take another folder") from None


def write(
    folder: Path,
    given: numpy.ndarray,
    poses: Sequence[Pose],
    rows: Sequence[Sequence[numpy.ndarray]],
    record: dict[str, Any],
) -> None:
    """Pictures (H, W, 3) uint8: the input, and for each pose its samples. `record` goes into views.json.

    Raises:
        RunError: the disk is full or the folder went away; what it held is untouched.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
            staged = Path(beside) / folder.name
            staged.mkdir()
            _fill(staged, given, poses, rows, record)
            if folder.is_dir():  # not replaced: it may be somebody's working directory, or hold what is not ours
                for former in _own_files(folder):
                    (folder / former).unlink(missing_ok=True)
                for new in staged.iterdir():
                    shutil.move(new, folder / new.name)
            else:
                staged.rename(folder)
    except OSError as error:
        raise RunError(f"--out: {folder} cannot be written ({error.strerror}); name another folder") from None


def _own_files(folder: Path) -> list[str]:
    """What a former call wrote, by its record."""
    try:
        views = json.loads((folder / RECORD).read_text(encoding="utf-8"))["views"]
        named = [view["file"] for view in views]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        named = []
    return [*(name for name in named if is_file_name(name)), SHEET, RECORD]


def _fill(
    folder: Path,
    given: numpy.ndarray,
    poses: Sequence[Pose],
    rows: Sequence[Sequence[numpy.ndarray]],
    record: dict[str, Any],
) -> None:
    files = []
    for number, (pose, row) in enumerate(zip(poses, rows, strict=True)):
        for sample, pixels in enumerate(row):
            name = f"{number:03d}_{pose.name}_s{sample}.png"
            Image.fromarray(pixels).save(folder / name)
            files.append({"file": name, **asdict(pose), "sample": sample})
    contact_sheet(given, rows, [pose.label for pose in poses]).save(folder / SHEET)
    (folder / RECORD).write_text(json.dumps({**record, "views": files}, indent=2, default=str) + "\n", encoding="utf-8")
