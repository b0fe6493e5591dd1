"""Makes the network that guesses a picture's elevation (zero3d_zero123/nano/elevation.py): its data, weights and figures.

    python tools/train_elevation.py render FOLDER --first-seed 100000 --objects 3000
    python tools/train_elevation.py render VAL --first-seed 900000 --objects 250
    python tools/train_elevation.py train FOLDER VAL --out elevation.safetensors
    python tools/train_elevation.py evaluate --objects 200
    python tools/train_elevation.py evaluate --meshes FILE ...

`render` may be stopped and begun again; several at once share its work by --worker and --workers. `evaluate` takes held-out
objects, or each mesh at three elevations and three azimuths. Seeds below 900,000 train, those from there on validate, those
from 1,000,000 on are held out. The shipped weights saw 18,000 views of seeds from 100,000 and from 200,000 on, with gaps
(what had been rendered by then), so that another training will not equal them to the digit. Rendering takes
6 ms of a core a view, the lift's features 10 ms.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy
import torch
from torch.nn import functional

from zero3d.files import replacing
from zero3d.geometry import DEFAULT_DISTANCE, orbit
from zero3d.mesh_views import MeshScene
from zero3d.picture import frame
from zero3d.values import Cameras
from zero3d_procedural.evaluation import HeldOut
from zero3d_procedural.families import make_object
from zero3d_procedural.rendering import fit_to_frame, random_light, straight_rgba
from zero3d_procedural.texture import random_texture
from zero3d_zero123.nano.elevation import (
    EMBEDDED,
    MIDDLE_DEG,
    TRAINED_DEG,
    UNIT_DEG,
    ElevationHead,
    embedded_lift,
    estimate,
    features,
    write,
)

CHUNK, VIEWS, SIZE = 125, 6, 64
"""Objects of a file, views of each, pixels of their sides."""


def render(folder: Path, first_seed: int, objects: int, worker: int, workers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(first_seed + worker * CHUNK, first_seed + objects, workers * CHUNK):
        path = folder / f"views-{first:07d}.npz"
        if not path.exists():
            rgba, elevation = zip(*(views_of(seed) for seed in range(first, first + CHUNK)), strict=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                numpy.savez(file, rgba=numpy.concatenate(rgba), elevation=numpy.concatenate(elevation))


def views_of(seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Object `seed` as `framing: fit` shows it: (VIEWS, SIZE, SIZE, 4) uint8, and the elevations, degrees."""
    mesh, rng = make_object(seed), numpy.random.default_rng([91, seed])
    scene, pictures, elevations = MeshScene(mesh), [], rng.uniform(*TRAINED_DEG, VIEWS)
    for elevation in elevations:
        pose = orbit(elevation, rng.uniform(0, 360), SIZE).camera_to_world[0].double().numpy()
        scale, shift = fit_to_frame(mesh.vertices, pose)
        pose[:3, 3] = (pose[:3, 3] - shift) / scale  # in place of the object: the picture is the same
        camera = Cameras(torch.from_numpy(pose[None].astype(numpy.float32)), SIZE, SIZE)
        view = scene.draw(camera, light=random_light(rng), texture=random_texture(rng))
        pictures.append(straight_rgba(view.image.numpy(), view.opacity.numpy())[0])
    return numpy.stack(pictures), elevations.astype(numpy.float32)


def load(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The lift's features of all views of a folder, found once and kept there, (N, FEATURES); and degrees (N,)."""
    lift, found, degrees = embedded_lift(), [], []
    for path in sorted(folder.glob("views-*.npz")):
        kept = path.with_suffix(".features.npy")
        with numpy.load(path, allow_pickle=False) as file:
            degrees.append(file["elevation"])
            if not kept.exists():
                planes = on_white(torch.from_numpy(file["rgba"]).permute(0, 3, 1, 2))
                made = torch.cat([features(lift, part) for part in planes.split(50)]).half().numpy()
                with replacing(kept) as temporary, temporary.open("wb") as out:
                    numpy.save(out, made)
        found.append(numpy.load(kept, allow_pickle=False))
    return torch.from_numpy(numpy.concatenate(found)), torch.from_numpy(numpy.concatenate(degrees))


def on_white(rgba: torch.Tensor) -> torch.Tensor:
    """Planes (N, 4, H, W) with straight alpha, uint8 -> colours on white, in [0, 1]."""
    planes = rgba.float() / 255
    return torch.cat([1 + (planes[:, :3] - 1) * planes[:, 3:], planes[:, 3:]], dim=1)


def train(folder: Path, val: Path, epochs: int, out: Path, batch: int, rate: float) -> None:
    torch.manual_seed(0)
    (seen, degrees), (shown, truth) = load(folder), load(val)
    head, steps = ElevationHead(), epochs * len(seen) // batch
    head.shift.copy_(seen.float().mean(dim=0))
    head.scale.copy_(1 / (seen.float().std(dim=0) + 1e-3))
    optimizer = torch.optim.AdamW(head.parameters(), rate, weight_decay=0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    began = time.monotonic()
    for step in range(steps):
        rows = torch.randint(len(seen), (batch,))
        loss = loss_of(head(seen[rows].float()), degrees[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % (steps // 4) == 0:
            off = calibrated(head.eval(), shown.float(), truth)
            print(
                f"step {step + 1} of {steps}, {len(seen)} views: validation error {off.mean():.2f} degrees (median "
                f"{off.median():.2f}), spread {float(head.spread):.2f}, {time.monotonic() - began:.0f} s",
                flush=True,
            )
            head.train()
    write(out, head)


def calibrated(head: ElevationHead, shown: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Errors of views from -10 to 60 degrees; `spread` is set so that 68 % lie within the standard deviation."""
    head.spread.fill_(1.0)
    mean, std = head.degrees(shown)
    off = (mean - truth).abs()
    head.spread.fill_(float((off / std).quantile(0.683)))
    return off[(truth >= -10) & (truth <= 60)]


def loss_of(found: torch.Tensor, degrees: torch.Tensor) -> torch.Tensor:
    """The error, and Laplace's negative log-likelihood of the uncertainty, which does not weigh the error."""
    wanted = (degrees - MIDDLE_DEG) / UNIT_DEG
    off = functional.smooth_l1_loss(found[:, 0], wanted, beta=0.2, reduction="none")
    log_std = found[:, 1].clamp(-4, 1)
    return (off + 0.3 * ((found[:, 0] - wanted).detach().abs() * torch.exp(-log_std) + log_std)).mean()


def evaluate(objects: int, first_seed: int, meshes: list[Path], weights: Path) -> None:
    """Through the run's own framing, from pictures of 256 pixels."""
    rows = []
    if meshes:
        from zero3d.mesh_files import load_mesh, normalise

        for path in meshes:
            mesh = normalise(load_mesh(path))
            scene = MeshScene(mesh)
            found = [
                (e, *said(scene, e, azimuth, weights), path.stem)
                for e in (0.0, 20.0, 45.0)
                for azimuth in (15.0, 135.0, 255.0)
            ]
            print(f"{path.stem}: mean error {numpy.mean([abs(row[0] - row[1]) for row in found]):.1f}")
            rows += found
    else:
        for seed in range(first_seed, first_seed + objects):
            rng = numpy.random.default_rng([5, seed])
            elevation = float(rng.uniform(-10, 60))
            look = {"light": random_light(rng), "texture": random_texture(rng)}
            scene = MeshScene(HeldOut(seed, 256).mesh())
            rows.append((elevation, *said(scene, elevation, 0.0, weights, **look), str(seed)))
    table = numpy.array([row[:3] for row in rows])
    off = abs(table[:, 0] - table[:, 1])
    print(
        f"{len(off)} pictures: mean error {off.mean():.2f} degrees, median {numpy.median(off):.2f}, 90 % within "
        f"{numpy.quantile(off, 0.9):.1f}; {100 * (off <= table[:, 2]).mean():.0f} % within the standard deviation said, "
        f"{100 * (off <= 2 * table[:, 2]).mean():.0f} % within two; always 20: {abs(table[:, 0] - 20).mean():.2f}"
    )


def said(scene: MeshScene, elevation: float, azimuth: float, weights: Path, **look: object) -> tuple[float, float]:
    view = scene.draw(orbit(elevation, azimuth, 256, DEFAULT_DISTANCE), **look)
    rgba = straight_rgba(view.image.numpy(), view.opacity.numpy())[0]
    found = estimate(frame(rgba, "fit", SIZE).picture, weights)
    return found.mean_deg, found.std_deg


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    way = ways.add_parser("render")
    way.add_argument("folder", type=Path)
    way.add_argument("--first-seed", type=int, default=100_000)
    way.add_argument("--objects", type=int, default=12_000)
    way.add_argument("--worker", type=int, default=0)
    way.add_argument("--workers", type=int, default=1)
    way = ways.add_parser("train")
    way.add_argument("folder", type=Path)
    way.add_argument("val", type=Path)
    way.add_argument("--epochs", type=int, default=12)
    way.add_argument("--batch", type=int, default=128)
    way.add_argument("--rate", type=float, default=1.5e-3)
    way.add_argument("--out", type=Path, default=EMBEDDED)
    way = ways.add_parser("evaluate")
    way.add_argument("--objects", type=int, default=200)
    way.add_argument("--first-seed", type=int, default=1_000_000)
    way.add_argument("--meshes", type=Path, nargs="+", default=[])
    way.add_argument("--weights", type=Path, default=EMBEDDED)
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    {"render": render, "train": train, "evaluate": evaluate}[given.pop("way")](**given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
