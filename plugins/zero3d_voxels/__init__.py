"""Voxel radiance field and its volume renderers."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("representation", "voxels", "zero3d_voxels.field:VoxelField"))
    register(Lazy("renderer", "volume", "zero3d_voxels.volume:VolumeRenderer"))
    register(Lazy("renderer", "fused", "zero3d_voxels.fused:FusedRenderer"))
