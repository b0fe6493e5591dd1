"""Stable Diffusion and its kin as teachers: words, DeepFloyd IF, Image Variations."""

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_stable_diffusion.deepfloyd_if import DeepFloydIF
    from zero3d_stable_diffusion.image_variations import ImageVariations
    from zero3d_stable_diffusion.stable_diffusion import StableDiffusion

    for component in (StableDiffusion, DeepFloydIF, ImageVariations):
        register(component)
