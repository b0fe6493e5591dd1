"""How good a reconstruction is: pictures, surfaces, volumes; `zero3d eval`."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_metrics.command.evaluate import Evaluate
    from zero3d_metrics.components.pictures import LpipsMetric, Psnr, Ssim
    from zero3d_metrics.components.shapes import Chamfer, FScore, NormalConsistency, VolumeIou

    for component in (Evaluate, Chamfer, FScore, NormalConsistency, VolumeIou, Psnr, Ssim, LpipsMetric):
        register(component)
