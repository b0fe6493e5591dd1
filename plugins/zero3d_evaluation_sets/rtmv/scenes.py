"""A scene of RTMV, as published and as Zero-1-to-3's authors copied it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d import UserError
from zero3d.exr import read_exr
from zero3d.interfaces import EvaluationView
from zero3d.mesh_files import linear_to_srgb
from zero3d.transforms import Frame, read_transforms
from zero3d.values import PUBLISHED_FOV
from zero3d_evaluation_sets.common.meshes import files_of, own_axes
from zero3d_evaluation_sets.common.objects import FileObject, numbers, read_json
from zero3d_evaluation_sets.common.pictures import centred, framed_view, posed, read_rgba

FRAME = re.compile(r"\d{5}")
EMPTY = 1000.0
"""A depth beyond it is the background's (the files have 3.4e38)."""
APART = 1e-3
"""How far a camera's place and what the file says beside it may lie apart, relative to the distance."""
PICTURES = ("{}.exr", "{}.png", "images/{}.png")


class RtmvScene(FileObject):
    """NNNNN.json with NNNNN.exr (linear) or a PNG of it, and NNNNN.depth.exr. No mesh is published of a scene.

    Cameras are in the scene's own world, z up, of its own size: closer than Zero-1-to-3's.
    """

    def __init__(self, name: str, root: Path, category: str, alpha: str) -> None:
        super().__init__(name, root, category)
        self._alpha = alpha

    def settings(self) -> str:
        return f"alpha {self._alpha}"

    @cached_property
    def view_names(self) -> Sequence[str]:  # type: ignore[override]
        return tuple(sorted(path.stem for path in self.root.glob("*.json") if FRAME.fullmatch(path.stem)))

    def files(self) -> Iterable[Path]:
        for name in self.view_names:
            yield self.root / f"{name}.json"
            yield self._picture(name)
            depth = self._depth_file(name)
            yield from [depth] if depth.is_file() else []

    def view(self, index: int) -> EvaluationView:
        name = self.view_names[self.at(index)]
        path = self._picture(name)
        rgba = self._linear(path, name) if path.suffix == ".exr" else read_rgba(path)
        file = self.root / f"{name}.json"
        said = read_json(file, dict).get("camera_data")
        if not isinstance(said, dict):
            raise UserError(f"{file}: no camera_data; a frame of RTMV has it")
        return posed(rgba, _camera_to_world(said, file), _fov(said, file), str(file))

    def depth(self, index: int) -> Tensor | None:
        """Of NNNNN.depth.exr, taken as along the ray (as kaolin-wisp uses it)."""
        depth = self._distance(self.view_names[self.at(index)])
        return None if depth is None else torch.where(depth < EMPTY, depth, torch.full_like(depth, math.inf))

    def _picture(self, name: str) -> Path:
        places = [self.root / place.format(name) for place in PICTURES]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise UserError(f"{places[0]}: no such picture, nor a PNG of it; copy the scene whole")
        return found

    def _depth_file(self, name: str) -> Path:
        return self.root / f"{name}.depth.exr"

    def _distance(self, name: str) -> Tensor | None:
        path = self._depth_file(name)
        if not path.is_file():
            return None
        channels = read_exr(path)
        found = next((channels[key] for key in ("Z", "R", "Y") if key in channels), None)
        if found is None:
            raise UserError(f"{path}: channels {', '.join(channels)}; a depth is in R, Y or Z")
        depth = torch.from_numpy(found.astype(numpy.float32)).abs()
        return torch.where(depth > 0, depth, torch.full_like(depth, math.inf))

    def _linear(self, path: Path, name: str) -> Tensor:
        channels = read_exr(path)
        gone = [key for key in "RGB" if key not in channels]
        if gone:
            raise UserError(f"{path}: channels {', '.join(channels)}; {gone[0]} is missing")
        rgb = numpy.stack([channels[key].astype(numpy.float32) for key in "RGB"], axis=-1)
        rgb = linear_to_srgb(numpy.clip(numpy.nan_to_num(rgb), 0, 1)).astype(numpy.float32)
        return torch.cat([torch.from_numpy(rgb), self._opacity(path, name, channels)[..., None]], dim=-1)

    def _opacity(self, path: Path, name: str, channels: dict[str, numpy.ndarray]) -> Tensor:
        own = channels.get("A")
        if self._alpha == "picture" and own is None:
            raise UserError(f"{path}: no channel A; set alpha=depth")
        if own is not None and (self._alpha == "picture" or (self._alpha == "auto" and own.min() < own.max())):
            return torch.from_numpy(numpy.clip(numpy.nan_to_num(own.astype(numpy.float32)), 0, 1))
        depth = self._distance(name)
        if depth is not None:
            shape = channels["R"].shape
            if tuple(depth.shape) != shape:
                raise UserError(f"{self._depth_file(name)}: {tuple(depth.shape)} pixels; the picture has {shape}")
            return (depth < EMPTY).float()
        if self._alpha == "depth":
            raise UserError(f"{self._depth_file(name)}: no such picture; set alpha=picture")
        return torch.ones(channels["R"].shape)


def _camera_to_world(said: dict[str, Any], file: Path) -> Tensor:
    """The file's cam2world lists a matrix column by column; its place is held against what stands beside it."""
    pose = numbers(said.get("cam2world"), (4, 4), f"{file}: cam2world").T
    at = said.get("camera_look_at")
    eye = at.get("eye") if isinstance(at, dict) else None
    eye = said.get("location_world") if eye is None else eye
    if eye is not None:
        eye = numbers(eye, (3,), f"{file}: camera_look_at.eye")
        if numpy.linalg.norm(eye - pose[:3, 3]) > APART * max(1.0, float(numpy.linalg.norm(eye))):
            shown = ", ".join(f"{number:.4g}" for number in pose[:3, 3])
            raise UserError(
                f"{file}: camera_look_at.eye is not the place ({shown}) of cam2world, read column by column as RTMV "
                "writes it; take the published file"
            )
    return torch.from_numpy(numpy.ascontiguousarray(pose))


def _fov(said: dict[str, Any], file: Path) -> float:
    """Radians across the width. Focal lengths are in pixels of the published size, and so is the width beside them."""
    lens = said.get("intrinsics")
    lens = lens if isinstance(lens, dict) else {}
    width, height = (float(numbers(said.get(key), (), f"{file}: {key}")) for key in ("width", "height"))
    fx, fy, cx, cy = (
        float(numbers(lens.get(key), (), f"{file}: intrinsics.{key}")) for key in ("fx", "fy", "cx", "cy")
    )
    if min(width, height, fx, fy) <= 0 or abs(fx / fy - 1) > 0.01:
        raise UserError(f"{file}: fx {fx:g}, fy {fy:g}, {width:g}x{height:g}; square pixels are needed")
    centred((cx / width, cy / height), str(file))
    return 2 * math.atan(width / 2 / fx)


class Zero123Scene(FileObject):
    """transforms.json with NNNNN.png by frame number, and scene.ply as the true mesh, in the cameras' world."""

    @cached_property
    def view_names(self) -> Sequence[str]:  # type: ignore[override]
        return tuple(f"{number:05d}" for number in range(len(self._frames())))

    def files(self) -> Iterable[Path]:
        yield self.root / "transforms.json"
        yield from (self.root / f"{name}.png" for name in self.view_names)
        mesh = self.root / "scene.ply"
        yield from files_of(mesh) if mesh.is_file() else ()

    def mesh(self) -> Any | None:
        path = self.root / "scene.ply"
        return own_axes(path) if path.is_file() else None

    def view(self, index: int) -> EvaluationView:
        return framed_view(self._frames()[self.at(index)], self.root / f"{self.view_names[index]}.png")

    def _frames(self) -> list[Frame]:
        return read_transforms(self.root / "transforms.json", PUBLISHED_FOV)
