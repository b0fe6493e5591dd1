"""From what a recipe names as weights to parts that are checked now and loaded later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.weights import (
    HUB_ID,
    Choice,
    Configs,
    HubFolder,
    Published,
    check_fit,
    choose,
    filled,
    find,
    ldm,
    local_files,
    open_tensors,
    part_config,
    snapshot,
    variants,
)
from zero3d_mvdream.network.configs import read_configs
from zero3d_mvdream.weights.names import joint_state, text_state, towers_names, vae_state, vision_state

SUFFIXES = (".pt", ".ckpt", ".pth", ".safetensors")
PREFIXES = {
    "unet": (ldm.UNET,),
    "vae": (ldm.VAE, "vae_model."),
    "text_encoder": ("cond_stage_model.model.", "clip_model.model."),
    "image_encoder": ("cond_stage_model.model.visual.", "clip_model.model.visual."),
}
"""In MVDream's single file, and in ImageDream's."""
MVDREAM, IMAGEDREAM = "MVDream", "ImageDream"
VIEWS = 4
FRAMES = {MVDREAM: VIEWS, IMAGEDREAM: VIEWS + 1}
OTHERS = {4: "Stable Diffusion", 8: "Zero-1-to-3, or another that takes a picture beside the noise"}
"""Families by the channels that their U-Nets take."""
State = Mapping[str, Tensor]


class Source(ABC):
    """Checked weights of one family, not yet loaded.

    `parts`: "unet", "vae", "text_encoder", and for ImageDream "image_encoder".
    """

    configs: Configs

    def __init__(self, family: str) -> None:
        self.family = family
        self.parts = ("unet", "vae", "text_encoder", *(("image_encoder",) if family == IMAGEDREAM else ()))

    @property
    @abstractmethod
    def weight_files(self) -> list[Path]:
        """The files that are loaded."""

    @property
    @abstractmethod
    def tokenizer(self) -> Path | None:
        """The folder of its own tokenizer; None if it has none."""

    @abstractmethod
    def file(self, part: str) -> Path:
        """The file that holds a part."""

    @abstractmethod
    def state(self, part: str) -> dict[str, Tensor]:
        """A part's tensors under the names of its module, mapped, not read."""

    def fetch(self) -> None:  # noqa: B027 (what is here need not be fetched)
        """Get what is missing."""

    def sketch(self, part: str) -> nn.Module:
        """A part's module on the meta device: names and shapes, no memory."""
        with torch.device("meta"):
            return make_module(part, self.configs, self.family)

    def build(self, part: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A part, frozen, on the CPU.

        Raises:
            RecipeError: a tensor missing, left over, or of another shape than the configuration's; it is named.
        """
        module = self.sketch(part)
        made = filled(self.file(part), part, module, self._fitting(part, module), dtype)
        return made.eval().requires_grad_(False)

    def size(self, dtype: torch.dtype) -> tuple[int, int]:
        """Parameters and bytes of U-Net (in `dtype`) and autoencoder, by their configurations alone."""
        unet, vae = (sum(p.numel() for p in self.sketch(part).parameters()) for part in ("unet", "vae"))
        return unet + vae, unet * dtype.itemsize + 4 * vae

    def check(self) -> None:
        """Hold every part's names and shapes against its module; no tensor is read.

        Raises:
            RecipeError: see `build`.
        """
        for part in self.parts:
            self.check_part(part)

    def check_part(self, part: str) -> None:
        """`check` of one part."""
        module = self.sketch(part)
        check_fit(self.file(part), part, module, self._fitting(part, module))

    def _fitting(self, part: str, module: nn.Module) -> dict[str, Tensor]:
        state = self.state(part)
        return towers_names(state, module.state_dict()) if part.endswith("_encoder") else state


def make_module(part: str, configs: Configs, family: str) -> nn.Module:
    """An untrained module of a part, on the default device."""
    config = configs[part]
    if part == "unet":
        from zero3d_mvdream.network.joint import JointNetwork

        features = int(configs["image_encoder"]["hidden_size"]) if family == IMAGEDREAM else 0
        return JointNetwork(config, FRAMES[family], features)
    if part == "vae":
        from diffusers import AutoencoderKL

        vae: nn.Module = AutoencoderKL.from_config(config)
        return vae
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

    text = part == "text_encoder"
    return CLIPTextModel(CLIPTextConfig(**config)) if text else CLIPVisionModel(CLIPVisionConfig(**config))


def family_of(names: Mapping[str, str], tensors: State) -> str:
    """Which network a file's U-Net is. `names`: its tensors' names without prefix -> those in the file."""
    if "image_embed.latents" in names:
        return IMAGEDREAM
    if "camera_embed.0.weight" in names:
        return MVDREAM
    first = next((names[n] for n in ("input_blocks.0.0.weight", "conv_in.weight") if n in names), None)
    shape = tensors[first].shape if first else ()
    return OTHERS.get(shape[1], "") if len(shape) == 4 else ""


def _refuse_other(place: str, found: str, family: str) -> None:
    if found == family:
        return
    what = f"of {found}" if found else "none that is known here"
    raise RecipeError(
        f"denoiser.weights: {place}: its U-Net is {what}, not {family}'s; "
        f"`zero3d weights list {family.lower()}` shows the published ones"
    )


class SingleFile(Source):
    """The authors' checkpoint: all parts in one file, and no tokenizer."""

    tokenizer = None

    def __init__(self, family: str, path: Path, config_file: str, known: Iterable[Published]) -> None:
        """Reads the table of contents alone.

        Raises:
            RecipeError: no such file, unreadable, a part missing, or a checkpoint of another family.
        """
        super().__init__(family)
        if not path.is_file():
            raise RecipeError(f"denoiser.weights: no file {str(path)!r}; get it from {_where(path.name, known)}")
        self.path, self.configs = path, read_configs(config_file)
        self._tensors = open_tensors(path)
        names = list(self._tensors)
        _refuse_other(str(path), family_of({n.removeprefix(ldm.UNET): n for n in names}, self._tensors), family)
        for part in self.parts:
            if not any(name.startswith(PREFIXES[part]) for name in names):
                prefixes = " or ".join(f"{prefix}*" for prefix in PREFIXES[part])
                raise RecipeError(
                    f"denoiser.weights: {path}: no {part} (no tensor named {prefixes}); give the whole checkpoint: "
                    f"{_where(path.name, known)}"
                )

    @property
    def weight_files(self) -> list[Path]:
        return [self.path]

    def file(self, part: str) -> Path:
        return self.path

    def tensors(self, part: str) -> dict[str, Tensor]:
        """A part's tensors by their own names without prefix, mapped, not read."""
        prefix = next(p for p in PREFIXES[part] if any(name.startswith(p) for name in self._tensors))
        names = [name.removeprefix(prefix) for name in self._tensors if name.startswith(prefix)]
        if part == "text_encoder":
            names = [name for name in names if not name.startswith("visual.")]
        return {name: self._tensors[prefix + name] for name in names}

    def state(self, part: str) -> dict[str, Tensor]:
        tensors = self.tensors(part)
        if part == "unet":
            return joint_state(tensors)
        if part == "vae":
            return vae_state(tensors)
        layers = int(self.configs[part]["num_hidden_layers"])
        return text_state(tensors, layers) if part == "text_encoder" else vision_state(tensors, layers)


class Folder(Source):
    """ashawkey's conversion: a subfolder a part; its U-Net has the authors' tensor names, its code is not run."""

    def __init__(self, family: str, root: Path, files: Iterable[str], variant: str, half: bool) -> None:
        """`files`: paths relative to `root`; those of weights need not be there yet.

        Raises:
            RecipeError: a part missing, of another family, or no such variant.
        """
        super().__init__(family)
        self.root, listed = root, sorted(files)
        self.configs = {part: part_config(root, part) for part in self.parts if part != "image_encoder"}
        unet = self.configs["unet"]
        _refuse_other(str(root / "unet"), family_of_config(unet), family)
        if family == IMAGEDREAM:
            self.configs["image_encoder"] = part_config(root, "image_encoder")
        self.files = {}
        for part in self.parts:
            found = variants(part, listed)
            if not found:
                raise RecipeError(f"denoiser.weights: {root / part}: no weights; download the whole model")
            names = found[choose(root / part, set(found), Choice(half=half, variant=variant), part)]
            if len(names) > 1:
                raise RecipeError(f"denoiser.weights: {root / part}: in {len(names)} pieces; save it as one file")
            (self.files[part],) = names
        self._words = [name for name in listed if name.startswith("tokenizer/")]

    @property
    def weight_files(self) -> list[Path]:
        return [self.root / name for name in self.files.values()]

    @property
    def tokenizer(self) -> Path | None:
        return self.root / "tokenizer" if self._words else None

    def file(self, part: str) -> Path:
        return self.root / self.files[part]

    def state(self, part: str) -> dict[str, Tensor]:
        tensors = open_tensors(self.file(part))
        return joint_state(tensors) if part == "unet" else dict(tensors)

    def check(self) -> None:
        if all(file.is_file() for file in self.weight_files):
            super().check()


def family_of_config(config: dict[str, Any]) -> str:
    """Which network a folder's U-Net is by its config.json."""
    if "camera_dim" in config and "model_channels" in config:
        return IMAGEDREAM if config.get("ip_dim") else MVDREAM
    return OTHERS.get(config.get("in_channels", 4), "")


class HubSource(Folder):
    """A repository of the hub in that layout; its weights are fetched when they are loaded."""

    def __init__(self, family: str, hub: HubFolder, variant: str, half: bool) -> None:
        super().__init__(family, hub.root, hub.files, variant, half)
        self._hub = hub

    def fetch(self) -> None:
        self._hub.fetch(list(self.files.values()))
        self.check()


def open_source(family: str, config: Any, known: Sequence[Published], half: bool) -> Source:
    """A checkpoint file, a folder, or a repository of the hub, checked as far as it is here.

    Raises:
        RecipeError: nothing is there, it is damaged, or of another family.
    """
    path = Path(config.weights).expanduser()
    source: Source
    if path.suffix in SUFFIXES or path.is_file():
        source = SingleFile(family, path, config.config, known)
    elif path.is_dir():
        folder = snapshot(path, config.revision)
        source = Folder(family, folder, local_files(folder), config.variant, half)
    elif HUB_ID.fullmatch(config.weights):
        hub = HubFolder(config.weights, config.revision, config.offline, known, CONFIGS)
        source = HubSource(family, hub, config.variant, half)
    else:
        raise RecipeError(
            f"denoiser.weights: {config.weights!r} is neither a checkpoint (.pt, .safetensors), a folder (subfolders unet, "
            f"vae, text_encoder) nor a hub id; get {known[0].name} from {known[0].line}"
        )
    source.check()
    return source


CONFIGS = ("model_index.json", "*/config.json", "tokenizer/*")
"""What of a repository is fetched to be checked, before any weight."""


def _where(name: str, known: Iterable[Published]) -> str:
    entries = list(known)
    entry = find(name, entries) or entries[0]
    return f"{entry.line} ({entry.name}); `zero3d weights list` shows all"
