"""The queue: runs as processes of their own, so many at a time; they end with this one."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zero3d.errors import RunError
from zero3d.processes import child_environment

STOP_SECONDS = 20.0
"""What runs that are interrupted have to save themselves when the studio ends; then they are killed."""
WAITING, RUNNING, STOPPING = "waiting", "running", "stopping"
DONE, STOPPED, FAILED = "done", "stopped", "failed"
ALIVE = (WAITING, RUNNING, STOPPING)
INTERRUPTED = 130
TAIL = 16_384
"""Bytes at a log's end in which its last lines are looked for."""


@dataclass
class Job:
    """`words`: of `zero3d`. `reads`: a file that must stay until it has ended."""

    name: str
    words: Sequence[str]
    log: Path
    reads: Path | None = None
    state: str = WAITING
    line: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self.state in ALIVE


class Queue:
    """Jobs by name; of each name the last one. Threads of its own wait for processes, so that nothing polls."""

    def __init__(self, at_once: int, most: int, always: Sequence[str] = ()) -> None:
        """`at_once`: processes. `most`: jobs that wait or run. `always`: options of zero3d for every job."""
        self._always, self._most = tuple(always), most
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(at_once)]
        for thread in self._threads:
            thread.start()

    def add(self, job: Job) -> None:
        """Raises RunError: the queue is full or closed, or a job of that name is at work."""
        with self._changed:
            if self._closed:
                raise RunError("the studio is ending")
            if (former := self._jobs.get(job.name)) and former.alive:
                raise RunError(f"{job.name} is {former.state} already")
            if sum(one.alive for one in self._jobs.values()) >= self._most:
                raise RunError(f"{self._most} runs wait or run already; wait for one, or cancel one")
            self._jobs[job.name] = job
            self._waiting.append(job)
            self._changed.notify()

    def get(self, name: str) -> Job | None:
        return self._jobs.get(name)

    @property
    def jobs(self) -> list[Job]:
        with self._changed:
            return list(self._jobs.values())

    @property
    def files_read(self) -> set[Path]:
        """The files that those that wait or run read."""
        return {job.reads for job in self.jobs if job.alive and job.reads}

    def place(self, job: Job) -> int:
        """How many wait before it."""
        with self._changed:
            return self._waiting.index(job) if job in self._waiting else 0

    def stop(self, name: str) -> None:
        """As Ctrl-C would: the run saves its checkpoint after the present step. One that waits is not begun.

        Raises:
            RunError: no such job is at work.
        """
        with self._changed:
            job = self._jobs.get(name)
            if job is None or not job.alive:
                raise RunError(f"{name} is not running")
            if job.state == WAITING:
                self._waiting.remove(job)
                job.state, job.line = STOPPED, "cancelled before it began"
            else:
                job.state = STOPPING
                _interrupt(job)

    def close(self) -> None:
        """End all: as Ctrl-C, then by force."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.state = STOPPED
            self._waiting.clear()
            running = [job for job in self._jobs.values() if job.alive]
            for job in running:
                job.state = STOPPING
                _interrupt(job)
            self._changed.notify_all()
        until = time.monotonic() + STOP_SECONDS
        try:
            for thread in self._threads:
                thread.join(max(0.0, until - time.monotonic()))
        finally:
            for job in running:
                _kill(job)

    def _serve(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                job = self._waiting.pop(0)
                try:
                    job.process = _started([*self._always, *job.words], job.log)
                    job.state = RUNNING
                except OSError as error:
                    job.state, job.line = FAILED, f"no process can be started ({error.strerror or error})"
                    continue
            code = job.process.wait()
            _kill(job)  # what it had started
            line = last_line(job.log)
            with self._changed:
                if code == 0:
                    job.state, job.line = DONE, ""
                elif code == INTERRUPTED or job.state == STOPPING:
                    job.state, job.line = STOPPED, line
                else:
                    job.state = FAILED
                    job.line = line.removeprefix("zero3d: ") or f"ended with code {code}"


def _started(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    environment = child_environment(PYTHONUNBUFFERED="1")
    command = [sys.executable, "-P", "-m", "zero3d_studio.worker", str(os.getpid()), *words]
    with open(log, "ab") as output:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )


def _interrupt(job: Job) -> None:
    if job.process is not None and job.process.poll() is None:
        with contextlib.suppress(OSError):
            job.process.send_signal(signal.SIGINT)


def _kill(job: Job) -> None:
    """The process with all that it started: it leads a session."""
    if job.process is None:
        return
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):
            os.killpg(job.process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        job.process.kill()


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log; of one that is drawn over (\\r) what stands last."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    found = [line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n")]
    return [line[:500] for line in found if line.strip()][-lines:]


def last_line(log: Path) -> str:
    return next(iter(tail(log, 1)), "")
