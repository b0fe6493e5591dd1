"""nano on objects it has never seen: full sampler runs against the true pictures, beside what needs no network.

    python benchmarks/nano.py [--objects 200] [--steps 12] [--scale 1.0] [--temperature T] [--weights FILE] [--json FILE]

A sample at temperature 1 has twice the mean's error, however good the network; nano's default is lower.

Each of the objects (seeds from 1,000,000 on; training uses smaller ones) gives one input picture and 8 targets. Figures
are means over pictures of PSNR and of the silhouette's IoU; the time of one guided evaluation stands below them.
Exits 1 unless the sampler beats copying the input by 5 dB.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from zero3d.diffusion import ddim_step
from zero3d.geometry import orbit
from zero3d.interfaces import TrainingBatch
from zero3d.values import Cameras, Picture, Subject
from zero3d_procedural.dataset import ProceduralConfig, ProceduralObjects
from zero3d_zero123.nano.denoiser import TEMPERATURE, NanoCondition, NanoDenoiser
from zero3d_zero123.nano.losses import on_white
from zero3d_zero123.nano.weights import EMBEDDED

FIRST_SEED = 1_000_000
TARGETS = 8
GATE_DB = 5.0
OFF_WHITE = 0.1
"""A pixel whose darkest channel is this far from white belongs to a generated picture's object."""


def sample(
    denoiser: NanoDenoiser, condition: NanoCondition, cameras: Cameras, steps: int, scale: float, seed: int
) -> Tensor:
    """DDIM with eta 0 from pure noise, over `steps` timesteps evenly spaced from the last to 0; (B, 64, 64, 3).

    The last noise level still shows a trace of the picture, so the noise is laid over the lift's drawing, not over white.
    """
    generator = torch.Generator().manual_seed(seed)
    last = len(denoiser.sigmas) - 1
    sigmas = denoiser.sigmas[torch.linspace(last, 0, steps).round().long()]
    noise = torch.randn(1, 64, 64, 3, generator=generator).expand(len(cameras), -1, -1, -1)
    x = denoiser.drawing(condition, cameras) + sigmas[0] * noise
    for index, sigma in enumerate(sigmas):
        x0 = denoiser.denoise(x, sigma.expand(len(cameras)), condition, cameras, scale)
        following = sigmas[index + 1] if index + 1 < steps else torch.zeros(())
        x = ddim_step(x, x0, sigma, following, 0.0, torch.zeros_like(x))
    return x.clamp(0, 1)


def one_step(denoiser: NanoDenoiser, condition: NanoCondition, cameras: Cameras, scale: float) -> Tensor:
    """D at the highest noise level: the mean of what could be seen."""
    sigma = denoiser.sigmas[-1].expand(len(cameras))
    noise = torch.randn(len(cameras), 64, 64, 3, generator=torch.Generator().manual_seed(0))
    return denoiser.denoise(
        denoiser.drawing(condition, cameras) + sigma[0] * noise, sigma, condition, cameras, scale
    ).clamp(0, 1)


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """(B,) dB."""
    return -10 * torch.log10((image - truth).square().mean(dim=(1, 2, 3)).clamp(min=1e-10))


def silhouette_iou(image: Tensor, opacity: Tensor) -> Tensor:
    """(B,) of what is not white against the true opacity."""
    guess, fact = (1 - image).amax(dim=-1) > OFF_WHITE, opacity[..., 0] > 0.5
    return (guess & fact).sum(dim=(1, 2)) / (guess | fact).sum(dim=(1, 2)).clamp(min=1)


def evaluate(denoiser: NanoDenoiser, dataset: ProceduralObjects, objects: int, steps: int, scale: float) -> dict:
    """Label -> {psnr, iou} over objects * TARGETS pictures."""
    everything = [_example(dataset, row) for row in range(objects)]
    mean_picture = torch.stack([on_white(b.target_rgba).mean(dim=0) for b in everything]).mean(dim=0)
    found: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for number, batch in enumerate(everything):
        truth, opacity = on_white(batch.target_rgba), batch.target_rgba[..., 3:]
        seen = on_white(batch.input_rgba)[0]
        cameras = batch.target_cameras
        condition = _condition(denoiser, batch)
        pictures = {
            "sampler": sample(denoiser, condition, cameras, steps, scale, seed=0),
            "one step": one_step(denoiser, condition, cameras, scale),
            "the lift's drawing": denoiser.drawing(condition, cameras).clamp(0, 1),
            "copied input": seen.expand_as(truth),
            "mean picture": mean_picture.expand_as(truth),
            "true, shuffled pose": truth.roll(1, dims=0),
        }
        for label, image in pictures.items():
            found.setdefault(label, []).append((psnr(image, truth), silhouette_iou(image, opacity)))
        if number % 20 == 19:
            print(f"{number + 1} of {objects} objects", file=sys.stderr, flush=True)
    return {
        label: {
            "psnr": float(torch.cat([p for p, _ in pairs]).mean()),
            "iou": float(torch.cat([i for _, i in pairs]).mean()),
        }
        for label, pairs in found.items()
    }


def guided_ms(denoiser: NanoDenoiser, condition: NanoCondition, evaluations: int = 30) -> float:
    """Median milliseconds of one guided evaluation of one view from a camera not drawn before.

    Both branches and the drawing of the lifted solid; the lifting itself, once a picture, is not in it.
    """
    sigma, noise = denoiser.sigmas[500:501], torch.randn(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    spent = []
    for number in range(evaluations):
        cameras = orbit(10.0, 12.0 * number, 64)
        before = time.perf_counter()
        denoiser.denoise(noise, sigma, condition, cameras, 3.0)
        spent.append(time.perf_counter() - before)
    return 1000 * median(spent)


def _example(dataset: ProceduralObjects, row: int) -> TrainingBatch:
    return dataset.examples([row], list(range(1 + TARGETS)))


def _condition(denoiser: NanoDenoiser, batch: TrainingBatch) -> NanoCondition:
    """What the input picture of the batch's one object says."""
    picture = Picture(on_white(batch.input_rgba)[0], batch.input_rgba[0, ..., 3:])
    return denoiser.condition(Subject.of(picture, batch.input_cameras))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--steps", type=int, default=12, help="sampler steps (DDIM)")
    parser.add_argument("--scale", type=float, default=1.0, help="guidance scale")
    parser.add_argument("--temperature", type=float, default=TEMPERATURE, help="of the pictures, 1 as in training")
    parser.add_argument("--weights", type=Path, default=EMBEDDED)
    parser.add_argument("--cache", type=Path, default=Path("runs/nano-held-out"), help="where the pictures are kept")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    config = ProceduralConfig(
        cache=str(arguments.cache), objects=200, first_seed=FIRST_SEED, variants=1, targets=TARGETS
    )
    dataset = ProceduralObjects(config)
    dataset.prepare()
    denoiser = NanoDenoiser(None, arguments.weights)
    denoiser.load(torch.device("cpu"))
    denoiser.temperature = arguments.temperature
    started = time.monotonic()
    scores = evaluate(denoiser, dataset, min(arguments.objects, config.objects), arguments.steps, arguments.scale)
    seconds = time.monotonic() - started
    speed = guided_ms(denoiser, _condition(denoiser, _example(dataset, 0)))
    gain = scores["sampler"]["psnr"] - scores["copied input"]["psnr"]
    report = {
        "objects": arguments.objects,
        "targets": TARGETS,
        "sampler": f"DDIM, {arguments.steps} steps, guidance scale {arguments.scale:g}, "
        f"temperature {arguments.temperature:g}, seed 0",
        "scores": scores,
        "gain_db": gain,
        "seconds": seconds,
        "guided_ms": speed,
        "threads": torch.get_num_threads(),
    }
    for label, row in scores.items():
        print(f"{label:22s} PSNR {row['psnr']:6.2f} dB   silhouette IoU {row['iou']:.3f}")
    print(f"one guided evaluation  {speed:.0f} ms on {torch.get_num_threads()} threads")
    print(json.dumps(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(
        f"gate {'passed' if gain >= GATE_DB else 'MISSED'}: {gain:+.2f} dB over the copied input (at least {GATE_DB})"
    )
    return 0 if gain >= GATE_DB else 1


if __name__ == "__main__":
    sys.exit(main())
