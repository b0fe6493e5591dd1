"""For plug-in authors: the laws of each kind of component, teachers with a known answer, fields with a known picture.

One line of a test holds a component against all laws of its kind, for example

    from zero3d.testing import check_regularizer

    def test_it_obeys_the_laws():
        check_regularizer(Roundness)

The first law it breaks is an AssertionError of one line: the component, the law, and what was found. Laws are what the
engine and other components rely on, so that a component that obeys them runs with every other; that it also does what
its own docstring says is for tests of its own, for which there are `fresh_step`, `random_view` and the like.
"""

from typing import TYPE_CHECKING

from zero3d.lazy import lazily

if TYPE_CHECKING:
    from zero3d.testing.balls import ThreeBalls
    from zero3d.testing.gaussian import GaussianDenoiser
    from zero3d.testing.laws.background import check_background
    from zero3d.testing.laws.camera_sampler import check_camera_sampler
    from zero3d.testing.laws.command import check_command
    from zero3d.testing.laws.common import BrokenLaw
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
    from zero3d.testing.oracle import OracleDenoiser
    from zero3d.testing.samples import fresh_step, loss_context, random_picture, random_view
    from zero3d.testing.sphere import SphereField

__getattr__ = lazily(
    __name__,
    {
        "balls": "ThreeBalls",
        "gaussian": "GaussianDenoiser",
        "laws.background": "check_background",
        "laws.camera_sampler": "check_camera_sampler",
        "laws.command": "check_command",
        "laws.common": "BrokenLaw",
        "laws.dataset": "check_dataset",
        "laws.denoiser": "check_denoiser",
        "laws.encoder": "check_encoder",
        "laws.evaluation_set": "check_evaluation_set",
        "laws.executor": "check_executor",
        "laws.exporter": "check_exporter three_balls",
        "laws.guidance": "check_guidance",
        "laws.image_source": "check_image_source",
        "laws.metric": "check_metric",
        "laws.observer": "check_observer",
        "laws.reconstructor": "check_reconstructor",
        "laws.regularizer": "check_regularizer",
        "laws.renderer": "check_renderer",
        "laws.representation": "check_representation",
        "laws.trainable": "check_trainable_denoiser training_batch",
        "oracle": "OracleDenoiser",
        "samples": "fresh_step loss_context random_picture random_view",
        "sphere": "SphereField",
    },
)

__all__ = [
    "BrokenLaw",
    "GaussianDenoiser",
    "OracleDenoiser",
    "SphereField",
    "ThreeBalls",
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
