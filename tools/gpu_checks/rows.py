"""A group's findings: a row for each check, whatever becomes of it, printed as JSON when it is done."""

from __future__ import annotations

import importlib.util
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


class Missing(Exception):
    """A check cannot be made here; says why."""


@dataclass
class Found:
    """A check's answer. ok: None where it only measures. figures: by name. note: a few words. errors: all figures are."""

    figures: dict[str, Any]
    ok: bool | None = None
    note: str = ""
    errors: bool = False


@dataclass(frozen=True)
class Bench:
    """Where a group works. tiny: sizes for a CPU, to try the script out. shared: a folder that all groups see."""

    device: torch.device
    tiny: bool
    shared: Path
    group: str

    def check(self, name: str, work: Callable[[], Found], limit_s: float = 60.0) -> None:
        """Run it and print its row; an error or too long a time is the row's note."""
        started = time.perf_counter()
        row: dict[str, Any] = {"group": self.group, "check": name}
        try:
            with _limited(limit_s):
                found = work()
            row |= {"ok": found.ok, "figures": found.figures, "note": found.note, "errors": found.errors}
        except Missing as error:
            row |= {"ok": None, "figures": {}, "note": f"not here: {error}"}
        except BaseException as error:  # one failure never stops the others
            text = " ".join(str(error).split())
            row |= {"ok": False, "figures": {}, "note": f"{type(error).__name__}: {text[:400]}"}
        row["seconds"] = round(time.perf_counter() - started, 2)
        print(json.dumps(row), flush=True)

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def milliseconds(self, work: Callable[[], Any], repeat: int) -> float:
        """The least of `repeat` runs, after one that warms up."""
        times = []
        for _ in range(repeat + 1):
            self.wait()
            started = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - started)
        return 1000 * min(times[1:])

    def peak_mb(self, work: Callable[[], Any]) -> float | None:
        """Most memory allocated on a GPU while it works, in 10^6 bytes."""
        if self.device.type != "cuda":
            return None
        torch.cuda.reset_peak_memory_stats(self.device)
        work()
        return torch.cuda.max_memory_allocated(self.device) / 1e6


class _limited:
    """Raises TimeoutError in the main thread when the time is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        def over(signum: int, stack: Any) -> None:
            raise TimeoutError(f"longer than {self.seconds:.0f} s")

        self.former = signal.signal(signal.SIGALRM, over)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *error: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.former)


def need(*packages: str) -> None:
    """Raises: Missing, one is not installed."""
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    if absent:
        raise Missing(", ".join(absent))


def error(found: torch.Tensor, expected: torch.Tensor, scale: float | None = None) -> float:
    """The largest difference as a share of the largest expected value (or of `scale`)."""
    found, expected = found.detach().double().cpu(), expected.detach().double().cpu()
    if found.shape != expected.shape:
        raise AssertionError(f"shapes {tuple(found.shape)} and {tuple(expected.shape)}")
    size = float(expected.abs().max()) if scale is None else scale
    return float((found - expected).abs().max()) / max(size, 1e-12)


def root() -> Path:
    return Path(__file__).resolve().parent.parent.parent


def say(text: str) -> None:
    """For whoever watches: it is no row."""
    print(text, file=sys.stderr, flush=True)
