"""Stable Diffusion and its kin as teachers: words, DeepFloyd IF, Image Variations."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("denoiser", "stable_diffusion", "zero3d_stable_diffusion.stable_diffusion:StableDiffusion"))
    register(Lazy("denoiser", "deepfloyd_if", "zero3d_stable_diffusion.deepfloyd_if:DeepFloydIF"))
    register(Lazy("denoiser", "image_variations", "zero3d_stable_diffusion.image_variations:ImageVariations"))
