"""A job in the worker that runs it: its call found, its prints kept apart, its end as JSON can hold it."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import UserError, one_line
from zero3d.interfaces import Job, Outcome

LONGEST_NAME = 100


def perform(call: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Call "package.module:function" with `payload`: {"value" or "error", "seconds"}; KeyboardInterrupt passes."""
    started = time.monotonic()
    ended: dict[str, Any]
    try:
        module, _, function = call.partition(":")
        value = getattr(importlib.import_module(module), function)(payload)
        json.dumps(value)
        ended = {"value": value}
    except UserError as error:
        ended = {"error": str(error)}
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        ended = {"error": one_line(f"{type(error).__name__}: {error}")}
    return {**ended, "seconds": round(time.monotonic() - started, 3)}


@contextlib.contextmanager
def printed_to(log: str) -> Iterator[None]:
    """What is printed in the block, by libraries in C too, is added to this file; to nothing if it cannot be opened."""
    _flush()
    kept = [os.dup(descriptor) for descriptor in (1, 2)]
    try:
        _point_at(log)
        yield
    finally:
        _flush()
        for descriptor, former in zip((1, 2), kept, strict=True):
            os.dup2(former, descriptor)
            os.close(former)


def _point_at(log: str) -> None:
    try:
        opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError:  # of another machine, or a full disk: no reason to lose the job
        opened = os.open(os.devnull, os.O_WRONLY)
    os.dup2(opened, 1)
    os.dup2(opened, 2)
    os.close(opened)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def outcome(job: Job, ended: Mapping[str, Any], attempts: int) -> Outcome:
    """What `perform` or `died` gave, as the executor's caller sees it."""
    return Outcome(job, ended.get("value"), ended.get("error"), attempts, float(ended.get("seconds", 0.0)))


def died(times: int, how: str, log: str = "") -> dict[str, Any]:
    """The end of a job that has cost all the workers it may. `log`: where its prints are, if they are kept."""
    often = "" if times == 1 else f" {times} times"
    return {"error": one_line(f"its worker died{often} ({how}){f'; its prints: {log}' if log else ''}")}


class Logs:
    """The file of each job's prints in one folder, emptied when a job gets it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._taken: set[str] = set()

    def of(self, name: str) -> str:
        """A job's file, by its name; of a second job of that name another one."""
        plain = re.sub(r"[^\w.-]", "_", name)[:LONGEST_NAME] or "job"
        taken, number = plain, 2
        while taken.casefold() in self._taken:
            taken, number = f"{plain}-{number}", number + 1
        self._taken.add(taken.casefold())
        path = self.folder / f"{taken}.log"
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
        return str(path)
