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
    from zero3d.testing.conformance import (
        BrokenLaw,
        check_background,
        check_camera_sampler,
        check_command,
        check_dataset,
        check_denoiser,
        check_encoder,
        check_evaluation_set,
        check_executor,
        check_exporter,
        check_guidance,
        check_image_source,
        check_metric,
        check_observer,
        check_reconstructor,
        check_regularizer,
        check_renderer,
        check_representation,
        check_trainable_denoiser,
        fresh_step,
        loss_context,
        random_picture,
        random_view,
        three_balls,
        training_batch,
    )
    from zero3d.testing.gaussian import GaussianDenoiser
    from zero3d.testing.oracle import OracleDenoiser
    from zero3d.testing.sphere import SphereField

__getattr__ = lazily(
    __name__,
    {
        "balls": "ThreeBalls",
        "conformance": (
            "BrokenLaw check_background check_camera_sampler check_command check_dataset check_denoiser "
            "check_encoder check_evaluation_set check_executor check_exporter check_guidance "
            "check_image_source check_metric check_observer check_reconstructor check_regularizer "
            "check_renderer check_representation check_trainable_denoiser fresh_step loss_context "
            "random_picture random_view three_balls training_batch"
        ),
        "gaussian": "GaussianDenoiser",
        "oracle": "OracleDenoiser",
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
