"""The toy parts as a plug-in, for worker processes too: `--plugin tests/plugins/batch_toy.py`."""

import os
import signal
import time
from pathlib import Path

from tests.core import toy
from zero3d import hookimpl
from zero3d.interfaces import Executor, Observer
from zero3d_batch.executors.jobs import outcome, perform


class Killer(Observer):
    """After the eleventh step of run NAME: of two files beside its folder, NAME.kill kills its process, NAME.driver the one
    that started it; each once."""

    name = "killer"

    def on_step(self, run, step, metrics):
        order = Path(run.folder).with_suffix(".kill")
        if step.index == 10 and order.exists():
            order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        order = Path(run.folder).with_suffix(".driver")
        if step.index == 10 and order.exists():
            order.write_text(str(os.getpid()), encoding="utf-8")
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(600)


class Inline(Executor):
    """Runs jobs here, one after the other."""

    name = "inline"

    def run(self, jobs):
        for job in jobs:
            yield outcome(job, perform(job.call, job.payload), 1)


@hookimpl
def register_components(register):
    for component in (*toy.COMPONENTS, Killer, Inline):
        register(component)
