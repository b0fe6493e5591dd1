"""diffusers' schedulers by name, over the noise levels that Zero-1-to-3 was trained with."""

from __future__ import annotations

import inspect
from typing import Any

from zero3d.diffusion import scaled_linear_alphas_cumprod
from zero3d.errors import RecipeError, did_you_mean


def make_scheduler(name: str, steps: int) -> Any:
    """A scheduler with `steps` timesteps set.

    Raises:
        RecipeError: no such scheduler, or one that cannot be told these noise levels or this number of steps.
    """
    import diffusers

    known = [item for item in dir(diffusers) if item.endswith("Scheduler") and not item.startswith("Flax")]
    kind = getattr(diffusers, name, None) if name in known else None
    if kind is None:
        raise RecipeError(f"--scheduler: no {name!r} in diffusers {diffusers.__version__}.{did_you_mean(name, known)}")
    try:
        options = inspect.signature(kind.__init__).parameters
        if "trained_betas" not in options or not {"scale_model_input", "step"} <= set(dir(kind)):
            raise RecipeError(f"--scheduler: {name} cannot follow Stable Diffusion's noise levels; take DDIMScheduler")
        scheduler = kind(**{key: value for key, value in _levels().items() if key in options})
        scheduler.set_timesteps(steps)
    except (ImportError, ValueError, IndexError) as error:
        raise RecipeError(f"--scheduler: {name} with {steps} steps: {str(error).strip().splitlines()[0]}") from None
    return scheduler


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
