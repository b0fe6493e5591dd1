"""valid_paths.json, read in one pass whatever its length, and the published split of it."""

from __future__ import annotations

import json
import mmap
import re
from pathlib import Path

import numpy

from zero3d.errors import RecipeError

NAME = "valid_paths.json"
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Names:
    """Very many names in two arrays: 800,000 of Objaverse's take 32 MB, shared by worker processes."""

    def __init__(self, text: bytes, ends: numpy.ndarray) -> None:
        self._text, self._ends = text, ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> str:
        start = self._ends[index - 1] if index else 0
        return self._text[start : self._ends[index]].decode()


def read_names(root: Path) -> Names:
    """The folder names in root/valid_paths.json, a JSON list of strings; nothing else of `root` is looked at.

    Raises:
        RecipeError: no such folder or file, or no such list in it.
    """
    path = root / NAME
    if not root.is_dir():
        raise RecipeError(f"dataset.root: {str(root)!r}: no such folder; `zero3d dataset render` makes one")
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            if text[: min(len(text), 64)].lstrip()[:1] != b"[" or text[-64:].rstrip()[-1:] != b"]":
                raise ValueError("it is no list")
            parts, ends, end = bytearray(), [], 0
            for match in STRING.finditer(text):
                name = json.loads(match[0]).encode()
                parts += name
                end += len(name)
                ends.append(end)
    except FileNotFoundError:
        raise RecipeError(f"dataset.root: {path}: no such file; name the folder that holds {NAME}") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"dataset.root: {path}: no JSON list of folder names ({error})") from None
    return Names(bytes(parts), numpy.array(ends, dtype=numpy.int64))


def split(count: int) -> int:
    """How many come first for training, floor(99 %) as published; the rest is held out."""
    return count * 99 // 100
