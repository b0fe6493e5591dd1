"""Methods of `views`: pictures that a denoiser draws through `zero3d views`."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from zero3d.errors import UserError
from zero3d.registry import Registry
from zero3d_benchmark.options import MethodOptions
from zero3d_benchmark.run.truth import Truth
from zero3d_benchmark.views_command import parsed


def views_of(method: MethodOptions, truth: Truth, registry: Registry, seed: int, folder: Path) -> torch.Tensor:
    """The targets (N, H, W, 3) in [0, 1], drawn from where they stand relative to the input; nothing is printed.

    Raises:
        UserError: it cannot be run.
    """
    if not truth.targets:
        raise UserError(f"a method of views draws pictures, and protocol {truth.protocol.id} asks for none")
    poses = folder / "poses.json"
    poses.write_text(json.dumps([relative(truth, shot.camera) for shot in truth.targets]), encoding="utf-8")
    words = [str(truth.input.path), "--out", str(folder / "views"), "--poses", str(poses), "--seed", str(seed)]
    words += ["--input-elevation", f"{truth.elevation_deg:.4f}"] if method.tell_elevation else []
    for key, value in method.options.items():
        words += ["--option", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    views, found = parsed(method, registry, words)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        views.run(found)
    record = json.loads((folder / "views" / "views.json").read_text(encoding="utf-8"))
    size = truth.targets[0].rgba.shape
    pictures = []
    for view in record["views"]:
        with Image.open(folder / "views" / view["file"]) as opened:
            small = opened.convert("RGB").resize((size[1], size[0]), Image.Resampling.BOX)
        pictures.append(torch.from_numpy(numpy.array(small)).float() / 255)
    return torch.stack(pictures)


def relative(truth: Truth, camera: Any) -> list[float]:
    """Azimuth and elevation in degrees and distance, relative to the input."""
    shown = truth.input.camera
    azimuth = numpy.degrees(float(camera.azimuth[0] - shown.azimuth[0]))
    elevation = numpy.degrees(float(camera.elevation[0] - shown.elevation[0]))
    return [float((azimuth + 180) % 360 - 180), float(elevation), float(camera.distance[0] - shown.distance[0])]
