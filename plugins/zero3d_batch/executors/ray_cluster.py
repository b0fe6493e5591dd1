"""Executor `ray`: Ray's workers, on this machine or on a cluster."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import importlib.util
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

from zero3d.errors import RunError, one_line
from zero3d.interfaces import Executor, Job, Outcome
from zero3d_batch.executors.jobs import Logs, died, outcome
from zero3d_batch.executors.machine import SharedOptions, cores, log_folder, threads_of

LOCAL = "local"
STOP_SECONDS = 10.0
"""What jobs that are cancelled have to end, in which a run saves its checkpoint; one that sleeps does not notice."""
REACHED_SECONDS = 5.0
"""What a cluster's head has to answer."""
STORE_BYTES = 100 * 2**20
"""Ray's memory for objects, of which jobs have none; by default it takes a third of the machine's."""


@dataclass
class RayOptions(SharedOptions):
    """address: host:port of a cluster's head (`ray start --head`), or local: Ray is started here for these jobs alone.
    workers: jobs at once; None: of a cluster as many as fit, here one for each `gpus`, or for every two cores. gpus: of a
    job, a share or a whole number; None: 1 where there are any. attempts: workers that a job may cost. threads: of a job,
    which are the cores that it asks for; None: here an even share, of a cluster 1. logs: the folder of the jobs' prints, on
    the machine of each; None keeps none."""

    address: str = LOCAL

    def __post_init__(self) -> None:
        super().__post_init__()
        host, _, port = self.address.removeprefix("ray://").rpartition(":")
        if self.address != LOCAL and not (host and port.isdigit()):
            raise ValueError(f"address: {self.address!r}; host:port of the cluster's head, or local")


class RayExecutor(Executor):
    """Runs jobs as tasks of Ray (extra `ray`): its own processes here, or a cluster of machines that share their files."""

    name: ClassVar[str] = "ray"
    Config: ClassVar[type[Any]] = RayOptions
    extras: ClassVar[Mapping[str, str]] = {"ray": "ray"}

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        options: RayOptions = self.config
        if importlib.util.find_spec("ray") is None:
            raise RunError(
                "executor ray: Ray is not installed; pip install 'zero3d[ray]', or use the executor processes"
            )
        rest = iter(jobs)
        first = next(rest, None)
        if first is None:  # nothing to start Ray for
            return
        workers = options.workers or max(1, cores() // 2)
        threads = options.threads or (threads_of(workers, None) if options.address == LOCAL else 1)
        with log_folder(options.logs) as folder, connected(options, workers * threads) as ray:
            gpus = _gpus(ray, options.gpus)
            _check_fits(ray, threads, gpus)
            if options.workers is None and (gpus or options.address != LOCAL):
                total = ray.cluster_resources()
                workers = int(total["GPU"] / gpus if gpus else total.get("CPU", 1) / threads) or 1
            task = _task(ray, threads, gpus, local=options.address == LOCAL)
            yield from _Tasks(ray, task, options, Logs(folder)).outcomes(chain([first], rest), workers)


class _Tasks:
    """Jobs in flight, at most so many, that later ones are not promised to machines that are gone by then."""

    def __init__(self, ray: Any, task: Any, options: RayOptions, logs: Logs) -> None:
        self._ray, self._task, self._options, self._logs = ray, task, options, logs
        self._running: dict[Any, tuple[Job, str, int]] = {}

    def outcomes(self, jobs: Iterable[Job], workers: int) -> Iterator[Outcome]:
        waiting = iter(jobs)
        try:
            while True:
                while len(self._running) < workers and (job := next(waiting, None)) is not None:
                    self._submit(job, self._logs.of(job.name), 1)
                if not self._running:
                    return
                for done in self._ray.wait(list(self._running), num_returns=1)[0]:
                    yield from self._ended(done)
        finally:
            self._cancel()

    def _submit(self, job: Job, log: str, attempt: int) -> None:
        payload = json.dumps(dict(job.payload))  # plain values alone, as for the other executors
        self._running[self._task.remote(job.call, payload, log)] = (job, log, attempt)

    def _ended(self, done: Any) -> Iterator[Outcome]:
        job, log, attempt = self._running.pop(done)
        lost = self._ray.exceptions
        try:
            yield outcome(job, json.loads(self._ray.get(done)), attempt)
        except lost.RayTaskError as error:  # our own code cannot be run there
            last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            yield outcome(
                job, {"error": one_line(f"the worker cannot run jobs: {last}; is zero3d installed there?")}, attempt
            )
        except lost.RayError as error:
            if attempt < self._options.attempts:
                self._submit(job, log, attempt + 1)
            else:
                how = type(error).__name__
                yield outcome(job, died(attempt, how, log if self._options.logs else ""), attempt)

    def _cancel(self) -> None:
        """As by Ctrl-C, then by force."""
        left = list(self._running)
        for one in left:
            with contextlib.suppress(Exception):
                self._ray.cancel(one)
        if left:
            with contextlib.suppress(Exception):
                left = self._ray.wait(left, num_returns=len(left), timeout=STOP_SECONDS)[1]
        for one in left:
            with contextlib.suppress(Exception):
                self._ray.cancel(one, force=True)


def _task(ray: Any, threads: int, gpus: float, local: bool) -> Any:
    """The function that Ray runs; tried again by us alone, who count. It is sent by value: a worker may not find us yet."""
    paths = [path or os.getcwd() for path in sys.path] if local else []

    def task(call: str, payload: str, log: str) -> str:
        import json
        import sys

        sys.path.extend(path for path in paths if path not in sys.path)
        from zero3d_batch.executors.jobs import perform, printed_to

        with printed_to(log):
            return json.dumps(perform(call, json.loads(payload)))

    return ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(task)


def _gpus(ray: Any, given: float | None) -> float:
    return float(ray.cluster_resources().get("GPU", 0) > 0) if given is None else given


def _check_fits(ray: Any, threads: int, gpus: float) -> None:
    """A task that no machine has room for would wait for ever.

    Raises:
        RunError: it is one.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most_gpus = max((node.get("GPU", 0) for node in machines), default=0)
    if gpus > most_gpus:
        raise RunError(
            f"gpus: {gpus:g} a job, but no machine of Ray's has more than {most_gpus:g}; set gpus=0, or fewer"
        )
    most = max((node.get("CPU", 0) for node in machines), default=0)
    if threads > most:
        raise RunError(f"threads: {threads} a job, but no machine of Ray's has more than {most:g} cores; take fewer")


@contextlib.contextmanager
def connected(options: RayOptions, cpus: int) -> Iterator[Any]:
    """The module `ray`, started here or joined; as it was, if the caller's program has started it already.

    Raises:
        RunError: no cluster answers there.
    """
    local = options.address == LOCAL
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "ray" not in sys.modules:  # which reads it when it is imported
        _set_token(local)
    ray: Any = importlib.import_module("ray")
    if ray.is_initialized():
        yield ray
        return
    if not local:
        _check_reached(options.address)
    start: dict[str, Any] = {"address": options.address, "log_to_driver": False, "configure_logging": False}
    if local:
        start |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE_BYTES}
        start |= {"_node_ip_address": "127.0.0.1"}
    try:
        ray.init(**start)
    except (
        Exception,
        SystemExit,
    ) as error:  # of many kinds, of many lines; Ray ends the program where its head is gone
        said = f"Ray ended ({error})" if isinstance(error, SystemExit) else one_line(str(error))[:300]
        remedy = "mend that" if local else "is it `ray start --head`'s, and the token the same (RAY_AUTH_TOKEN_PATH)?"
        raise RunError(f"executor ray: address {options.address}: {said}; {remedy}") from error
    try:
        with _quiet(ray):
            yield ray
    finally:
        ray.shutdown()


def _check_reached(address: str) -> None:
    """Ray itself tries for minutes.

    Raises:
        RunError: nobody listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACHED_SECONDS).close()
    except (OSError, OverflowError) as error:
        reason = f"nobody answers there ({error}); is `ray start --head` running, and the port open?"
        raise RunError(f"executor ray: address {address}: {reason}") from None


@contextlib.contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """A worker's death is reported by us, in a line; Ray prints ten, to stdout, whatever `log_to_driver` says."""
    place = getattr(getattr(ray, "_private", None), "worker", None)
    former = getattr(place, "print_to_stdstream", None)
    if place is not None and former is not None:
        place.print_to_stdstream = lambda *args, **kwargs: None
    try:
        yield
    finally:
        if place is not None and former is not None:
            place.print_to_stdstream = former


def _set_token(local: bool) -> None:
    """Ray listens on all of a machine's addresses: nobody may send it work without a token, which the user's choice or the
    cluster's file gives; here it is a new one, in a file that only we can read, for as long as this process runs."""
    own = {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys()
    if own - {"RAY_AUTH_MODE"} or (not local and Path("~/.ray/auth_token").expanduser().is_file()):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    elif local and not own:
        folder = tempfile.mkdtemp(prefix="zero3d-ray-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = Path(folder, "token")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=str(path))
