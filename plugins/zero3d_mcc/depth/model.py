"""Depth from the picture alone, by a model of transformers'."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zero3d import RecipeError
from zero3d.weights import local_folder, one_line, read_json, refuse_impostor, variants, without_bars
from zero3d_mcc.weights.known import KNOWN

PLACE = "start.depth_model"
FETCH = "fetch one with `hf download Intel/dpt-large` (`zero3d weights list mcc` has others)"
TYPES = {"dpt": "relative", "zoedepth": "metric", "glpn": "metric", "depth_pro": "metric"}


class DepthModel:
    """Checked, not yet loaded. `kind`: relative (inverse depth) or metric."""

    def __init__(self, named: str, asked: str = "auto") -> None:
        """Reads the configuration. asked: the kind that the recipe says, or auto.

        Raises:
            RecipeError: not there, damaged, no model of depth, or of the other kind.
        """
        known = next((entry for entry in KNOWN if entry.name == named and entry.part == "depth_model"), None)
        fetch = f"fetch it with `hf download {named}` ({known.line})" if known else FETCH
        self.folder = local_folder(named, PLACE, fetch)
        self.config = read_json(self.folder / "config.json", PLACE)
        self.kind = self._kind(asked)
        found = variants("", [f"/{path.name}" for path in self.folder.iterdir()])
        if not found:
            raise RecipeError(f"{PLACE}: {self.folder}: no model.safetensors or pytorch_model.bin; {fetch}")
        self.files = [self.folder / name.removeprefix("/") for name in found[min(found, key=len)]]
        for file in self.files:
            refuse_impostor(file, PLACE)
        if not (self.folder / "preprocessor_config.json").is_file():
            raise RecipeError(
                f"{PLACE}: {self.folder}: no preprocessor_config.json; copy it from where the model is from"
            )
        if self.config["model_type"] == "depth_pro" and importlib.util.find_spec("torchvision") is None:
            raise RecipeError(f"{PLACE}: DepthPro in transformers needs torchvision: install it, or take another model")
        self._module: Any = None
        self._processor: Any = None

    def _kind(self, asked: str) -> str:
        kind = self.config.get("model_type")
        if kind == "depth_anything":
            told = str(self.config.get("depth_estimation_type", "relative"))
        elif kind in TYPES:
            told = TYPES[kind]
        else:
            names = ", ".join([*TYPES, "depth_anything"])
            raise RecipeError(
                f"{PLACE}: {self.folder}: its config.json is of {kind!r}, no model of depth; one of {names}"
            )
        if asked not in ("auto", told):
            raise RecipeError(
                f"start.depth_kind: {asked}, but {self.folder.name} ({kind}) is {told}; set start.depth_kind={told}, or auto"
            )
        return told

    @property
    def parameters(self) -> int:
        from transformers import AutoConfig, AutoModelForDepthEstimation

        with self._blamed(), torch.device("meta"):
            module = AutoModelForDepthEstimation.from_config(AutoConfig.from_pretrained(self.folder))
        return sum(p.numel() for p in module.parameters())

    def load(self, device: torch.device) -> None:
        """In float32.

        Raises:
            RecipeError: damaged, or tensors are missing.
        """
        from transformers import AutoImageProcessor, AutoModelForDepthEstimation

        local: Any = {"local_files_only": True, "trust_remote_code": False}
        with self._blamed(), without_bars():
            self._processor = AutoImageProcessor.from_pretrained(self.folder, **local)
            module, told = AutoModelForDepthEstimation.from_pretrained(
                self.folder, **local, dtype=torch.float32, output_loading_info=True
            )
        amiss = [*told["missing_keys"], *(str(found) for found in told.get("mismatched_keys", ()))]
        if amiss:
            raise RecipeError(f"{PLACE}: {self.folder}: {min(amiss)} is missing, or of another size; fetch it again")
        self._module = module.to(device).eval().requires_grad_(False)

    def __call__(self, rgb: Tensor) -> Tensor:
        """(H, W, 3) in [0, 1] -> (H, W): depth, or inverse depth, by `kind`."""
        height, width = rgb.shape[:2]
        shown = Image.fromarray((rgb.detach().cpu() * 255).round().clamp(0, 255).to(torch.uint8).numpy())
        given = self._processor(images=shown, return_tensors="pt").to(self._module.device)
        outputs = self._module(**given)
        if self.config["model_type"] == "zoedepth":  # transformers' own way to undo its padding needs torchvision
            margins = (
                (0, 0) if not self._processor.do_pad else [int(math.sqrt(side / 2) * 3) for side in (height, width)]
            )
            found = _without(outputs.predicted_depth, height, width, *margins)
        else:
            (told,) = self._processor.post_process_depth_estimation(outputs, target_sizes=[(height, width)])
            found = told["predicted_depth"]
        return torch.as_tensor(found).float().reshape(height, width).to(rgb.device)

    def _blamed(self) -> Any:
        return _Blamed(self.folder)


def _without(depth: Tensor, height: int, width: int, below: int, beside: int) -> Tensor:
    """(1, h, w) of a padded picture -> (height, width) of what it was padded around."""
    size = (height + 2 * below, width + 2 * beside)
    whole = functional.interpolate(depth[None].float(), size, mode="bicubic", align_corners=False)[0, 0]
    return whole[below : below + height, beside : beside + width]


class _Blamed:
    """What transformers raises of damaged files, a dozen types, as one line."""

    def __init__(self, folder: Any) -> None:
        self.folder = folder

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if isinstance(error, Exception):
            raise RecipeError(f"{PLACE}: {self.folder}: cannot be read ({one_line(error)}); fetch it again") from None
