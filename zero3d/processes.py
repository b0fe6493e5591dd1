"""How a process begins: what a worker owes to the one that started it, and torch."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time


def end_with_parent(*_: object) -> None:
    """In a worker: end at once (by SIGTERM) when the process that started it has died, however that died.

    A worker that waits for its next task would otherwise wait for ever, with all that it has imported. Arguments are
    ignored.
    """
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def child_environment(**variables: str) -> dict[str, str]:
    """The environment for a Python process that is to import what this one does, also from folders not installed, whatever
    its working folder; `variables` are added."""
    paths = [path or os.getcwd() for path in sys.path]
    return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(paths)}


def import_torch() -> None:
    """What `import torch` does, the first time in three quarters of the time, the process's end counted.

    The garbage collector rests meanwhile, and does not look through what is there then again: a hundred thousand objects of
    modules, which stay. For a command's own process, of which nothing else is lost by that.
    """
    if "torch" in sys.modules:
        return
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()


def _watch(parent: int) -> None:
    started_by = multiprocessing.parent_process()
    if started_by is not None:  # of a fork server's child, too, whose own parent is the server
        started_by.join()
    else:
        while os.getppid() == parent:
            time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)  # a worker may tidy up on that
    time.sleep(5.0)
    os._exit(1)
