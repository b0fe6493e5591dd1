"""The interfaces that plug-ins implement: abstract classes, one a file. Each is imported when it is asked for.

teachers    what is distilled: denoisers, encoders, what they are trained on
scene       what is optimised, and how it is drawn
evaluation  what measures the results
run         what a run reads, begins with, shows and writes; commands

Guidance and regularizers stand between teachers and scene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zero3d.interfaces.component import Component, NoOptions
from zero3d.interfaces.run.command import Command
from zero3d.lazy import lazily

if TYPE_CHECKING:
    from zero3d.interfaces.evaluation import (
        DistributionMetric,
        EvaluationObject,
        EvaluationSet,
        EvaluationView,
        Executor,
        Job,
        Metric,
        Outcome,
        PictureMetric,
        ShapeMetric,
    )
    from zero3d.interfaces.guidance import Guidance
    from zero3d.interfaces.regularizer import Regularizer
    from zero3d.interfaces.run.exporter import Exporter, ExportSubject
    from zero3d.interfaces.run.image_source import ImageSource, SourcePicture
    from zero3d.interfaces.run.observer import Observer, RunView
    from zero3d.interfaces.run.reconstructor import Reconstructor
    from zero3d.interfaces.scene.background import Background
    from zero3d.interfaces.scene.camera_sampler import CameraSampler
    from zero3d.interfaces.scene.renderer import Renderer
    from zero3d.interfaces.scene.representation import (
        PointCloud,
        RadianceField,
        Representation,
        RowOptimizer,
        SplatCloud,
        SurfaceRepresentation,
    )
    from zero3d.interfaces.teachers.dataset import Dataset, Share
    from zero3d.interfaces.teachers.denoiser import (
        COND,
        FRONT,
        NEGATIVE,
        NULL,
        PLAIN,
        SIDE,
        AdaptableDenoiser,
        Denoiser,
        Teacher,
    )
    from zero3d.interfaces.teachers.encoder import Encoder, EncoderTeacher
    from zero3d.interfaces.teachers.pixel_denoiser import PixelDenoiser
    from zero3d.interfaces.teachers.trainable_denoiser import TrainableDenoiser, TrainingBatch

INTERFACES: tuple[type[Component], ...]
"""Of every kind of component there is: the interface, a class."""
KINDS = {
    "background": "Background",
    "camera_sampler": "CameraSampler",
    "command": "Command",
    "dataset": "Dataset",
    "denoiser": "Denoiser",
    "encoder": "Encoder",
    "evaluation_set": "EvaluationSet",
    "executor": "Executor",
    "exporter": "Exporter",
    "guidance": "Guidance",
    "image_source": "ImageSource",
    "metric": "Metric",
    "observer": "Observer",
    "reconstructor": "Reconstructor",
    "regularizer": "Regularizer",
    "renderer": "Renderer",
    "representation": "Representation",
}
"""Kind of component -> the name of its interface."""

_find = lazily(
    __name__,
    {
        "scene.background": "Background",
        "scene.camera_sampler": "CameraSampler",
        "teachers.dataset": "Dataset Share",
        "teachers.denoiser": "COND FRONT NEGATIVE NULL PLAIN SIDE AdaptableDenoiser Denoiser Teacher",
        "teachers.encoder": "Encoder EncoderTeacher",
        "evaluation": (
            "DistributionMetric EvaluationObject EvaluationSet EvaluationView Executor "
            "Job Metric Outcome PictureMetric ShapeMetric"
        ),
        "run.exporter": "Exporter ExportSubject",
        "guidance": "Guidance",
        "run.image_source": "ImageSource SourcePicture",
        "run.observer": "Observer RunView",
        "teachers.pixel_denoiser": "PixelDenoiser",
        "run.reconstructor": "Reconstructor",
        "regularizer": "Regularizer",
        "scene.renderer": "Renderer",
        "scene.representation": "PointCloud RadianceField Representation RowOptimizer SplatCloud SurfaceRepresentation",
        "teachers.trainable_denoiser": "TrainableDenoiser TrainingBatch",
    },
)


def __getattr__(name: str) -> Any:
    if name == "INTERFACES":  # all of them, the classes themselves
        return tuple(globals().get(interface) or _find(interface) for interface in KINDS.values())
    return _find(name)


__all__ = [
    "COND",
    "FRONT",
    "INTERFACES",
    "KINDS",
    "NEGATIVE",
    "NULL",
    "PLAIN",
    "SIDE",
    "AdaptableDenoiser",
    "Background",
    "CameraSampler",
    "Command",
    "Component",
    "Dataset",
    "Denoiser",
    "DistributionMetric",
    "Encoder",
    "EncoderTeacher",
    "EvaluationObject",
    "EvaluationSet",
    "EvaluationView",
    "Executor",
    "ExportSubject",
    "Exporter",
    "Guidance",
    "ImageSource",
    "Job",
    "Metric",
    "NoOptions",
    "Observer",
    "Outcome",
    "PictureMetric",
    "PixelDenoiser",
    "PointCloud",
    "RadianceField",
    "Reconstructor",
    "Regularizer",
    "Renderer",
    "Representation",
    "RowOptimizer",
    "RunView",
    "ShapeMetric",
    "Share",
    "SourcePicture",
    "SplatCloud",
    "SurfaceRepresentation",
    "Teacher",
    "TrainableDenoiser",
    "TrainingBatch",
]
