"""What a folder's image processor does to a picture, by its preprocessor_config.json."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn import functional

from zero3d import RecipeError
from zero3d.weights import part_config

FILE = "preprocessor_config.json"
MODES = {2: "bilinear", 3: "bicubic"}
"""PIL's numbers."""


@dataclass(frozen=True)
class Extractor:
    """Resizes a square picture to `side` (0: as it is), cuts out its middle `crop` (0: all), and normalises it."""

    side: int
    crop: int
    mode: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def read(cls, root: Path, part: str) -> Extractor:
        """Of a folder's part.

        Raises:
            RecipeError: its file is missing, or asks for what is not done here.
        """
        config = part_config(root, part, file=FILE)
        place = f"denoiser.weights: {root / part / FILE}"
        mode = MODES.get(config.get("resample", 3))
        if mode is None:
            raise RecipeError(f"{place}: resample is {config['resample']!r}; 2 (bilinear) or 3 (bicubic) can be used")
        side = _side(config.get("size", 224), place) if config.get("do_resize", True) else 0
        crop = _side(config.get("crop_size", 224), place) if config.get("do_center_crop", True) else 0
        if crop > side > 0:
            raise RecipeError(f"{place}: crops to {crop} pixels what was resized to {side}; download it again")
        normalises = config.get("do_normalize", True)
        mean, std = (
            tuple(map(float, config.get(key, standard))) if normalises else (neutral,) * 3
            for key, standard, neutral in (("image_mean", (0.5,) * 3, 0.0), ("image_std", (0.5,) * 3, 1.0))
        )
        return cls(side, 0 if crop == side else crop, mode, mean, std)

    def __call__(self, picture: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1], square -> (B, 3, h, w). (The original rounds to 8 bits behind the resizing.)"""
        if self.side and picture.shape[-1] != self.side:
            picture = functional.interpolate(picture, (self.side, self.side), mode=self.mode, antialias=True).clamp(
                0, 1
            )
        if self.crop and self.crop < picture.shape[-1]:
            start = (picture.shape[-1] - self.crop) // 2
            picture = picture[..., start : start + self.crop, start : start + self.crop]
        mean, std = (picture.new_tensor(values)[:, None, None] for values in (self.mean, self.std))
        return (picture - mean) / std


def _side(size: Any, place: str) -> int:
    """Of the square that a square picture becomes."""
    if isinstance(size, dict):
        sides = {size[key] for key in ("shortest_edge", "height", "width") if key in size}
        size = sides.pop() if len(sides) == 1 else None
    if not isinstance(size, int) or not 1 <= size <= 4096:
        raise RecipeError(f"{place}: no size of a square; download it again")
    return size
