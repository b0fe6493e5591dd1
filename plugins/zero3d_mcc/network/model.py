"""MCC: a picture and its points are encoded once; then any place in space is asked whether it is occupied, and its colour.

(arXiv 2301.08247.) Written from the tensors' names and the method's description alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d_mcc.network.blocks import EPS, Block, KeysValues

RGB_SIDE, XYZ_SIDE = 224, 112
"""Pixels of the picture and of the point map."""
PATCH, WINDOW = 16, 8
"""Of the picture and of the point map: both give 14 x 14 tokens."""
TOKENS = (RGB_SIDE // PATCH) ** 2
NEAR = 10.0
"""Points further from the middle are drawn in, to twice that at most."""
BINS = 256
"""Of a colour's channel."""
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Size:
    """Widths, layers and heads; `regress_color`: three numbers in place of 3 x 256 bins of colour."""

    width: int = 768
    layers: int = 12
    heads: int = 12
    decoder_width: int = 512
    decoder_layers: int = 8
    decoder_heads: int = 16
    regress_color: bool = False


class PatchEmbed(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.as_tensor(self.proj(rgb)).flatten(2).mT


class PointEmbed(nn.Module):
    """Places (..., 3) to features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Linear(3, width)


class WindowEmbed(PointEmbed):
    """The point map in 14 x 14 windows of 8 x 8 pixels, each summed up by its class token."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width)
        self.two_d_pos_embed = nn.Parameter(torch.empty(1, WINDOW**2 + 1, width))
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.invalid_xyz_token = nn.Parameter(torch.empty(width))
        self.blocks = nn.ModuleList([Block(width, heads, 2)])

    def forward(self, xyz: Tensor, valid: Tensor) -> Tensor:
        """(B, 112, 112, 3), (B, 112, 112) bool -> (B, 196, W)."""
        batch, across = len(xyz), XYZ_SIDE // WINDOW
        each = self.pos_embed(torch.where(valid[..., None], xyz, 0))
        each = torch.where(valid[..., None], each, self.invalid_xyz_token)
        windows = each.unflatten(1, (across, WINDOW)).unflatten(3, (across, WINDOW)).transpose(2, 3)
        tokens = windows.reshape(batch * TOKENS, WINDOW**2, -1) + self.two_d_pos_embed[:, 1:]
        first = (self.cls_token + self.two_d_pos_embed[:, :1]).expand(len(tokens), -1, -1)
        return torch.as_tensor(self.blocks[0](torch.cat([first, tokens], dim=1)))[:, 0].unflatten(0, (batch, TOKENS))


class Mcc(nn.Module):
    """`encode` once, then `ask` as often as wanted."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        width, narrow = size.width, size.decoder_width
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.cls_token_xyz = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, TOKENS + 1, width))
        self.decoder_pos_embed = nn.Parameter(torch.empty(1, TOKENS + 1, narrow))
        self.patch_embed = PatchEmbed(width)
        self.xyz_pos_embed = WindowEmbed(width, size.heads)
        self.blocks = nn.ModuleList(Block(width, size.heads) for _ in range(size.layers))
        self.blocks_xyz = nn.ModuleList(Block(width, size.heads) for _ in range(size.layers))
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.norm_xyz = nn.LayerNorm(width, eps=EPS)
        self.decoder_embed = nn.Linear(2 * width, narrow)
        self.decoder_xyz_pos_embed = PointEmbed(narrow)
        self.decoder_blocks = nn.ModuleList(Block(narrow, size.decoder_heads) for _ in range(size.decoder_layers))
        self.decoder_norm = nn.LayerNorm(narrow, eps=EPS)
        self.decoder_pred = nn.Linear(narrow, 4 if size.regress_color else 1 + 3 * BINS)

    def tokens(self, rgb: Tensor, xyz: Tensor, valid: Tensor) -> Tensor:
        """Both encoders' tokens side by side, (B, 197, 2 W); arguments as `encode`'s."""
        patches = self.patch_embed(rgb) + self.pos_embed[:, 1:]
        seen = torch.cat([(self.cls_token + self.pos_embed[:, :1]).expand(len(rgb), -1, -1), patches], dim=1)
        places = self.xyz_pos_embed(shrunk(xyz).to(rgb), valid)
        placed = torch.cat([self.cls_token_xyz.expand(len(rgb), -1, -1), places], dim=1)
        for block, block_xyz in zip(self.blocks, self.blocks_xyz, strict=True):
            seen, placed = block(seen), block_xyz(placed)
        return torch.cat([self.norm(seen), self.norm_xyz(placed)], dim=-1)

    def decoder_in(self, tokens: Tensor) -> Tensor:
        """(B, 197, 2 W) -> (B, 197, decoder_width)."""
        return torch.as_tensor(self.decoder_embed(tokens) + self.decoder_pos_embed)

    def encode(self, rgb: Tensor, xyz: Tensor, valid: Tensor) -> list[KeysValues]:
        """What every query attends to, block by block.

        rgb (B, 3, 224, 224) from `network_rgb`; xyz (B, 112, 112, 3), normalised; valid (B, 112, 112): where xyz is known.
        """
        x, seen = self.decoder_in(self.tokens(rgb, xyz, valid)), []
        for block in self.decoder_blocks:
            x, known = block.known(x)  # type: ignore[operator]
            seen.append(known)
        return seen

    def ask(self, points: Tensor, seen: list[KeysValues]) -> Tensor:
        """(B, Q, 3), normalised as xyz -> (B, Q, 769 or 4): logit of being occupied, then logits of the colours' bins, or
        the colours. Each query is independent of the others."""
        x = self.decoder_xyz_pos_embed.pos_embed(shrunk(points).to(seen[0].keys))
        for block, known in zip(self.decoder_blocks, seen, strict=True):
            x = block.ask(x, known)  # type: ignore[operator]
        return torch.as_tensor(self.decoder_pred(self.decoder_norm(x))).float()


def shrunk(points: Tensor) -> Tensor:
    """(..., 3): those further than NEAR from the middle drawn in; what is not finite is left as it is."""
    length = torch.linalg.vector_norm(points, dim=-1, keepdim=True)
    drawn = points * (NEAR * (2 - NEAR / length) / length)
    return torch.where((length > NEAR) & length.isfinite(), drawn, points)


def network_rgb(rgb: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] -> (B, 3, 224, 224) as the network takes it: bilinear without averaging, ImageNet's scale."""
    small = functional.interpolate(rgb, (RGB_SIDE, RGB_SIDE), mode="bilinear", align_corners=False)
    mean, std = (rgb.new_tensor(values)[:, None, None] for values in (MEAN, STD))
    return (small - mean) / std


def colours(answers: Tensor, temperature: float) -> Tensor:
    """(..., 3) in [0, 1] of `ask`'s answers: each channel's expectation after softmax(logits / temperature)."""
    if answers.shape[-1] == 4:
        return answers[..., 1:].clamp(0, 1)
    share = (answers[..., 1:].unflatten(-1, (3, BINS)) / temperature).softmax(dim=-1)
    return share @ torch.linspace(0, 1, BINS).to(share)
