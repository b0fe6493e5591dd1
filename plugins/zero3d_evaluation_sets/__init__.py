"""Datasets to measure on, in the layouts that they are published in."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Registers this package's components."""
    from zero3d_evaluation_sets.folder import MeshFolder
    from zero3d_evaluation_sets.gso.component import Gso
    from zero3d_evaluation_sets.objaverse import ObjaverseLvis
    from zero3d_evaluation_sets.omniobject3d import OmniObject3D
    from zero3d_evaluation_sets.rtmv.component import Rtmv

    for component in (Gso, MeshFolder, ObjaverseLvis, OmniObject3D, Rtmv):
        register(component)
