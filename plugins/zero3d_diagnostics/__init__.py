"""What each term does to the model, what the teacher sees, where the loss is; a run's plan; weights; recipes."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "plan",
            "zero3d_diagnostics.plan_command:PlanCommand",
            "Say what a run would do, without a step or a file written: `zero3d run --dry-run`.",
        )
    )
    register(
        Lazy(
            "command",
            "metrics",
            "zero3d_diagnostics.logs.command:Metrics",
            "Show the figures of runs' steps: a summary of each, or all of them as CSV.",
        )
    )
    register(
        Lazy(
            "command",
            "recipe",
            "zero3d_diagnostics.recipes.check:CheckRecipe",
            "Check a recipe without running it: once, or whenever it is saved.",
        )
    )
    register(
        Lazy(
            "command",
            "recipes",
            "zero3d_diagnostics.recipes.command:Recipes",
            "List the recipes: what each makes, needs and costs, and whether its weights are here; copy one.",
        )
    )
    register(
        Lazy(
            "command",
            "weights",
            "zero3d_diagnostics.weights.command:Weights",
            "List, inspect or convert published weights.",
        )
    )
    register(Lazy("observer", "azimuth_loss", "zero3d_diagnostics.azimuth_loss:AzimuthLoss"))
    register(Lazy("observer", "gradients", "zero3d_diagnostics.gradients:Gradients"))
    register(Lazy("observer", "guidance_preview", "zero3d_diagnostics.guidance_preview:GuidancePreview"))
    register(Lazy("observer", "tensorboard", "zero3d_diagnostics.logs.tensorboard:TensorBoard"))
    register(Lazy("observer", "wandb", "zero3d_diagnostics.logs.wandb:WeightsAndBiases"))
