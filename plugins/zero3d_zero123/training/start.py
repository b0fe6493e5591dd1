"""Where fine-tuning starts: an image-conditioned Stable Diffusion, whose first layer is widened, or a Zero-1-to-3."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.weights import HUB_ID, Choice, HubFolder, local_files, snapshot
from zero3d_zero123.published.known import KNOWN
from zero3d_zero123.published.layout import PROJECTIONS, Layout
from zero3d_zero123.published.original import PREFIXES, PROJECTION, SUFFIXES, Original

if TYPE_CHECKING:
    from zero3d_zero123.published.network import Network

NEEDED = tuple(part for part in PREFIXES if part != "cc_projection")
INPUTS = (4, 8)
"""Channels of an image-conditioned Stable Diffusion's U-Net (noisy latent), and of Zero-1-to-3's (and the picture's)."""


def widened(weight: Tensor) -> Tensor:
    """The first convolution's weight (C, 4, 3, 3) with four more input channels of zeros: it begins as it was."""
    return torch.cat([weight, torch.zeros_like(weight)], dim=1) if weight.shape[1] == INPUTS[0] else weight


def new_projection(width: int) -> nn.Linear:
    """cc_projection at its start: the identity on CLIP's numbers, PyTorch's own values for the pose's four, no bias."""
    layer = nn.Linear(width + 4, width)
    with torch.no_grad():
        layer.weight[:, :width] = torch.eye(width)
        layer.bias.zero_()
    return layer


class StartOriginal(Original):
    """A checkpoint file: Lambda's sd-image-conditioned-v2.ckpt, or one of Zero-1-to-3's."""

    required = NEEDED
    inputs = INPUTS

    def __init__(self, path: Path, config_file: str, ema: bool) -> None:
        """As Original, without a cc_projection or an average where there is none."""
        super().__init__(path, config_file, ema=False)
        self.ema = ema and self.has_ema

    def state(self, part: str) -> dict[str, Tensor]:
        """One part's tensors, the U-Net's first layer widened, cc_projection made where there is none."""
        if part == "cc_projection" and not any(name.startswith(PROJECTION) for name in self.tensors):
            return dict(new_projection(int(self.configs["image_encoder"]["projection_dim"])).state_dict())
        state = super().state(part)
        if part == "unet":
            state["conv_in.weight"] = widened(state["conv_in.weight"])
        return state


class StartLayout(Layout):
    """A folder in diffusers' layout: lambdalabs/sd-image-variations-diffusers, or one of Zero-1-to-3's."""

    inputs = INPUTS

    def _find_projection(self, listed: list[str]) -> tuple[str, str]:
        if any(name.split("/")[0] in PROJECTIONS for name in listed):
            return super()._find_projection(listed)
        return "", ""

    def _load_projection(self) -> nn.Linear:
        return super()._load_projection() if self.projection else new_projection(self.width)

    def load(self, dtype: torch.dtype) -> Network:
        """The four parts, the U-Net's first layer widened."""
        network = super().load(dtype)
        unet: Any = network.unet
        old = unet.conv_in
        if old.in_channels == INPUTS[0]:
            wide = nn.Conv2d(INPUTS[1], old.out_channels, old.kernel_size, padding=old.padding).to(old.weight)
            wide.load_state_dict({"weight": widened(old.weight.detach()), "bias": old.bias.detach()})
            unet.conv_in = wide
            unet.register_to_config(in_channels=INPUTS[1])
        return network


class StartHub:
    """A repository of the hub; its weights are fetched when they are loaded."""

    def __init__(self, hub: HubFolder, choice: Choice) -> None:
        self._hub = hub
        self._layout = StartLayout(hub.root, hub.files, choice)
        self.configs, self.stable = self._layout.configs, self._layout.stable

    @property
    def weight_files(self) -> list[Path]:
        """The files that are loaded, once they are fetched."""
        return self._layout.weight_files

    def load(self, dtype: torch.dtype) -> Network:
        """Fetch what is missing and load it."""
        self._hub.fetch([name for name in self._layout.files if name])
        return self._layout.load(dtype)


def open_start(config: Any) -> StartOriginal | StartLayout | StartHub:
    """What `start` names, checked without reading a weight.

    Raises:
        RecipeError: nothing is there, or no image-conditioned Stable Diffusion.
    """
    path = Path(config.start).expanduser()
    try:
        if path.suffix in SUFFIXES:
            return StartOriginal(path, config.config, config.ema)
        choice = Choice(config.ema)
        if path.is_dir():
            folder = snapshot(path, config.revision)
            return StartLayout(folder, local_files(folder), choice)
        if HUB_ID.fullmatch(config.start):
            return StartHub(HubFolder(config.start, config.revision, config.offline, KNOWN), choice)
    except RecipeError as error:
        raise RecipeError(str(error).replace("denoiser.weights:", "denoiser.start:")) from None
    raise RecipeError(
        f"denoiser.start: {config.start!r} is neither a file, a folder nor a hub id; the paper starts from "
        "sd-image-conditioned-v2.ckpt of https://huggingface.co/lambdalabs/sd-image-conditioned"
    )
