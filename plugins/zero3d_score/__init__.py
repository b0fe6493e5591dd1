"""Score distillation over any denoiser, one algorithm a file; what they have in common is in `shared`."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("guidance", "sds", "zero3d_score.sds:ScoreDistillation"))
    register(Lazy("guidance", "sjc", "zero3d_score.sjc:ScoreJacobianChaining"))
    register(Lazy("guidance", "csd", "zero3d_score.csd:ClassifierScoreDistillation"))
    register(Lazy("guidance", "nfsd", "zero3d_score.nfsd:NoiseFreeScoreDistillation"))
    register(Lazy("guidance", "sdi", "zero3d_score.sdi:ScoreDistillationViaInversion"))
    register(Lazy("guidance", "hifa", "zero3d_score.hifa:HighFidelity"))
    register(Lazy("guidance", "ism", "zero3d_score.ism:IntervalScoreMatching"))
    register(Lazy("guidance", "sir", "zero3d_score.sir:ScoreBasedIterativeReconstruction"))
    register(Lazy("guidance", "vsd", "zero3d_score.vsd:VariationalScoreDistillation"))
    register(Lazy("guidance", "target_pictures", "zero3d_score.targets.guidance:TargetPictures"))
