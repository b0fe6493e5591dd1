"""The figures of views: what is drawn against the true pictures."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from zero3d import UserError
from zero3d.interfaces import DistributionMetric, Metric, PictureMetric
from zero3d.values import Cameras
from zero3d_metrics.command.report import Report
from zero3d_metrics.command.views import SMALLEST, MaskedView, read_masked_views
from zero3d_metrics.components.pictures import Psnr, Ssim, on_white
from zero3d_metrics.image import SSIM

MAX_SIDE = 256
"""Views are compared at this size at most, as every published protocol does."""
Scorer = Callable[[Tensor, Tensor, Tensor | None], Mapping[str, Tensor]]
"""Pictures, true ones and perhaps masks -> figure -> (B,)."""


def score_views(
    draw: Callable[[Cameras], Tensor], arguments: argparse.Namespace, report: Report, metrics: Sequence[Metric] = ()
) -> None:
    """Add the means over the views of `arguments.views`, and the standard deviations from two views on.

    draw: cameras -> RGB (B, H, W, 3) on white. metrics: further ones, loaded; those of shapes are left alone.
    """
    scorers, likeness = _scorers(arguments, metrics, report), None
    if arguments.encoder:
        from zero3d_metrics.likeness import Likeness

        likeness = Likeness(arguments.encoder, arguments.prompt, arguments.registry)
    sets = _Sets(arguments, [metric for metric in metrics if isinstance(metric, DistributionMetric)])
    scores: dict[str, list[float]] = {}
    views = 0
    for view, camera in _at_compared_size(read_masked_views(arguments.views)):
        image = _resized(draw(camera), camera)
        views += 1
        found: dict[str, Any] = {}
        for scorer in scorers:
            found |= scorer(image, view.rgb, None)
            if arguments.masks:
                found |= _masked(scorer, image, view)
        found |= likeness(image, view.rgb) if likeness else {}
        for key, value in found.items():
            scores.setdefault(key, []).append(float(value))
        sets.add(image, view.rgb)
    for key, values in scores.items():
        finite = [value for value in values if math.isfinite(value)]
        report.add({key: sum(finite) / len(finite) if finite else math.inf})
        if len(finite) > 1:
            report.deviations[key] = float(torch.tensor(finite, dtype=torch.float64).std())
        if finite and len(finite) < len(values):
            report.notes.append(
                f"{key}: {len(values) - len(finite)} of {len(values)} views are equal; the mean is of the rest"
            )
        if len(values) < views:
            report.notes.append(f"{key}: of {len(values)} of {views} views; the others show nothing inside their masks")
    report.add({"views": views})
    sets.report(report, views)
    report.variants["ssim"] = SSIM[arguments.ssim]
    if arguments.masks:
        report.variants["masked"] = "inside the true views' alpha > 1/2; LPIPS and the like: both white outside"
    if likeness:
        said = f"mean cosine of {arguments.encoder}'s vectors of a view and "
        report.variants[f"{likeness.name}_similarity"] = f"{said}the true one"
        if arguments.prompt:
            report.variants[f"{likeness.name}_prompt_similarity"] = f"{said}{arguments.prompt!r}"


def _scorers(arguments: argparse.Namespace, metrics: Sequence[Metric], report: Report) -> list[Scorer]:
    """PSNR, SSIM, LPIPS if asked for, and the further ones. SSIM keeps its name in any form; `variants` says which it is."""
    similarity = Ssim(Ssim.Config(form=arguments.ssim))
    scorers: list[Scorer] = [
        Psnr(Psnr.Config()).pictures,
        lambda a, b, masks: {"ssim": next(iter(similarity.pictures(a, b, masks).values()))},
    ]
    if arguments.lpips:
        from zero3d_metrics.lpips import Lpips

        lpips = Lpips(arguments.lpips)
        report.variants["lpips"] = f"version 0.1 over {lpips.net}, pictures in [-1, 1]"
        scorers.append(lambda a, b, masks: {"lpips": lpips(*on_white(a, b, masks, "lpips"))})
    return scorers + [metric.pictures for metric in metrics if isinstance(metric, PictureMetric)]


def _masked(scorer: Scorer, image: Tensor, view: MaskedView) -> dict[str, Tensor]:
    """NAME_masked; nothing where the mask is empty."""
    if view.mask is None:
        raise UserError(f"eval: --masks: {view.path} has no transparent pixel; give views with alpha, or leave it out")
    if not bool(view.mask.any()):
        return {}
    return {f"{name}_masked": value for name, value in scorer(image, view.rgb, view.mask).items()}


class _Sets:
    """Figures of whole sets of pictures: their features are kept as views come."""

    def __init__(self, arguments: argparse.Namespace, metrics: Sequence[DistributionMetric]) -> None:
        self._metrics: list[DistributionMetric] = list(metrics)
        if arguments.fid:
            from zero3d_metrics.components.sets import Fid

            clip = Fid(Fid.Config(weights=str(arguments.fid), features="clip"))
            clip.load(torch.device("cpu"), "--fid")
            self._metrics.insert(0, clip)
        self._features: list[tuple[list[Tensor], list[Tensor]]] = [([], []) for _ in self._metrics]

    def add(self, image: Tensor, truth: Tensor) -> None:
        for metric, kept in zip(self._metrics, self._features, strict=True):
            for side, picture in zip(kept, (image, truth), strict=True):
                side.append(metric.features(picture))

    def report(self, report: Report, views: int) -> None:
        for metric, (drawn, true) in zip(self._metrics, self._features, strict=True):
            figures = metric.distance(torch.cat(drawn), torch.cat(true))
            report.add(dict(figures))
            dimensions = drawn[0].shape[1]
            report.notes += [
                f"{name}: {views} views and {dimensions} features: too high, and comparable only at this count"
                for name in figures
                if name.startswith("fid") and views <= dimensions
            ]


def _at_compared_size(views: Iterator[MaskedView]) -> Iterator[tuple[MaskedView, Cameras]]:
    for view in views:
        camera = view.camera.resized(*compared_size(view.camera.height, view.camera.width))
        mask = None if view.mask is None else _resized(view.mask[..., None].float(), camera)[..., 0] > 0.5
        yield MaskedView(view.path, _resized(view.rgb, camera), mask, camera), camera


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
