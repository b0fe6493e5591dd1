"""Score distillation over any denoiser: sjc and sds."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_score.sds import ScoreDistillation
    from zero3d_score.sjc import ScoreJacobianChaining

    register(ScoreDistillation)
    register(ScoreJacobianChaining)
