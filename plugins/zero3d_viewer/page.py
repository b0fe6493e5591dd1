"""The page in the browser: models side by side, cameras, pictures, curves, buttons."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from PIL import Image

from zero3d.values import Cameras, Picture
from zero3d_viewer.control import Control
from zero3d_viewer.curves import Curves
from zero3d_viewer.shapes import Mesh, Points, Shape, Splats

FRUSTA = 12
"""Cameras of a step that are drawn at the most."""
PANEL = 128
"""Pixels of a teacher's picture."""
OVERLAP = 0.2
"""Seconds that a mesh stays behind its successor, which a browser takes a moment to read."""
COLOURS = {"input": (200, 60, 40), "novel": (40, 90, 200)}
CURVES = {".gradient": "gradient norms", ".value": "penalties"}


@dataclass
class Exhibit:
    """One model on the page; its place along the y axis, world units."""

    name: str
    offset: float = 0.0
    turns: int = 0
    node: Any = None
    cameras: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/{self.name}"


class Page:
    """What stands on a viser server. Every method may be called from the run's thread; the buttons speak to `control`."""

    def __init__(self, viser: Any, control: Control | None = None) -> None:
        self._viser = viser
        scene = viser.scene
        viser.gui.configure_theme(show_share_button=False, show_logo=False)
        scene.configure_default_lights(True, cast_shadow=False)
        scene.set_up_direction("+z")
        self.look_from(0.0, 1.0)
        self._status = viser.gui.add_markdown("")
        if control is not None:
            self._buttons(control)
        self._shown = viser.gui.add_dropdown(
            "Show", ("model", "render"), hint="the model itself, or the run's own render"
        )
        self._cameras_shown = viser.gui.add_checkbox("Cameras", True)
        self._cameras_shown.on_update(lambda _: self._show_cameras())
        self._exhibits: dict[str, Exhibit] = {}
        self._pictures: dict[str, Any] = {}
        self._plots: dict[str, Any] = {}
        self._folders: dict[str, Any] = {}
        self._timers: list[threading.Timer] = []

    def look_from(self, centre: float, width: float) -> None:
        """Where new visitors begin: in front, to the right and above, `width` world units in sight, about (0, centre, 0)."""
        camera = self._viser.initial_camera
        away = 1.4 * width + 0.8
        camera.position = (0.85 * away, centre + 0.45 * away, 0.45 * away)
        camera.look_at = (0.0, centre, 0.0)
        camera.fov = math.radians(45)

    @property
    def renders(self) -> bool:
        """Whether visitors want the run's own render rather than the model."""
        return bool(self._shown.value == "render")

    def want(self, render: bool) -> None:
        self._shown.value = "render" if render else "model"

    def say(self, text: str) -> None:
        """The line above the buttons, in Markdown."""
        if self._status.content != text:
            self._status.content = text

    def exhibit(self, name: str, offset: float = 0.0) -> Exhibit:
        """A place for a model, under a name of its own."""
        found = self._exhibits.get(name)
        if found is None:
            found = self._exhibits[name] = Exhibit(name, offset)
            self._viser.scene.add_frame(found.path, show_axes=False, position=(0.0, offset, 0.0))
        return found

    def label(self, exhibit: Exhibit, height: float) -> None:
        """Its name above it, `height` world units up."""
        self._viser.scene.add_label(f"{exhibit.path}/label", exhibit.name, position=(0.0, 0.0, height + 0.1))

    def show(self, exhibit: Exhibit, shape: Shape | None) -> None:
        """Put the model in the place of the former one."""
        scene, former = self._viser.scene, exhibit.node
        exhibit.turns += 1
        if isinstance(shape, Mesh):
            # a mesh of the same name would be away until the browser has read the new one
            path = f"{exhibit.path}/mesh{exhibit.turns % 2}"
            exhibit.node = scene.add_glb(path, shape.glb, wxyz=(0.5, 0.5, 0.5, 0.5), cast_shadow=False)
            if former is not None:
                self._later(former.remove)
            return
        if isinstance(shape, Splats) and len(shape.centres):
            parts = (shape.centres, shape.covariances, shape.colours, shape.opacities[:, None])
            if former is not None and hasattr(former, "set_gaussians"):
                former.set_gaussians(*parts)
            else:
                exhibit.node = scene.add_gaussian_splats(f"{exhibit.path}/splats", *parts)
        elif isinstance(shape, Points) and len(shape.places):
            exhibit.node = scene.add_point_cloud(f"{exhibit.path}/points", shape.places, shape.colours, point_size=0.01)
        elif former is not None:
            former.remove()
            exhibit.node = None

    def background(self, picture: numpy.ndarray | None) -> None:
        """(H, W, 3) in [0, 1] behind everything, or nothing."""
        self._viser.scene.set_background_image(None if picture is None else _bytes(picture), jpeg_quality=85)

    def eye(self) -> Cameras | None:
        """One visitor's camera, one pixel high and as wide as its window; None where nobody looks yet."""
        for client in self._viser.get_clients().values():
            camera = client.camera
            with contextlib.suppress(AssertionError):  # it has sent no camera yet
                pose = numpy.eye(4)
                pose[:3, :3] = _matrix(camera.wxyz) * (1, -1, -1)
                pose[:3, 3] = camera.position
                across = 2 * math.atan(math.tan(camera.fov / 2) * camera.aspect)
                width = max(1, round(256 * min(camera.aspect, 4)))
                return Cameras(torch.from_numpy(pose).float()[None], 256, width, across)
        return None

    def frusta(self, exhibit: Exhibit, group: str, cameras: Cameras, picture: Picture | None = None) -> None:
        """Draw cameras, the first FRUSTA of them, in the place of the group's former ones; `picture` in the first."""
        image = None if picture is None else _bytes(picture.resized(PANEL, PANEL).rgb.cpu().numpy())
        count = min(len(cameras), FRUSTA)
        poses, fovs = cameras.camera_to_world.cpu().numpy(), cameras.fovs.tolist()
        for i in range(count):
            name = f"{exhibit.path}/cameras/{group}/{i}"
            exhibit.cameras[name] = self._viser.scene.add_camera_frustum(
                name,
                fov=2 * math.atan(math.tan(fovs[i] / 2) * cameras.height / cameras.width),
                aspect=cameras.width / cameras.height,
                scale=0.12,
                thickness=0.005,
                color=COLOURS.get(group.partition(".")[0], COLOURS["novel"]),
                image=image if i == 0 else None,
                wxyz=_quaternion(poses[i, :3, :3] * (1, -1, -1)),
                position=poses[i, :3, 3],
                visible=bool(self._cameras_shown.value),
                cast_shadow=False,
            )
        for name in [n for n in exhibit.cameras if n.startswith(f"{exhibit.path}/cameras/{group}/")][count:]:
            exhibit.cameras.pop(name).remove()

    def teacher(self, label: str, pictures: Mapping[str, numpy.ndarray]) -> None:
        """A guidance's pictures, each (H, W, 3) in [0, 1], side by side under their names."""
        sheet = numpy.concatenate([_panel(picture) for picture in pictures.values()], axis=1)
        caption = f"{label}: {', '.join(pictures)}"
        if label in self._pictures:
            self._pictures[label].image = sheet
        else:
            with self._folder("Teacher"):
                self._pictures[label] = self._viser.gui.add_image(sheet, label=caption)

    def curves(self, curves: Curves, run: str = "Curves") -> None:
        """Draw the curves of a run, under its name."""
        from viser import uplot

        for ending, title in CURVES.items():
            names = curves.names(ending)
            if not names or len(curves) < 2:
                continue
            key, data = f"{run}{ending}{len(names)}", curves.table(ending)
            if key in self._plots:
                self._plots[key].data = data
                continue
            for former in [k for k in self._plots if k.startswith(f"{run}{ending}")]:
                self._plots.pop(former).remove()
            series = [uplot.Series(label=_short(n), stroke=_tone(i), width=1.5) for i, n in enumerate(names)]
            with self._folder(run):
                self._plots[key] = self._viser.gui.add_uplot(
                    data,
                    (uplot.Series(label="step"), *series),
                    title=title,
                    scales={"x": uplot.Scale(time=False, auto=True), "y": uplot.Scale(distr=3, auto=True)},
                    legend=uplot.Legend(show=True),
                    aspect=1.4,
                )

    def close(self) -> None:
        """Before the server stops."""
        for timer in self._timers:
            timer.cancel()

    def _buttons(self, control: Control) -> None:
        gui = self._viser.gui
        hold = gui.add_button("Pause", hint="hold the run after this step")
        once = gui.add_button("Step", hint="one step, then hold")
        end = gui.add_button("Stop and export", color="red", hint="end the run; zero3d resume goes on later")

        def name() -> None:
            hold.label = "Go on" if control.paused else "Pause"

        @hold.on_click
        def _(_: Any) -> None:
            control.pause(not control.paused)
            name()

        @once.on_click
        def _(_: Any) -> None:
            control.step()
            name()

        @end.on_click
        def _(_: Any) -> None:
            control.stop()
            for button in (hold, once, end):
                button.disabled = True

    def _folder(self, name: str) -> Any:
        if name not in self._folders:
            first = name == "Teacher"  # whichever comes first
            self._folders[name] = self._viser.gui.add_folder(name, order=1e6 + (0 if first else 1 + len(self._folders)))
        return self._folders[name]

    def _show_cameras(self) -> None:
        for exhibit in self._exhibits.values():
            for handle in list(exhibit.cameras.values()):
                handle.visible = bool(self._cameras_shown.value)

    def _later(self, work: Any) -> None:
        self._timers = [timer for timer in self._timers if timer.is_alive()]
        timer = threading.Timer(OVERLAP, work)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()


def _short(name: str) -> str:
    """ "guidance.sds.gradient" -> "sds"."""
    return ".".join(name.split(".")[1:-1]) or name


def _tone(index: int) -> str:
    return f"hsl({(210 + 137 * index) % 360}, 70%, 45%)"


def _bytes(picture: numpy.ndarray) -> numpy.ndarray:
    return numpy.round(255 * numpy.clip(picture, 0, 1)).astype(numpy.uint8)


def _panel(picture: numpy.ndarray) -> numpy.ndarray:
    return numpy.asarray(Image.fromarray(_bytes(picture)).resize((PANEL, PANEL), Image.Resampling.BICUBIC))


def _matrix(wxyz: Sequence[float]) -> numpy.ndarray:
    from viser.transforms import SO3

    return numpy.asarray(SO3(numpy.asarray(wxyz)).as_matrix())


def _quaternion(matrix: numpy.ndarray) -> numpy.ndarray:
    from viser.transforms import SO3

    return numpy.asarray(SO3.from_matrix(matrix).wxyz)
