"""Processes that each do one task at a time; one that dies or takes too long costs its task alone."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from zero3d.processes import end_with_parent

Task = TypeVar("Task")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


class Work(ABC, Generic[Task]):
    """What a worker process does; made in that process."""

    @abstractmethod
    def do(self, task: Task) -> str | None:
        """Do it; None, or one line that says why it failed."""

    def close(self) -> None:
        """Called once when the process ends in order; nothing by default."""


@dataclass
class _Worker(Generic[Task]):
    process: Any
    pipe: Connection
    ready: bool = False
    task: Task | None = None
    started: float = math.inf
    """When it began the task; a new process first has to import."""


class Workers(Generic[Task]):
    """`count` fresh processes with one thread each; each calls make() once. `make` and the tasks are pickled.

    seconds: after which a task is given up.
    """

    def __init__(self, make: Callable[[], Work[Task]], count: int, seconds: float) -> None:
        self._make, self._count, self._seconds = make, count, seconds
        self._context: Any
        if "forkserver" in multiprocessing.get_all_start_methods():  # imports once, not once a worker
            self._context = multiprocessing.get_context("forkserver")
            self._context.set_forkserver_preload(["zero3d_dataset.render", "zero3d_dataset.raycast"])
        else:
            self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker[Task]] = []

    def run(self, tasks: Iterable[Task]) -> Generator[tuple[Task, str | None], None, None]:
        """Each task as it ends, with None or why it failed."""
        waiting = iter(tasks)
        try:
            while True:
                self._hand_out(waiting)
                busy = [worker for worker in self._workers if worker.task is not None]
                if not busy:
                    return
                yield from self._ended(busy)
        finally:
            for worker in self._workers:
                self._stop(worker)
            self._workers = []

    def _hand_out(self, waiting: Iterator[Task]) -> None:
        """A task for every idle worker, as long as there are any; workers are started as they are needed."""
        idle = [worker for worker in self._workers if worker.task is None]
        while idle or len(self._workers) < self._count:
            try:
                task = next(waiting)
            except StopIteration:
                return
            worker = idle.pop() if idle else self._start()
            try:
                worker.pipe.send(task)
            except OSError:  # it died while it had nothing to do
                self._stop(worker)
                worker = self._start()
                worker.pipe.send(task)
            worker.task, worker.started = task, time.monotonic() if worker.ready else math.inf

    def _ended(self, busy: list[_Worker[Task]]) -> Iterator[tuple[Task, str | None]]:
        left = min(worker.started for worker in busy) + self._seconds - time.monotonic()
        ready = wait([worker.pipe for worker in busy], timeout=None if left == math.inf else max(left, 0.05))
        for worker in busy:
            assert worker.task is not None
            if worker.pipe in ready:
                try:
                    failure = worker.pipe.recv()
                except (EOFError, OSError):
                    self._stop(worker)
                    failure = _why(worker.process.exitcode)
                else:
                    if not worker.ready:
                        worker.ready, worker.started = True, time.monotonic()
                        continue
            elif time.monotonic() - worker.started > self._seconds:
                self._stop(worker)
                failure = f"took longer than {self._seconds:g} s"
            else:
                continue
            task, worker.task = worker.task, None
            yield task, failure

    def _start(self) -> _Worker[Task]:
        ours, theirs = self._context.Pipe()
        before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read where numpy and torch are imported
        try:
            process = self._context.Process(target=_work, args=(theirs, self._make), daemon=True)
            process.start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        theirs.close()
        worker: _Worker[Task] = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _stop(self, worker: _Worker[Task]) -> None:
        worker.pipe.close()
        worker.process.terminate()
        worker.process.join(5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
        if worker in self._workers:
            self._workers.remove(worker)


def _why(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"the process died ({name}" + ("; out of memory?)" if name == "SIGKILL" else ")")
    return f"the process died (code {code})"


def _work(pipe: Connection, make: Callable[[], Work[Any]]) -> None:
    """A worker's life: until the pipe closes, which it also does when the parent dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that close is called
    end_with_parent()  # also in the middle of a task
    work = make()
    pipe.send(None)  # ready
    try:
        while True:
            try:
                task = pipe.recv()
                pipe.send(work.do(task))
            except (EOFError, OSError):
                return
    finally:
        work.close()
