"""The estimate of a loaded denoiser: its four views of a picture, drawn and matched."""

from __future__ import annotations

import torch
from torch import Tensor

from zero3d.diffusion import ddim
from zero3d.geometry import orbit
from zero3d.interfaces import Denoiser, Teacher
from zero3d.values import ElevationEstimate, Picture, Subject
from zero3d_zero123.one2345.matches import tracks_of
from zero3d_zero123.one2345.search import MOVES_DEG, beside, best_elevation

STEPS, GUIDANCE_SCALE, ETA = 75, 3.0, 1.0
"""The code's sampler: DDIM, with as much fresh noise as DDPM."""
ASSUMED_DEG = 20.0
"""Any: a denoiser that only knows how far its camera moves draws the same from any."""
COST = f"one2345 draws {len(MOVES_DEG)} views of the picture in {STEPS} steps, each twice for the guidance"


def estimate(denoiser: Denoiser, picture: Picture, device: torch.device) -> ElevationEstimate | None:
    """How far the picture's camera looks down, the same each time; None: the views have too few points in common."""
    views = draw_beside(denoiser, picture, device)
    return best_elevation(tracks_of(views.float().cpu().numpy()))


@torch.no_grad()
def draw_beside(denoiser: Denoiser, picture: Picture, device: torch.device) -> Tensor:
    """(4, H, H, 3): the views of MOVES_DEG, about [0, 1]."""
    size = denoiser.picture_resolution
    subject = Subject.of(picture, orbit(ASSUMED_DEG, 0.0, size)).to(device)
    teacher = Teacher(denoiser, denoiser.condition(subject), subject)
    cameras = beside(ASSUMED_DEG, denoiser.resolution).to(device)
    generator = torch.Generator().manual_seed(0)

    def noise() -> Tensor:
        shape = (len(cameras), denoiser.resolution, denoiser.resolution, denoiser.channels)
        return torch.randn(shape, generator=generator).to(device)

    def x0_of(noised: Tensor, sigma: Tensor) -> Tensor:
        return teacher.denoise(noised, sigma.expand(len(noised)), cameras, GUIDANCE_SCALE)

    steps = torch.linspace(len(denoiser.sigmas) - 1, 0, STEPS + 1).round().long()[:-1]
    levels = torch.cat([denoiser.sigmas[steps], torch.zeros(1)]).to(device)
    return denoiser.decode(ddim(x0_of, denoiser.centre + levels[0] * noise(), levels, ETA, noise))
