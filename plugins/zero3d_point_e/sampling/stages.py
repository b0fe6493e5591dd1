"""The two stages: a coarse cloud from a picture or words, then the points between."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zero3d_point_e.network.points import BIASES, CHANNELS, SCALES, PointNetwork
from zero3d_point_e.sampling.karras import Denoise, Plan, sample


def to_raw(x: Tensor) -> Tensor:
    """(B, 6, N) in model units -> coordinates in the unit cube and colours 0 to 255; neither is clamped."""
    scales, biases = (x.new_tensor(values)[:, None] for values in (SCALES, BIASES))
    return (x - biases) / scales


def stage(
    network: PointNetwork,
    plan: Plan,
    features: Tensor | None,
    generator: torch.Generator,
    low: Tensor | None = None,
    after: Callable[[], None] = lambda: None,
) -> Tensor:
    """A stage's points (1, 6, N), raw units.

    Args:
        features: what `PointNetwork.condition_tokens` takes; None where nothing is shown: zeros stand for it.
        generator: a CPU generator, of which all noise is drawn.
        low: the coarse cloud, (1, 6, M), raw units.
        after: called after each of the 2 * steps - 1 calls of the network.
    """
    weight = network.input_proj.weight
    if features is None and hasattr(network, "clip_embed"):
        features = weight.new_zeros(1, network.size.features, *([256] if network.size.condition == "grid" else []))
    tokens = [network.condition_tokens(features, low)]
    if plan.guides:
        blank = None if features is None else torch.zeros_like(features)
        tokens.append(network.condition_tokens(blank, None if low is None else torch.zeros_like(low)))
    condition = torch.cat(tokens)

    def predict(x: Tensor, t: int) -> Tensor:
        both = len(condition)
        out: Tensor = network(x.expand(both, -1, -1), torch.full((both,), t, device=x.device), condition)
        after()
        return out[:, :CHANNELS]

    def draw() -> Tensor:
        return torch.randn(1, CHANNELS, network.size.points, generator=generator).to(weight.device)

    return to_raw(sample(Denoise(predict, plan), plan, draw))
