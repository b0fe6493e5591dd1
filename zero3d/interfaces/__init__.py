"""The interfaces that plug-ins implement: abstract classes, one a file."""

from zero3d.interfaces.background import Background
from zero3d.interfaces.camera_sampler import CameraSampler
from zero3d.interfaces.command import Command
from zero3d.interfaces.component import Component, NoOptions
from zero3d.interfaces.dataset import Dataset, Share
from zero3d.interfaces.denoiser import COND, FRONT, NEGATIVE, NULL, PLAIN, SIDE, AdaptableDenoiser, Denoiser, Teacher
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
    SurfaceRepresentation,
)
from zero3d.interfaces.trainable_denoiser import TrainableDenoiser, TrainingBatch

INTERFACES: tuple[type[Component], ...] = (
    Background,
    CameraSampler,
    Command,
    Dataset,
    Denoiser,
    Encoder,
    EvaluationSet,
    Executor,
    Exporter,
    Guidance,
    ImageSource,
    Metric,
    Observer,
    Reconstructor,
    Regularizer,
    Renderer,
    Representation,
)
"""The kinds of component there are."""

__all__ = [
    "COND",
    "FRONT",
    "INTERFACES",
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
    "SurfaceRepresentation",
    "Teacher",
    "TrainableDenoiser",
    "TrainingBatch",
]
