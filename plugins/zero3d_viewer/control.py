"""When a run goes on, and when the next picture of it is due; nothing here knows a browser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST = 5.0
"""Seconds of rest at the most: what took long once, as a kernel that is compiled does, may be quick the next time."""


class Control:
    """Pause, step and stop. The page's threads ask; the run's thread waits, once after each of its steps."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._paused = self._stopped = False
        self._credit = 0

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def stopped(self) -> bool:
        return self._stopped

    def pause(self, paused: bool = True) -> None:
        """Hold the run after its present step, or let it go on."""
        with self._condition:
            self._paused, self._credit = paused, 0
            self._condition.notify_all()

    def step(self) -> None:
        """One step more of a run that is held; one that runs is held after its present step."""
        with self._condition:
            self._credit += self._paused
            self._paused = True
            self._condition.notify_all()

    def stop(self) -> None:
        """End the run after its present step, for good."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()

    def wait(self, halted: Callable[[], bool], idle: Callable[[], None], every: float = 0.05) -> None:
        """Return when the next step may begin, or the run is to end.

        Args:
            halted: whether somebody else has ended the run (Ctrl-C); asked as often as `idle`.
            idle: called every `every` seconds while the run is held.
        """
        while True:
            with self._condition:
                if not self._paused or self._stopped:
                    return
                if self._credit:
                    self._credit -= 1
                    return
            if halted():
                return
            idle()
            with self._condition:
                if self._paused and not self._credit and not self._stopped:
                    self._condition.wait(every)


class Pace:
    """At most `rate` times a second, and so seldom that the work takes at most `share` of the time."""

    def __init__(self, rate: float, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._least, self._share, self._clock = 1 / rate, share, clock
        self._next = -float("inf")

    def due(self) -> bool:
        return self._clock() >= self._next

    @contextmanager
    def working(self) -> Iterator[None]:
        """Around the work, which sets when it is due again."""
        started = self._clock()
        try:
            yield
        finally:
            ended = self._clock()
            rest = min((ended - started) * (1 / self._share - 1), LONGEST)
            self._next = max(started + self._least, ended + rest)


class Rate:
    """How often something happens in a second, over the last few seconds."""

    def __init__(self, seconds: float = 3.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._times: list[float] = []

    def count(self) -> None:
        now = self._clock()
        self._times = [t for t in self._times if now - t <= self._seconds] + [now]

    @property
    def now(self) -> float:
        """0 where it happened less than twice."""
        times = [t for t in self._times if self._clock() - t <= self._seconds]
        return (len(times) - 1) / max(times[-1] - times[0], 1e-9) if len(times) > 1 else 0.0
