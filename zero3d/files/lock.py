"""One writer in a folder at a time. A killed process lets go of its lock, whatever it leaves behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from zero3d.errors import RunError

NAME = ".zero3d.lock"
"""The file that is locked. It goes with the lock; after a kill it stays, and means nothing."""

_held: set[int] = set()


@contextlib.contextmanager
def only_writer(folder: Path, place: str) -> Iterator[None]:
    """Hold the lock of `folder`, which exists, during the block. `place` begins the error's line: "out: runs/cat".

    Where the system or the file system has no such locks, nobody looks.

    Raises:
        RunError: another process (or another call in this one) is writing there, or the folder cannot be written.
    """
    try:
        import fcntl  # noqa: F401 (not on Windows)
    except ImportError:
        yield
        return
    path = folder / NAME
    try:
        descriptor = _lock(path, place)
    except OSError as error:
        raise RunError(f"{place}: cannot be written ({error.strerror}); allow writing there") from None
    _held.add(descriptor)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        _held.discard(descriptor)
        os.close(descriptor)


def _lock(path: Path, place: str) -> int:
    import fcntl

    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RunError(f"{place}: another zero3d is writing there; wait until it ends, or stop it") from None
        except OSError:  # a file system without locks
            return descriptor
        if _still_there(path, descriptor):
            return descriptor
        os.close(descriptor)  # its former holder removed it between our two calls


def _still_there(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _let_go() -> None:
    """In a forked worker: it may outlive a killed parent, whose lock must not live on in it."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
