"""The laws of an executor."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from zero3d.interfaces import Executor, Job, Outcome
from zero3d.testing.laws.common import Laws
from zero3d.testing.laws.jobs import RAISED

CALL = "zero3d.testing.laws.jobs:work"
ENDED_SECONDS = 30.0


def check_executor(make: Callable[[], Executor], local: bool = True) -> None:
    """The laws of an executor. Call it from a test; the first broken one is an AssertionError of one line.

    - Each job has one outcome, in any order, with what its function gave; a job that raises has its one line, once.
    - A job whose worker dies is tried again; one that kills every worker is an error that says so, and the others go on.
    - Jobs may come from a generator, and be none. Closing the iterator ends the workers (`local`: which run here).

    Args:
        make: gives a new executor of two workers or more, for example `lambda: Mine(MyConfig(workers=2))`.
        local: its workers are processes of this machine.
    """
    executor = make()
    laws = Laws(type(executor))
    laws.refuses(executor.config)
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(f"give {n}", CALL, {"do": "give", "value": [n, {"n": str(n)}]}) for n in range(4)]
        jobs += [Job(f"raise {name}", CALL, {"do": "raise", "value": name}) for name in RAISED]
        for name, times in (("once", 1), ("always", 1000)):
            jobs.append(Job(name, CALL, {"do": "die", "times": times, "folder": folder, "value": "alive"}))
        with laws.runs("it runs jobs", "run() fails"):
            found = list(executor.run(iter(jobs)))
        _outcomes(laws, jobs, found)
        with laws.runs("no jobs are no outcomes", "run([]) fails"):
            none = list(make().run([]))
        laws("no jobs are no outcomes", none == [], f"{none}")
        _closed(laws, make(), Path(folder), local)


def _outcomes(laws: Laws, jobs: list[Job], found: list[Outcome]) -> None:
    names = sorted(outcome.job.name for outcome in found)
    laws("each job has one outcome", names == sorted(job.name for job in jobs), f"{names}")
    by = {outcome.job.name: outcome for outcome in found}
    for job in jobs[:4]:
        told = f"{by[job.name].value!r}, {by[job.name].error!r} for {job.payload['value']!r}"
        good = by[job.name].error is None and by[job.name].value == job.payload["value"]
        laws("a job's value is what its function gave", good, told)
    for name, word in (("user", "thing: 3; take 2"), ("bug", "two lines")):
        outcome = by[f"raise {name}"]
        error = outcome.error or ""
        laws("a job that raises has its one line", word in error and len(error.splitlines()) == 1, f"{name}: {error!r}")
        laws("a job that raises is not tried again", outcome.attempts == 1, f"{name}: {outcome.attempts} times")
    once, always = by["once"], by["always"]
    law = "a job whose worker dies is tried again"
    laws(law, (once.error, once.value) == (None, "alive"), f"{once.error!r}, {once.value!r}")
    laws(law, once.attempts == 2, f"attempts = {once.attempts} of a job that killed one worker")
    law = "a job that kills every worker is an error of one line"
    told = always.error or ""
    good = len(told.splitlines()) == 1 and always.attempts > 1
    laws(law, good, f"{told!r} after {always.attempts}")


def _closed(laws: Laws, executor: Executor, folder: Path, local: bool) -> None:
    """A waiting worker must be gone soon after the iterator is closed."""
    slow = Job("slow", CALL, {"do": "wait", "seconds": 600, "folder": str(folder)})
    law = "closing the iterator ends the workers"
    with laws.runs(law, "it fails"):
        outcomes = executor.run([Job("quick", CALL, {"do": "give", "value": 1}), slow])
        laws(law, next(outcomes).job.name == "quick", "the slow job, or none, came first")
        if not _within(lambda: any(folder.glob("at-*"))):
            return  # its worker had not begun
        started = time.monotonic()
        outcomes.close()  # type: ignore[attr-defined]
    laws(law, time.monotonic() - started < ENDED_SECONDS, "close() waits for a job that takes ten minutes")
    pids = [int(path.name.partition("-")[2]) for path in folder.glob("at-*")]
    if local:
        laws(law, _within(lambda: not any(map(_alive, pids))), f"process {pids} is still there")


def _within(true: Callable[[], bool]) -> bool:
    end = time.monotonic() + ENDED_SECONDS
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def _alive(pid: int) -> bool:
    """Whether it runs; an ended one that nobody has waited for does not."""
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
