"""An object as a protocol shows it: the true mesh on its stage, the input picture, the pictures that are asked for."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from zero3d.errors import UserError
from zero3d.files import write_bytes
from zero3d.geometry import orbit
from zero3d.interfaces import EvaluationObject
from zero3d.mesh_views import Light, MeshScene
from zero3d.values import Cameras
from zero3d_benchmark.protocol import Protocol, Seen
from zero3d_benchmark.run.placing import staged

RENDERER = 1
"""Raised when the same mesh and camera give another picture: cached ones are then drawn anew."""


@dataclass(frozen=True)
class Shot:
    """A picture: `rgba` (H, W, 4) uint8, straight alpha; one camera of its size; where it lies on the disk."""

    rgba: numpy.ndarray
    camera: Cameras
    path: Path

    @property
    def on_white(self) -> torch.Tensor:
        """(H, W, 3) in [0, 1]."""
        return over_white(self.rgba)


class Truth:
    """An object under a protocol. Everything is read or drawn when it is first needed, and kept; it is not to be changed.

    cache: folder of pictures. digest: the object's, where it is known already.
    """

    def __init__(self, one: EvaluationObject, protocol: Protocol, cache: Path, digest: str | None = None) -> None:
        self.one, self.protocol = one, protocol
        self._cache = cache / (digest or one.digest())[:32]

    @cached_property
    def mesh(self) -> Any:
        """On its stage; None if there is none."""
        mesh = self.one.mesh()
        return None if mesh is None else staged(mesh, self.stage)

    @cached_property
    def stage(self) -> str:
        """The protocol's, of a mesh that nothing fixes: its set has not placed it, and no picture of its own shows it."""
        return "none" if self.one.placed or self._has_own(self.protocol.input) else self.protocol.stage

    @property
    def light(self) -> Light | None:
        """What predictions are drawn under: the targets' light, if they are drawn here; of the data's own it is unknown."""
        seen = self.protocol.targets
        return None if seen is None or self._has_own(seen) else Light(self.protocol.ambient)

    @cached_property
    def input(self) -> Shot:
        """The picture that methods are shown."""
        found = self._shots(self.protocol.input, "input")
        if len(found) != 1:
            raise UserError(
                f"{self.one.name}: protocol {self.protocol.id}: input asks for {len(found)} pictures, not one"
            )
        return found[0]

    @cached_property
    def targets(self) -> list[Shot]:
        """The true pictures of what is asked for; [] where nothing is."""
        return [] if self.protocol.targets is None else self._shots(self.protocol.targets, "targets")

    @property
    def azimuth_deg(self) -> float:
        """Of the input camera."""
        return float(numpy.degrees(float(self.input.camera.azimuth[0])))

    @property
    def elevation_deg(self) -> float:
        """Of the input camera."""
        return float(numpy.degrees(float(self.input.camera.elevation[0])))

    def _shots(self, seen: Seen, what: str) -> list[Shot]:
        if self._has_own(seen):
            return [self._own(index) for index in self._indices(seen, len(self.one.view_names))]
        return [self._drawn(camera) for camera in cameras(seen, f"{self.one.name} {what}", self.protocol)]

    def _has_own(self, seen: Seen) -> bool:
        return bool(self.one.view_names) and bool(seen.views)

    def _indices(self, seen: Seen, have: int) -> list[int]:
        shown = [index % have for index in self.protocol.input.views if -have <= index < have]
        wanted = [index for index in range(have) if index not in shown] if seen.views == "others" else seen.views
        for index in wanted:
            if not -have <= index < have:
                raise UserError(f"{self.one.name}: protocol {self.protocol.id} asks for picture {index} of its {have}")
        return [index % have for index in wanted]

    def _own(self, index: int) -> Shot:
        """One of the data's own pictures, of the protocol's size."""
        size = self.protocol.size
        path, record = self._places({"own": index, "size": size})
        if path.is_file() and record.is_file():
            return _read(path, record)
        view = self.one.view(index)
        rgba = numpy.round(255 * view.rgba.numpy()).astype(numpy.uint8)
        longest = max(rgba.shape[:2])
        height, width = (max(1, round(side * size / longest)) for side in rgba.shape[:2])
        rgba = numpy.asarray(resized(Image.fromarray(rgba, "RGBA"), height, width))
        return _write(path, record, rgba, view.camera.resized(height, width))

    def _drawn(self, camera: Cameras) -> Shot:
        key = {
            "pose": numpy.round(camera.camera_to_world[0].double().numpy(), 6).tolist(),
            "fov": round(float(camera.fovs[0]), 8),
            "size": camera.height,
            "ambient": self.protocol.ambient,
            "stage": self.stage,
            "renderer": RENDERER,
        }
        path, record = self._places(key)
        if path.is_file() and record.is_file():
            return _read(path, record)
        if self.mesh is None:
            raise UserError(f"{self.one.name}: protocol {self.protocol.id} renders pictures, and there is no true mesh")
        view = self._scene.draw(camera, light=Light(self.protocol.ambient))
        colour, opacity = view.image[0].numpy(), view.opacity[0].numpy()
        colour = numpy.where(opacity > 1e-3, (colour - (1 - opacity)) / numpy.maximum(opacity, 1e-3), 1.0)
        both = numpy.concatenate([colour, opacity], axis=-1)
        return _write(path, record, numpy.round(255 * both.clip(0, 1)).astype(numpy.uint8), camera)

    @cached_property
    def _scene(self) -> MeshScene:
        return MeshScene(self.mesh)

    def _places(self, key: dict[str, Any]) -> tuple[Path, Path]:
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
        return self._cache / f"{name}.png", self._cache / f"{name}.json"


def cameras(seen: Seen, stream: str, protocol: Protocol) -> list[Cameras]:
    """Those that pictures are rendered from; random ones depend on `stream` alone, which names object and use."""
    lists = [seen.elevation_deg, seen.azimuth_deg, seen.distance]
    if seen.count:
        seed = int.from_bytes(hashlib.sha256(stream.encode()).digest()[:8], "big")
        rng = numpy.random.default_rng(seed)
        columns = [rng.uniform(min(values), max(values), seen.count).tolist() for values in lists]
    else:
        longest = max(map(len, lists))
        columns = [values * longest if len(values) == 1 else values for values in lists]
    fov = float(numpy.radians(protocol.fov_deg))
    return [orbit(e, a, protocol.size, d, fov) for e, a, d in zip(*columns, strict=True)]


def over_white(rgba: numpy.ndarray) -> torch.Tensor:
    """(H, W, 4) uint8, straight alpha -> (H, W, 3) in [0, 1]."""
    whole = torch.from_numpy(rgba.copy()).float() / 255
    return whole[..., :3] * whole[..., 3:] + 1 - whole[..., 3:]


def resized(picture: Image.Image, height: int, width: int) -> Image.Image:
    """An RGBA picture of that size, premultiplied on the way: hidden colours must not bleed."""
    if picture.size == (width, height):
        return picture
    return picture.convert("RGBa").resize((width, height), Image.Resampling.BOX).convert("RGBA")


def _write(path: Path, record: Path, rgba: numpy.ndarray, camera: Cameras) -> Shot:
    path.parent.mkdir(parents=True, exist_ok=True)
    held = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(held, "PNG")
    write_bytes(path, held.getvalue())
    pose = camera.camera_to_world[0].double().tolist()
    write_bytes(record, json.dumps({"camera_to_world": pose, "fov": float(camera.fovs[0])}).encode())
    return Shot(rgba, camera, path)


def _read(path: Path, record: Path) -> Shot:
    try:
        with Image.open(path) as opened:
            rgba = numpy.asarray(opened.convert("RGBA"))
        kept = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it, it is drawn anew") from None
    pose = torch.tensor(kept["camera_to_world"])[None]
    return Shot(rgba, Cameras(pose, rgba.shape[0], rgba.shape[1], kept["fov"]), path)
