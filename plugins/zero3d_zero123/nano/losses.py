"""What nano's networks are fitted to.

The networks run in the precision of the autocast that a loss is called under (a trainer's `mixed_precision`; float32 where
there is none), all else in float32 always.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.diffusion import broadcast
from zero3d.geometry import rays
from zero3d.interfaces import TrainingBatch
from zero3d_zero123.nano.draw import draw_rays, draw_views
from zero3d_zero123.nano.lift import BOX, Lift, Lifted, lift_both_ways, repeat_cameras
from zero3d_zero123.nano.unet import UNet, output_scale
from zero3d_zero123.pose import relative_pose

RAYS = 256
"""Rays a target view lends to the picture loss."""
RAY_SAMPLES = 40
"""Samples along each of them."""
SOLID_WEIGHT, RGB_WEIGHT, ALPHA_WEIGHT = 6.0, 20.0, 4.0
"""Of the lift's three losses."""
NOISES = 3
"""Noise levels that one target picture and its drawing serve at once."""
SKEW = 0.67
"""Timesteps are t = T u^SKEW, u uniform: somewhat more of the high noise levels that distillation asks for."""
WRONG = 0.1
"""Largest amplitude of the smooth errors laid into noised pictures, so that the sampler's own early errors are mended
instead of believed (after input perturbation, Ning et al. 2023, arXiv 2301.11706; theirs is white noise)."""
NULL_SHARE = 0.12
"""Of the denoiser's examples, trained without condition, for classifier-free guidance."""


def on_white(rgba: Tensor) -> Tensor:
    """(..., 4) straight alpha -> (..., 3) over white."""
    return rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:])


def lift_input(rgba: Tensor) -> Tensor:
    """(B, H, W, 4) straight alpha -> (B, 4, H, W): colours on white, alpha."""
    return torch.cat([on_white(rgba), rgba[..., 3:]], dim=-1).permute(0, 3, 1, 2).contiguous()


def jittered(rgba: Tensor, generator: torch.Generator) -> Tensor:
    """What a photograph does to colours: brightness, contrast, a tint and noise; the alpha stays."""
    objects = rgba.shape[0]
    contrast = 1 + 0.3 * (_uniform(generator, objects, 1, 1, 1) - 0.5)
    brightness = 0.16 * (_uniform(generator, objects, 1, 1, 1) - 0.5)
    tint = 0.06 * (_uniform(generator, objects, 1, 1, 3) - 0.5)
    noise = 0.02 * _uniform(generator, objects, 1, 1, 1) * _normal(generator, *rgba[..., :3].shape)
    colour = (rgba[..., :3] - 0.5) * contrast.to(rgba) + 0.5 + (brightness + tint + noise).to(rgba)
    return torch.cat([colour.clamp(0, 1), rgba[..., 3:]], dim=-1)


def lift_loss(
    lift: Lift, batch: TrainingBatch, generator: torch.Generator, pixels: Tensor | None = None
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the solid in the frustum's cells, and pictures drawn along random rays of the targets.

    `pixels`: see `ray_loss`.
    """
    lifted = lift(lift_input(jittered(batch.input_rgba, generator)), batch.input_cameras)
    with torch.autocast(batch.input_rgba.device.type, enabled=False):
        solid, figures = solid_loss(lifted, batch)
        rgb, alpha = ray_loss(lifted, batch, generator, pixels)
    loss = solid + RGB_WEIGHT * rgb + ALPHA_WEIGHT * alpha
    return loss, {**figures, "solid": float(solid.detach()), "rgb": float(rgb.detach()), "alpha": float(alpha.detach())}


def solid_loss(lifted: Lifted, batch: TrainingBatch) -> tuple[Tensor, dict[str, float]]:
    """Binary cross-entropy of every cell against the known occupancy, which is kept on the volume's own grid."""
    assert batch.occupancy is not None
    logits = lifted.volume[:, 0]
    assert batch.extent == BOX
    assert batch.occupancy.shape == logits.shape
    truth = batch.occupancy.permute(0, 3, 2, 1)
    loss = functional.binary_cross_entropy_with_logits(logits, truth.to(logits))
    with torch.no_grad():
        guess, truth = logits > 0, truth > 0.5
        iou = (guess & truth).sum((1, 2, 3)) / (guess | truth).sum((1, 2, 3)).clamp(min=1)
    return SOLID_WEIGHT * loss, {"iou": float(iou.mean())}


def ray_loss(
    lifted: Lifted, batch: TrainingBatch, generator: torch.Generator, pixels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Squared errors of colour and opacity along RAYS random rays of each target view.

    `pixels` (B * T, N): the targets hold these alone, numbered row by row in their cameras' pictures; all are drawn.
    """
    objects = batch.input_rgba.shape[0]
    origins, directions = (part.flatten(1, 2) for part in rays(batch.target_cameras))
    views, count = origins.shape[:2]
    rows, targets = torch.arange(views, device=origins.device)[:, None], batch.target_rgba.flatten(1, 2)
    if pixels is None:
        chosen = (_uniform(generator, views, RAYS) * count).long().clamp(max=count - 1).to(origins.device)
        truth = targets[rows, chosen].reshape(objects, -1, 4)
    else:
        chosen, truth = pixels, targets.reshape(objects, -1, 4)
    colour, opacity, _ = draw_rays(
        lifted,
        origins[rows, chosen].reshape(objects, -1, 3),
        directions[rows, chosen].reshape(objects, -1, 3),
        batch.target_cameras.distance[:, None].expand(-1, chosen.shape[1]).reshape(objects, -1),
        RAY_SAMPLES,
    )
    return functional.mse_loss(colour, on_white(truth)), functional.mse_loss(opacity, truth[..., 3:])


def denoiser_loss(
    lift: Lift, unet: UNet, sigmas: Tensor, batch: TrainingBatch, generator: torch.Generator
) -> tuple[Tensor, dict[str, float]]:
    """Denoising score matching on the targets, each at NOISES levels; the lift is frozen.

    A share NULL_SHARE is trained without condition.
    """
    device = batch.input_rgba.device
    views = len(batch.target_cameras)
    per_object = views // len(batch.input_cameras)
    exactly = partial(torch.autocast, device.type, enabled=False)
    with torch.no_grad():
        lifted = lift_both_ways(lift, lift_input(jittered(batch.input_rgba, generator)), batch.input_cameras)
    with torch.no_grad(), exactly():
        drawn = draw_views(lifted, batch.target_cameras)
        pose = relative_pose(batch.target_cameras, repeat_cameras(batch.input_cameras, per_object))
        context = lifted.tokens.float().repeat_interleave(per_object, 0)
        x0 = on_white(batch.target_rgba).permute(0, 3, 1, 2)
        x0, drawn, pose, context = (part.repeat_interleave(NOISES, 0) for part in (x0, drawn, pose, context))
        t = _uniform(generator, views * NOISES) ** SKEW * (len(sigmas) - 1)
        sigma = sigmas.to(t.device)[t.round().long()].to(device)
        keep = (_uniform(generator, views * NOISES) >= NULL_SHARE).float().to(device)
        noise = _normal(generator, *x0.shape).to(device)
        noised = smoothly_wrong(x0, generator) + broadcast(sigma, x0) * noise
    guess = unet(noised, sigma, drawn, pose, context, keep)
    with exactly():
        error = (guess - x0).square().mean(dim=(1, 2, 3))
        scaled = error / output_scale(sigma, keep) ** 2
        loss = scaled.mean()
    with torch.no_grad():
        plain = (drawn[:, :3] - x0).square().mean(dim=(1, 2, 3))
        figures = {
            "scaled": float(scaled[keep > 0].mean()),
            "null": float(scaled[keep == 0].mean()) if (keep == 0).any() else 0.0,
            "mse": float(error[keep > 0].mean()),
            "mse_drawing": float(plain[keep > 0].mean()),
        }
    return loss, figures


def smoothly_wrong(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """(B, C, H, W) with errors of 8x8 knots laid over them, each picture's of another amplitude up to WRONG."""
    batch, channels, height, width = pictures.shape
    knots = _normal(generator, batch, channels, 8, 8)
    amplitude = WRONG * _uniform(generator, batch, 1, 1, 1)
    smooth = amplitude * functional.interpolate(knots, (height, width), mode="bilinear", align_corners=False)
    return pictures + smooth.to(pictures)


def _uniform(generator: torch.Generator, *shape: int) -> Tensor:
    """In [0, 1), on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator, device=generator.device)
