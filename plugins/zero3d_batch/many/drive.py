"""The loop around many runs: who is still to run, a row for each, tables and a page at the end and on the way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d.errors import RunError
from zero3d.interfaces import Executor, Job, Outcome
from zero3d.recipe import recipes
from zero3d.registry import Registry
from zero3d_batch.many.items import Item, quoted, refuse_others, state_of
from zero3d_batch.many.naming import LOGS
from zero3d_batch.many.rows import ROWS, read_row, thumbnail, write_row
from zero3d_batch.many.work import CALL
from zero3d_batch.pages.tables import write_tables

PAGE_SECONDS = 60.0
"""Between two writings of tables and page, at least; and ten times what one takes."""


Page = Callable[[Path, list[dict[str, Any]]], None]
"""Writes the page of a folder's rows."""


@dataclass
class Drive:
    """Many runs in one folder. `items`: all; `mine`: those that this call is to run; `common`: the overrides of all;
    `named`: whether the user named the folder."""

    recipe: str
    registry: Registry
    out: Path
    common: Sequence[str]
    items: Sequence[Item]
    mine: Sequence[Item]
    page: Page
    offline: bool
    named: bool
    say: Callable[[str], None]

    def states(self) -> dict[str, str]:
        """What lies there of each of `mine`."""
        return {item.name: state_of(item.folder, item.source, self._row(item)) for item in self.mine}

    def run(self, executor: Executor) -> int:
        """Run what is not done. Returns the exit code: 1 if a run failed.

        Raises:
            UserError: a run with other keys is in the way, or the executor cannot work.
            KeyboardInterrupt: by the user; tables and page show how far it went.
        """
        states = self.states()
        refuse_others(self.mine, states, self.common)
        todo = {item.name: item for item in self.mine if states[item.name] != "done"}
        done = len(self.mine) - len(todo)
        if done:
            self.say(f"{done} of {len(self.mine)} runs are done already")
        again = "the same command" if self.named else f"the same command with out={self._short()}"
        self._make_folder()
        if not self.named:
            self.say(f"out: {self._short()}; {again} goes on there")
        for item in todo.values():
            if states[item.name] != "half":  # a row of what was there before
                self._row(item).unlink(missing_ok=True)
        failed, written, cost = 0, time.monotonic(), 0.0
        outcomes = executor.run(self.job(item) for item in todo.values())
        try:
            for number, outcome in enumerate(outcomes, 1):
                failed += self._ended(outcome, todo[outcome.job.name], f"{number}/{len(todo)}")
                if time.monotonic() - written > max(PAGE_SECONDS, 10 * cost):
                    started = time.monotonic()
                    self.write()
                    written = time.monotonic()
                    cost = written - started
        except KeyboardInterrupt:
            self.say(f"stopped; {again} goes on from here")
            raise
        finally:
            close = getattr(outcomes, "close", None)
            if close:
                close()
            self.write()
        self.say(f"wrote {self.out / 'index.html'}: {len(todo) - failed + done} done, {failed} failed")
        return int(failed > 0)

    def job(self, item: Item) -> Job:
        """Its payload is all that a worker needs."""
        recipe = self.recipe if self.recipe in recipes() else str(Path(self.recipe).absolute())
        image = [] if item.image is None else [f"image={quoted(item.image)}"]
        payload = {
            "recipe": recipe,
            "overrides": [*self.common, *item.overrides, *image],
            "source": dict(item.source),
            "out": str(item.folder),
            "row": str(self._row(item)),
            "item": self._identity(item),
            "plugins": [os.path.abspath(path) for path in self.registry.local.values()],
            "offline": self.offline,
        }
        return Job(item.name, CALL, payload)

    def rows(self) -> list[dict[str, Any]]:
        """A row for every item, of other shards too."""
        return [{**self._identity(item), "status": "waiting", **read_row(self._row(item))} for item in self.items]

    def write(self) -> None:
        """Tables and page, of what is there."""
        rows = self.rows()
        write_tables(self.out, rows)
        self.page(self.out, rows)

    def _identity(self, item: Item) -> dict[str, Any]:
        return {"name": item.name, "image": item.image, "keys": dict(item.keys)}

    def _row(self, item: Item) -> Path:
        return self.out / ROWS / f"{item.name}.json"

    def _short(self) -> str:
        return os.path.relpath(self.out)

    def _make_folder(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / LOGS).mkdir(exist_ok=True)
            (self.out / ROWS).mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"out: {self.out} cannot be made ({error.strerror}); take another folder") from None

    def _ended(self, outcome: Outcome, item: Item, count: str) -> bool:
        """Say it, and write its row; whether it failed."""
        path = self._row(item)
        row = read_row(path)
        if outcome.error is None and row.get("status") == "done":
            write_row(path, {**row, "attempts": outcome.attempts})
            again = f", at the {_ordinal(outcome.attempts)} attempt" if outcome.attempts > 1 else ""
            self.say(f"[{count}] {item.name}: done, {row.get('seconds')} s{again}")
            return False
        error = outcome.error or "its worker wrote nothing here; do all machines see this folder?"
        self.say(f"[{count}] {item.name}: failed: {error}")
        if row.get("status") != "done":  # another shard may have made it
            failed = {"status": "failed", "error": error, "attempts": outcome.attempts, "seconds": outcome.seconds}
            shown = thumbnail(Path(item.image)) if item.image else ""
            write_row(path, {**self._identity(item), **failed, "picture": shown})
        return True


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
