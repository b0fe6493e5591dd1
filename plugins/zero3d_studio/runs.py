"""The runs of a folder: what there is of them, and which of their files may be seen."""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zero3d import folder
from zero3d.errors import UserError
from zero3d.files import LEFTOVER
from zero3d.recipe import read_yaml, run_name

OWN = ".studio"
"""The studio's own folder beside the runs: pictures and logs."""
VIEWER = "viewer.json"
"""Where a run's live viewer is, with its token: no visitor's to read."""
MOST = 200
"""Runs that are listed."""
TAIL = 65_536
"""Bytes at the end of metrics.jsonl in which its last line is looked for."""


class Runs:
    """Nothing outside of `path` is told of: names are looked up among what is there, links are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._plans: dict[str, tuple[int, list[Path], int]] = {}
        """Name -> when its recipe changed, and what `_plan` read then."""

    def names(self) -> list[str]:
        """The newest first."""
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.name[0] != "." and entry.is_dir(follow_symlinks=False):
                    with contextlib.suppress(OSError):
                        manifest = os.stat(os.path.join(entry.path, folder.MANIFEST), follow_symlinks=False)
                        if stat.S_ISREG(manifest.st_mode):
                            found.append((manifest.st_mtime, entry.name))
        return [name for _, name in sorted(found, reverse=True)[:MOST]]

    def find(self, name: str) -> Path:
        """Raises KeyError: there is no such run."""
        if name not in self.names():
            raise KeyError(name)
        return self.path / name

    def free(self, recipe: str, picture: str, taken: set[str]) -> str:
        """The name of a new run; plain ASCII."""
        base = re.sub(r"[^A-Za-z0-9_]+", "-", run_name(recipe, {"image": picture or "picture"})).strip("-_") or "run"
        number, name = 1, base
        while name in taken or os.path.lexists(self.path / name):
            number += 1
            name = f"{base}-{number}"
        return name

    def files(self, run: Path) -> dict[str, Path]:
        """Path within the run, with slashes -> every plain file that may be seen."""
        found = {}
        for place, folders, names in os.walk(run):
            folders[:] = [name for name in folders if name[0] != "." and not os.path.islink(os.path.join(place, name))]
            for name in names:
                path = Path(place, name)
                if name[0] != "." and name != VIEWER and not LEFTOVER.fullmatch(name):
                    with contextlib.suppress(OSError):
                        if stat.S_ISREG(path.lstat().st_mode):
                            found[path.relative_to(run).as_posix()] = path
        return found

    def progress(self, run: Path) -> tuple[int, int]:
        """Steps that were done and steps in all, of every stage; 0 where that cannot be told."""
        try:
            stages, total = self._plan(run)
            return sum(_done(stage) for stage in stages), total
        except (OSError, UserError, ValueError, TypeError):
            return 0, 0

    def watched(self, run: Path) -> dict[str, Any] | None:
        """Port and token of the run's live viewer, while there is one."""
        with contextlib.suppress(OSError, UserError, ValueError, TypeError, KeyError, RecursionError):
            for stage in self._plan(run)[0]:
                with contextlib.suppress(FileNotFoundError):
                    address = json.loads((stage / VIEWER).read_text(encoding="utf-8"))
                    return {"port": int(address["port"]), "token": str(address["token"])}
        return None

    def zipped(self, run: Path) -> Path:
        """A new ZIP of all that may be seen; the caller removes it."""
        number, name = tempfile.mkstemp(suffix=".zip", dir=self.path / OWN)
        with os.fdopen(number, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            for inner, path in sorted(self.files(run).items()):
                made.write(path, f"{run.name}/{inner}")
        return Path(name)

    def _plan(self, run: Path) -> tuple[list[Path], int]:
        """The folders of its stages, or its own, and the steps of all; a page asks every second, so it is read once."""
        recipe = run / folder.RECIPE
        changed = recipe.stat().st_mtime_ns
        known = self._plans.get(run.name)
        if known is None or known[0] != changed:
            source = read_yaml(recipe)
            stages = source.get("stages")
            own = int(source.get("steps") or 0)
            inner = stages.values() if isinstance(stages, dict) else [{}]
            total = sum(int((stage or {}).get("steps", own)) for stage in inner)
            known = self._plans[run.name] = changed, folder.stage_folders(run) or [run], total
        return known[1:]


def _done(stage: Path) -> int:
    """By the last whole line of its metrics."""
    with contextlib.suppress(FileNotFoundError):
        for line in _last_lines(stage / folder.METRICS):
            with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
                return int(json.loads(line)["step"]) + 1
    return 0


def _last_lines(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
        yield from reversed(file.read().splitlines())
