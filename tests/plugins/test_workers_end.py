"""Worker processes end when whoever started them is killed (kill -9), idle or in the middle of a task."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests.plugins.views_data import make_folder
from zero3d_dataset.workers import Work

SECONDS = 60.0
"""A worker that does not see its parent's death would live longer than this."""


class Sleeper(Work):
    """A task that takes longer than this test waits."""

    def do(self, task):
        time.sleep(10 * SECONDS)


POOLS = {
    "procedural": """
from zero3d_procedural.dataset import ProceduralObjects
ProceduralObjects(ProceduralObjects.Config(cache={place!r}, objects=2000, workers=2)).prepare(progress=False)
""",
    "loader": """
import time
from zero3d.interfaces import Share
from zero3d_training.data.views_folder import ViewsFolder
data = ViewsFolder(ViewsFolder.Config(root={place!r}, size=8, views=4, workers=2))
data.prepare(progress=False)
batches = data.batches(Share(2, 1, 0))
next(batches)
time.sleep(600)
""",
    "render": """
from tests.plugins.test_workers_end import Sleeper
from zero3d_dataset.workers import Workers
list(Workers(Sleeper, 2, 6000.0).run(range(4)))
""",
}


def wait_for(what, seconds=SECONDS):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("nothing came of it")


def alive(processes):
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("pool", POOLS)
def test_workers_end_with_a_parent_that_is_killed(tmp_path, pool):
    if pool == "loader":
        make_folder(tmp_path / "data", objects=20, size=8)
    program = f"if __name__ == '__main__':\n{POOLS[pool].format(place=str(tmp_path / 'data'))}".replace("\n", "\n    ")
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, tmp_path / "program.py"], env=environment)
    known = psutil.Process(process.pid)
    try:

        def workers():
            """Two, for some seconds: then they have imported what they need."""
            found = known.children(recursive=True)
            old = [child for child in found if time.time() - child.create_time() > 3.0]
            return found if len(old) >= 2 else None

        found = wait_for(workers)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    try:
        wait_for(lambda: not alive(found), 20.0)
    finally:
        for child in alive(found):
            child.kill()
