"""Tar files of objects: found by their headers, read where a view is wanted.

Plain `tarfile`, not the webdataset library: that one resumes only by reading everything again, and reads all twelve views
of an object where a sample takes two.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError
from zero3d_training.data.picture import DamagedView, Decoder

MEMBER = re.compile(r"(?:\./)?(?P<uid>.+)[/.](?P<view>\d{3,})\.(?P<kind>png|npy)")
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
LARGEST = 2**28
"""Bytes of a picture or pose; what a header promises beyond that is not even tried."""
Place = tuple[int, int]
"""Where a member's bytes begin in the tar file, and how many they are."""


@dataclass(frozen=True)
class TarObject:
    """An object of a shard and the views it has both a picture and a pose of."""

    shard: Path
    uid: str
    views: Mapping[int, tuple[Place, Place]]

    def view(self, view: int, decoder: Decoder) -> Any:
        """Picture and camera-to-world.

        Raises:
            DamagedView: either cannot be read.
        """
        try:
            with open(self.shard, "rb") as file:
                content = [_bytes(file, place) for place in self.views[view]]
            return decoder.view(*content)
        except OSError as error:
            raise DamagedView(f"{self.shard}: {error.strerror}") from None
        except DamagedView as error:
            raise DamagedView(f"{self.shard}: {self.uid}/{view:03d}: {error}") from None


def _bytes(file: Any, place: Place) -> bytes:
    start, size = place
    if size > LARGEST:
        raise DamagedView(f"a member of {size} bytes; at most {LARGEST} are read")
    file.seek(start)
    found: bytes = file.read(size)
    if len(found) < size:
        raise DamagedView("its shard is cut off")
    return found


def read_shard(path: Path, views: int, least: int) -> tuple[list[TarObject], list[str]]:
    """The objects with `least` whole views or more among the first `views`, and what was wrong. Reads headers alone.

    Members are UID/000.png or UID.000.png (webdataset's way), with .npy beside them, an object's one after the other.
    """
    found: dict[str, dict[int, dict[str, Place]]] = {}
    notes = []
    try:
        with tarfile.open(path, "r:") as opened:
            tar: Any = opened
            for member in tar:
                if member.size < 0:  # the next header would be sought before this one, for ever
                    raise tarfile.TarError(f"{member.name}: a size of {member.size}")
                match = MEMBER.fullmatch(member.name) if member.isfile() else None
                if match and int(match["view"]) < views:
                    entry = found.setdefault(match["uid"], {}).setdefault(int(match["view"]), {})
                    entry[match["kind"]] = (member.offset_data, member.size)
                tar.members = []  # tarfile keeps every header it has read
    except (
        OSError,
        tarfile.TarError,
        ValueError,
        OverflowError,
        MemoryError,
    ) as error:  # headers are not checked there
        notes.append(f"{path}: {getattr(error, 'strerror', None) or error or type(error).__name__}")
    objects = []
    for uid, entries in found.items():
        whole = {view: (e["png"], e["npy"]) for view, e in sorted(entries.items()) if len(e) == 2}
        if len(whole) >= least:
            objects.append(TarObject(path, uid, whole))
        else:
            notes.append(f"{path}: {uid} has {len(whole)} whole views, {least} are needed")
    return objects, notes


def shard_paths(pattern: str) -> list[Path]:
    """The paths that `pattern` stands for; no folder is listed.

    `data/shard-{000000..000999}.tar` counts with leading zeros as written; a .txt file holds a path a line, from its own
    folder.

    Raises:
        RecipeError: an empty range or list, a pattern that is neither, or no such list.
    """
    if pattern.endswith(".txt"):
        file = Path(pattern).expanduser()
        try:
            lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text in UTF-8"
            raise RecipeError(f"dataset.shards: {pattern!r}: {reason}; give a list of paths") from None
        paths = [str(file.parent / line) for line in lines if line and not line.startswith("#")]
    else:
        paths = [pattern]
        while RANGE.search(paths[0]):
            paths = [path.replace(m[0], f"{n:0{len(m[1])}d}", 1) for path in paths for m, n in _counted(path)]
            if not paths:
                break
    if not paths or not all(path.endswith(".tar") for path in paths):
        raise RecipeError(f"dataset.shards: {pattern!r}; write folder/shard-{{000000..000999}}.tar, or a .txt of paths")
    return [Path(path).expanduser() for path in paths]


def _counted(path: str) -> list[tuple[re.Match[str], int]]:
    match = RANGE.search(path)
    assert match
    return [(match, number) for number in range(int(match[1]), int(match[2]) + 1)]
