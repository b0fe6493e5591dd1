"""Regularizers: terms on rendered pictures, on the samples of rays, on the field itself, on the input picture and priors."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("regularizer", "area_tv", "zero3d_losses.field.area_tv:AreaTV"))
    register(Lazy("regularizer", "colour_tv", "zero3d_losses.field.colour_tv:ColourTV"))
    register(Lazy("regularizer", "convexity", "zero3d_losses.views.convexity:Convexity"))
    register(Lazy("regularizer", "density_sparsity", "zero3d_losses.field.density_sparsity:DensitySparsity"))
    register(Lazy("regularizer", "density_tv", "zero3d_losses.field.density_tv:DensityTV"))
    register(Lazy("regularizer", "depth_prior", "zero3d_losses.priors.depth_prior:DepthPrior"))
    register(Lazy("regularizer", "depth_smoothness", "zero3d_losses.views.depth_smoothness:DepthSmoothness"))
    register(Lazy("regularizer", "distortion", "zero3d_losses.rays.distortion:Distortion"))
    register(Lazy("regularizer", "emptiness", "zero3d_losses.rays.emptiness:Emptiness"))
    register(Lazy("regularizer", "input_view", "zero3d_losses.priors.input_view:InputView"))
    register(
        Lazy("regularizer", "near_view_consistency", "zero3d_losses.views.near_view_consistency:NearViewConsistency")
    )
    register(Lazy("regularizer", "normal_prior", "zero3d_losses.priors.normal_prior:NormalPrior"))
    register(Lazy("regularizer", "normal_smoothness", "zero3d_losses.views.normal_smoothness:NormalSmoothness"))
    register(Lazy("regularizer", "normal_smoothness_3d", "zero3d_losses.field.normal_smoothness_3d:NormalSmoothness3D"))
    register(Lazy("regularizer", "normal_tv", "zero3d_losses.field.normal_tv:NormalTV"))
    register(Lazy("regularizer", "opaque", "zero3d_losses.views.opaque:Opaque"))
    register(Lazy("regularizer", "orientation", "zero3d_losses.views.orientation:Orientation"))
    register(Lazy("regularizer", "sparsity", "zero3d_losses.views.sparsity:Sparsity"))
    register(Lazy("regularizer", "z_variance", "zero3d_losses.rays.z_variance:ZVariance"))
