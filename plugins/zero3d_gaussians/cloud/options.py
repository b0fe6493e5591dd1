"""The options of `gaussians`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d.schedule import Schedule
from zero3d_gaussians.cloud import growth

FORMATS = ("ply", "splat", "glb", "gltf", "obj", "stl")
RATES = ("position_lr", "colour_lr", "opacity_lr", "scale_lr", "rotation_lr")
FASTEST = 1e6
MOST = 10_000_000


@dataclass
class GaussiansConfig:
    """Options of `gaussians`.

    start: auto, what the recipe's `start` or the stage before made, or else a ball; ball; or a file in glTF axes, which
    must stay until the run has begun: Gaussians (.ply as 3DGS writes it, .splat), a point cloud (.ply without faces), a
    mesh (.glb, .obj, .ply, .stl). points: how many a ball, a field or a mesh is filled with, 1 to max_count. radius: of
    the ball, world units. opacity: of each at the start, 0.001 to 0.999. spread: their size at the start, in distances to
    the nearest neighbours. flat: thickness at the start as a share of their size, on a surface, 0.01 to 1.
    channels: 3 for RGB, or the denoiser's latent. degree: of the spherical harmonics, 0 (one colour from everywhere) to 3.
    max_count: no more are grown, 1 to 10 million; the check of memory counts as many. densify: none, a strategy
    (dreamgaussian, default, absgrad, mcmc) or {type: ..., option: ...} with options of its own (see `Growth`, `Mcmc`).
    position_lr, colour_lr, opacity_lr, scale_lr, rotation_lr: multiples of the recipe's rate, numbers or schedules; the
    defaults are DreamGaussian's at optimizer.lr 0.01. box: half-side of the cube in which the density is asked for, world
    units. detail: of the density, world units: no Gaussian is thinner there.
    """

    start: str = "auto"
    points: int = 5000
    radius: float = 0.5
    opacity: float = 0.1
    spread: float = 1.0
    flat: float = 1.0
    channels: int = 3
    degree: int = 0
    max_count: int = 50_000
    densify: Any = "none"
    position_lr: Any = 1.0
    colour_lr: Any = 1.0
    opacity_lr: Any = 5.0
    scale_lr: Any = 0.5
    rotation_lr: Any = 0.5
    box: float = 0.75
    detail: float = 0.0117

    def __post_init__(self) -> None:
        if self.start not in ("auto", "ball") and Path(self.start).suffix[1:].lower() not in FORMATS:
            raise ValueError(f"start: {self.start!r}; auto, ball, or a file: {', '.join(FORMATS)}")
        for name, low, high in (("max_count", 1, MOST), ("channels", 1, 64), ("degree", 0, 3)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")
        if not 1 <= self.points <= self.max_count:
            raise ValueError(f"points: {self.points}; 1 to max_count, {self.max_count}; raise that")
        bounds = {
            "radius": (1e-3, 1e3),
            "opacity": (0.001, 0.999),
            "spread": (1e-3, 1e3),
            "flat": (0.01, 1),
            "box": (1e-3, 1e3),
            "detail": (1e-4, 1e3),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: {getattr(self, name)}; {least:g} to {most:g}")
        for name in RATES:
            Schedule.parse(getattr(self, name), name).within(0, FASTEST, name)
        growth.parse(self.densify)
