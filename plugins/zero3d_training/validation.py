"""What the network draws of objects it was not trained on, beside the truth: a picture, PSNR and SSIM."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy
import torch
from torch import Tensor

from zero3d.diffusion import ddim_step
from zero3d.files import replacing
from zero3d.interfaces import Denoiser, TrainingBatch
from zero3d.random import Generators
from zero3d.values import Cameras, Picture, Subject
from zero3d_training.options import ValidationOptions

FOLDER = "validation"


@torch.no_grad()
def validate(
    denoiser: Denoiser, batch: TrainingBatch, options: ValidationOptions, seed: int, path: Path
) -> dict[str, float]:
    """Draw every target of `batch` and write `path`: a row an object, its input, then truth and drawing of each target.

    The starting noise depends on `seed` and the target alone, so that two validations can be compared.

    Returns:
        psnr (dB), ssim, and of the input in the target's place: copy_psnr, copy_ssim; means over targets.
    """
    targets = len(batch.target_cameras) // len(batch)
    rows, scores = [], []
    for index in range(len(batch)):
        shown, own = on_white(batch.input_rgba[index]), slice(index * targets, (index + 1) * targets)
        picture = Picture(shown, batch.input_rgba[index, ..., 3:])
        side = denoiser.picture_resolution
        condition = denoiser.condition(Subject.of(picture.resized(side, side), batch.input_cameras[index : index + 1]))
        noise = Generators(seed)[f"validation.{index}"]
        latent = sample(denoiser, condition, batch.target_cameras[own], options, noise)
        truth = on_white(batch.target_rgba[own])
        drawn = resized(denoiser.decode(latent).float().clamp(0, 1), truth.shape[1])
        row = [shown]
        for view in range(targets):
            row += [truth[view], drawn[view]]
            scores.append([*score(drawn[view], truth[view]), *score(shown, truth[view])])
        rows.append(torch.cat(row, dim=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(torch.cat(rows), path)
    names = ("psnr", "ssim", "copy_psnr", "copy_ssim")
    return dict(zip(names, numpy.mean(scores, axis=0).tolist(), strict=True))


def sample(
    denoiser: Denoiser, condition: object, cameras: Cameras, options: ValidationOptions, generator: torch.Generator
) -> Tensor:
    """(B, h, w, C): DDIM without fresh noise over levels spread evenly in t, from the highest, whose noise hides all."""
    levels = torch.linspace(len(denoiser.sigmas) - 1, 0, options.steps + 1).round().long()
    sigmas = denoiser.sigmas[levels].to(cameras.camera_to_world)
    shape = (len(cameras), denoiser.resolution, denoiser.resolution, denoiser.channels)
    x = denoiser.centre + sigmas[0] * torch.randn(shape, generator=generator).to(sigmas)
    for sigma, following in pairwise(sigmas):
        x0 = denoiser.denoise(x, sigma.expand(len(x)), condition, cameras, options.guidance_scale)
        x = ddim_step(x, x0, sigma, following, 0.0, torch.zeros_like(x))
    return x0


def score(picture: Tensor, truth: Tensor) -> tuple[float, float]:
    """PSNR (dB, at most 100) and SSIM of two pictures (H, W, 3) in [0, 1]."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    one, other = (image.double().cpu().numpy() for image in (truth, picture))
    window = min(7, (min(one.shape[:2]) - 1) // 2 * 2 + 1)
    psnr = 100.0 if numpy.array_equal(one, other) else peak_signal_noise_ratio(one, other, data_range=1.0)
    ssim = structural_similarity(one, other, data_range=1.0, channel_axis=-1, win_size=window)
    return min(100.0, float(psnr)), float(ssim)


def on_white(rgba: Tensor) -> Tensor:
    """(..., 4) straight alpha -> (..., 3) over white."""
    return rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:])


def resized(images: Tensor, side: int) -> Tensor:
    """(B, H, W, 3) to another side, averaged down."""
    if images.shape[1] == side:
        return images
    planes = torch.nn.functional.interpolate(images.permute(0, 3, 1, 2), (side, side), mode="area")
    return planes.permute(0, 2, 3, 1)


def _write(image: Tensor, path: Path) -> None:
    from PIL import Image

    sheet = Image.fromarray((image.clamp(0, 1) * 255).round().byte().cpu().numpy())
    with replacing(path) as temporary:
        sheet.save(temporary, format="PNG")
