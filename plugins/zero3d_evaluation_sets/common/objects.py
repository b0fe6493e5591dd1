"""An object behind which are files: its digest, and the one line where a file is at fault."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from zero3d import UserError
from zero3d.interfaces import EvaluationObject

WHOLE = 2**24
"""Bytes up to which a picture counts whole in a digest; of larger ones the size and the first part."""
PART = 2**16
PICTURES = (".exr", ".png")


class FileObject(EvaluationObject):
    """An object that is read from files below `root`."""

    def __init__(self, name: str, root: Path, category: str = "") -> None:
        self.name, self.root = name, root
        if category:  # some classes read it when it is asked for
            self.category = category

    def files(self) -> Iterable[Path]:
        """What it is read from."""
        raise NotImplementedError

    def settings(self) -> str:
        """Options that change what is read, in a form that stays the same."""
        return ""

    def digest(self) -> str:
        """SHA-256 of the files' places below the object's folder and contents, and of the options that turn or scale.

        Of pictures over 16 MiB (RTMV's) their size and first 64 KiB.

        Raises:
            UserError: a file cannot be read.
        """
        total = hashlib.sha256(self.settings().encode())
        for file in sorted(set(self.files())):
            try:
                size = file.stat().st_size
                with file.open("rb") as opened:
                    if size > WHOLE and file.suffix.lower() in PICTURES:
                        content = hashlib.sha256(opened.read(PART) + str(size).encode()).hexdigest()
                    else:
                        content = hashlib.file_digest(opened, "sha256").hexdigest()
            except OSError as error:
                raise UserError(f"{file}: cannot be read ({error.strerror}); copy it again") from None
            total.update(f"{Path(os.path.relpath(file, self.root)).as_posix()} {content}\n".encode())
        return total.hexdigest()

    def at(self, index: int) -> int:
        """`index` if there is such a view.

        Raises:
            IndexError: there is none.
        """
        if not 0 <= index < len(self.view_names):
            raise IndexError(f"{self.name}: view {index} of {len(self.view_names)}")
        return index


def read_json(file: Path, kind: type[Any]) -> Any:
    """The JSON value of a file, which is of type `kind`; a leading byte order mark is passed over.

    Raises:
        UserError: missing, no JSON, or another type.
    """
    try:
        value = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); copy it again") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: no JSON ({str(error)[:80]}); copy it again") from None
    if not isinstance(value, kind):
        raise UserError(f"{file}: a JSON {type(value).__name__}; a {kind.__name__} is needed")
    return value


def read_names(file: Path, places: Collection[str], who: str, what: str) -> dict[str, str]:
    """A JSON file {name: place}, sorted by name: the objects to take, under these names.

    Raises:
        UserError: as `read_json`; a place that is none of `places`, said to be `what`; a name that no file can have.
    """
    named: dict[str, str] = read_json(file, dict)
    for name, place in named.items():
        if place not in places:
            raise UserError(f"{who}: {name}: {str(place)[:80]!r} is {what}")
        if not name or "/" in name or "\\" in name:
            raise UserError(f"{who}: {name!r} is no name; one that can be a file's")
    return dict(sorted(named.items()))


def numbers(value: Any, shape: tuple[int, ...], who: str) -> Any:
    """A numpy array (float64) of that shape, all finite.

    Raises:
        UserError: the value is none; the line begins with `who`.
    """
    import numpy

    try:
        array = numpy.array(value, dtype=numpy.float64)
    except (TypeError, ValueError, OverflowError):
        array = numpy.empty(0)
    if array.shape != shape or not numpy.isfinite(array).all():
        wanted = "x".join(map(str, shape)) or "1"
        raise UserError(f"{who}: {str(value)[:60]}; {wanted} finite numbers are needed")
    return array
