"""The image source `text`: options, and what is told of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from zero3d.interfaces import ImageSource, SourcePicture

SUFFIX = ", a single object, whole and centred, on a plain white background"
MULTIPLE = 8
"""Sides must be whole numbers of latent pixels."""


@dataclass
class TextConfig:
    """Options of `text`.

    prompt: what to draw. suffix: added to it, so that the object can be told from its background. negative_prompt: what
    not to draw, for models that take one. model: a text-to-image model in diffusers' layout with safetensors: a folder, or
    a hub id, fetched at its first use. revision: of a hub id, a commit or branch. variant: of its files, for example fp16.
    offline: take what was fetched before, never the network. steps: of the sampler, 1 to 1000. guidance_scale: of the
    prompt, 0 to 100; 0 or 1 for distilled (turbo) models. height, width: pixels, multiples of 8 from 64 to 2048; 0 is the
    model's own size. seed: another one draws another picture. device: auto, cpu, cuda or mps. dtype: auto (float16 on
    CUDA, else float32), float32, float16 or bfloat16.
    """

    prompt: str = ""
    model: str = ""
    suffix: str = SUFFIX
    negative_prompt: str = ""
    revision: str = ""
    variant: str = ""
    offline: bool = False
    steps: int = 30
    guidance_scale: float = 7.5
    height: int = 0
    width: int = 0
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ValueError("prompt: missing; say what to draw, for example prompt: a red mug")
        if not self.model.strip():
            raise ValueError(
                "model: missing; name a text-to-image model, a folder or a hub id "
                "such as stable-diffusion-v1-5/stable-diffusion-v1-5"
            )
        if not 1 <= self.steps <= 1000:
            raise ValueError(f"steps: {self.steps}; 1 to 1000")
        if not 0 <= self.guidance_scale <= 100:
            raise ValueError(f"guidance_scale: {self.guidance_scale}; 0 to 100")
        for name in ("height", "width"):
            side = getattr(self, name)
            if side and (side % MULTIPLE or not 64 <= side <= 2048):
                raise ValueError(f"{name}: {side}; a multiple of {MULTIPLE} from 64 to 2048, or 0 for the model's own")
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed}; not negative")
        if self.dtype not in ("auto", "float32", "float16", "bfloat16"):
            raise ValueError(f"dtype: {self.dtype!r}; one of auto, float32, float16, bfloat16")


class PictureFromText(ImageSource):
    """A picture drawn from words by a text-to-image model (diffusers); the object is then found as in any picture."""

    name: ClassVar[str] = "text"
    Config: ClassVar[type[Any]] = TextConfig

    def read(self, mask: str | None) -> SourcePicture:
        """Draw the picture. Its mask is left to the core: `mask` goes to the source that knows how to find one.

        Raises:
            PictureError: no such model, no network, no text-to-image model, or its safety checker refused the picture.
            RunError: no such device.
        """
        from zero3d_text.pipeline import draw

        rgba = draw(self.config)
        note = f"the picture was drawn from {self.config.prompt!r} by {self.config.model} (seed {self.config.seed})"
        origin = f"text: {self.config.prompt}{self.config.suffix} ({self.config.model}, seed {self.config.seed})"
        return SourcePicture(rgba, (note,), origin, masked=False)
