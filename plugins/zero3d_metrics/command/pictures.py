"""The figures of views: what is drawn against the true pictures."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zero3d.values import Cameras
from zero3d_metrics.command.report import Report
from zero3d_metrics.command.views import SMALLEST, read_views
from zero3d_metrics.image import SSIM, psnr, ssim

MAX_SIDE = 256
"""Views are compared at this size at most, as every published protocol does."""


def score_views(draw: Callable[[Cameras], Tensor], arguments: argparse.Namespace, report: Report) -> None:
    """Add the means over the views of `arguments.views`; draw: cameras -> RGB (B, H, W, 3) on white."""
    lpips = fid = likeness = None
    if arguments.encoder:
        from zero3d_metrics.likeness import Likeness

        likeness = Likeness(arguments.encoder, arguments.prompt, arguments.registry)
    if arguments.lpips:
        from zero3d_metrics.lpips import Lpips

        lpips = Lpips(arguments.lpips)
    if arguments.fid:
        from zero3d_metrics.fid import ClipFeatures

        fid = ClipFeatures(arguments.fid)
    scores: dict[str, list[float]] = {"psnr": [], "ssim": [], "lpips": []}
    features: tuple[list[Tensor], list[Tensor]] = ([], [])
    for truth, camera in read_views(arguments.views):
        camera = camera.resized(*compared_size(camera.height, camera.width))
        truth, image = (_resized(picture, camera) for picture in (truth, draw(camera)))
        scores["psnr"].append(float(psnr(image, truth)))
        scores["ssim"].append(float(ssim(image, truth, arguments.ssim)))
        if lpips:
            scores["lpips"].append(float(lpips(image, truth)))
        if likeness:
            for key, value in likeness(image, truth).items():
                scores.setdefault(key, []).append(value)
        if fid:
            for kept, picture in zip(features, (image, truth), strict=True):
                kept.append(fid(picture))
    figures: dict[str, Any] = {}
    for key, values in scores.items():
        finite = [value for value in values if math.isfinite(value)]
        if values:
            figures[key] = sum(finite) / len(finite) if finite else math.inf
        if finite and len(finite) < len(values):
            report.notes.append(
                f"{key}: {len(values) - len(finite)} of {len(values)} views are equal; the mean is of the rest"
            )
    figures["views"] = len(scores["psnr"])
    if fid:
        from zero3d_metrics.fid import frechet_distance

        figures["fid_clip"] = frechet_distance(torch.cat(features[0]), torch.cat(features[1]))
        dimensions = features[0][0].shape[1]
        if figures["views"] <= dimensions:
            report.notes.append(
                f"fid_clip: {figures['views']} views and {dimensions} features: too high, and comparable only at this count"
            )
    report.add(figures)
    report.variants["ssim"] = SSIM[arguments.ssim]
    if likeness:
        said = f"mean cosine of {arguments.encoder}'s vectors of a view and "
        report.variants[f"{likeness.name}_similarity"] = f"{said}the true one"
        if arguments.prompt:
            report.variants[f"{likeness.name}_prompt_similarity"] = f"{said}{arguments.prompt!r}"
    if lpips:
        report.variants["lpips"] = f"version 0.1 over {lpips.net}, pictures in [-1, 1]"


def compared_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a view is compared: the longer side at most 256, the shorter one wide enough for SSIM."""
    scale = min(1.0, max(MAX_SIDE / max(height, width), SMALLEST / min(height, width)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _resized(picture: Tensor, camera: Cameras) -> Tensor:
    """(B, H, W, C) at the camera's size: bilinear, antialiased."""
    size = (camera.height, camera.width)
    if picture.shape[1:3] == size:
        return picture
    planes = torch.nn.functional.interpolate(picture.permute(0, 3, 1, 2), size, mode="bilinear", antialias=True)
    return planes.permute(0, 2, 3, 1)
