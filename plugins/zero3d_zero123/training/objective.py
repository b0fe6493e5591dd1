"""The published training objective: eps prediction on the target's latent, with conditioning dropout.

Sources: cvlab-columbia/zero123 (ldm/models/diffusion/ddpm.py, LatentDiffusion; configs/sd-objaverse-finetune-c_concat-256)
and arXiv 2303.11328, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.diffusion import broadcast, to_variance_preserving


@dataclass(frozen=True)
class Draws:
    """The random numbers of B targets: timestep t (B,), noise of the latent and of the target's posterior (B, 4, h, w),
    and r (B,), uniform in [0, 1), which decides what of the condition is dropped."""

    t: Tensor
    noise: Tensor
    posterior: Tensor
    r: Tensor

    def to(self, device: torch.device) -> Draws:
        return Draws(*(value.to(device) for value in (self.t, self.noise, self.posterior, self.r)))


def draw(seeds: Tensor, timesteps: int, shape: tuple[int, int, int]) -> Draws:
    """Each target's from its own seed (B,), so that they do not depend on how a batch is shared out; t uniform."""
    ts, noises, posteriors, rs = [], [], [], []
    for seed in seeds.tolist():
        generator = torch.Generator().manual_seed(int(seed))
        ts.append(torch.randint(timesteps, (), generator=generator))
        rs.append(torch.rand((), generator=generator))
        noises.append(torch.randn(shape, generator=generator))
        posteriors.append(torch.randn(shape, generator=generator))
    return Draws(torch.stack(ts), torch.stack(noises), torch.stack(posteriors), torch.stack(rs))


def kept(r: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Which of B targets keep CLIP's embedding, and which the concatenated latent: 1 or 0, (B,) each.

    With share p: r in [0, p) drops the embedding alone, [p, 2p) both, [2p, 3p) the latent alone. The pose is never dropped:
    the embedding's zeros go through cc_projection together with it (inference, other than that, has a token of zeros).
    """
    embedding = r >= 2 * share
    latent = (r < share) | (r >= 3 * share)
    return embedding.to(r), latent.to(r)


def noised_latent(x0: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise, (B, 4, h, w), with alpha_bar = 1 / (1 + sigma^2)."""
    return to_variance_preserving(x0 + broadcast(sigma, x0) * noise, sigma)


def eps_loss(predicted: Tensor, noise: Tensor) -> Tensor:
    """The mean squared error, every t alike."""
    return functional.mse_loss(predicted.float(), noise)
