"""The folders that hold the published model in diffusers' layout, checked before a weight is read."""

from __future__ import annotations

import json
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
        RecipeError: no folder, a part or its weights missing, or a text-to-image U-Net.
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
    for name, layer in PROJECTIONS.items():
        files = [path for path in sorted((root / name).glob("*")) if _is_weights(path)]
        if files:
            return Layout(root, configs, files[-1], layer)
    raise RecipeError(f"denoiser.weights: {root}: no {' or '.join(PROJECTIONS)} with weights; download the whole model")


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
