"""Executor: runs many independent jobs, here or on other machines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from zero3d.interfaces.component import Component


@dataclass(frozen=True)
class Job:
    """A call of `call` ("package.module:function", importable where it runs) with the JSON values of `payload`.

    It writes its result to files whole, so that one that ran twice, or half, does no harm. Paths are absolute.
    """

    name: str
    call: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """How a job ended: `value` (JSON) of its function, or `error`, one line. `attempts` counts the workers it took."""

    job: Job
    value: Any = None
    error: str | None = None
    attempts: int = 1
    seconds: float = 0.0


class Executor(Component):
    """Runs jobs in worker processes. A job whose worker dies is tried again; one that raises is not."""

    kind: ClassVar[str] = "executor"

    @abstractmethod
    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """One outcome for each job, as they end, in any order. Closing the iterator ends the workers.

        Raises:
            UserError: the machines cannot be reached, or have not what the options ask for.
        """
