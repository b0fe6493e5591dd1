"""For plug-in authors: teachers with a known answer, an analytic field, and the laws of each kind of component."""

from zero3d.testing.conformance import (
    check_camera_sampler,
    check_denoiser,
    check_guidance,
    check_regularizer,
    check_renderer,
    check_representation,
)
from zero3d.testing.gaussian import GaussianDenoiser
from zero3d.testing.oracle import OracleDenoiser
from zero3d.testing.sphere import SphereField

__all__ = [
    "GaussianDenoiser",
    "OracleDenoiser",
    "SphereField",
    "check_camera_sampler",
    "check_denoiser",
    "check_guidance",
    "check_regularizer",
    "check_renderer",
    "check_representation",
]
