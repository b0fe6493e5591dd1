"""The interfaces that plug-ins implement: abstract classes, one a file. Each is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zero3d.interfaces.command import Command
from zero3d.interfaces.component import Component, NoOptions
from zero3d.lazy import lazily

if TYPE_CHECKING:
    from zero3d.interfaces.background import Background
    from zero3d.interfaces.camera_sampler import CameraSampler
    from zero3d.interfaces.dataset import Dataset, Share
    from zero3d.interfaces.denoiser import (
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
    from zero3d.interfaces.encoder import Encoder, EncoderTeacher
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
    from zero3d.interfaces.exporter import Exporter, ExportSubject
    from zero3d.interfaces.guidance import Guidance
    from zero3d.interfaces.image_source import ImageSource, SourcePicture
    from zero3d.interfaces.observer import Observer, RunView
    from zero3d.interfaces.pixel_denoiser import PixelDenoiser
    from zero3d.interfaces.reconstructor import Reconstructor
    from zero3d.interfaces.regularizer import Regularizer
    from zero3d.interfaces.renderer import Renderer
    from zero3d.interfaces.representation import (
        PointCloud,
        RadianceField,
        Representation,
        RowOptimizer,
        SplatCloud,
        SurfaceRepresentation,
    )
    from zero3d.interfaces.trainable_denoiser import TrainableDenoiser, TrainingBatch

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
        "background": "Background",
        "camera_sampler": "CameraSampler",
        "dataset": "Dataset Share",
        "denoiser": "COND FRONT NEGATIVE NULL PLAIN SIDE AdaptableDenoiser Denoiser Teacher",
        "encoder": "Encoder EncoderTeacher",
        "evaluation": (
            "DistributionMetric EvaluationObject EvaluationSet EvaluationView Executor "
            "Job Metric Outcome PictureMetric ShapeMetric"
        ),
        "exporter": "Exporter ExportSubject",
        "guidance": "Guidance",
        "image_source": "ImageSource SourcePicture",
        "observer": "Observer RunView",
        "pixel_denoiser": "PixelDenoiser",
        "reconstructor": "Reconstructor",
        "regularizer": "Regularizer",
        "renderer": "Renderer",
        "representation": "PointCloud RadianceField Representation RowOptimizer SplatCloud SurfaceRepresentation",
        "trainable_denoiser": "TrainableDenoiser TrainingBatch",
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
