"""A folder's noise schedule and what its network predicts, from scheduler_config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.diffusion import (
    cosine_alphas_cumprod,
    linear_alphas_cumprod,
    scaled_linear_alphas_cumprod,
    sigmas_from_alphas_cumprod,
)

EPSILON, V = "epsilon", "v_prediction"
PREDICTIONS = ("auto", EPSILON, V)
SPANS = {"scaled_linear": scaled_linear_alphas_cumprod, "linear": linear_alphas_cumprod}


def noise_levels(scheduler: Mapping[str, Any], where: str) -> Tensor:
    """The noise levels, ascending, float32, for data of unit variance; an empty configuration is Stable Diffusion's.

    Raises:
        RecipeError: a schedule of another kind, or one whose last level is pure noise.
    """
    kind = scheduler.get("beta_schedule", "scaled_linear")
    count = int(scheduler.get("num_train_timesteps", 1000))
    if scheduler.get("rescale_betas_zero_snr"):
        raise RecipeError(
            f"denoiser.weights: {where}: its noise ends without any signal (zero SNR), which has no sigma"
        )
    if scheduler.get("trained_betas") is not None or kind not in (*SPANS, "squaredcos_cap_v2"):
        told = ", ".join((*SPANS, "squaredcos_cap_v2"))
        raise RecipeError(f"denoiser.weights: {where}: beta_schedule is {kind!r} or a list; {told} can be used")
    if kind in SPANS:
        ends = (float(scheduler.get(name, value)) for name, value in (("beta_start", 0.00085), ("beta_end", 0.012)))
        alphas = SPANS[kind](count, *ends)
    else:
        alphas = cosine_alphas_cumprod(count)
    sigmas: Tensor = sigmas_from_alphas_cumprod(alphas).to(torch.float32)
    return sigmas


def prediction_of(stated: str | None, asked: str, where: str) -> str:
    """What the network predicts: as its own files say (`stated`, None where they do not), which `asked` may not
    contradict.

    Raises:
        RecipeError: they contradict each other, neither says it, or it is neither eps nor v.
    """
    if stated is not None and stated not in (EPSILON, V):
        raise RecipeError(f"denoiser.weights: {where}: predicts {stated!r}; {EPSILON} and {V} can be used")
    if asked == "auto":
        if stated is None:
            raise RecipeError(
                f"denoiser.prediction: auto, but {where} does not say what it predicts; set "
                f"denoiser.prediction={EPSILON} (2.1-base, 512 pixels) or {V} (2.1, 768 pixels)"
            )
        return stated
    if stated is not None and stated != asked:
        raise RecipeError(
            f"denoiser.prediction: {asked}, but {where} predicts {stated}; leave it auto, or take other weights"
        )
    return asked
