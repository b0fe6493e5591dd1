"""Views to compare with: pictures with cameras, in NeRF's or the published Zero-1-to-3 layout."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d import UserError
from zero3d.values import PUBLISHED_FOV, Cameras

SMALLEST = 32
"""Pixels a side that SSIM's window and LPIPS' network need."""


def read_views(folder: Path) -> Iterator[tuple[Tensor, Cameras]]:
    """Each view as RGB (1, H, W, 3) on white with its camera.

    Layouts: `transforms.json` (camera_angle_x; frames with file_path and a camera-to-world transform_matrix, OpenGL
    axes, z up), or NNN.png beside NNN.npy (3x4 world-to-camera, OpenGL axes).

    Raises:
        UserError: neither layout, a missing picture, or a matrix of another shape.
    """
    if not folder.is_dir():
        raise UserError(f"--views {folder}: no such folder; give one with transforms.json or NNN.png and NNN.npy")
    if (folder / "transforms.json").is_file():
        yield from _nerf(folder)
        return
    pairs = sorted(path for path in folder.glob("*.npy") if path.with_suffix(".png").is_file())
    if not pairs:
        raise UserError(f"--views {folder}: holds no transforms.json and no NNN.png with NNN.npy")
    for path in pairs:
        try:
            world_to_camera = numpy.load(path, allow_pickle=False)
        except ValueError as error:
            raise UserError(f"{path}: no plain array ({error})") from None
        if world_to_camera.shape != (3, 4):
            raise UserError(f"{path}: shape {world_to_camera.shape}; a 3x4 world-to-camera matrix is needed")
        full = numpy.concatenate([world_to_camera, [[0, 0, 0, 1]]])
        yield _view(path.with_suffix(".png"), numpy.linalg.inv(full), PUBLISHED_FOV)


def _nerf(folder: Path) -> Iterator[tuple[Tensor, Cameras]]:
    try:
        layout = json.loads((folder / "transforms.json").read_text(encoding="utf-8"))
        fov, frames = float(layout["camera_angle_x"]), list(layout["frames"])
        entries = [(str(f["file_path"]), numpy.array(f["transform_matrix"], dtype=float)) for f in frames]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / 'transforms.json'}: not as NeRF writes it ({error})") from None
    if not entries or not 0 < fov < math.pi:
        raise UserError(f"{folder / 'transforms.json'}: {len(entries)} frames at {fov} radians; nothing to compare")
    for name, matrix in entries:
        path = folder / name
        if matrix.shape != (4, 4):
            raise UserError(f"{path}: transform_matrix of shape {matrix.shape}; 4x4 is needed")
        yield _view(path if path.suffix else path.with_suffix(".png"), matrix, fov)


def _view(path: Path, camera_to_world: numpy.ndarray, fov: float) -> tuple[Tensor, Cameras]:
    try:
        rgba = numpy.asarray(Image.open(path).convert("RGBA"), dtype=numpy.float32) / 255
    except OSError as error:
        raise UserError(f"{path}: cannot be read as a picture ({error})") from None
    if min(rgba.shape[:2]) < SMALLEST:
        raise UserError(f"{path}: {rgba.shape[1]}x{rgba.shape[0]} pixels; at least {SMALLEST} a side can be compared")
    rgb = torch.from_numpy(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:])[None]
    pose = torch.from_numpy(camera_to_world).float()[None]
    return rgb, Cameras(pose, rgba.shape[0], rgba.shape[1], fov)
