"""Datasets to measure on, in the layouts that they are published in."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(Lazy("evaluation_set", "gso", "zero3d_evaluation_sets.gso.component:Gso"))
    register(Lazy("evaluation_set", "mesh_folder", "zero3d_evaluation_sets.folder:MeshFolder"))
    register(Lazy("evaluation_set", "objaverse_lvis", "zero3d_evaluation_sets.objaverse:ObjaverseLvis"))
    register(Lazy("evaluation_set", "omniobject3d", "zero3d_evaluation_sets.omniobject3d:OmniObject3D"))
    register(Lazy("evaluation_set", "rtmv", "zero3d_evaluation_sets.rtmv.component:Rtmv"))
