"""Camera samplers: from where a step looks at the object."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_cameras.published import PublishedCameras
    from zero3d_cameras.sphere import SphereCameras

    register(PublishedCameras)
    register(SphereCameras)
