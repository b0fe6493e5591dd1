"""The four modules of the published model, whatever file they came from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Network:
    """U-Net (in its own precision), VAE, CLIP's vision tower and cc_projection (in float32)."""

    unet: nn.Module
    vae: nn.Module
    clip: nn.Module
    projection: nn.Module

    def frozen(self, device: torch.device) -> Network:
        """The same modules on a device, in inference mode, without gradients in their weights."""
        parts = (self.unet, self.vae, self.clip, self.projection)
        return Network(*(part.to(device).eval().requires_grad_(False) for part in parts))
