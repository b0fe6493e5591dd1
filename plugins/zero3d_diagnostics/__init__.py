"""What each term does to the model, what the teacher sees, where the loss is; a run's plan; weights; recipes."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_diagnostics.azimuth_loss import AzimuthLoss
    from zero3d_diagnostics.gradients import Gradients
    from zero3d_diagnostics.guidance_preview import GuidancePreview
    from zero3d_diagnostics.plan_command import PlanCommand
    from zero3d_diagnostics.recipes.command import Recipes
    from zero3d_diagnostics.tensorboard import TensorBoard
    from zero3d_diagnostics.weights.command import Weights

    for component in (AzimuthLoss, Gradients, GuidancePreview, PlanCommand, Recipes, TensorBoard, Weights):
        register(component)
