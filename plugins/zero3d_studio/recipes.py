"""The recipes to choose from: what `zero3d recipes --json` says of them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d.processes import child_environment


@dataclass(frozen=True)
class Choice:
    """`given`: to `zero3d run`, its name or file. `why`: why it cannot be run here; empty if it can."""

    name: str
    given: str
    summary: str
    steps: int
    machine: str
    weights: str
    prompt: bool
    why: str


class Choices:
    """Read in a process of its own, while the page is served already."""

    def __init__(self, folder: Path | None, always: Sequence[str] = ()) -> None:
        """`folder`: with recipes beside those that came with zero3d. `always`: options of zero3d."""
        self._folder, self._always = folder, tuple(always)
        self._found: list[Choice] | None = None
        self.wrong = ""
        """Why they cannot be listed."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    @property
    def found(self) -> list[Choice] | None:
        """Those that can be run first; None while they are being read."""
        return self._found

    def wait(self) -> list[Choice]:
        self._thread.join()
        return self._found or []

    def get(self, name: str) -> Choice:
        """Raises KeyError: no such recipe."""
        for choice in self.wait():
            if choice.name == name:
                return choice
        raise KeyError(name)

    def _read(self) -> None:
        try:
            choices = {one.name: one for one in self._ask([])}
            if self._folder is not None:
                choices |= {one.name: one for one in self._ask(["--folder", str(self._folder)])}
            self._found = sorted(choices.values(), key=lambda one: (bool(one.why), one.name != "nano", one.name))
        except (OSError, ValueError, LookupError, TypeError) as error:
            self.wrong = f"the recipes cannot be listed: {error}"
            self._found = []

    def _ask(self, words: list[str]) -> Iterator[Choice]:
        command = [sys.executable, "-P", "-m", "zero3d", *self._always, "recipes", "--json", *words]
        done = subprocess.run(command, env=child_environment(), capture_output=True, check=False, encoding="utf-8")
        if done.returncode:
            raise ValueError(done.stderr.strip().rpartition("\n")[2] or f"code {done.returncode}")
        for summary in json.loads(done.stdout):
            given = str(self._folder / f"{summary['name']}.yaml") if words and self._folder else summary["name"]
            choice = choice_of(summary, given)
            if choice is not None:
                yield choice


def choice_of(summary: dict[str, Any], given: str) -> Choice | None:
    """One that makes a model of one picture; None of others."""
    needs = set(summary["needs"])
    if summary["example"].startswith("zero3d train") or needs & {"pictures", "dataset"} or needs == {"prompt"}:
        return None
    missing = [own["missing"] for own in summary["weights"] if own["missing"]]
    return Choice(
        summary["name"],
        given,
        summary["summary"],
        int(summary["steps"]),
        summary["hardware"],
        ", ".join(dict.fromkeys(own["name"] for own in summary["weights"])),
        "prompt" in needs,
        summary["wrong"] or next(iter(missing), ""),
    )
