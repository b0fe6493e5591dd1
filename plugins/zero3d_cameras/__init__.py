"""Camera samplers: from where a step looks at the object."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("camera_sampler", "zero123", "zero3d_cameras.published:PublishedCameras"))
    register(Lazy("camera_sampler", "sphere", "zero3d_cameras.sphere:SphereCameras"))
