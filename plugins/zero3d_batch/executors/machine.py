"""What this machine has to share among workers: cores and GPUs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zero3d.errors import RunError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
MOST_WORKERS, MOST_ATTEMPTS, MOST_THREADS, MOST_GPUS = 4096, 100, 1024, 64


@dataclass
class SharedOptions:
    """What every executor takes."""

    workers: int | None = None
    gpus: float | None = None
    attempts: int = 3
    threads: int | None = None
    logs: str | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and not 1 <= self.workers <= MOST_WORKERS:
            raise ValueError(f"workers: {self.workers}; 1 to {MOST_WORKERS}")
        if self.gpus is not None:
            several = self.gpus > 1 and self.gpus != round(self.gpus)
            if not 0 <= self.gpus <= MOST_GPUS or several or 0 < self.gpus < 0.01:
                raise ValueError(f"gpus: {self.gpus:g}; GPUs of a job: 0, a share such as 0.5, or a whole number")
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise ValueError(f"attempts: {self.attempts}; 1 to {MOST_ATTEMPTS}")
        if self.threads is not None and not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads: {self.threads}; of a worker, 1 to {MOST_THREADS}")


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_of(workers: int, given: int | None) -> int:
    """Threads of each of so many workers: an even share of the cores, or fewer where OMP_NUM_THREADS says so."""
    if given is not None:
        return given
    share, limit = max(1, cores() // workers), os.environ.get("OMP_NUM_THREADS", "")
    return min(share, int(limit)) if limit.isdigit() and int(limit) else share


def gpu_groups(gpus: float) -> list[str]:
    """What CUDA_VISIBLE_DEVICES is for each worker that can run at once, at `gpus` a job.

    Raises:
        RunError: this machine has not that many.
    """
    import torch

    visible, count = os.environ.get("CUDA_VISIBLE_DEVICES"), torch.cuda.device_count()
    names = [str(n) for n in range(count)] if visible is None else visible.split(",")[:count]
    if len(names) < gpus or not names:
        raise RunError(f"gpus: {gpus:g} a job, but this machine has {len(names)}; set gpus=0 to work on the processor")
    if gpus < 1:
        return [name for name in names for _ in range(int(1 / gpus + 1e-6))]
    each = round(gpus)
    return [",".join(names[at : at + each]) for at in range(0, len(names) - each + 1, each)]


def has_gpu() -> bool:
    """Whether torch sees one here."""
    import torch

    return torch.cuda.device_count() > 0


@contextmanager
def log_folder(given: str | None) -> Iterator[Path]:
    """The given folder; or one for the time of the block."""
    if given is not None:
        yield Path(given).expanduser()
        return
    with tempfile.TemporaryDirectory(prefix="zero3d-jobs-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
