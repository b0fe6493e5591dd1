"""Where each copy of Google Scanned Objects keeps an object's mesh and pictures, and how the mesh stands to the cameras."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d import UserError
from zero3d.geometry import orbit, rays
from zero3d.interfaces import EvaluationView
from zero3d.mesh_placing import syncdreamer_truth
from zero3d.transforms import Frame, read_transforms
from zero3d.values import PUBLISHED_FOV
from zero3d_evaluation_sets.common.meshes import files_of, own_axes
from zero3d_evaluation_sets.common.objects import FileObject
from zero3d_evaluation_sets.common.pictures import framed_view, numbered_view, posed, read_grey16, read_rgba

MODEL = "meshes/model.obj"
CATEGORY = re.compile(r'categories\s*\{\s*first:\s*"([^"]*)"')
NUMBER = re.compile(r"\d{3}")
NEAR, RANGE, VALID = 0.6, 1.8, (0.63, 2.37)
"""SyncDreamer's depth pictures: nearest depth, range of the 16 bits, and between which depths they tell something."""
TRANSFORMS = "transforms_render_mvs.json"


@cache
def syncdreamer() -> Mapping[str, Any]:
    """The views and the turns of the 30 objects, as eval_mesh.py and camera-16.pkl have them."""
    read: Mapping[str, Any] = json.loads(Path(__file__).with_name("syncdreamer.json").read_text(encoding="utf-8"))
    return read


class FuelObject(FileObject):
    """Fuel's own folder: meshes/model.obj in metres, z up, its texture under materials/textures; no pictures.

    `yaw_deg`: None leaves the mesh as it is; a number first centres it with a longest side of 1, then turns it by minus that
    about z (SyncDreamer's transform_gt).
    """

    yaw_deg: float | None = None

    @property
    def placed(self) -> bool:  # type: ignore[override]
        return self.yaw_deg is not None

    def settings(self) -> str:
        return f"yaw {self.yaw_deg}"

    @cached_property
    def category(self) -> str:  # type: ignore[override]  # read when it is asked for
        return category(self.root)

    def model(self) -> Path | None:
        """The true mesh's file."""
        return self.root / MODEL

    def files(self) -> Iterable[Path]:
        model = self.model()
        yield from files_of(model) if model else ()

    def mesh(self) -> Any | None:
        model = self.model()
        if model is None:
            return None
        mesh = own_axes(model)
        return mesh if self.yaw_deg is None else syncdreamer_truth(mesh, self.yaw_deg)


class SyncDreamerObject(FuelObject):
    """NNN.png of 16 views with NNN-depth.png; model.obj beside them, in meshes/, or in a folder of meshes.

    The cameras are the published ones, in closed form: 30 degrees up, every 22.5 degrees from +x on, distance 1.5. The
    mesh is normalised and turned to stand in their frame.
    """

    def __init__(self, name: str, root: Path, meshes: Path | None) -> None:
        super().__init__(name, root)
        places = [root, *([meshes / root.name, meshes / name] if meshes else [])]
        self._models = [place / model for place in places for model in ("model.obj", MODEL)]

    def model(self) -> Path | None:
        return next((model for model in self._models if model.is_file()), None)

    @cached_property
    def view_names(self) -> Sequence[str]:  # type: ignore[override]
        names = (f"{index:03d}" for index in range(syncdreamer()["views"]))
        return tuple(name for name in names if (self.root / f"{name}.png").is_file())

    def files(self) -> Iterable[Path]:
        yield from super().files()
        for name in self.view_names:
            yield from (file for file in (self._picture(name), self._depth(name)) if file.is_file())

    def view(self, index: int) -> EvaluationView:
        path = self._picture(self.view_names[self.at(index)])
        rgba = read_rgba(path)
        if rgba.shape[0] != rgba.shape[1]:
            raise UserError(f"{path}: {rgba.shape[1]}x{rgba.shape[0]} pixels; SyncDreamer's pictures are square")
        said = syncdreamer()
        azimuth = 360 / said["views"] * int(self.view_names[index])
        camera = orbit(said["elevation_deg"], azimuth, rgba.shape[0], said["distance"])
        return posed(rgba, camera.camera_to_world[0], PUBLISHED_FOV, str(path))

    def depth(self, index: int) -> Tensor | None:
        """Of NNN-depth.png, whose depth is along the camera's axis, through pixel centres."""
        path = self._depth(self.view_names[self.at(index)])
        if not path.is_file():
            return None
        axial = read_grey16(path) / 65535 * RANGE + NEAR
        camera = orbit(0.0, 0.0, max(axial.shape)).resized(*axial.shape)
        cosine = rays(camera)[1][0] @ -camera.camera_to_world[0, :3, 2]
        inside = (axial > VALID[0]) & (axial < VALID[1])
        return torch.where(inside, axial / cosine, torch.full_like(axial, math.inf))

    def _picture(self, name: str) -> Path:
        return self.root / f"{name}.png"

    def _depth(self, name: str) -> Path:
        return self.root / f"{name}-depth.png"


class EscherNetObject(FuelObject):
    """`renders`/model/NNN.{png,npy} with meshes/model.obj, normalised as for these renders: centred, longest side 1."""

    def __init__(self, name: str, root: Path, renders: str) -> None:
        super().__init__(name, root)
        self.yaw_deg = 0.0
        self._pictures = root / renders / "model"

    def model(self) -> Path | None:
        model = self.root / MODEL
        return model if model.is_file() else None

    @cached_property
    def view_names(self) -> Sequence[str]:  # type: ignore[override]
        return numbered(self._pictures)

    def files(self) -> Iterable[Path]:
        yield from super().files()
        yield from pairs(self._pictures, self.view_names)

    def view(self, index: int) -> EvaluationView:
        return numbered_view(self._pictures / self.view_names[self.at(index)])


class Zero123Object(FileObject):
    """The frames of transforms_render_mvs.json, or render_mvs/model/NNN.{png,npy}; mesh render_mvs/model_norm.obj.

    That mesh was written by Blender's exporter with y up (EscherNet's copy of the script), and is turned back.
    """

    def __init__(self, name: str, root: Path, renders: str) -> None:
        super().__init__(name, root)
        self._renders = root / renders
        self._cameras = root / TRANSFORMS

    @cached_property
    def category(self) -> str:  # type: ignore[override]
        return category(self.root)

    @cached_property
    def view_names(self) -> Sequence[str]:  # type: ignore[override]
        if self._cameras.is_file():
            return tuple(Path(frame.path).stem for frame in self._frames())
        return numbered(self._renders / "model")

    def files(self) -> Iterable[Path]:
        model = self._renders / "model_norm.obj"
        yield from files_of(model) if model.is_file() else ()
        if self._cameras.is_file():
            yield self._cameras
            yield from (frame.path for frame in self._frames())
        else:
            yield from pairs(self._renders / "model", self.view_names)

    def mesh(self) -> Any | None:
        model = self._renders / "model_norm.obj"
        return own_axes(model, up="y") if model.is_file() else None

    def view(self, index: int) -> EvaluationView:
        if self._cameras.is_file():
            return framed_view(self._frames()[self.at(index)])
        return numbered_view(self._renders / "model" / self.view_names[self.at(index)])

    def _frames(self) -> list[Frame]:
        return read_transforms(self._cameras, PUBLISHED_FOV)


def numbered(folder: Path) -> tuple[str, ...]:
    """The NNN of which a folder has picture and pose."""
    if not folder.is_dir():
        return ()
    kinds = [{path.stem for path in folder.glob(f"*{ending}")} for ending in (".png", ".npy")]
    return tuple(sorted(name for name in kinds[0] & kinds[1] if NUMBER.fullmatch(name)))


def pairs(folder: Path, names: Iterable[str]) -> Iterable[Path]:
    """The picture and the pose of each name."""
    for name in names:
        yield from (folder / f"{name}.png", folder / f"{name}.npy")


def category(root: Path) -> str:
    """The only label that a model has, in metadata.pbtxt; "" if it has none."""
    try:
        found = CATEGORY.search((root / "metadata.pbtxt").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""
    return found[1] if found else ""
