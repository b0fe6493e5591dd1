"""The folders that hold the published model in diffusers' layout, checked before a weight is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d import RecipeError

PARTS = ("unet", "vae", "image_encoder")
PROJECTIONS = {"cc_projection": "projection", "clip_camera_projection": "proj"}
"""Folder -> the name its linear layer has there (kxic's and bennyguo's conversions)."""
WEIGHT_NAMES = ("diffusion_pytorch_model", "model", "pytorch_model")


@dataclass(frozen=True)
class Layout:
    """A checked folder: the parts' configurations, the projection's weight file and its layer's name."""

    root: Path
    configs: dict[str, dict[str, Any]]
    projection_file: Path
    projection_name: str

    @property
    def weight_files(self) -> list[Path]:
        """Every weight file, for hashes."""
        found = [path for part in PARTS for path in sorted((self.root / part).iterdir()) if _is_weights(path)]
        return [*found, self.projection_file]


def read_layout(folder: str) -> Layout:
    """Check a folder.

    Raises:
        RecipeError: no folder, a part or its weights missing, a text-to-image U-Net, or parts of different widths.
    """
    root = Path(folder)
    if not root.is_dir():
        raise RecipeError(
            f"denoiser.weights: {folder!r} is neither nano nor a folder; give the published model's folder "
            f"(subfolders {', '.join(PARTS)}, cc_projection), for example a download of kxic/zero123-xl"
        )
    configs = {part: _config(root, part) for part in PARTS}
    inputs = configs["unet"].get("in_channels")
    if inputs != 8:
        raise RecipeError(
            f"denoiser.weights: {root / 'unet'} takes {inputs} channels, Zero-1-to-3 takes 8 (noisy latent and picture); "
            "this is a text-to-image model, give a Zero-1-to-3 one"
        )
    width = configs["image_encoder"].get("projection_dim", 512)  # the libraries leave out what is their default
    context = configs["unet"].get("cross_attention_dim", 1280)
    if width != context:
        raise RecipeError(
            f"denoiser.weights: {root}: image_encoder gives {width} numbers, unet takes tokens of {context}; "
            "the parts are of different models, download the whole model again"
        )
    for name, layer in PROJECTIONS.items():
        files = [path for path in sorted((root / name).glob("*")) if _is_weights(path)]
        if files:
            _check_projection(files[-1], layer, width)
            return Layout(root, configs, files[-1], layer)
    raise RecipeError(f"denoiser.weights: {root}: no {' or '.join(PROJECTIONS)} with weights; download the whole model")


def _check_projection(file: Path, name: str, width: int) -> None:
    """Read the shapes from the header of a safetensors file. (A .bin has no header; its shapes are seen when it loads.)"""
    if file.suffix != ".safetensors":
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            shapes = {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        raise RecipeError(f"denoiser.weights: {file}: no valid safetensors file; download it again") from None
    check_projection_shapes(file, name, width, shapes)


def check_projection_shapes(file: Path, name: str, width: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """cc_projection takes the picture's `width` numbers and the four of the pose.

    Raises:
        RecipeError: its weight or bias is missing or of another shape.
    """
    for key, shape in ((f"{name}.weight", (width, width + 4)), (f"{name}.bias", (width,))):
        found = shapes.get(key, "missing")
        if found != shape:
            raise RecipeError(f"denoiser.weights: {file}: {key} is {found}, {shape} is needed; download it again")


def _config(root: Path, part: str) -> dict[str, Any]:
    path = root / part / "config.json"
    if not path.is_file() or not any(_is_weights(p) for p in path.parent.iterdir()):
        raise RecipeError(f"denoiser.weights: {root / part}: config.json or weights missing; download the whole model")
    try:
        config = json.loads(path.read_text())
        assert isinstance(config, dict)
        return config
    except (ValueError, AssertionError):
        raise RecipeError(f"denoiser.weights: {path}: no valid JSON; download it again") from None


def _is_weights(path: Path) -> bool:
    return path.suffix in (".safetensors", ".bin") and path.name.split(".")[0].split("-")[0] in WEIGHT_NAMES
