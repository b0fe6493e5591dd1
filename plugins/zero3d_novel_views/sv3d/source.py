"""SV3D's single file, or the folder that `zero3d weights convert` makes of it: parts checked now and loaded later."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.weights import (
    Published,
    changed_configs,
    check_fit,
    filled,
    find,
    ldm,
    local_files,
    one_line,
    open_tensors,
    part_config,
    variants,
)
from zero3d_novel_views.known import SV3D
from zero3d_novel_views.sv3d.names import unet_name, vae_state, vision_state

FRAMES = 21
VECTOR = 1280
ENCODER = "conditioner.embedders.1.encoder."
"""The autoencoder that the picture goes through; the first stage has a decoder alone."""
VISION = "conditioner.embedders.0.open_clip.model.visual."
PREFIXES = {
    "unet": (ldm.UNET,),
    "vae": (ENCODER + "encoder.", ldm.VAE + "decoder."),
    "image_encoder": (VISION,),
}
PARTS = tuple(PREFIXES)
PUBLISHED: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 72,
        "in_channels": 8,
        "out_channels": 4,
        "down_block_types": ["CrossAttnDownBlockSpatioTemporal"] * 3 + ["DownBlockSpatioTemporal"],
        "up_block_types": ["UpBlockSpatioTemporal"] + ["CrossAttnUpBlockSpatioTemporal"] * 3,
        "layers_per_block": 2,
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": VECTOR,
        "num_frames": FRAMES,
        "block_out_channels": [320, 640, 1280, 1280],
        "cross_attention_dim": 1024,
        "num_attention_heads": [5, 10, 20, 20],
    },
    "vae": {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": 4,
        "scaling_factor": 0.18215,
    },
    "image_encoder": {
        "hidden_act": "gelu",
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": 1024,
    },
}
"""sv3d_p.yaml of Stability-AI/generative-models; OpenCLIP's ViT-H-14."""
LABEL, FIRST = "label_emb.0.0.weight", "input_blocks.0.0.weight"
OTHER_MODELS = {256: "SV3D_u, which is not told its cameras", 768: "Stable Video Diffusion"}
"""By the width of the vector."""
OTHERS = {4: "Stable Diffusion or MVDream", 8: "Zero-1-to-3"}
"""By the channels that a U-Net without such a vector takes."""


class Source(ABC):
    """Checked weights, not yet loaded. `path`: the file or folder; `configs`: of each part."""

    path: Path
    configs: dict[str, dict[str, Any]]

    @property
    @abstractmethod
    def weight_files(self) -> list[Path]:
        """What is read."""

    @abstractmethod
    def state(self, part: str) -> dict[str, Tensor]:
        """A part's tensors under its module's names, mapped, not read.

        Raises:
            RecipeError: names that are no such part's.
        """

    def sketch(self, part: str) -> nn.Module:
        """A part's module on the meta device: names and shapes, no memory."""
        with torch.device("meta"):
            return make_module(part, self.configs[part])

    def check(self, only: str = "") -> None:
        """Hold the parts (or one of them) against their configurations.

        Raises:
            RecipeError: one does not fit; the tensor is named.
        """
        for part in [only] if only else PARTS:
            check_fit(self.path, part, self.sketch(part), self.state(part))

    def build(self, part: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A part with its weights, on the CPU.

        Raises:
            RecipeError: a tensor missing, left over, or of another shape than the configuration's; it is named.
        """
        return filled(self.path, part, self.sketch(part), self.state(part), dtype)


class SingleFile(Source):
    """The published file."""

    def __init__(self, path: Path, known: Sequence[Published], config_file: str = "") -> None:
        """Reads the table of contents alone.

        Raises:
            RecipeError: no such file, damaged, another model, or a part missing; one line.
        """
        if not path.is_file():
            entry = find(path.name, known) or known[0]
            raise RecipeError(f"denoiser.weights: {str(path)!r}: no such file; get {entry.name} from {entry.line}")
        self.path = path
        self._tensors = open_tensors(path)
        found = family(self._tensors)
        if found != "SV3D_p":
            raise RecipeError(
                f"denoiser.weights: {path}: is of {found or 'no network that is known here'}, not SV3D_p; "
                f"get {known[0].name} from {known[0].where}"
            )
        for part, prefixes in PREFIXES.items():
            for prefix in prefixes:
                if not any(name.startswith(prefix) for name in self._tensors):
                    raise RecipeError(
                        f"denoiser.weights: {path}: no {part} (no tensor named {prefix}*); give the whole checkpoint"
                    )
        self.configs = changed_configs(PUBLISHED, config_file)

    @property
    def weight_files(self) -> list[Path]:
        return [self.path]

    def state(self, part: str) -> dict[str, Tensor]:
        try:
            if part == "unet":
                return {f"unet.{unet_name(name)}": tensor for name, tensor in self._under(ldm.UNET).items()}
            if part == "vae":
                return vae_state(self._under(ENCODER), self._under(ldm.VAE))
            return vision_state(self._under(VISION))
        except (KeyError, ValueError, IndexError, RuntimeError, StopIteration) as error:
            raise RecipeError(
                f"denoiser.weights: {self.path}: its {part} is not the published network's ({one_line(error)})"
            ) from None

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {n.removeprefix(prefix): self._tensors[n] for n in self._tensors if n.startswith(prefix)}


class Folder(Source):
    """A folder in the layout of Stable Video Diffusion's: unet, vae, image_encoder, each with its configuration."""

    def __init__(self, root: Path) -> None:
        """Reads configurations and tables of contents alone.

        Raises:
            RecipeError: a part missing or damaged, or another model; one line.
        """
        self.path, self.configs = root, {}
        width = part_config(root, "unet").get("projection_class_embeddings_input_dim")
        if width != VECTOR:
            name = OTHER_MODELS.get(width, "no network that is known here") if width else "no network told its cameras"
            raise RecipeError(f"denoiser.weights: {root}: is of {name}, not SV3D_p; get {SV3D[0].line}")
        self._files: dict[str, list[Path]] = {}
        listed = local_files(root)
        for part in PARTS:
            config = part_config(root, part)
            self.configs[part] = {name: value for name, value in config.items() if not name.startswith("_")}
            found = variants(part, listed)
            if not found:
                raise RecipeError(f"denoiser.weights: {root / part}: no weights; convert the file again")
            self._files[part] = [root / name for name in found[min(found, key=len)]]

    @property
    def weight_files(self) -> list[Path]:
        return [file for files in self._files.values() for file in files]

    def state(self, part: str) -> dict[str, Tensor]:
        prefix = "unet." if part == "unet" else ""
        opened = [open_tensors(file) for file in self._files[part]]
        return {prefix + name: tensors[name] for tensors in opened for name in tensors}


def open_source(weights: str, known: Sequence[Published], config_file: str = "") -> Source:
    """The file or folder that a recipe names.

    Raises:
        RecipeError: as theirs.
    """
    path = Path(weights).expanduser()
    if not path.is_dir():
        return SingleFile(path, known, config_file)
    if config_file:
        raise RecipeError(f"denoiser.config: {path} is a folder, which holds its configurations; leave it out")
    return Folder(path)


def family(tensors: Mapping[str, Tensor]) -> str:
    """What a file's U-Net is: "SV3D_p", another by name, or "" for none that is known."""
    names = {name.removeprefix(ldm.UNET): name for name in tensors if name.startswith(ldm.UNET)}
    if LABEL in names:
        width = tensors[names[LABEL]].shape[-1]
        return "SV3D_p" if width == VECTOR else OTHER_MODELS.get(width, "")
    shape = tensors[names[FIRST]].shape if FIRST in names else ()
    return OTHERS.get(shape[1], "") if len(shape) == 4 else ""


def make_module(part: str, config: Mapping[str, Any]) -> nn.Module:
    """An untrained module of a part, on the default device."""
    if part == "unet":
        from zero3d_novel_views.sv3d.network import VideoNetwork

        return VideoNetwork(config)
    if part == "vae":
        from diffusers import AutoencoderKLTemporalDecoder

        made: Any = AutoencoderKLTemporalDecoder
        vae: nn.Module = made(**config)
        return vae
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
