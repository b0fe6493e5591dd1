"""Writing a file whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from zero3d.errors import WriteError

LEFTOVER = re.compile(r"\.zero3d-[0-9a-f]{16}\.tmp")
"""What a temporary file is called. One that is still there was left by a killed process."""
_REMEDIES = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room in your quota",
    errno.EFBIG: "raise the limit on a file's size (ulimit -f)",
    errno.EACCES: "allow writing there, or name another place",
    errno.EPERM: "allow writing there, or name another place",
    errno.EROFS: "name a place that is not read-only",
    errno.ENAMETOOLONG: "take a shorter name",
}


def beside(path: Path) -> Path:
    """A random name in the folder of `path`, for a file or folder that is to replace it."""
    return path.with_name(f".zero3d-{secrets.token_hex(8)}.tmp")


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new, empty file beside `path` to write in the block; when the block ends without an error it replaces `path`.

    Its name is random and it is made with O_EXCL and O_NOFOLLOW, so that nobody can plant a link there; its name has no
    ending that a library could read the format from. A link at `path` is replaced, not followed.

    Raises:
        WriteError: no room, no permission, or another failure of the disk; `path` is what it was.
    """
    path = Path(path)
    temporary = beside(path)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(temporary, flags, 0o666))
        yield temporary
        with open(temporary, "r+b") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: str | Path, data: bytes) -> None:
    """Replace `path` by these bytes, whole or not at all.

    Raises:
        WriteError: as `replacing`.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: str | Path, text: str) -> None:
    """Replace `path` by this text in UTF-8, whatever the locale, whole or not at all.

    Raises:
        WriteError: as `replacing`.
    """
    write_bytes(path, text.encode())


def cannot_write(path: str | Path, error: Exception) -> WriteError:
    """The line for a failure to write `path`."""
    hidden = re.search(r"os error (\d+)", str(error))  # in what safetensors says
    number = getattr(error, "errno", None) or (int(hidden[1]) if hidden else None)
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    remedy = _REMEDIES.get(number, "mend that") if number else "mend that"
    return WriteError(f"{path}: cannot be written ({reason}); {remedy}")


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes left in `folder` and below. Only who holds the folder's lock may ask for it."""
    for place, _, names in os.walk(folder):
        for name in filter(LEFTOVER.fullmatch, names):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(place, name))
