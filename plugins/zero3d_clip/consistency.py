"""DietNeRF: from anywhere, the object must mean what the pictures show."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import Encoder, Regularizer
from zero3d.values import LossContext, PosedPicture


class ClipConsistency(Regularizer):
    """1 - cosine of a view's vector and that of one of the pictures, drawn anew in each step by their weights.

    DietNeRF (Jain et al. 2021, arXiv 2104.00677, and ajayjain/DietNeRF): every 10th step with weight 0.1, on CLIP
    ViT-B/32's class token before its last norm: `encoder: {type: clip, layer: last_hidden}`. 1 - cos has the gradient of
    their -cos and is 0 where view and picture are one.
    """

    name: ClassVar[str] = "clip_consistency"
    needs: ClassVar[frozenset[str]] = frozenset({"rgb"})
    reads: ClassVar[frozenset[str]] = frozenset({"picture"})
    uses = frozenset({"pictures"})
    asks: ClassVar[str | None] = "encoder"
    default_weight: ClassVar[float] = 0.1
    default_every: ClassVar[int] = 10

    def __init__(self, config: Any, encoder: Encoder | None = None) -> None:
        super().__init__(config, encoder)
        self._vectors: dict[str, tuple[Tensor, Tensor]] = {}

    def penalty(self, context: LossContext) -> Tensor:
        assert self.encoder
        pictures = context.subject.pictures
        weights = torch.tensor([posed.weight for posed in pictures])
        drawn = int(torch.multinomial(weights, 1, generator=context.step.generator("picture")))
        vectors = self.encoder.encode_pictures(context.decode(context.view.image))
        return 1 - (vectors @ self._vector(pictures[drawn]).to(vectors)).mean()

    def _vector(self, posed: PosedPicture) -> Tensor:
        """(D,) of a picture, read once."""
        assert self.encoder
        rgb = posed.picture.rgb
        known = self._vectors.get(posed.label)
        if known is None or known[0] is not rgb:
            with torch.no_grad():
                known = self._vectors[posed.label] = (rgb, self.encoder.encode_pictures(rgb[None])[0])
        return known[1]
