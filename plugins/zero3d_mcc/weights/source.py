"""From the file that a recipe names to a checked network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.weights import changed_configs, check_fit, filled, is_pickled, local_folder, open_tensors
from zero3d_mcc.network.model import Mcc, Size
from zero3d_mcc.weights.known import FILE, INITIAL, KNOWN, sketch

PLACE = "start.weights"
SUFFIXES = (".pth", ".pt", ".safetensors")
WHERE = f"get {FILE} from {KNOWN[0].line}"
NUMBERS = "decoder_pred.weight"
"""Its rows tell bins of colour from colours as numbers."""


class Source:
    """The file, checked and not yet loaded."""

    def __init__(self, weights: str, config: str = "") -> None:
        """Reads the table of contents alone.

        Raises:
            RecipeError: no such file, unreadable, or another network; it is named where it is known.
        """
        self.file = _found(weights)
        self._state: Mapping[str, Tensor] = open_tensors(self.file, PLACE)
        regress = NUMBERS in self._state and len(self._state[NUMBERS]) == 4
        self.size = _size(config, regress)
        other = recognised(self._state)
        if other and other != "MCC":
            raise RecipeError(f"{PLACE}: {self.file}: this is {other}, no MCC; {WHERE}")
        check_fit(self.file, "MCC", sketch(self.size), self._state, PLACE)

    def build(self, dtype: torch.dtype) -> Mcc:
        """Frozen, on the CPU."""
        made = filled(self.file, "MCC", sketch(self.size), self._state, dtype, PLACE)
        assert isinstance(made, Mcc)
        return made.eval().requires_grad_(False)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in sketch(self.size).parameters())


MARK = "decoder_xyz_pos_embed.pos_embed.weight"
"""A tensor that MCC has and no other."""


def recognised(state: Mapping[str, Tensor]) -> str:
    """What has these tensors: "MCC" of the published size, what it is mistaken for, or ""."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    for regress in (False, True) if MARK in state else ():
        if shapes == {name: tuple(t.shape) for name, t in sketch(Size(regress_color=regress)).state_dict().items()}:
            return "MCC"
    if MARK in state:
        return ""
    if "mask_token" in state or {"cls_token", "patch_embed.proj.weight", "blocks.0.attn.qkv.weight"} <= state.keys():
        return f"a masked autoencoder or another ViT, as {INITIAL}, from which MCC's training began"
    if any(name.startswith("backbone.resblocks.") for name in state):
        return "Point-E's (start={type: point_e})"
    if any(name.startswith("pretrained.model.blocks.") for name in state):
        return "MiDaS' own file; as transformers has it (Intel/dpt-large) it is a start.depth_model"
    return ""


def report(path: Path) -> list[str] | None:
    """What a file holds, in lines; None if it is not of MCC."""
    if not path.is_file() or not (path.suffix in SUFFIXES or is_pickled(path)):
        return None
    state = open_tensors(path)
    if recognised(state) != "MCC":
        return None
    kind = "colours as numbers" if len(state[NUMBERS]) == 4 else "colours in 256 bins a channel"
    count = sum(tensor.numel() for tensor in state.values())
    return [
        f"{path}: MCC, {kind}, {count:,} parameters, {path.stat().st_size / 1e9:.2f} GB",
        f"licence: {KNOWN[0].licence}",
    ]


def _found(weights: str) -> Path:
    path = Path(weights).expanduser()
    if weights and path.is_file():
        return path
    if path.suffix in SUFFIXES:
        raise RecipeError(f"{PLACE}: {weights}: no such file, and nothing is fetched; {WHERE}")
    folder = local_folder(weights, PLACE, WHERE)
    names = [FILE, *(Path(FILE).stem + suffix for suffix in SUFFIXES)]
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    if found is None:
        raise RecipeError(f"{PLACE}: {folder}: no {FILE} in it; {WHERE}")
    return found


def _size(file: str, regress: bool) -> Size:
    """The published size, with a JSON file's entries in their place."""
    place, published = "start.config", dataclasses.asdict(Size(regress_color=regress))
    entries = changed_configs({"mcc": published}, file, place)["mcc"]
    for name, value in entries.items():
        if name not in published or type(value) is not type(published[name]) or value < (name != "regress_color"):
            what = "a whole number from 1" if name in published else f"one of {', '.join(published)}"
            raise RecipeError(f"{place}: {file}: mcc.{name}: {value!r}; {what}")
    for width, heads in (("width", "heads"), ("decoder_width", "decoder_heads")):
        if entries[width] % entries[heads]:
            of = f"a {width} of {entries[width]} in {entries[heads]} heads"
            raise RecipeError(f"{place}: {file}: mcc: {of}; give a multiple")
    return Size(**entries)
