"""A run's folder as an object: its figures, pictures and mesh, drawn from anywhere, measured, gone on with."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zero3d import folder
from zero3d import run as runs
from zero3d.api.bar import discard, print_above_bar, watched
from zero3d.api.commands import command_output, option_words
from zero3d.api.figures import Figures
from zero3d.api.overrides import words
from zero3d.errors import UserError
from zero3d.plugins import load_plugins
from zero3d.recipe import read_yaml
from zero3d.registry import Registry
from zero3d.run.opening.session import Session

if TYPE_CHECKING:
    from PIL.Image import Image

    from zero3d.api.mesh import Mesh
    from zero3d.interfaces import ExportSubject
    from zero3d.values import Cameras, View


Plugins = str | Path | Sequence[str | Path]
"""Folders or .py files of plug-ins that are not installed, or one, as `--plugin` takes them."""


class Run:
    """A run; in a notebook its input, last preview, a frame of its turntable, and its mesh to turn.

    folder: where it is. plugins: the plug-ins that are not installed, which it needs.
    """

    def __init__(self, run_folder: str | Path, plugins: tuple[str | Path, ...] = ()) -> None:
        self.folder = Path(run_folder)
        self._plugins = plugins

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, {self.state})"

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe, as a mapping."""
        return read_yaml(self.folder / folder.RECIPE)

    @property
    def manifest(self) -> dict[str, Any]:
        """What made it: versions, plug-ins, weight hashes, notes."""
        return folder.read_manifest(self.folder)

    @property
    def folders(self) -> list[Path]:
        """Those of its stages that have begun; its own, if it has none."""
        begun = [place for place in folder.stage_folders(self.folder) if (place / folder.MANIFEST).is_file()]
        return begun or [self.folder]

    @property
    def metrics(self) -> Figures:
        """The figures of every step (docs/metrics.md); of a run with stages, all of them under each other, with "stage"."""
        places = self.folders
        named = places != [self.folder]
        return Figures.of(
            {**({"stage": place.name} if named else {}), **record}
            for place in places
            for record in folder.read_metrics(place)
        )

    @property
    def state(self) -> str:
        """In words."""
        last = self.folders[-1]
        log, steps = folder.read_metrics(last), read_yaml(last / folder.RECIPE).get("steps")
        done = int(log[-1]["step"]) + 1 if log else 0
        stage = f" of {last.name}" if last != self.folder else ""
        return f"{done} of {steps} steps{stage}" if steps is not None else f"{done} steps{stage}"

    @property
    def pictures(self) -> dict[str, Image]:
        """Every PNG file of the run by its place in the folder, without .png: "picture", "previews/step_000040"; RGB(A)."""
        from PIL import Image as pil

        found = {}
        for path in sorted(self.folder.rglob("*.png")):
            with pil.open(path) as opened:
                found[path.relative_to(self.folder).with_suffix("").as_posix()] = opened.copy()
        return found

    @property
    def files(self) -> tuple[Path, ...]:
        """What was exported, by the order in the recipe; of stages, the last one's."""
        place = self.folders[-1]
        labels = [str(label) for label in read_yaml(place / folder.RECIPE).get("export") or {}]
        return tuple(path for label in labels for path in folder.exported_files(place, label)[1])

    @property
    def mesh(self) -> Mesh:
        """The first exported mesh, world axes (z up), sRGB: a trimesh.Trimesh that a notebook shows.

        Raises:
            UserError: there is none, or it cannot be read.
        """
        from zero3d.api.mesh import Mesh
        from zero3d.mesh_files import FORMATS

        endings = {f".{kind}" for kind in FORMATS}
        for path in self.files:
            if path.suffix.lower() in endings and not (path.suffix.lower() == ".ply" and _is_splats(path)):
                return Mesh.read(path)
        raise UserError(f"{self.folder}: no exported mesh; run.files says what there is, run.export() makes it again")

    def view(
        self,
        cameras: Cameras | None = None,
        azimuth: float = 0.0,
        elevation: float | None = None,
        size: int = 256,
        distance: float | None = None,
    ) -> Any:
        """Draw the field of the last checkpoint on white, as a PIL picture.

        Args:
            cameras: one or several of zero3d.Cameras; several give a list of pictures.
            azimuth, elevation: degrees, in place of `cameras`; azimuth is counter-clockwise seen from above, 0 and the
                input's elevation (default) is where the picture was taken from.
            size: pixels a side; distance: world units; default: the input camera's, as is the field of view.

        Raises:
            UserError: no checkpoint, or angles and sizes out of range.
        """
        from PIL import Image as pil

        from zero3d.films import to_uint8
        from zero3d.values import Cameras as Given

        if cameras is not None and not isinstance(cameras, Given):
            raise UserError(f"view: cameras: {cameras!r}; give zero3d.Cameras, or angles by name, azimuth=40")
        draw, subject = self._field
        if cameras is None:
            cameras = _around(subject, azimuth, elevation, size, distance)
        pictures = [pil.fromarray(to_uint8(draw(cameras[k : k + 1]).image[0])) for k in range(len(cameras))]
        return pictures[0] if len(pictures) == 1 else pictures

    @cached_property
    def _field(self) -> tuple[Callable[[Cameras], View], ExportSubject]:
        return runs.field_drawer(self.folder, load_plugins(self._plugins))

    def eval(self, mesh: Any = None, views: Any = None, **options: Any) -> dict[str, Any]:
        """Score it: `zero3d eval`. mesh: the true mesh's file; views: true views; options: that command's, `masks=True`,
        `metrics=["iou:grid=mesh2sdf"]`. Returns the figures, which are also kept in the run's eval.json, or the file `json`.

        Raises:
            UserError: nothing to compare with, or it cannot be read.
        """
        registry = load_plugins(self._plugins)
        out = Path(options.pop("json", None) or self.folder / "eval.json").expanduser()
        given = option_words({"mesh": mesh, "views": views, **options, "json": out})
        command_output(registry, "eval", [*given, "--", str(self.folder)])
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found

    def resume(
        self, steps: int | None = None, overrides: Mapping[str, Any] | None = None, progress: bool = True
    ) -> Run:
        """Go on from the checkpoint, to another number of steps if given; `overrides`: of observers.

        Raises:
            UserError: as `zero3d.api.resume`.
        """
        self.__dict__.pop("_field", None)
        return resume(self.folder, steps, overrides, progress, self._plugins)

    def export(self, overrides: Mapping[str, Any] | None = None, progress: bool = True) -> Run:
        """Write the models again, with other options.

        Raises:
            UserError: as `zero3d.api.export`.
        """
        return export(self.folder, overrides, progress, self._plugins)

    def _repr_html_(self) -> str:
        from zero3d.api.notebook import run_html

        return run_html(self)


def resume(
    run_folder: str | Path,
    steps: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    progress: bool = True,
    plugins: Plugins = (),
    **keywords: Any,
) -> Run:
    """Go on with a run from its checkpoint, to another number of steps if given: `zero3d resume`.

    overrides: of observers, which hold for what is done now, {"observers.viewer": {"port": 0}}; None removes one.

    Raises:
        UserError: no run, a damaged checkpoint, another override, or another process is writing there.
        KeyboardInterrupt: stopped again.
    """
    options = words({**({} if steps is None else {"steps": steps}), **(overrides or {}), **keywords})
    return made(lambda registry, tell: runs.resume(str(run_folder), registry, tell, options), progress, plugins)


def export(
    run_folder: str | Path,
    overrides: Mapping[str, Any] | None = None,
    progress: bool = True,
    plugins: Plugins = (),
    **keywords: Any,
) -> Run:
    """Write a run's models again, with other options: `zero3d export`.

    overrides: what exporting looks at, {"export.mesh.resolution": 256}.

    Raises:
        UserError: no run, no checkpoint, or nothing to export.
    """
    options = words({**(overrides or {}), **keywords})
    return made(lambda registry, tell: runs.export(str(run_folder), registry, options, tell), progress, plugins)


def made(work: Callable[[Registry, Callable[[str], None]], Session], progress: bool, plugins: Plugins) -> Run:
    """The run that `work` makes of a registry and of what tells the user, with or without a bar."""
    session = work(watched(load_plugins(several(plugins)), progress), print_above_bar if progress else discard)
    return Run(folder.whole_run(session.folder), several(plugins))


def several(plugins: Plugins) -> tuple[str | Path, ...]:
    """What `load_plugins` takes: all of them, also of one alone."""
    return (plugins,) if isinstance(plugins, str | Path) else tuple(plugins)


def _around(
    subject: ExportSubject, azimuth: float, elevation: float | None, size: int, distance: float | None
) -> Cameras:
    import torch

    from zero3d.geometry import orbit

    camera = subject.input_camera.to("cpu")
    if elevation is None:
        elevation = float(torch.rad2deg(camera.elevation[0]))
    far = float(camera.distance[0]) if distance is None else distance
    return orbit(
        _within("elevation", elevation, -90, 90),
        _within("azimuth", azimuth, -36000, 36000),
        int(_within("size", size, 16, 4096, whole=True)),
        _within("distance", far, 0.1, 100),
        camera.fovs[:1],
    )


def _within(name: str, value: Any, low: float, high: float, whole: bool = False) -> float:
    kind = "a whole number" if whole else "a number"
    try:
        number = math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        number = math.nan
    if not low <= number <= high or (whole and number != int(number)):
        shown = repr(value) if math.isnan(number) else f"{number:g}"
        raise UserError(f"view: {name}: {shown}; {kind}, {low:g} to {high:g}")
    return number


def _is_splats(path: Path) -> bool:
    with path.open("rb") as file:
        return b"f_dc_0" in file.read(4096)
