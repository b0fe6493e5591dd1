"""diffusers' schedulers by name, over the noise levels that Zero-1-to-3 was trained with."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from zero3d.diffusion import scaled_linear_alphas_cumprod
from zero3d.errors import RecipeError, did_you_mean

LEAST_STEPS = 2
"""One step would begin, and end, at the lowest noise."""


def make_scheduler(name: str, steps: int) -> Any:
    """A scheduler with `steps` timesteps set.

    Raises:
        RecipeError: no such scheduler, or one that cannot be told these noise levels or this number of steps.
    """
    import diffusers

    if steps < LEAST_STEPS:
        raise RecipeError(f"--steps: {steps}; at least {LEAST_STEPS}")
    known = [item for item in dir(diffusers) if item.endswith("Scheduler") and not item.startswith("Flax")]
    kind = getattr(diffusers, name, None) if name in known else None
    if kind is None:
        raise RecipeError(f"--scheduler: no {name!r} in diffusers {diffusers.__version__}.{did_you_mean(name, known)}")
    try:
        options = inspect.signature(kind.__init__).parameters
        scheduler = kind(**{key: value for key, value in _levels().items() if key in options})
        scheduler.set_timesteps(steps)
    except Exception as error:  # some want other arguments or an uninstalled package; each has its own way to say so
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RecipeError(f"--scheduler: {name} with {steps} steps: {reason}") from None
    if not _follows(scheduler):
        raise RecipeError(
            f"--scheduler: {name} does not sample over Stable Diffusion's noise levels; take DDIMScheduler"
        )
    return scheduler


def _follows(scheduler: Any) -> bool:
    """From noise to picture over the right levels, with our random streams.

    Some take betas and bend them, some run from picture to noise, some take no betas, one draws from a stream of its own.
    """
    if hasattr(scheduler.config, "noise_sampler_seed"):
        return False
    levels = getattr(scheduler, "alphas_cumprod", None)
    if not isinstance(levels, torch.Tensor) or not {"scale_model_input", "step"} <= set(dir(scheduler)):
        return False
    right = scaled_linear_alphas_cumprod().to(levels)
    if levels.shape != right.shape or not torch.allclose(levels, right, rtol=1e-3):
        return False
    return bool(scheduler.timesteps[0] > scheduler.timesteps[-1])


def _levels() -> dict[str, Any]:
    """As in the published scheduler's configuration, with the levels themselves from the core's one formula."""
    alphas = scaled_linear_alphas_cumprod().numpy()
    betas = 1 - alphas / [1.0, *alphas[:-1]]
    return {
        "num_train_timesteps": len(betas),
        "trained_betas": betas.tolist(),
        "prediction_type": "epsilon",
        "clip_sample": False,
        "thresholding": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
        "timestep_spacing": "leading",
    }
