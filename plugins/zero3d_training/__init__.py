"""Training denoisers on rendered objects: `zero3d train`, and datasets in the published form."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "train",
            "zero3d_training.command:Train",
            "Train a denoiser on rendered objects, for example by the recipe train-nano.",
        )
    )
    register(Lazy("dataset", "views_folder", "zero3d_training.data.views_folder:ViewsFolder"))
    register(Lazy("dataset", "webdataset", "zero3d_training.data.webdataset:WebDataset"))
