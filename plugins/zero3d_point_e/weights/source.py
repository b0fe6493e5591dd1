"""From the folder that a recipe names to checked networks."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.weights import changed_configs, check_fit, filled, find, is_pickled, local_folder, open_tensors
from zero3d_point_e.network.distance import DistanceSize
from zero3d_point_e.network.points import Size
from zero3d_point_e.weights.known import DISTANCE, FILES, KNOWN, PARAMETERS, SIZES, UPSAMPLER, sketch

PLACE = "start.weights"
PARTS = ("base", UPSAMPLER, DISTANCE)
SUFFIXES = (".pt", ".pth", ".safetensors")


class Source:
    """The files of those parts that are asked for ("base", "upsample", "sdf"), checked and not yet loaded."""

    def __init__(self, weights: str, model: str, parts: tuple[str, ...], config: str = "") -> None:
        """Reads tables of contents alone.

        Raises:
            RecipeError: no such folder or file, unreadable, or another network; it is named where it is known.
        """
        self.models = {"base": model, UPSAMPLER: UPSAMPLER, DISTANCE: DISTANCE}
        self.sizes = _sizes(self.models, config)
        self.parts, self.files = parts, dict[str, Path]()
        self._states: dict[str, Mapping[str, Tensor]] = {}
        if not parts:
            return
        wanted = [FILES[self.models[part]] for part in parts]
        folder = local_folder(weights, PLACE, f"give the folder that holds {', '.join(wanted)}; {_where(wanted[0])}")
        for part in parts:
            file = FILES[self.models[part]]
            found = [folder / file, *(folder / (Path(file).stem + suffix) for suffix in SUFFIXES)]
            self.files[part] = next((path for path in found if path.is_file()), found[0])
            if not self.files[part].is_file():
                raise RecipeError(f"{PLACE}: {folder}: no {file} in it; {_where(file)}")
            self._states[part] = open_tensors(self.files[part], PLACE)
            self._check(part)

    def _check(self, part: str) -> None:
        state, model = self._states[part], self.models[part]
        module = sketch(self.sizes[part])
        if _shapes(module.state_dict()) == _shapes(state):
            return
        other = recognised(state)
        if other and _shapes(module.state_dict()) != _shapes(sketch(SIZES[other]).state_dict()):
            raise RecipeError(
                f"{PLACE}: {self.files[part]}: this is {other} ({FILES[other]}), {model} was asked; "
                f"give {FILES[model]}" + (f" or set start.model={other}" if part == "base" else "")
            )
        check_fit(self.files[part], model, module, state, PLACE)

    def build(self, part: str, dtype: torch.dtype) -> nn.Module:
        """A part, frozen, on the CPU."""
        module = sketch(self.sizes[part])
        made = filled(self.files[part], self.models[part], module, self._states[part], dtype, PLACE)
        if part == UPSAMPLER:  # constants, which half precision would round
            for name in ("channel_scales", "channel_biases"):
                setattr(made, name, self._states[part][name].float())
        return made.eval().requires_grad_(False)

    @property
    def parameters(self) -> int:
        """Of all parts."""
        return sum(p.numel() for part in self.parts for p in sketch(self.sizes[part]).parameters())


def recognised(state: Mapping[str, Tensor]) -> str:
    """The published model that has these tensors, by name and shape; "" if none. (textvec is taken for imagevec.)"""
    found = _shapes(state)
    return next((name for name in SIZES if _published(name) == found), "")


@functools.cache
def _published(name: str) -> dict[str, tuple[int, ...]]:
    return _shapes(sketch(SIZES[name]).state_dict())


def report(path: Path) -> list[str] | None:
    """What a file holds, in lines; None if it is not of Point-E."""
    if path.suffix not in SUFFIXES and not (path.is_file() and is_pickled(path)):
        return None
    if not path.is_file():
        return None
    name = recognised(open_tensors(path))
    if not name:
        return None
    same = " or base40M-textvec, which has the same shapes" if name == "base40M-imagevec" else ""
    return [f"{path}: Point-E's {name}{same}, {PARAMETERS[name]:,} parameters, {path.stat().st_size / 1e9:.2f} GB"]


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def _sizes(models: Mapping[str, str], file: str) -> dict[str, Size | DistanceSize]:
    """The published sizes, with a JSON file's entries in their place."""
    place = "start.config"
    published = {part: dataclasses.asdict(SIZES[model]) for part, model in models.items()}
    sizes: dict[str, Size | DistanceSize] = {}
    for part, entries in changed_configs(published, file, place).items():
        for name, value in entries.items():
            known = published[part].get(name)
            low = 0 if name == "low" else 1
            if known is None or type(value) is not type(known) or (isinstance(value, int) and value < low):
                what = (
                    f"a whole number from {low}" if isinstance(known, int) else f"one of {', '.join(published[part])}"
                )
                raise RecipeError(f"{place}: {file}: {part}.{name}: {value!r}; {what}")
        heads: Any = [value for name, value in entries.items() if name.endswith("heads")]
        if any(entries["width"] % (2 * count) for count in heads):
            raise RecipeError(
                f"{place}: {file}: {part}: a width of {entries['width']} in {heads} heads; give a multiple"
            )
        sizes[part] = DistanceSize(**entries) if part == DISTANCE else Size(**entries)
    return sizes


def _where(file: str) -> str:
    entry = find(file, KNOWN)
    return f"get it from {entry.line}" if entry else "`zero3d weights list point_e` shows them"
