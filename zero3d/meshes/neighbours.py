"""Files that a mesh file names, found where they are."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from trimesh.resolvers import Resolver

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tga", ".tif", ".tiff", ".webp", ".gif", ".dds", ".avif")
ELSEWHERE = (".", "textures", "texture", "../textures", "../materials/textures")
"""Folders, seen from the mesh's, in which a file is looked for by its bare name; the last is Google Scanned Objects'."""


class Neighbours(Resolver):
    """trimesh's way to named files: no further away than the folder above, whatever path was written down.

    What was asked for in vain is remembered: trimesh goes on without it, and without a word.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = Path(path).absolute().parent
        self._missing: dict[str, str] = {}

    def get(self, name: str) -> bytes:
        found = self.find(name)
        if found is None:
            self._missing[name.strip()[:200]] = "is missing"
            raise FileNotFoundError(name)
        data = found.read_bytes()
        wrong = undecodable(data) if found.suffix.lower() in PICTURES else None
        if wrong:
            self._missing[name.strip()[:200]] = f"cannot be decoded ({wrong})"
        return data

    def notes(self) -> list[str]:
        """A line for each file that was missing or no picture."""
        return [f"{name} {what}: drawn without" for name, what in self._missing.items()]

    def find(self, name: str) -> Path | None:
        """The file of that name, URI, Windows path, or MTL options before a name; None where there is none."""
        words = name.strip().split(" ")
        starts = range(len(words)) if words[0].startswith("-") else (0,)  # map_Kd -s 1 1 1 picture.png
        for start in starts:
            said = " ".join(words[start:]).strip('" ')
            for spelt in (said, unquote(said)):
                plain = spelt.replace("\\", "/")
                for place in (plain, *(f"{folder}/{plain.rsplit('/', 1)[-1]}" for folder in ELSEWHERE)):
                    found = self._there(place)
                    if found is not None:
                        return found
        return None

    def _there(self, place: str) -> Path | None:
        """A regular file at that place, in whatever case its name is written."""
        try:
            path = (self.folder / place).resolve()
            if not path.is_relative_to(self.folder.resolve().parent):
                return None
            if path.is_file():
                return path
            named = (other for other in path.parent.iterdir() if other.name.lower() == path.name.lower())
            return next((other for other in named if other.is_file()), None)
        except (OSError, ValueError):  # no such folder, or no possible name
            return None

    def write(self, name: str, data: Any) -> None:
        raise NotImplementedError("files are only read here")

    def namespaced(self, namespace: str) -> Neighbours:
        return self

    def keys(self) -> Iterator[str]:
        return iter(())


def undecodable(data: bytes) -> str | None:
    """Why Pillow cannot read a picture, in a word; None where it can."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except Exception as error:  # Pillow's decoders raise whatever they met
        return type(error).__name__
    return None
