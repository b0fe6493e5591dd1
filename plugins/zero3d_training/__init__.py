"""Training denoisers on rendered objects: `zero3d train`, and datasets in the published form."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_training.command import Train
    from zero3d_training.data.views_folder import ViewsFolder
    from zero3d_training.data.webdataset import WebDataset

    for component in (Train, ViewsFolder, WebDataset):
        register(component)
