"""The network without files: its modules as their libraries make them."""

from __future__ import annotations

from pathlib import Path

import torch

from zero3d_zero123.published.configs import PUBLISHED, TINY, Configs
from zero3d_zero123.published.network import Network
from zero3d_zero123.published.original import make_module


class Untrained:
    """A source of weights that reads nothing. `tiny`: a few million parameters, else of the published size."""

    stable = False

    def __init__(self, tiny: bool) -> None:
        self.configs: Configs = {part: {**config, **(TINY[part] if tiny else {})} for part, config in PUBLISHED.items()}

    @property
    def weight_files(self) -> list[Path]:
        """None."""
        return []

    def load(self, dtype: torch.dtype) -> Network:
        """The four parts; the U-Net in `dtype`, the others in float32."""
        unet, *rest = (make_module(part, self.configs) for part in (*self.configs, "cc_projection"))
        return Network(unet if dtype == torch.float32 else unet.to(dtype), *rest)
