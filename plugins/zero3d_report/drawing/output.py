"""The folder that `zero3d draw` writes: pictures, and a transforms.json as NeRF and `zero3d eval --views` read it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d.errors import UserError
from zero3d.files import replacing, write_text
from zero3d.films import to_uint8
from zero3d.values import Cameras
from zero3d_report.drawing.drawn import Drawn, check_drawn

RECORD = "transforms.json"


def check_folder(out: Path, overwrite: bool) -> None:
    """Hold the folder to write against what is there.

    Raises:
        UserError: a file, in no folder, or not empty.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out: {out} is a file; name a folder")
    if not out.is_dir() and not out.absolute().parent.is_dir():
        raise UserError(f"--out: {out} is in a folder that is not there; make that, or name another")
    if out.is_dir() and any(out.iterdir()) and not overwrite:
        raise UserError(
            f"--out: {out} is not empty; take another folder, or --overwrite to replace pictures of those names"
        )


def write_folder(
    out: Path, pictures: Iterable[tuple[str, Cameras, Drawn]], background: Tensor | None, depth: bool, normals: bool
) -> int:
    """Write all; the number of pictures. `background` (3,): behind them; None leaves them transparent.

    Raises:
        UserError: the model has no depth or no normals.
        WriteError: something cannot be written.
    """
    out.mkdir(exist_ok=True)
    frames, depths = list[dict[str, Any]](), dict[str, Tensor]()
    for name, camera, picture in pictures:
        check_drawn(picture, depth, normals)
        if background is None:
            pixels = to_uint8(torch.cat([picture.colour, picture.opacity], dim=-1))
        else:
            pixels = to_uint8(picture.over(background))
        _save(pixels, out / f"{name}.png")
        frame = {"file_path": f"{name}.png", **_numbers(camera)}
        if normals and picture.normals is not None:
            _save(to_uint8((picture.normals + 1) / 2), out / f"{name}_normal.png")
            frame["normal_file_path"] = f"{name}_normal.png"
        if depth and picture.depth is not None:
            depths[name] = picture.depth[..., 0]
            frame["depth_file_path"] = f"{name}_depth.png"
        frames.append(frame)
    record: dict[str, Any] = {"camera_model": "PINHOLE"}
    if depths:
        scale = max(float(values.max()) for values in depths.values()) / 65535 or 1.0
        for name, values in depths.items():
            counts = torch.round(values.double() / scale).numpy().astype(numpy.uint16)
            _save(counts, out / f"{name}_depth.png")
        record |= {
            "depth_scale": scale,
            "depth": "distance along the ray = depth_scale * value, world units; 0: nothing",
        }
    if normals:
        record["normals"] = "world axes, z up: (normal + 1) / 2 as red, green, blue; grey: nothing"
    write_text(out / RECORD, json.dumps(record | {"frames": frames}, indent=1) + "\n")
    return len(frames)


def _numbers(camera: Cameras) -> dict[str, Any]:
    """A camera as NeRF's and nerfstudio's files have it."""
    fov = float(camera.fovs[0])
    focal = camera.width / 2 / math.tan(fov / 2)
    return {
        "camera_angle_x": fov,
        "fl_x": focal,
        "fl_y": focal,
        "cx": camera.width / 2,
        "cy": camera.height / 2,
        "w": camera.width,
        "h": camera.height,
        "transform_matrix": camera.camera_to_world[0].double().tolist(),
    }


def _save(pixels: numpy.ndarray, path: Path) -> None:
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")
