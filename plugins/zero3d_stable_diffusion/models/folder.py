"""A model in diffusers' layout, in a folder or on the hub, checked before a weight is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from zero3d import RecipeError
from zero3d.weights import (
    HUB_ID,
    Choice,
    Configs,
    HubFolder,
    Published,
    aligned,
    choose,
    index_of,
    local_files,
    part_config,
    read_json,
    refuse_impostor,
    snapshot,
    variants,
    without_bars,
)
from zero3d_stable_diffusion.models.families import check_family, family_of_folder

CONFIGS = ("model_index.json", "*/config.json", "scheduler/*.json", "tokenizer/*")
CLASSES = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "clip_text": ("transformers", "CLIPTextModel"),
    "t5_text": ("transformers", "T5EncoderModel"),
    "image_encoder": ("transformers", "CLIPVisionModelWithProjection"),
}
"""What a part is -> its class."""
PAD = "_pad_token_id"
"""The entry of model_index.json that names the token with which texts are padded; of folders that zero3d wrote."""


def module_class(kind: str) -> Any:
    """The class of `CLASSES`; imports its library."""
    import importlib

    library, name = CLASSES[kind]
    return getattr(importlib.import_module(library), name)


class FolderModel:
    """The parts that a denoiser wants of a folder. `parts`: subfolder -> what it is (a key of CLASSES)."""

    prediction: str | None
    """What it predicts, as its scheduler says."""
    pad_id: int | None
    """With which token texts are padded, where its index says; None as its tokenizer does."""

    def __init__(
        self, root: Path, files: Sequence[str], choice: Choice, family: str, parts: Mapping[str, str], name: str = ""
    ) -> None:
        """`files`: relative to `root`; those of weights need not be there yet (the hub's).

        Raises:
            RecipeError: another family, or a part, its configuration or its weights missing.
        """
        self.root, self.name = root, name or str(root)
        self._hub: HubFolder | None = None
        index = index_of(root)
        has_unet = (root / "unet" / "config.json").is_file()
        unet = part_config(root, "unet") if has_unet else None
        if unet is None and any(item.startswith("unet/") for item in files):
            part_config(root, "unet")  # its configuration alone is missing
        check_family(self.name, family_of_folder(root, index, unet), family)
        if not choice.ema and index.get("_ema") is True:
            raise RecipeError(f"denoiser.ema: false, but {self.name} has EMA weights alone; convert again with --raw")
        self._kinds = dict(parts)
        self.pad_id = index[PAD] if isinstance(index.get(PAD), int) else None
        self.configs: Configs = {part: part_config(root, part) for part in parts}
        self.scheduler = self._scheduler()
        self.prediction = str(self.scheduler.get("prediction_type", "epsilon"))
        self._variants: dict[str, str] = {}
        self._files: dict[str, list[str]] = {}
        for part in parts:
            held = variants(part, list(files))
            if not held:
                raise RecipeError(f"denoiser.weights: {self.name}: {part} has no weights; download the whole model")
            self._variants[part] = choose(Path(self.name) / part, set(held), choice, part)
            self._files[part] = held[self._variants[part]]
            for file in self._files[part]:
                if (root / file).is_file():
                    refuse_impostor(root / file)

    @classmethod
    def on_hub(cls, hub: HubFolder, choice: Choice, family: str, parts: Mapping[str, str]) -> FolderModel:
        """A repository; the weights of a part are fetched when it is loaded."""
        made = cls(hub.root, hub.files, choice, family, parts, hub.name)
        made._hub = hub
        return made

    def _scheduler(self) -> dict[str, Any]:
        path = self.root / "scheduler" / "scheduler_config.json"
        if not path.is_file():
            raise RecipeError(
                f"denoiser.weights: {self.name}: scheduler/scheduler_config.json is missing, which says what the network "
                "predicts; download the whole model"
            )
        return read_json(path)

    def variant(self, part: str) -> str:
        """Which of a part's variants is loaded; "" is the one without a name."""
        return self._variants[part]

    @property
    def tokenizer(self) -> Path:
        """The folder of its tokenizer's files."""
        return self.root / "tokenizer"

    @property
    def weight_files(self) -> list[Path]:
        """Those that are loaded, once they are fetched."""
        return [self.root / file for part in self._files.values() for file in part]

    def load(self, part: str, dtype: torch.dtype) -> nn.Module:
        """One part, in `dtype`; nothing of the folder's own code is run.

        Raises:
            RecipeError: its weights are damaged, or do not fit its configuration.
        """
        if self._hub is not None:
            self._hub.fetch(self._files[part])
        kind, options = module_class(self._kinds[part]), {"variant": self._variants[part] or None, "torch_dtype": dtype}
        try:
            with without_bars():
                module, report = kind.from_pretrained(
                    self.root / part, local_files_only=True, output_loading_info=True, **options
                )
        except Exception as error:  # damaged files and odd configurations raise a dozen types in these libraries
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise RecipeError(
                f"denoiser.weights: {self.root / part}: {reason.strip()[:200]}; download it again"
            ) from None
        missing = sorted(name for name in report["missing_keys"] if not name.endswith("position_ids"))
        if missing:
            raise RecipeError(
                f"denoiser.weights: {self.root / part}: {missing[0]} is missing and {len(missing) - 1} more; "
                "download it again"
            )
        loaded: nn.Module = module
        return aligned(loaded if module.dtype == dtype else loaded.to(dtype))


def open_folder(
    weights: str,
    revision: str,
    offline: bool,
    choice: Choice,
    family: str,
    parts: Mapping[str, str],
    known: Sequence[Published],
) -> FolderModel:
    """What a recipe names: a folder, or a hub id.

    Raises:
        RecipeError: nothing is there, or it is not of that family.
    """
    path = Path(weights).expanduser()
    if path.is_dir():
        folder = snapshot(path, revision)
        return FolderModel(folder, local_files(folder), choice, family, parts)
    if HUB_ID.fullmatch(weights):
        found = HubFolder(weights, revision, offline, known, CONFIGS)
        return FolderModel.on_hub(found, choice, family, parts)
    wrong = "one file, and no folder or" if path.is_file() else "neither a folder nor a"
    raise RecipeError(
        f"denoiser.weights: {weights!r} is {wrong} hub id; give one of {family}, for example {known[0].name}"
    )
