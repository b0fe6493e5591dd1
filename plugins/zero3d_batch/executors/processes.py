"""Executor `processes`: worker processes of this machine, with nothing but Python's own library."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from zero3d.errors import RunError
from zero3d.interfaces import Executor, Job, Outcome
from zero3d.processes import child_environment
from zero3d_batch.executors.jobs import Logs, died, outcome
from zero3d_batch.executors.machine import (
    THREAD_VARIABLES,
    SharedOptions,
    cores,
    gpu_groups,
    has_gpu,
    log_folder,
    threads_of,
)

STOP_SECONDS = 15.0
"""What a job that is interrupted has to end, in which a run saves its checkpoint; then it is killed."""


@dataclass
class ProcessesOptions(SharedOptions):
    """workers: processes at once; None: one for each `gpus`, or for every two cores. gpus: of a job, a share or a whole
    number, given to it in CUDA_VISIBLE_DEVICES; None: 1 where there are any; 0 hides them. attempts: workers that a job may
    cost. threads: of a worker; None shares the cores out. logs: the folder of the jobs' prints; None keeps none."""


class Processes(Executor):
    """Runs jobs in processes of this machine that stay for many jobs; a killed one costs nothing but the time."""

    name: ClassVar[str] = "processes"
    Config: ClassVar[type[Any]] = ProcessesOptions

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        options: ProcessesOptions = self.config
        gpus = float(has_gpu()) if options.gpus is None else options.gpus
        groups = gpu_groups(gpus) if gpus else ["-1"]
        count = options.workers or (len(groups) if gpus else max(1, cores() // 2))
        if gpus and count > len(groups):
            raise RunError(
                f"workers: {count}, but this machine's GPUs serve {len(groups)} at {gpus:g} a job; take fewer"
            )
        threads = str(threads_of(count, options.threads))
        surroundings = [
            {**dict.fromkeys(THREAD_VARIABLES, threads), "CUDA_VISIBLE_DEVICES": groups[n % len(groups)]}
            for n in range(count)
        ]
        with log_folder(options.logs) as folder:
            yield from _Pool(jobs, surroundings, options, Logs(folder)).outcomes()


class _Pool:
    """One run of the executor: a thread for each worker hands it jobs; the main thread yields how they end."""

    def __init__(
        self, jobs: Iterable[Job], surroundings: list[dict[str, str]], options: SharedOptions, logs: Logs
    ) -> None:
        self._jobs, self._attempts, self._logs = iter(jobs), options.attempts, logs
        self._kept = options.logs is not None
        self._lock, self._stopped = threading.Lock(), False
        self._workers: set[_Worker] = set()
        self._ended: queue.SimpleQueue[Outcome | Exception | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, args=(own,), daemon=True) for own in surroundings]

    def outcomes(self) -> Iterator[Outcome]:
        for thread in self._threads:
            thread.start()
        left = len(self._threads)
        try:
            while left:
                ended = self._ended.get()
                if isinstance(ended, Exception):
                    raise ended
                if ended is None:
                    left -= 1
                else:
                    yield ended
        finally:
            self._stop()

    def _serve(self, surroundings: dict[str, str]) -> None:
        worker: _Worker | None = None
        try:
            while (found := self._next()) is not None:
                job, log = found
                deaths, answer, cause = 0, None, ""
                while answer is None and deaths < self._attempts and not self._stopped:
                    worker = worker or self._start(surroundings, log)
                    answer = worker.ask(job, log) if worker else None
                    if answer is None and worker:
                        deaths, cause = deaths + 1, worker.end()
                        self._forget(worker)
                        worker = None
                if self._stopped and answer is None:
                    break
                attempts = deaths + (answer is not None)
                self._ended.put(outcome(job, answer or died(deaths, cause, log if self._kept else ""), attempts))
        except Exception as error:  # of the iterator that gives the jobs, or of a machine that starts no process
            self._ended.put(error)
        finally:
            if worker:
                worker.close()
                self._forget(worker)
            self._ended.put(None)

    def _next(self) -> tuple[Job, str] | None:
        with self._lock:
            job = None if self._stopped else next(self._jobs, None)
            return None if job is None else (job, self._logs.of(job.name))

    def _start(self, surroundings: dict[str, str], log: str) -> _Worker | None:
        with self._lock:
            if self._stopped:
                return None
            worker = _Worker(surroundings, log)
            self._workers.add(worker)
            return worker

    def _forget(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.discard(worker)

    def _stop(self) -> None:
        """End what still runs: as by Ctrl-C, then by force; by force at once at a second Ctrl-C."""
        with self._lock:
            self._stopped, running = True, list(self._workers)
        try:
            for worker in running:
                worker.interrupt()
            until = time.monotonic() + STOP_SECONDS
            for thread in self._threads:
                thread.join(max(0.0, until - time.monotonic()))
        finally:
            for worker in running:
                worker.kill()
            for thread in self._threads:
                thread.join(5.0)


class _Worker:
    """A process of zero3d_batch.executors.worker, leader of a session: Ctrl-C reaches it through us alone."""

    def __init__(self, surroundings: dict[str, str], log: str) -> None:
        environment = child_environment(**surroundings)
        command = [sys.executable, "-P", "-m", "zero3d_batch.executors.worker", str(os.getpid())]
        with contextlib.ExitStack() as stack:
            try:
                prints: Any = stack.enter_context(open(log, "ab"))
            except OSError:
                prints = subprocess.DEVNULL
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=prints,
                env=environment,
                start_new_session=True,
            )
        self._grave = threading.Thread(target=self._bury, daemon=True)
        self._grave.start()

    def _bury(self) -> None:
        self._process.wait()
        self._kill_group()  # what it had started would keep its pipes open

    def ask(self, job: Job, log: str) -> dict[str, Any] | None:
        """Have it do a job; None if it died over it.

        Raises:
            TypeError: the payload is no JSON.
        """
        line = json.dumps({"call": job.call, "payload": dict(job.payload), "log": log}).encode() + b"\n"
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            return None
        return dict(json.loads(answer)) if answer.endswith(b"\n") else None

    def end(self) -> str:
        """After its death: of what it died."""
        self._grave.join(10.0)
        self.kill()
        code = self._process.wait()
        if code >= 0:
            return f"exit code {code}"
        name = next((known.name for known in signal.Signals if known == -code), f"signal {-code}")
        return f"{name}; out of memory?" if name == "SIGKILL" else name

    def close(self) -> None:
        """No more jobs: it ends by itself."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe:
                    pipe.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def interrupt(self) -> None:
        """As Ctrl-C."""
        with contextlib.suppress(OSError, ValueError):
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._kill_group()
            with contextlib.suppress(OSError):
                self._process.kill()

    def _kill_group(self) -> None:
        if hasattr(os, "killpg"):
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
