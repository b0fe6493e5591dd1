"""The component `zero123`: which weights decide which network is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zero3d.interfaces import Denoiser
from zero3d_zero123.nano.denoiser import NanoDenoiser
from zero3d_zero123.published.denoiser import PublishedDenoiser

NANO = "nano"
DTYPES = ("auto", "float32", "float16", "bfloat16")


@dataclass
class Zero123Config:
    """Options of `zero123`.

    weights: nano (embedded, 64x64 pixels), a .safetensors file of nano's that `zero3d train` wrote, or a folder in the
    diffusers layout of the published model.
    dtype: of the published network; auto is float16 on CUDA, float32 elsewhere.
    """

    weights: str = NANO
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype: {self.dtype!r}; one of {', '.join(DTYPES)}")


class Zero123(Denoiser):
    """Draws the pictured object from elsewhere: the embedded nano, or the published Zero-1-to-3 from a folder."""

    name: ClassVar[str] = "zero123"
    Config: ClassVar[type[Any]] = Zero123Config

    @classmethod
    def build(cls, config: Zero123Config) -> Denoiser:
        """NanoDenoiser or PublishedDenoiser.

        Raises:
            RecipeError: the folder is not in the published layout.
        """
        if config.weights == NANO:
            return NanoDenoiser(config)
        if config.weights.endswith(".safetensors"):
            return NanoDenoiser(config, Path(config.weights))
        return PublishedDenoiser(config)
