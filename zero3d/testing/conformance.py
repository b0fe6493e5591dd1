"""The laws of each kind of component: call one from your plug-in's tests; an AssertionError names the broken law."""

from zero3d.testing.laws.background import check_background
from zero3d.testing.laws.camera_sampler import check_camera_sampler
from zero3d.testing.laws.command import check_command
from zero3d.testing.laws.common import BrokenLaw, fresh_step, loss_context, random_picture, random_view
from zero3d.testing.laws.dataset import check_dataset
from zero3d.testing.laws.denoiser import check_denoiser
from zero3d.testing.laws.encoder import check_encoder
from zero3d.testing.laws.evaluation_set import check_evaluation_set
from zero3d.testing.laws.executor import check_executor
from zero3d.testing.laws.exporter import check_exporter, three_balls
from zero3d.testing.laws.guidance import check_guidance
from zero3d.testing.laws.image_source import check_image_source
from zero3d.testing.laws.metric import check_metric
from zero3d.testing.laws.observer import check_observer
from zero3d.testing.laws.reconstructor import check_reconstructor
from zero3d.testing.laws.regularizer import check_regularizer
from zero3d.testing.laws.renderer import check_renderer
from zero3d.testing.laws.representation import check_representation
from zero3d.testing.laws.trainable import check_trainable_denoiser, training_batch

__all__ = [
    "BrokenLaw",
    "check_background",
    "check_camera_sampler",
    "check_command",
    "check_dataset",
    "check_denoiser",
    "check_encoder",
    "check_evaluation_set",
    "check_executor",
    "check_exporter",
    "check_guidance",
    "check_image_source",
    "check_metric",
    "check_observer",
    "check_reconstructor",
    "check_regularizer",
    "check_renderer",
    "check_representation",
    "check_trainable_denoiser",
    "fresh_step",
    "loss_context",
    "random_picture",
    "random_view",
    "three_balls",
    "training_batch",
]
