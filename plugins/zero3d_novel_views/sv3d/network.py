"""SV3D's video U-Net: diffusers' of Stable Video Diffusion, told a vector for each frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.resnet import ResnetBlock2D, TemporalResnetBlock
from torch import Tensor, nn

EPS = 1e-5
"""Of the group norms in residual blocks; diffusers has 1e-6 in some."""


class VideoNetwork(nn.Module):
    """The network F of clips of `frames` frames."""

    unet: Any

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config`: that of diffusers' UNetSpatioTemporalConditionModel."""
        super().__init__()
        self.unet = UNetSpatioTemporalConditionModel(**config)
        self.frames = int(config["num_frames"])
        for block in self.unet.modules():
            if isinstance(block, (ResnetBlock2D, TemporalResnetBlock)):
                block.norm1.eps = block.norm2.eps = EPS

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, latent: Tensor, noise: Tensor, context: Tensor, vector: Tensor) -> Tensor:
        """F (N, 4, h, w) of N frames, clip after clip.

        Args:
            latent: (N, 8, h, w): z, behind it the picture's clean latent.
            noise: (N,) c_noise, ln(sigma) / 4.
            context: (N, 1, C), the picture's token.
            vector: (N, 1280), the conditioning of each frame: its camera.
        """
        unet, dtype = self.unet, self.dtype
        embedding = unet.time_embedding(unet.time_proj(noise).to(dtype)) + unet.add_embedding(vector.to(dtype))
        still = embedding.new_zeros(len(latent) // self.frames, self.frames)
        common = {"temb": embedding, "image_only_indicator": still}
        hidden = unet.conv_in(latent.to(dtype))
        skipped = (hidden,)
        for block in unet.down_blocks:
            hidden, made = block(hidden, **common, **_context(block, context.to(dtype)))
            skipped += made
        hidden = unet.mid_block(hidden, **common, encoder_hidden_states=context.to(dtype))
        for block in unet.up_blocks:
            taken, skipped = skipped[-len(block.resnets) :], skipped[: -len(block.resnets)]
            hidden = block(hidden, res_hidden_states_tuple=taken, **common, **_context(block, context.to(dtype)))
        out: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden)))
        return out.to(latent.dtype)


def _context(block: Any, context: Tensor) -> dict[str, Tensor]:
    return {"encoder_hidden_states": context} if getattr(block, "has_cross_attention", False) else {}
