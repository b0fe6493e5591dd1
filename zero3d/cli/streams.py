"""stdout and stderr of a process that does not end because nobody reads it."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


class _Lasting(io.FileIO):
    """A file descriptor that takes everything; the first error of writing is kept, and all after it is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failed: OSError | None = None

    def write(self, data: Any) -> int:
        if self.failed is None:
            try:
                return super().write(data)
            except BlockingIOError:
                raise
            except OSError as error:
                self.failed = error
        return memoryview(data).nbytes


class Output:
    """The two streams, made lasting: `zero3d run ... | head -1` goes on to its model. Text is written with the stream's own
    encoding, and what that lacks as an escape."""

    def __init__(self) -> None:
        self._raw: dict[str, _Lasting] = {}
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            try:
                raw = _Lasting(stream.fileno())
            except (AttributeError, OSError, ValueError):  # closed by who started us (None), or no file at all
                if stream is None:
                    setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
                continue
            stream.flush()
            buffered = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                errors="backslashreplace",
                line_buffering=stream.line_buffering,
            )
            setattr(sys, name, buffered)
            self._raw[name] = raw

    def lost(self) -> str:
        """Why a part of stdout was not written, after all is done; empty if it was, or its reader left."""
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        failed = self._raw["stdout"].failed if "stdout" in self._raw else None
        return "" if failed is None or failed.errno == errno.EPIPE else str(failed.strerror)
