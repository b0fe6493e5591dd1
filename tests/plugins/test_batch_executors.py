"""Executors: jobs lose and repeat nothing when workers are killed, and no worker outlives its driver."""

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
import types

import psutil
import pytest

from tests.plugins.batch_jobs import calls
from zero3d.errors import RunError
from zero3d.interfaces import Job
from zero3d_batch.executors import machine, ray_cluster
from zero3d_batch.executors.processes import Processes, ProcessesOptions
from zero3d_batch.executors.ray_cluster import RayExecutor, RayOptions

CALL = "tests.plugins.batch_jobs:work"


def job(folder, name, do="give", **more):
    return Job(name, CALL, {"do": do, "folder": str(folder), "name": name, **more})


def within(seconds, true):
    until = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < until, "nothing came of it"
        time.sleep(0.05)
    return found


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_processes_lose_nothing_and_repeat_what_was_killed_alone(tmp_path):
    jobs = [
        job(tmp_path, "a/b: ü", "print"),
        job(tmp_path, "user", "refuse"),
        job(tmp_path, "bug", "raise"),
        job(tmp_path, "set", "unwritable"),
        job(tmp_path, "once", "die", times=1),
        job(tmp_path, "last"),
        job(tmp_path, "always", "die", times=9),
    ]
    options = ProcessesOptions(workers=1, gpus=0, attempts=2, threads=3, logs=str(tmp_path / "logs"))
    found = {outcome.job.name: outcome for outcome in Processes(options).run(iter(jobs))}
    assert found.keys() == {own.name for own in jobs}
    assert found["a/b: ü"].value == {"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    log = (tmp_path / "logs" / "a_b__ü.log").read_text(encoding="utf-8")
    assert log.splitlines() == ["said by Python", "said by the shell"]
    assert (found["user"].error, found["user"].attempts) == ("thing: 3; take 2", 1)
    assert (found["bug"].error, found["bug"].attempts) == ("RuntimeError: two lines", 1)
    assert "in work" in (tmp_path / "logs" / "bug.log").read_text(encoding="utf-8")  # the traceback
    assert "JSON" in found["set"].error
    assert (found["once"].value, found["once"].attempts) == ("once", 2)
    kept = f"; its prints: {tmp_path / 'logs' / 'always.log'}"
    assert found["always"].error == f"its worker died 2 times (SIGKILL; out of memory?){kept}"
    assert (found["always"].attempts, found["last"].value) == (2, "last")
    times = [line.split()[0] for line in calls(tmp_path)]
    assert {name: times.count(name) for name in times} == {
        **dict.fromkeys(("a/b:", "user", "bug", "set", "last"), 1),
        **dict.fromkeys(("once", "always"), 2),
    }
    assert len({line.split()[-1] for line in calls(tmp_path)}) == 1 + 2  # one, which stays, and one for each killed


def test_ctrl_c_reaches_the_job_and_ends_the_worker(tmp_path):
    def press():
        within(60, lambda: list(tmp_path.glob("waits-*")))
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        list(Processes(ProcessesOptions(workers=1, gpus=0)).run([job(tmp_path, "slow", "wait")]))
    assert (tmp_path / "interrupted").exists()
    assert not alive(int(calls(tmp_path)[0].split()[-1]))


def test_gpus_are_shared_out(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert machine.gpu_groups(1) == ["0", "1", "2", "3"]
    assert machine.gpu_groups(2) == ["0,1", "2,3"]
    assert machine.gpu_groups(0.5) == ["0", "0", "1", "1", "2", "2", "3", "3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-ab,7,1")
    assert machine.gpu_groups(3) == ["5,GPU-ab,7"]
    with pytest.raises(RunError, match=r"workers: 5, but this machine's GPUs serve 4 at 1 a job; take fewer"):
        next(Processes(ProcessesOptions(workers=5)).run([]))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(RunError, match=r"gpus: 1 a job, but this machine has 0; set gpus=0"):
        next(Processes(ProcessesOptions(gpus=1)).run([]))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"workers": 0}, "workers: 0; 1 to"),
        ({"gpus": 1.5}, "gpus: 1.5; GPUs of a job"),
        ({"attempts": 0}, "attempts: 0; 1 to"),
        ({"threads": 0}, "threads: 0; of a worker"),
        ({"address": "there"}, "address: 'there'; host:port"),
    ],
)
def test_wrong_options_are_told(options, told):
    with pytest.raises(ValueError, match=told):
        RayOptions(**options)


def test_threads_are_an_even_share(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 16)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [machine.threads_of(n, None) for n in (1, 3, 16, 40)] == [16, 5, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [machine.threads_of(n, None) for n in (1, 16)] == [2, 1]


def test_ray_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setattr(ray_cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RunError, match=r"Ray is not installed; pip install 'zero3d\[ray\]', or use"):
        next(RayExecutor(RayOptions()).run([]))


def test_a_cluster_that_does_not_answer_is_one_line_at_once(monkeypatch):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("without Ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        port = taken.getsockname()[1]
        with pytest.raises(
            RunError, match=rf"ray: address 127.0.0.1:{port}: nobody answers there \(.*\); is `ray start"
        ):
            next(RayExecutor(RayOptions(address=f"127.0.0.1:{port}")).run([Job("a", "a:b", {})]))

    def ends(**start):
        raise SystemExit(15)

    ray = types.SimpleNamespace(is_initialized=lambda: False, init=ends)
    monkeypatch.setattr(ray_cluster.importlib, "import_module", lambda name: ray)
    monkeypatch.setattr(ray_cluster, "_set_token", lambda local: None)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(RunError, match=r"Ray ended \(15\)"):
        next(RayExecutor(RayOptions(address=f"127.0.0.1:{other.getsockname()[1]}")).run([Job("a", "a:b", {})]))


def test_ray_loses_nothing(tmp_path, monkeypatch):
    """Two workers, of which one is killed; nothing is written to the home; a job for a GPU is refused, not waited for."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("without Ray")
    ours = "ray" not in sys.modules  # else somebody has imported it, with its own token
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    jobs = [job(tmp_path, f"job{n}") for n in range(4)]
    jobs += [job(tmp_path, "once", "die", times=1), job(tmp_path, "loud", "print"), job(tmp_path, "bug", "raise")]
    options = RayOptions(workers=2, gpus=0, logs=str(tmp_path / "logs"))
    outcomes = RayExecutor(options).run(jobs)
    found = {}
    for outcome in outcomes:
        assert outcome.job.name not in found
        found[outcome.job.name] = outcome
        if len(found) == 1:
            with pytest.raises(RunError, match=r"gpus: 1 a job, but no machine of Ray's has more than 0; set gpus=0"):
                next(RayExecutor(RayOptions(gpus=1)).run(jobs))  # in the Ray that is there
    assert [found[own.name].value for own in jobs[:5]] == ["job0", "job1", "job2", "job3", "once"]
    assert [found[own.name].attempts for own in jobs] == [1, 1, 1, 1, 2, 1, 1]
    assert found["bug"].error == "RuntimeError: two lines"
    assert "said by the shell" in (tmp_path / "logs" / "loud.log").read_text(encoding="utf-8")
    times = sorted(line.split()[0] for line in calls(tmp_path))
    assert times == sorted([*(own.name for own in jobs), "once"])
    if ours:
        assert list((tmp_path / "home").iterdir()) == []
        assert os.stat(os.environ["RAY_AUTH_TOKEN_PATH"]).st_mode & 0o077 == 0
