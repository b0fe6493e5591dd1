"""The model of a signed distance around a point cloud."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from zero3d_point_e.network.blocks import CrossBlocks, SelfBlocks


@dataclass(frozen=True)
class DistanceSize:
    """Of the network."""

    width: int = 256
    encoder_layers: int = 8
    encoder_heads: int = 4
    decoder_layers: int = 4
    decoder_heads: int = 4


class DistanceNetwork(nn.Module):
    """Points (B, P, 3) of a surface in the unit cube -> a signed distance at any query, above 0 inside."""

    def __init__(self, size: DistanceSize) -> None:
        super().__init__()
        width = size.width
        self.encoder_input_proj = nn.Linear(3, width)
        self.encoder = SelfBlocks(width, size.encoder_heads, size.encoder_layers)
        self.decoder_input_proj = nn.Linear(3, width)
        self.decoder = CrossBlocks(width, size.decoder_heads, size.decoder_layers)
        self.ln_post = nn.LayerNorm(width)
        self.output_proj = nn.Linear(width, 1)

    def encode(self, points: Tensor) -> Tensor:
        """(B, P, W)."""
        out: Tensor = self.encoder(self.encoder_input_proj(points.to(self.output_proj.weight.dtype)))
        return out

    def distance(self, queries: Tensor, latents: Tensor) -> Tensor:
        """(B, Q) at queries (B, Q, 3), each independent of the others."""
        out = self.decoder(self.decoder_input_proj(queries.to(latents.dtype)), latents)
        found: Tensor = self.output_proj(self.ln_post(out))[..., 0]
        return found.to(queries.dtype)
