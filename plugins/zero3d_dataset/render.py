"""`zero3d dataset render`: every mesh's pictures, by several processes; can be killed and called again."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy

from zero3d.errors import UserError, WriteError
from zero3d.files.lock import only_writer
from zero3d_dataset import layout
from zero3d_dataset.cameras import CameraRule, draw_light, generator_of
from zero3d_dataset.renderer import MeshError, ObjectRenderer, Order
from zero3d_dataset.sources import Source
from zero3d_dataset.surface import to_published
from zero3d_dataset.workers import Work, Workers

SETTINGS = "render.json"
"""How the pictures in a folder were made: others are not added to them."""

LISTED_EVERY = 30.0
"""Seconds between updates of valid_paths.json and failed.json."""

LEAST_ROOM = 16 * 2**20
"""Bytes on the disk, below which nothing goes on."""


@dataclass(frozen=True)
class Settings:
    """What the pictures depend on. `renderer` is raycast or blender; the others are as the command line has them."""

    views: int = 12
    size: int = 512
    seed: int = 0
    cameras: CameraRule = field(default_factory=CameraRule)
    renderer: str = "raycast"
    supersample: int = 2
    samples: int = 128
    y_up: bool = True
    published_axes: bool = False

    def to_json(self) -> dict[str, Any]:
        """Those that matter to this renderer."""
        quality = {"supersample": self.supersample} if self.renderer == "raycast" else {"samples": self.samples}
        return {
            "renderer": self.renderer,
            "views": self.views,
            "size": self.size,
            "seed": self.seed,
            "distance": list(self.cameras.distance),
            "elevation_deg": None if self.cameras.elevation_deg is None else list(self.cameras.elevation_deg),
            "up": "y" if self.y_up else "z",
            "axes": "published" if self.published_axes else "zero3d",
            **quality,
        }


@dataclass(frozen=True)
class Machinery:
    """What the pictures do not depend on. seconds: an object may take. blender_python, device: for blender."""

    workers: int = 1
    seconds: float = 1800.0
    blender_python: Path | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Tally:
    """Objects drawn now, found complete, failed, and (of all) drawn with something missing."""

    drawn: int
    present: int
    failed: int
    seconds: float
    noted: int = 0


class ObjectMaker(Work[Source]):
    """Draws an object's views and writes its folder."""

    def __init__(self, out: Path, settings: Settings, machinery: Machinery) -> None:
        self._out, self._settings = out, settings
        self._renderer = make_renderer(settings, machinery)
        # what files from the internet set off is told in one line an object, or not at all
        warnings.simplefilter("ignore")
        logging.getLogger("trimesh").setLevel(logging.CRITICAL)

    def do(self, task: Source) -> str | None:
        try:
            self._make(task)
        except Exception as error:  # whatever a file from the internet sets off, the other objects come first
            said = str(error) if isinstance(error, MeshError) else f"{type(error).__name__}: {error}"
            return " ".join(said.split())
        return None

    def close(self) -> None:
        self._renderer.close()

    def _make(self, source: Source) -> None:
        settings = self._settings
        generator = generator_of(settings.seed, source.uid)
        cameras = settings.cameras.draw(generator, settings.views, settings.size)
        order = Order(source.path, cameras, draw_light(generator), settings.y_up)
        matrices = layout.world_to_camera(cameras.camera_to_world)
        if not settings.published_axes:  # the camera sees the same, of a world that is turned
            turn = numpy.eye(4)
            turn[:3, :3] = to_published(numpy.eye(3)).T
            matrices = matrices @ turn
        writer = layout.ObjectWriter(self._out, source.uid)
        try:
            seen = False
            for picture, matrix in zip(self._renderer.draw(order), matrices, strict=True):
                seen = seen or bool(picture[..., 3].any())
                writer.add(picture, matrix)
            if not seen:
                raise MeshError("nothing of it can be seen")
            if self._renderer.notes:
                layout.write_json(_notes_file(self._out, source.uid), self._renderer.notes)
            writer.finish()
        except BaseException:
            writer.discard()
            raise


def _notes_file(out: Path, uid: str) -> Path:
    """Where a worker leaves an object's notes for the parent."""
    return out / layout.PARTIAL / f"{uid}.notes.json"


def make_renderer(settings: Settings, machinery: Machinery) -> ObjectRenderer:
    """The renderer by its name."""
    if settings.renderer == "raycast":
        from zero3d_dataset.raycast import RayCaster

        return RayCaster(settings.supersample)
    from zero3d_dataset.blender import Blender

    assert machinery.blender_python is not None
    return Blender(machinery.blender_python, settings.samples, machinery.device)


def check_blender(machinery: Machinery) -> str:
    """Blender's version.

    Raises:
        UserError: it cannot be opened.
    """
    from zero3d_dataset.blender import Blender, BlenderGone

    if machinery.blender_python is None:
        raise UserError("--renderer blender: give --blender-python PATH, an interpreter that has the bpy package")
    blender = Blender(machinery.blender_python)
    try:
        blender.start()
    except BlenderGone as error:
        raise UserError(
            f"--blender-python {machinery.blender_python}: {error}; name an interpreter that has the bpy package"
        ) from None
    finally:
        blender.close()
    return blender.version


def render(sources: Sequence[Source], out: Path, settings: Settings, machinery: Machinery) -> Tally:
    """Draw what is not there yet. Failures are told on stderr, one line each, and kept in failed.json.

    Raises:
        UserError: the folder holds something else, is made with other settings, or is being written to.
    """
    started = time.monotonic()
    _prepare(out, settings)
    with only_writer(out, f"--out {out}"):
        shutil.rmtree(out / layout.PARTIAL, ignore_errors=True)  # of a killed call
        (out / layout.PARTIAL).mkdir(exist_ok=True)  # its last worker may still be at it
        books = _Books(out, sources, settings.views)
        left = [source for source in sources if source.uid not in books.whole]
        workers: Workers[Source] = Workers(
            partial(ObjectMaker, out, settings, machinery), min(machinery.workers, len(left) or 1), machinery.seconds
        )
        bar = _bar(len(sources), len(sources) - len(left))
        drawn = failed = 0
        try:
            with contextlib.closing(workers.run(left)) as ended:  # Ctrl-C ends the processes before their files go
                for source, failure in ended:
                    if failure is None:
                        drawn += 1
                        for note in books.drawn(source):
                            bar.write(note, file=sys.stderr)
                    else:
                        failed += 1
                        books.failed[source.uid] = {"mesh": str(source.path), "error": failure}
                        bar.write(f"{source.path}: {failure}; skipped", file=sys.stderr)
                        _check_room(out)
                    bar.update()
                    books.write(now=False)
        finally:
            bar.close()
            books.write(now=True)
            shutil.rmtree(out / layout.PARTIAL, ignore_errors=True)
    noted = sum(source.uid in books.notes for source in sources)
    return Tally(drawn, len(sources) - len(left), failed, time.monotonic() - started, noted)


class _Books:
    """valid_paths.json, of every complete object in the folder (looked through once), failed.json and notes.json."""

    def __init__(self, out: Path, sources: Sequence[Source], views: int) -> None:
        self._out, self._written = out, time.monotonic()
        folders = [entry.name for entry in os.scandir(out) if entry.is_dir() and not entry.name.startswith(".")]
        self.whole = {uid for uid in folders if layout.complete_views(out / uid) >= views}
        self.failed: dict[str, dict[str, str]] = {}
        self.notes: dict[str, list[str]] = {}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            noted = json.loads((out / layout.NOTES).read_text(encoding="utf-8"))
            self.notes = {uid: lines for uid, lines in noted.items() if uid in self.whole}
        asked = {source.uid for source in sources}
        with contextlib.suppress(OSError, ValueError, AttributeError):
            before = json.loads((out / layout.FAILED).read_text(encoding="utf-8"))
            self.failed = {uid: entry for uid, entry in before.items() if uid not in asked}

    def drawn(self, source: Source) -> list[str]:
        """An object is complete; what its worker noted."""
        self.whole.add(source.uid)
        self.notes.pop(source.uid, None)
        file = _notes_file(self._out, source.uid)
        with contextlib.suppress(FileNotFoundError):
            self.notes[source.uid] = json.loads(file.read_text(encoding="utf-8"))
            file.unlink()
        return self.notes.get(source.uid, [])

    def write(self, now: bool) -> None:
        if not now and time.monotonic() - self._written < LISTED_EVERY:
            return
        layout.write_valid_paths(self._out, self.whole)
        if self.failed or (self._out / layout.FAILED).exists():
            layout.write_json(self._out / layout.FAILED, self.failed)
        if self.notes or (self._out / layout.NOTES).exists():
            layout.write_json(self._out / layout.NOTES, self.notes)
        self._written = time.monotonic()


def _check_room(out: Path) -> None:
    """Every mesh fails on a full disk, and none of them is at fault."""
    free = shutil.disk_usage(out).free
    if free < LEAST_ROOM:
        raise UserError(f"--out {out}: {free // 2**20} MiB left on its disk; make room and call again")


def _prepare(out: Path, settings: Settings) -> None:
    wanted = settings.to_json()
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / SETTINGS).exists():
            if any(out.iterdir()):
                raise UserError(f"--out {out}: holds files, and no {SETTINGS} of this command; take another folder")
            layout.write_json(out / SETTINGS, wanted)
            return
        had = json.loads((out / SETTINGS).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror}); take another folder") from None
    except WriteError as error:
        raise UserError(f"--out {out}: {error}") from None
    except ValueError:
        raise UserError(f"--out {out}: {SETTINGS} cannot be read; take another folder") from None
    for name, value in wanted.items():
        if had.get(name) != value:
            raise UserError(
                f"--out {out}: its objects were drawn with {name} {had.get(name)}, not {value}; take another folder"
            )


def _bar(total: int, done: int) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        file=sys.stderr,
        mininterval=0.2 if sys.stderr.isatty() else 30.0,
        bar_format="{n_fmt}/{total_fmt} objects |{bar}| {rate_noinv_fmt}  {elapsed}<{remaining}",
        unit=" objects",
        dynamic_ncols=True,
    )
