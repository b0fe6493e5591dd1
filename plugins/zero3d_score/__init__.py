"""Score distillation over any denoiser, one algorithm a file; what they have in common is in `shared`."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_score.csd import ClassifierScoreDistillation
    from zero3d_score.hifa import HighFidelity
    from zero3d_score.ism import IntervalScoreMatching
    from zero3d_score.nfsd import NoiseFreeScoreDistillation
    from zero3d_score.sdi import ScoreDistillationViaInversion
    from zero3d_score.sds import ScoreDistillation
    from zero3d_score.sir import ScoreBasedIterativeReconstruction
    from zero3d_score.sjc import ScoreJacobianChaining
    from zero3d_score.targets.guidance import TargetPictures
    from zero3d_score.vsd import VariationalScoreDistillation

    register(ScoreDistillation)
    register(ScoreJacobianChaining)
    register(ClassifierScoreDistillation)
    register(NoiseFreeScoreDistillation)
    register(ScoreDistillationViaInversion)
    register(HighFidelity)
    register(IntervalScoreMatching)
    register(ScoreBasedIterativeReconstruction)
    register(VariationalScoreDistillation)
    register(TargetPictures)
