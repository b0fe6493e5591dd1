"""Threads that work beside Python's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any


class Helper:
    """A thread that does what it is handed, one thing after the other.

    concurrent.futures would do, too, but takes a quarter of a millisecond for each thing, five times as long.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Any] = SimpleQueue()
        Thread(target=self._work, name="march", daemon=True).start()

    def start(self, task: Callable[[], Any]) -> Callable[[], Any]:
        """Hand it over; what is returned waits for the result, or raises what the task raised."""
        reply: SimpleQueue[Any] = SimpleQueue()
        self._tasks.put((task, reply))

        def result() -> Any:
            value, error = reply.get()
            if error is not None:
                raise error
            return value

        return result

    def _work(self) -> None:
        while True:
            task, reply = self._tasks.get()
            try:
                reply.put((task(), None))
            except BaseException as error:
                reply.put((None, error))
            del task, reply  # what they hold is not kept while it waits


def helper(number: int) -> Helper:
    """The process's helper of this number; a forked process has its own, for threads do not follow."""
    return _helper(number, os.getpid())


@cache
def _helper(number: int, _: int) -> Helper:
    return Helper()


def share(work: Callable[[int, int], Any], workers: int) -> list[Any]:
    """`work(worker, workers)` for each, the first in this thread."""
    waiting = [
        helper(worker).start(lambda worker=worker: work(worker, workers))  # type: ignore[misc]
        for worker in range(1, workers)
    ]
    first = work(0, workers)
    return [first, *(result() for result in waiting)]
