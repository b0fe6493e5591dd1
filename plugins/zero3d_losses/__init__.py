"""Regularizers: terms on rendered pictures, on the samples of rays, on the field itself, on the input picture and priors."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_losses.field.area_tv import AreaTV
    from zero3d_losses.field.colour_tv import ColourTV
    from zero3d_losses.field.density_sparsity import DensitySparsity
    from zero3d_losses.field.density_tv import DensityTV
    from zero3d_losses.field.normal_smoothness_3d import NormalSmoothness3D
    from zero3d_losses.field.normal_tv import NormalTV
    from zero3d_losses.priors.depth_prior import DepthPrior
    from zero3d_losses.priors.input_view import InputView
    from zero3d_losses.priors.normal_prior import NormalPrior
    from zero3d_losses.rays.distortion import Distortion
    from zero3d_losses.rays.emptiness import Emptiness
    from zero3d_losses.rays.z_variance import ZVariance
    from zero3d_losses.views.convexity import Convexity
    from zero3d_losses.views.depth_smoothness import DepthSmoothness
    from zero3d_losses.views.near_view_consistency import NearViewConsistency
    from zero3d_losses.views.normal_smoothness import NormalSmoothness
    from zero3d_losses.views.opaque import Opaque
    from zero3d_losses.views.orientation import Orientation
    from zero3d_losses.views.sparsity import Sparsity

    for component in (
        AreaTV,
        ColourTV,
        Convexity,
        DensitySparsity,
        DensityTV,
        DepthPrior,
        DepthSmoothness,
        Distortion,
        Emptiness,
        InputView,
        NearViewConsistency,
        NormalPrior,
        NormalSmoothness,
        NormalSmoothness3D,
        NormalTV,
        Opaque,
        Orientation,
        Sparsity,
        ZVariance,
    ):
        register(component)
