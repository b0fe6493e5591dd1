"""Voxel radiance field and its volume renderers."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_voxels.field import VoxelField
    from zero3d_voxels.fused import FusedRenderer
    from zero3d_voxels.volume import VolumeRenderer

    register(VoxelField)
    register(VolumeRenderer)
    register(FusedRenderer)
