"""Makes the networks that guess a picture's elevation (zero3d_zero123/nano/elevation.py): their data, weights and figures.

    python tools/train_elevation.py render FOLDER --first-seed 800000 --objects 20000
    python tools/train_elevation.py render FOLDER --first-seed 700000 --objects 21250 --plain
    python tools/train_elevation.py render VAL --first-seed 2000000 --objects 625 --plain
    python tools/train_elevation.py train FOLDER VAL --views 800000 --seed 0 --out part-0.safetensors        # and 1, 2
    python tools/train_elevation.py join VAL part-0.safetensors part-1.safetensors part-2.safetensors
    python tools/train_elevation.py evaluate --objects 200
    python tools/train_elevation.py evaluate --meshes FILE ...

`render` draws each object six times, as users may show it: from several distances, under light from anywhere, some darker,
blurred, with masks that are off, framed a little off; with `--plain` twice, as evaluations draw. It may be
stopped and begun again; several at once share its work by --worker and --workers. `train` makes one head; `join` puts heads
together, and sets the uncertainty on VAL. `evaluate` takes held-out objects, or each mesh at three elevations and three
azimuths. Seeds below 900,000 train, those from 1,000,000 on are held out, those from 2,000,000 on validate. The model card
says what the shipped weights saw.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy
import scipy.ndimage
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.files import replacing
from zero3d.geometry import DEFAULT_DISTANCE, orbit
from zero3d.mesh_views import Light, MeshScene
from zero3d.picture import FIT_SHARE, frame, mask_bounds, square_around
from zero3d.values import Cameras
from zero3d_procedural.evaluation import HeldOut
from zero3d_procedural.families import make_object
from zero3d_procedural.rendering import random_light, straight_rgba
from zero3d_procedural.texture import random_texture
from zero3d_zero123.nano.elevation import (
    BINS_DEG,
    EMBEDDED,
    TRAINED_DEG,
    ElevationHead,
    ElevationHeads,
    embedded_lift,
    estimate,
    features,
    read,
    ways_to_see,
    write,
)

CHUNK, VIEWS, SIZE = 125, 6, 64
"""Objects of a file, views of each, pixels of their sides."""
DRAWN = 96
"""Pixels of a side, before it is framed."""
JUDGED_DEG = (-10.0, 60.0)
SOFT_DEG = 2.5
"""The deviation of what a head is to say: a bell about the truth."""


def render(folder: Path, first_seed: int, objects: int, plain: bool, worker: int, workers: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    made = plain_views if plain else used_views
    for first in range(first_seed + worker * CHUNK, first_seed + objects, workers * CHUNK):
        path = folder / f"views-{first:07d}.npz"
        if not path.exists():
            rgba, elevation = zip(*(made(seed) for seed in range(first, first + CHUNK)), strict=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                numpy.savez(file, rgba=numpy.concatenate(rgba), elevation=numpy.concatenate(elevation))


def used_views(seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Object `seed` as users may show it: (VIEWS, SIZE, SIZE, 4) uint8, colours on white, and the elevations, degrees."""
    mesh, rng = make_object(seed), numpy.random.default_rng([93, seed])
    scene, vertices = MeshScene(mesh), numpy.asarray(mesh.vertices)
    pictures, elevations = [], rng.uniform(*TRAINED_DEG, VIEWS)
    for elevation in elevations:
        rgba = drawn(scene, vertices, elevation, rng)
        worse = worn(rgba, rng) if rng.random() < 0.7 else rgba
        kept = next((shown for shown in (worse, rgba) if (shown[..., 3] > 127).any()), None)
        if kept is None:
            kept = rgba.copy()
            kept[..., 3] = 255
        pictures.append(framed(kept, rng))
    return numpy.stack(pictures), elevations.astype(numpy.float32)


def plain_views(seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Object `seed` as an evaluation draws and frames it, twice."""
    rng = numpy.random.default_rng([5, seed])
    scene, pictures, elevations = MeshScene(make_object(seed)), [], rng.uniform(*JUDGED_DEG, 2)
    for elevation in elevations:
        look = {"light": random_light(rng), "texture": random_texture(rng)}
        view = scene.draw(orbit(elevation, rng.uniform(0, 360), 144, DEFAULT_DISTANCE), **look)
        pictures.append(framed(straight_rgba(view.image.numpy(), view.opacity.numpy())[0]))
    return numpy.stack(pictures), elevations.astype(numpy.float32)


def drawn(scene: MeshScene, vertices: numpy.ndarray, elevation: float, rng: numpy.random.Generator) -> numpy.ndarray:
    """(DRAWN, DRAWN, 4) uint8, the object filling it: at half the times from afar or near, three in ten a little rolled."""
    afar = rng.random() >= 0.5
    distance = float(numpy.exp(rng.uniform(numpy.log(1.4), numpy.log(5)))) if afar else DEFAULT_DISTANCE
    camera = orbit(elevation, rng.uniform(0, 360), DRAWN, distance)
    pose = camera.camera_to_world[0].double().numpy().copy()
    if rng.random() < 0.3:
        angle = numpy.deg2rad(rng.normal(0, 2))
        cosine, sine = numpy.cos(angle), numpy.sin(angle)
        pose[:3, :3] = pose[:3, :3] @ numpy.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])
    local = (vertices - pose[:3, 3]) @ pose[:3, :3]
    half = 1.04 * float(abs(local[:, :2] / -local[:, 2:]).max())
    camera = Cameras(torch.from_numpy(pose[None].astype(numpy.float32)), DRAWN, DRAWN, 2 * float(numpy.arctan(half)))
    light = any_light(rng, camera)
    view = scene.draw(camera, supersample=1, light=light, texture=random_texture(rng))
    return straight_rgba(view.image.numpy(), view.opacity.numpy())[0]


def any_light(rng: numpy.random.Generator, camera: Cameras) -> Light:
    """As training pictures have it, the default's direction, a flash, or from anywhere."""
    kind = rng.random()
    if kind < 0.6:
        return random_light(rng)
    if kind < 0.75:
        return Light(rng.uniform(0.3, 1.0))
    direction = rng.normal(size=3)
    if kind < 0.88:
        towards = camera.position[0].double().numpy()
        direction = towards / numpy.linalg.norm(towards) + 0.4 * direction
    return Light(rng.uniform(0.3, 0.95), direction / numpy.linalg.norm(direction))


def worn(rgba: numpy.ndarray, rng: numpy.random.Generator) -> numpy.ndarray:
    """What photographs and their masks do to it: tone, blur, masks that are off, grain."""
    rgba = rgba.astype(numpy.float32) / 255
    if rng.random() < 0.35:
        rgba[..., :3] = rgba[..., :3] ** numpy.exp(rng.normal(0, 0.25))
        gain = numpy.exp(rng.normal(0, 0.08, 3) + rng.normal(0, 0.15))
        rgba[..., :3] = (rgba[..., :3] - 0.5) * numpy.exp(rng.normal(0, 0.15)) + 0.5
        rgba[..., :3] = rgba[..., :3] * gain
    if rng.random() < 0.25:
        sigma = rng.uniform(0.3, 1.2)
        weighed = numpy.concatenate([rgba[..., :3] * rgba[..., 3:], rgba[..., 3:]], -1)
        weighed = scipy.ndimage.gaussian_filter(weighed, (sigma, sigma, 0))
        rgba = numpy.concatenate([weighed[..., :3] / numpy.maximum(weighed[..., 3:], 1e-3), weighed[..., 3:]], -1)
    if rng.random() < 0.25:
        soft = scipy.ndimage.gaussian_filter(rgba[..., 3], rng.uniform(0.6, 1.2))
        ragged = scipy.ndimage.gaussian_filter(rng.normal(0, 1, soft.shape), 1.5) * rng.uniform(0, 0.6)
        mask = numpy.clip((soft - rng.uniform(0.3, 0.7) + ragged) * 4 + 0.5, 0, 1)
        behind = rgba[..., 3:] < 0.5
        rgba[..., :3] = numpy.where(behind, rng.uniform(0, 1), rgba[..., :3])
        if (mask > 0.5).sum() > 60:
            rgba[..., 3] = mask
    if rng.random() < 0.2:
        rgba[..., :3] += rng.normal(0, rng.uniform(0.01, 0.05), rgba[..., :3].shape)
    return numpy.round(255 * rgba.clip(0, 1)).astype(numpy.uint8)


def framed(rgba: numpy.ndarray, rng: numpy.random.Generator | None = None) -> numpy.ndarray:
    """As `framing: fit`, (SIZE, SIZE, 4) uint8, colours on white; with `rng` two in five a little off."""
    top, bottom, left, right = mask_bounds(rgba[..., 3] > 127)
    side = max(bottom - top, right - left) / FIT_SHARE
    centre = numpy.array([(top + bottom) / 2, (left + right) / 2])
    if rng is not None and rng.random() < 0.4:
        side *= rng.uniform(0.9, 1.1)
        centre = centre + rng.uniform(-0.03, 0.03, 2) * side
    made = square_around(rgba, (float(centre[0]), float(centre[1])), side, SIZE)
    made[..., :3] = (made[..., :3] + 1 - made[..., 3:]).clip(0, 1)
    return numpy.round(255 * made).astype(numpy.uint8)


class Views:
    """A folder's views as the lift's features, each file's found once and kept beside it, in half precision, mapped.

    (C, 8, 8) each, or with `several` those of `ways_to_see`, (ways, C, 8, 8).
    """

    def __init__(self, folder: Path, several: bool = False, wait: bool = True) -> None:
        self.folder, self.several = folder, several
        self.files: dict[Path, tuple[numpy.ndarray, numpy.ndarray]] = {}
        self.refresh(wait)

    def __len__(self) -> int:
        return len(self.places)

    def refresh(self, wait: bool = False) -> None:
        """Take what has come into the folder since; `wait`: also find the features that nobody has found."""
        for path in sorted(self.folder.glob("views-*.npz")):
            kept = path.with_suffix(".ways.npy" if self.several else ".features.npy")
            if wait and not kept.exists():
                self._find(path, kept)
            if path not in self.files and kept.exists():
                with numpy.load(path, allow_pickle=False) as file:
                    self.files[path] = (numpy.load(kept, mmap_mode="r"), file["elevation"])
        self.places = numpy.array([(i, j) for i, (_, d) in enumerate(self.files.values()) for j in range(len(d))])

    def _find(self, path: Path, kept: Path) -> None:
        with numpy.load(path, allow_pickle=False) as file:
            planes = torch.from_numpy(file["rgba"]).permute(0, 3, 1, 2).float() / 255
        with torch.autocast("cpu", torch.bfloat16):  # three times as fast; no worse to learn from
            parts = [features_of(part, self.several) for part in planes.split(25)]
        with replacing(kept) as temporary, temporary.open("wb") as out:
            numpy.save(out, torch.cat(parts).numpy())

    def rows(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Features and degrees."""
        files = list(self.files.values())
        chosen = [(files[i][0][j], files[i][1][j]) for i, j in self.places[rows.numpy()]]
        found, degrees = zip(*chosen, strict=True)
        return torch.from_numpy(numpy.stack(found)).float(), torch.from_numpy(numpy.array(degrees))

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All, some at a time."""
        yield from (self.rows(rows) for rows in torch.arange(len(self)).split(100))


def features_of(planes: Tensor, several: bool) -> Tensor:
    if not several:
        return features(embedded_lift(), planes).half()
    ways = ways_to_see(planes)
    return features(embedded_lift(), ways).half().unflatten(0, (-1, len(planes))).swapaxes(0, 1)


def train(folder: Path, val: Path, views: int, out: Path, batch: int, rate: float, seed: int, wait: bool) -> None:
    """One head, as `ElevationHeads` of one, that sees so many views, some again. Files that come meanwhile are taken too."""
    torch.manual_seed(seed)
    seen, shown = Views(folder, wait=wait), Views(val)
    heads, steps = ElevationHeads(1), views // batch
    head: ElevationHead = heads.members[0]  # type: ignore[assignment]
    few, _ = seen.rows(torch.randperm(len(seen))[:1500])
    head.shift.copy_(few.mean(dim=(0, 2, 3))[:, None, None])
    head.scale.copy_(1 / (few.std(dim=(0, 2, 3)) + 1e-3)[:, None, None])
    del few
    optimizer = torch.optim.AdamW(head.parameters(), rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
    began, order = time.process_time(), torch.empty(0, dtype=torch.long)
    for step in range(steps):
        if len(order) < batch:
            seen.refresh()
            order = torch.randperm(len(seen))
        rows, order = order[:batch], order[batch:]
        shown_now, degrees = seen.rows(rows)
        loss = loss_of(head(shown_now), degrees)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % (steps // 4) == 0:
            heads.eval()
            found = [(heads.likelihoods(part), truth) for part, truth in shown.parts()]
            likely, truth = (torch.cat(column) for column in zip(*found, strict=True))
            print(
                f"step {step + 1} of {steps}, of {len(seen)} views: validation error {told(heads, likely, truth)}, "
                f"{time.process_time() - began:.0f} s of CPU",
                flush=True,
            )
            heads.train()
            write(out, heads)


def loss_of(logits: Tensor, degrees: Tensor) -> Tensor:
    """Cross-entropy to a bell about the truth, and the squared distance of the cumulative distributions."""
    wanted = torch.exp(-(((degrees[:, None] - torch.tensor(BINS_DEG)) / SOFT_DEG) ** 2) / 2)
    wanted = wanted / wanted.sum(dim=1, keepdim=True)
    crossed = -(wanted * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
    ranked = (logits.softmax(dim=1).cumsum(dim=1) - wanted.cumsum(dim=1)).square().sum(dim=1).mean()
    return crossed + 0.3 * ranked


def join(val: Path, parts: list[Path], out: Path) -> None:
    """Heads of `train` as one file; the deviation is scaled so that 68 % of the validation errors lie within it."""
    heads = ElevationHeads(len(parts)).eval()
    for index, part in enumerate(parts):
        state = {name: value.float() for name, value in read(part, members=1).members[0].state_dict().items()}
        heads.members[index].load_state_dict(state)
    found = [
        (heads.likelihoods(part.flatten(0, 1)).unflatten(0, part.shape[:2]), d) for part, d in Views(val, True).parts()
    ]
    likely, truth = (torch.cat(column) for column in zip(*found, strict=True))
    mean, std = heads.degrees(likely.mean(dim=1))
    heads.spread.fill_(float(((mean - truth).abs() / std).quantile(0.683)))
    print(f"as framed: {told(heads, likely[:, 0], truth)}")
    print(f"in {likely.shape[1]} ways: {told(heads, likely.mean(dim=1), truth)}; spread {float(heads.spread):.2f}")
    write(out, heads)


def told(heads: ElevationHeads, likely: Tensor, truth: Tensor) -> str:
    mean, _ = heads.degrees(likely)
    off = (mean - truth).abs()
    return f"{off.mean():.2f} degrees (median {off.median():.2f})"


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
            elevation = float(rng.uniform(*JUDGED_DEG))
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
    for quarter in numpy.array_split(numpy.argsort(table[:, 2]), 4):
        print(f"  said deviation about {table[quarter, 2].mean():.1f}: mean error {off[quarter].mean():.1f}")


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
    way.add_argument("--first-seed", type=int, default=110_000)
    way.add_argument("--objects", type=int, default=7_500)
    way.add_argument("--plain", action="store_true")
    way.add_argument("--worker", type=int, default=0)
    way.add_argument("--workers", type=int, default=1)
    way = ways.add_parser("train")
    way.add_argument("folder", type=Path)
    way.add_argument("val", type=Path)
    way.add_argument("--views", type=int, default=110_000)
    way.add_argument("--batch", type=int, default=128)
    way.add_argument("--rate", type=float, default=2e-3)
    way.add_argument("--seed", type=int, default=0)
    way.add_argument("--only-found", dest="wait", action="store_false", help="leave features to others to find")
    way.add_argument("--out", type=Path, required=True)
    way = ways.add_parser("join")
    way.add_argument("val", type=Path)
    way.add_argument("parts", type=Path, nargs="+")
    way.add_argument("--out", type=Path, default=EMBEDDED)
    way = ways.add_parser("evaluate")
    way.add_argument("--objects", type=int, default=200)
    way.add_argument("--first-seed", type=int, default=1_000_000)
    way.add_argument("--meshes", type=Path, nargs="+", default=[])
    way.add_argument("--weights", type=Path, default=EMBEDDED)
    given = vars(parser.parse_args())
    torch.set_num_threads(1)
    {"render": render, "train": train, "join": join, "evaluate": evaluate}[given.pop("way")](**given)
    return 0


if __name__ == "__main__":
    sys.exit(main())
