"""The steps of a run: metrics, observers and checkpoints around the engine's loop; Ctrl-C ends it after a step."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from zero3d import checkpoint
from zero3d.engine import fit
from zero3d.errors import WriteError
from zero3d.files import cannot_write
from zero3d.folder import MetricsLog
from zero3d.interfaces.component import own_hook
from zero3d.run.exports import write_exports
from zero3d.run.opening.session import Session
from zero3d.values import StepTerms

REPORTED = "how to go on has been said"
"""The argument of a KeyboardInterrupt after which no line of a stop is needed."""


def optimise(session: Session, first_step: int) -> Session:
    """Do the steps from `first_step` to the last, then export. The last good checkpoint stays, whatever a step raises.

    Raises:
        WriteError: the disk is full, or the folder is not ours to write; the line says how to go on.
        KeyboardInterrupt: stopped by the user or an observer, after the checkpoint was saved.
        ExportError: an observer stopped it and wanted exports, but there is no surface yet; the checkpoint is saved.
    """
    session.parts.representation.tell = session.tell
    try:
        reached, request = _steps(session, first_step)
        total = session.engine.total_steps
        if reached < total:
            session.tell(f"stopped after step {reached} of {total}; go on with: zero3d resume {session.folder}")
        if reached == total or request.export:
            write_exports(session)
    except WriteError as error:
        raise WriteError(f"{error}; then go on with: zero3d resume {session.folder}") from error
    if reached < total:
        raise KeyboardInterrupt(REPORTED)
    return session


@dataclass
class _StopRequest:
    """Whether an observer, or Ctrl-C, wants the run to end after the current step; `export`: with its exports."""

    stop: bool = False
    export: bool = False

    def ask(self, export: bool) -> None:
        self.stop, self.export = True, self.export or export


def _steps(session: Session, first_step: int) -> tuple[int, _StopRequest]:
    """The steps with all that listens to them; the index of the next one, and what ended them."""
    engine, every, request = session.engine, session.recipe.options.checkpoint.every, _StopRequest()
    view = replace(session.view(first_step), stop=request.ask, stopping=lambda: request.stop)
    observers = list(session.parts.observers.values())
    log, started = MetricsLog(session.folder, first_step), time.monotonic()
    with _stop_on_interrupt(request):

        def after(index: int, figures: dict[str, float]) -> bool:
            record = {**figures, "seconds": round(time.monotonic() - started, 4)}
            log.write(index, record)
            for observer in observers:
                observer.on_step(view, engine.at(index), record)
            if (index + 1) % every == 0 or index + 1 == engine.total_steps or request.stop:
                checkpoint.save(engine, index + 1, session.folder)
            return request.stop

        asked = [o for o in observers if own_hook(o.on_terms)]

        def look(terms: StepTerms) -> dict[str, float]:
            return {name: value for observer in asked for name, value in observer.on_terms(view, terms).items()}

        try:
            for observer in observers:
                observer.on_start(view)
            reached = fit(engine, first_step, after, look if asked else None)
        except Exception as error:
            for observer in observers:
                with contextlib.suppress(Exception):  # the first error is the one to see
                    observer.on_end(view, False)
            if isinstance(error, OSError):
                raise cannot_write(error.filename or session.folder, error) from error
            raise
        finally:
            log.close()
        for observer in observers:
            observer.on_end(view, reached == engine.total_steps)
    return reached, request


@contextlib.contextmanager
def _stop_on_interrupt(request: _StopRequest) -> Iterator[None]:
    """Turn the first Ctrl-C into a request to stop after the current step; a second one stops at once."""
    pressed = False

    def handler(signum: int, stack: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = request.stop = True

    try:
        former = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread: whoever embeds us keeps the signal
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)
