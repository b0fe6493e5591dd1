"""How good a reconstruction is: pictures, surfaces, volumes; `zero3d eval`."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "eval",
            "zero3d_metrics.command.evaluate:Evaluate",
            "Score a run, mesh or splat file: PSNR, SSIM on views; Chamfer distance, F-score, normals, IoU to a mesh.",
        )
    )
    register(Lazy("metric", "chamfer", "zero3d_metrics.components.shapes:Chamfer"))
    register(Lazy("metric", "fscore", "zero3d_metrics.components.shapes:FScore"))
    register(Lazy("metric", "normal_consistency", "zero3d_metrics.components.shapes:NormalConsistency"))
    register(Lazy("metric", "iou", "zero3d_metrics.components.shapes:VolumeIou"))
    register(Lazy("metric", "psnr", "zero3d_metrics.components.pictures:Psnr"))
    register(Lazy("metric", "ssim", "zero3d_metrics.components.pictures:Ssim"))
    register(Lazy("metric", "lpips", "zero3d_metrics.components.pictures:LpipsMetric"))
    register(Lazy("metric", "clip_similarity", "zero3d_metrics.components.pictures:ClipSimilarity"))
    register(Lazy("metric", "fid", "zero3d_metrics.components.sets:Fid"))
    register(Lazy("metric", "kid", "zero3d_metrics.components.sets:Kid"))
