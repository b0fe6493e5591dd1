"""What the page can ask for, without a word of HTTP: pictures, recipes, the queue and the runs of one folder."""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError, RunError
from zero3d.gate import is_loopback_address
from zero3d.registry import Registry
from zero3d.run import DEFAULT_ELEVATION_DEG, elevation_of
from zero3d_studio.jobs import DONE, STOPPED, Job, Queue, tail
from zero3d_studio.pictures import Pictures, Upload
from zero3d_studio.recipes import Choice, Choices
from zero3d_studio.runs import OWN, Runs

LOG_LINES = 12
LONGEST_PROMPT = 1000
MOST_STEPS = 1_000_000
ESTIMATES_KEPT = 100


@dataclass(frozen=True)
class Limits:
    """`upload`: bytes of a picture. `pixels`: of it. `at_once`: runs. `waiting`: runs that wait or run."""

    upload: int = 20_000_000
    pixels: int = 50_000_000
    at_once: int = 1
    waiting: int = 20


class Studio:
    """`host`: the address that the page is served at. `always`: options of zero3d for every process. `recipes`: a folder.
    `viewer_port`: of runs' live viewers; 0 takes free ones."""

    def __init__(
        self,
        path: Path,
        registry: Registry,
        limits: Limits,
        host: str = "127.0.0.1",
        always: Sequence[str] = (),
        recipes: Path | None = None,
        viewer_port: int = 0,
    ) -> None:
        self.limits, self._host, self._viewer_port = limits, host, viewer_port
        own = path / OWN
        self._logs = own / "logs"
        for place in (own, self._logs, own / "pictures"):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)  # logs name the viewers' tokens
        for left in [*own.glob("*.zip"), *(own / "pictures").glob("*")]:  # of a former studio
            left.unlink()
        self.pictures = Pictures(own / "pictures", registry, limits.pixels)
        self.runs = Runs(path)
        self.choices = Choices(recipes, always)
        self.queue = Queue(limits.at_once, limits.waiting, always)
        self.viewer = _has_viewer(registry)
        self._registry = registry
        self._starting, self._estimating = threading.Lock(), threading.Lock()
        self._estimates: dict[tuple[str, Path], dict[str, Any]] = {}

    def close(self) -> None:
        self.queue.close()

    def state(self) -> dict[str, Any]:
        """What the page begins with."""
        found = self.choices.found
        return {
            "recipes": None if found is None else [asdict(one) for one in found],
            "wrong": self.choices.wrong,
            "elevation_deg": DEFAULT_ELEVATION_DEG,
            "upload": self.limits.upload,
            "megapixels": self.limits.pixels / 1e6,
            "viewer": self.viewer,
            "folder": str(self.runs.path),
        }

    def start(self, options: Mapping[str, Any], origin: str) -> str:
        """Queue a run; its name.

        `options`: picture (its ident) and recipe (its name), elevation_deg, steps, seed, prompt. `origin`: of the page that
        asks, which may then hold the run's viewer.

        Raises:
            KeyError: no such picture or recipe.
            RecipeError: a value that is none.
            RunError: the queue is full.
        """
        picture, choice, rgba = self._chosen(options, {"elevation_deg", "steps", "seed", "prompt"})
        overrides = _overrides(options, choice)
        with self._starting:
            name = self.runs.free(choice.name, picture.name, {job.name for job in self.queue.jobs})
            words = ["run", choice.given, *_subject_words(rgba)]
            words += [f"out={json.dumps(str(self.runs.path / name), ensure_ascii=False)}", *overrides]
            words += self._watching(origin)
            log = self._logs / f"{name}.log"
            log.unlink(missing_ok=True)
            self.queue.add(Job(name, words, log, rgba))
        return name

    def elevation(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """How far down the picture's camera looks, as a run of the recipe would take it, and the estimate's deviation.

        Degrees; the deviation is None where nothing of the recipe estimates it. One is made at a time.

        Raises:
            KeyError: no such picture or recipe.
            UserError: a value that is none, no mask yet, or the recipe or the picture cannot be used.
        """
        _, choice, rgba = self._chosen(options, set())
        asked = (choice.name, rgba)
        with self._estimating:
            if asked not in self._estimates:
                degrees, found = elevation_of(choice.given, self._registry, _subject_words(rgba))
                self._estimates[asked] = {"degrees": degrees, "std_deg": found.std_deg if found else None}
            for former in list(self._estimates)[:-ESTIMATES_KEPT]:
                del self._estimates[former]
            return self._estimates[asked]

    def _chosen(self, options: Mapping[str, Any], more: set[str]) -> tuple[Upload, Choice, Path]:
        """The picture and the recipe that `options` name, and the file that a run reads. `more`: its other keys."""
        unknown = set(options) - {"picture", "recipe"} - more
        if unknown:
            raise RecipeError(f"{min(unknown)}: no such key")
        picture = self.pictures.get(str(options.get("picture")))
        choice = self.choices.get(str(options.get("recipe")))
        if choice.why:
            raise RecipeError(f"{choice.name} cannot be run here: {choice.why}")
        if not picture.found:
            raise RunError(f"{picture.name}: no mask yet; paint over the object")
        return picture, choice, self.pictures.rgba(picture.ident)

    def resume(self, name: str, origin: str) -> None:
        """Raises KeyError: no such run. RunError: it is at work, or the queue is full. `origin`: as in `start`."""
        words = ["resume", str(self.runs.find(name)), *(self._watching(origin) or ["observers.viewer=null"])]
        self.queue.add(Job(name, words, self._logs / f"{name}.log"))

    def stop(self, name: str) -> None:
        """Raises RunError: it is not running."""
        self.queue.stop(name)

    def listed(self) -> list[dict[str, Any]]:
        """Every run, those that wait or failed before they had a folder among them, the newest first."""
        names = self.runs.names()
        early = [job.name for job in reversed(self.queue.jobs) if job.name not in names]
        return [self._brief(name, name in names) for name in [*early, *names]]

    def details(self, name: str) -> dict[str, Any]:
        """All of one run.

        Raises:
            KeyError: no such run.
        """
        there = name in self.runs.names()
        job = self.queue.get(name)
        if not there and job is None:
            raise KeyError(name)
        files = self.runs.files(self.runs.path / name) if there else {}
        previews = sorted(inner for inner in files if re.fullmatch(r"(?:[^/]+/)?previews/[^/]+\.png", inner))
        alive = job is not None and job.alive
        return {
            **self._brief(name, there),
            "log": tail(self._logs / f"{name}.log", LOG_LINES) if "/" not in name else [],
            "preview": max(previews, key=lambda one: files[one].stat().st_mtime) if previews else "",
            "report": "report.html" in files,
            "models": [inner for inner in files if inner.endswith((".glb", ".obj", ".ply", ".stl", ".splat"))],
            "viewer": self.runs.watched(self.runs.path / name) if there and alive and self.viewer else None,
        }

    def _brief(self, name: str, there: bool) -> dict[str, Any]:
        job = self.queue.get(name)
        done, total = self.runs.progress(self.runs.path / name) if there else (0, 0)
        state = job.state if job else DONE if total and done >= total else STOPPED
        return {
            "name": name,
            "state": state,
            "line": job.line if job else "",
            "place": self.queue.place(job) if job else 0,
            "done": done,
            "total": total,
            "alive": bool(job and job.alive),
            "resumable": there and not (job and job.alive) and state != DONE,
        }

    def _watching(self, origin: str) -> list[str]:
        """What a run is told of its viewer."""
        if not self.viewer:
            return []
        options: dict[str, Any] = {"port": self._viewer_port, "origins": [origin]}
        if not is_loopback_address(self._host):
            options |= {"host": self._host, "token": "auto"}
        return [f"observers.viewer={json.dumps(options)}"]


def _subject_words(rgba: Path) -> list[str]:
    """key=value of the picture with its mask."""
    return [f"image={json.dumps(str(rgba), ensure_ascii=False)}", "input.mask=alpha"]


def _has_viewer(registry: Registry) -> bool:
    if "viewer" not in registry.names("observer"):
        return False
    extras = registry.get("observer", "viewer", "observers.viewer").extras
    return all(find_spec(module) is not None for module in extras.values())


def _overrides(options: Mapping[str, Any], choice: Choice) -> list[str]:
    """key=value of the options beside picture and recipe.

    Raises:
        RecipeError: a value that is none; the line names it.
    """
    found = []
    elevation = options.get("elevation_deg")  # without it the run estimates it
    if elevation is not None:
        if not _number(elevation) or not -90 <= elevation <= 90:
            raise RecipeError(f"elevation_deg: {elevation!r}; degrees up from the horizon, -90 to 90")
        found.append(f"input.elevation_deg={float(elevation)!r}")
    for key, least, most in (("steps", 1, MOST_STEPS), ("seed", 0, 2**31 - 1)):
        value = options.get(key)
        if value is not None:
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
                raise RecipeError(f"{key}: {value!r}; a whole number, {least} to {most}")
            found.append(f"{key}={value}")
    prompt = options.get("prompt")
    if prompt is not None:
        if (
            not isinstance(prompt, str) or len(prompt) > LONGEST_PROMPT or "${" in prompt
        ):  # which a recipe would resolve
            raise RecipeError(f"prompt: words, at most {LONGEST_PROMPT} characters, without ${{")
        if prompt.strip():
            found.append(f"prompt={json.dumps(prompt.strip(), ensure_ascii=False)}")
    if choice.prompt and not str(prompt or "").strip():
        raise RecipeError(f'prompt: missing; {choice.name} needs words, for example "a cat"')
    return found


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
