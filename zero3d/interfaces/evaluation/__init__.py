"""The interfaces of measuring: sets of objects with known truth, metrics, and who runs many jobs."""

from zero3d.interfaces.evaluation.evaluation_set import EvaluationObject, EvaluationSet, EvaluationView
from zero3d.interfaces.evaluation.executor import Executor, Job, Outcome
from zero3d.interfaces.evaluation.metric import DistributionMetric, Metric, PictureMetric, ShapeMetric

__all__ = [
    "DistributionMetric",
    "EvaluationObject",
    "EvaluationSet",
    "EvaluationView",
    "Executor",
    "Job",
    "Metric",
    "Outcome",
    "PictureMetric",
    "ShapeMetric",
]
