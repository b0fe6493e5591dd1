"""Regularizers: terms on the input picture, on depth, on neighbouring views and on opacity."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_losses.density_sparsity import DensitySparsity
    from zero3d_losses.depth_smoothness import DepthSmoothness
    from zero3d_losses.distortion import Distortion
    from zero3d_losses.emptiness import Emptiness
    from zero3d_losses.input_view import InputView
    from zero3d_losses.near_view_consistency import NearViewConsistency
    from zero3d_losses.opaque import Opaque
    from zero3d_losses.orientation import Orientation
    from zero3d_losses.sparsity import Sparsity

    for component in (
        DensitySparsity,
        DepthSmoothness,
        Distortion,
        Emptiness,
        InputView,
        NearViewConsistency,
        Opaque,
        Orientation,
        Sparsity,
    ):
        register(component)
