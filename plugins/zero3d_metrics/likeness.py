"""How alike an encoder, such as CLIP, finds what is drawn and what is true, or what was asked for in words."""

from __future__ import annotations

import torch
from torch import Tensor

from zero3d.evaluation import make_encoder
from zero3d.registry import Registry


class Likeness:
    """Cosines of an encoder's vectors, each in [-1, 1]. `name`: the encoder's."""

    def __init__(self, said: str, prompt: str | None, registry: Registry) -> None:
        """`said`: TYPE:WEIGHTS, a registered encoder and its option `weights`. `prompt`: words to compare with, or None.

        Raises:
            UserError: there is no such encoder, its weights cannot be read, or it reads no pictures or words.
        """
        self.name = said.partition(":")[0]
        reads = {"picture", *(["prompt"] if prompt else [])}
        self._encoder = make_encoder(registry, said, "eval", "--encoder", reads)
        self._words = self._encoder.encode_texts([prompt]) if prompt else None

    @torch.no_grad()
    def __call__(self, image: Tensor, truth: Tensor) -> dict[str, float]:
        """Of a view (1, H, W, 3) in [0, 1]: "NAME_similarity" to the true one, and "NAME_prompt_similarity" to the words."""
        drawn, true = (self._encoder.encode_pictures(picture) for picture in (image, truth))
        found = {f"{self.name}_similarity": float((drawn * true).sum())}
        if self._words is not None:
            found[f"{self.name}_prompt_similarity"] = float((drawn @ self._words.T).mean())
        return found
