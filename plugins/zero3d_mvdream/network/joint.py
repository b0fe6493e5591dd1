"""The joint U-Net: diffusers' of Stable Diffusion 2.1, whose self-attention runs over all views of a group."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from torch import Tensor, nn
from torch.nn import functional

from zero3d_mvdream.network.configs import RESAMPLER, stock_unet


class JoinedViews(AttnProcessor2_0):
    """Self-attention over the tokens of `frames` frames together: (G * frames, N, C) seen as (G, frames * N, C)."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        joined = hidden_states.reshape(len(hidden_states) // self.frames, -1, hidden_states.shape[-1])
        out: Tensor = super().__call__(attn, joined, *args, **kwargs)
        return out.reshape(hidden_states.shape)


class TextAndPicture(nn.Module):
    """Cross-attention to words, and with k and v of its own to the last `tokens` of the context, the picture's.

    out = to_out(softmax(q k) v + softmax(q k_ip) v_ip): two softmaxes over one q (ImageDream, arXiv 2312.02201).
    """

    def __init__(self, width: int, context: int, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.to_k_ip = nn.Linear(context, width, bias=False)
        self.to_v_ip = nn.Linear(context, width, bias=False)

    def forward(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: Any) -> Tensor:
        words, picture = encoder_hidden_states.tensor_split([-self.tokens], dim=1)
        q = self._heads(attn, attn.to_q(hidden_states))
        seen = self._attend(attn, q, attn.to_k(words), attn.to_v(words))
        seen = seen + self._attend(attn, q, self.to_k_ip(picture), self.to_v_ip(picture))
        out: Tensor = attn.to_out[0](seen.transpose(1, 2).flatten(2))
        return out

    def _attend(self, attn: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(q, self._heads(attn, k), self._heads(attn, v))

    @staticmethod
    def _heads(attn: Any, x: Tensor) -> Tensor:
        return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


class JointNetwork(nn.Module):
    """eps of groups of frames; for ImageDream with the Resampler of its picture's features.

    `frames`: views denoised jointly, the picture's own among them.
    """

    unet: Any

    def __init__(self, config: dict[str, Any], frames: int, features: int = 0) -> None:
        """`config`: the U-Net's, in its authors' words. `features`: width of the vision tower's tokens; 0: no picture."""
        super().__init__()
        self.frames = frames
        self.unet = UNet2DConditionModel(**stock_unet(config))
        self.resampler: nn.Module | None = None
        context, tokens = config["context_dim"], config.get("ip_dim", 0)
        if features:
            self.resampler = IPAdapterPlusImageProjection(
                embed_dims=features,
                output_dims=context,
                hidden_dims=context,
                num_queries=tokens,
                **RESAMPLER,
            )
        processors: dict[str, Any] = {}
        for name in self.unet.attn_processors:
            if name.endswith("attn1.processor"):
                processors[name] = JoinedViews(frames)
            elif features:
                width = self.unet.get_submodule(name.removesuffix(".processor")).to_q.out_features
                processors[name] = TextAndPicture(width, context, tokens)
            else:
                processors[name] = AttnProcessor2_0()
        self.unet.set_attn_processor(processors)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(
        self, latent: Tensor, t: Tensor, context: Tensor, camera: Tensor, unet: nn.Module | None = None
    ) -> Tensor:
        """eps (N, 4, h, w) of latents (N, 4, h, w) at timesteps (N,), contexts (N, L, C), cameras (N, 16).

        N is a multiple of `frames`; the frames of a group stand together. `unet`: asked in place of its own.
        """
        inputs = [x.to(self.dtype) for x in (latent, context, camera)]
        out: Tensor = (unet or self.unet)(inputs[0], t, encoder_hidden_states=inputs[1], class_labels=inputs[2]).sample
        return out.to(latent.dtype)

    def picture_tokens(self, features: Tensor) -> Tensor:
        """(1, n, features) of the vision tower -> (1, tokens, C), the context's last."""
        assert self.resampler is not None, "MVDream's network reads no picture"
        tokens: Tensor = self.resampler(features.to(self.dtype))
        return tokens.to(features.dtype)
