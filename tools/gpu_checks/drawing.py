"""Renderers, fields and backgrounds on the device against the same on the CPU: values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from torch import Tensor

from gpu_checks.rows import Bench, Found, error
from zero3d.geometry import look_at, orbit
from zero3d.interfaces import Renderer, Representation
from zero3d.testing import fresh_step
from zero3d.values import Cameras
from zero3d_backgrounds.checkerboard import Checkerboard, CheckerboardConfig
from zero3d_backgrounds.constant import Constant, ConstantConfig
from zero3d_backgrounds.learned import Learned, LearnedConfig
from zero3d_backgrounds.random import Random, RandomConfig
from zero3d_ngp.field import HashGridConfig, HashGridField
from zero3d_sdf.field import SDFConfig, SDFField
from zero3d_surface.mesh import Mesh, MeshConfig
from zero3d_surface.rasterizer import Rasterizer, RasterizerConfig
from zero3d_voxels.field import VoxelField
from zero3d_voxels.fused import FusedConfig, FusedRenderer
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

LIMIT = 1e-3
"""Of the largest value: sums in another order, and samples on a threshold that fall to the other side of it."""
EDGE_LIMIT = 2e-2
"""Where pixels on an edge may see another face."""
EVERYTHING = frozenset({"depth", "weights", "distances"})
PICTURES = ("image", "opacity", "depth", "weights", "distances")
Drawn = dict[str, Tensor]


def voxels(side: int, channels: int = 4, **options: Any) -> VoxelField:
    """A solid ring of random features with a soft edge, in emptiness."""
    field = VoxelField(VoxelConfig(resolution=side, channels=channels, **options))
    generator = torch.Generator().manual_seed(1)
    middle = (torch.arange(side) + 0.5) / side * 2 - 1
    z, y, x = torch.meshgrid(middle, middle, middle, indexing="ij")
    inside = 0.2 - ((torch.hypot(x, y) - 0.45).square() + z.square()).sqrt()
    with torch.no_grad():
        field.raw_features.normal_(generator=generator)
        field.raw_density[0, 0] = (inside * side * 8).clamp(-40, 40)
        field.log_scale.fill_(0.1)
    return field


def clouds(side: int, channels: int = 4, **options: Any) -> VoxelField:
    """Random features and densities, with one corner that is truly empty."""
    field = VoxelField(VoxelConfig(resolution=side, channels=channels, **options))
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        field.raw_features.normal_(generator=generator)
        field.raw_density.normal_(std=2.0, generator=generator)
        field.raw_density[0, 0, : side // 2, : side // 2, : side // 2] = -60.0
        field.log_scale.fill_(0.3)
    return field


def two(size: int) -> Cameras:
    """From above and below, each with its own field of view."""
    cameras = orbit(torch.tensor([20.0, -40.0]), torch.tensor([30.0, 200.0]), size, torch.tensor([2.0, 1.6]))
    return Cameras(cameras.camera_to_world, size, size, torch.tensor([0.6, 1.1]))


def drawn(
    renderer: Renderer,
    field: Representation,
    cameras: Cameras,
    device: torch.device,
    needs: frozenset[str],
    jitter: bool,
) -> Drawn:
    """Each picture, and each gradient of a random linear function of all: also of the backgrounds, one for each view."""
    field = deepcopy(field).to(device)
    cameras = cameras.to(device)
    generator = torch.Generator().manual_seed(4)
    back = torch.rand(len(cameras), 3, 5, field.channels, generator=generator).to(device).requires_grad_()
    view = renderer.render(field, cameras, back, needs & renderer.provides, fresh_step() if jitter else None)
    pictures = {name: part for name in PICTURES if (part := getattr(view, name)) is not None}
    generator = torch.Generator().manual_seed(5)
    told = [torch.randn(picture.shape, generator=generator).to(device) for picture in pictures.values()]
    moved = [(picture, told) for picture, told in zip(pictures.values(), told, strict=True) if picture.requires_grad]
    torch.autograd.backward([picture for picture, _ in moved], [way for _, way in moved])
    found = {name: picture.detach() for name, picture in pictures.items()}
    found |= {f"d {name}": p.grad for name, p in field.named_parameters() if p.grad is not None}
    assert back.grad is not None
    found["d background"] = back.grad
    return {name: value.cpu() for name, value in found.items()}


def alike(found: Drawn, expected: Drawn, field: Representation, limit: float) -> Found:
    """The largest error of each, as a share of its largest value."""
    assert found.keys() == expected.keys(), f"{sorted(found)} and {sorted(expected)}"
    figures = {}
    for name, value in expected.items():
        scale = None
        if name == "d log_scale":  # a sum whose terms cancel
            density = dict(field.named_parameters())["raw_density"].detach()
            scale = float((expected["d raw_density"] * density).abs().sum())
        same = found[name].shape == value.shape and bool(found[name].isfinite().all())
        figures[name] = error(found[name], value, scale) if same else float("inf")
    return Found(figures, max(figures.values()) < limit, errors=True)


def against_the_cpu(
    bench: Bench,
    make: Callable[[], Representation],
    renderer: Renderer,
    cameras: Cameras,
    limit: float = LIMIT,
    needs: frozenset[str] = EVERYTHING,
    reference: Renderer | None = None,
    on: str = "cpu",
) -> Found:
    """`renderer` on the device against `reference` (the same one, if none is given) on the device `on`."""
    field = make()
    jitter = bool(getattr(renderer.config, "jitter", False))
    found = drawn(renderer, field, cameras, bench.device, needs, jitter)
    expected = drawn(reference or renderer, field, cameras, torch.device(on), needs, jitter)
    return alike(found, expected, field, limit)


def fused(bench: Bench) -> None:
    side, size = (10, 8) if bench.tiny else (32, 48)
    plain, one = VolumeRenderer, FusedRenderer
    for name, make in (("ring", voxels), ("clouds", clouds)):
        work = partial(against_the_cpu, bench, partial(make, side), one(FusedConfig()), two(size))
        bench.check(f"fused against fused on the CPU: {name}", work)
    for channels in (1, 3, 7):  # the CPU's own kernel would be compiled for each
        work = partial(
            against_the_cpu,
            bench,
            partial(voxels, side, channels),
            one(FusedConfig()),
            two(size),
            reference=plain(VolumeConfig()),
        )
        bench.check(f"fused against volume on the CPU: ring, {channels} channels", work)
    cases: dict[str, tuple[dict[str, Any], dict[str, Any], Cameras]] = {
        "jitter, fine steps": ({}, {"jitter": True, "step_ratio": 0.25}, two(size)),
        "coarse steps, a high weight threshold": ({}, {"step_ratio": 2.0, "weight_threshold": 0.02}, two(size)),
        "a box of half the size": ({"box": 0.5}, {}, two(size)),
        "a camera inside": ({}, {}, Cameras(look_at(torch.tensor([[0.3, 0.1, 0.2]])), size, size)),
    }
    for name, (options, drawing, cameras) in cases.items():
        work = partial(
            against_the_cpu,
            bench,
            partial(clouds, side, 4, **options),
            one(FusedConfig(**drawing)),
            cameras,
            reference=plain(VolumeConfig(**drawing)),
        )
        bench.check(f"fused against volume on the CPU: {name}", work)
    work = partial(
        against_the_cpu,
        bench,
        partial(voxels, side),
        one(FusedConfig()),
        two(size),
        reference=plain(VolumeConfig()),
        on=bench.device.type,
    )
    bench.check("fused against volume, both on the device", work)
    bench.check("fused without weights: the same pictures", partial(_without_weights, bench, side, size))


def _without_weights(bench: Bench, side: int, size: int) -> Found:
    field, one = clouds(side), FusedRenderer(FusedConfig())
    whole = drawn(one, field, two(size), bench.device, frozenset({"depth"}), False)
    expected = drawn(one, field, two(size), torch.device("cpu"), frozenset({"depth"}), False)
    return alike(whole, expected, field, LIMIT)


def others(bench: Bench) -> None:
    side, size = (8, 6) if bench.tiny else (24, 32)
    volume = VolumeRenderer(VolumeConfig(jitter=True))
    work = partial(against_the_cpu, bench, partial(clouds, side), volume, two(size))
    bench.check("volume, voxels", work)
    grid = HashGridConfig(box=0.75, detail=2 * side, finest_resolution=4 * side, channels=3)
    work = partial(against_the_cpu, bench, partial(_started, HashGridField(grid)), volume, two(size))
    bench.check("volume, hash_grid", work)
    for density in ("volsdf", "neus"):
        sdf = SDFConfig(resolution=side, density=density)
        work = partial(against_the_cpu, bench, partial(_started, SDFField(sdf)), volume, two(size))
        bench.check(f"volume, sdf ({density})", work)
    for texture in (0, 32):
        mesh = MeshConfig(subdivisions=1 if bench.tiny else 3, texture=texture)
        raster = Rasterizer(RasterizerConfig(blur=1e-4))
        work = partial(against_the_cpu, bench, partial(_started, Mesh(mesh)), raster, two(size), EDGE_LIMIT)
        bench.check(f"rasterizer, mesh with {'a texture' if texture else 'colours of vertices'}", work)
    bench.check("backgrounds", partial(_backgrounds, bench, size))


def _started(field: Representation) -> Representation:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        field.initialise(fresh_step().scoped("representation"))
        for name, parameter in field.named_parameters():  # colours of its own everywhere
            if "colour" in name or "features" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator))
    return field


def _backgrounds(bench: Bench, size: int) -> Found:
    made = {
        "constant": lambda: Constant(ConstantConfig()),
        "random": lambda: Random(RandomConfig(chance=0.7)),
        "checkerboard": lambda: Checkerboard(CheckerboardConfig()),
        "learned": lambda: Learned(LearnedConfig(colour=[0.2, 0.5, 0.7])),
    }
    figures = {}
    for name, make in made.items():
        painted = []
        for device in (bench.device, torch.device("cpu")):
            background = make()
            background.load(device)
            seen = background.paint(two(size).to(device), fresh_step(), torch.ones(3, device=device))
            assert seen.device.type == device.type, f"{name} paints on {seen.device}"
            painted.append(seen)
        figures[name] = error(painted[0], painted[1])
    return Found(figures, max(figures.values()) < 1e-6, errors=True)


def times(bench: Bench) -> None:
    side, size, repeat = (8, 8, 1) if bench.tiny else (128, 128, 5)
    cameras = orbit(20.0, torch.linspace(0, 270, 4), size, 2.0).to(bench.device)
    for name, renderer in (
        ("fused", FusedRenderer(FusedConfig(step_ratio=1.0))),
        ("volume", VolumeRenderer(VolumeConfig(step_ratio=1.0))),
    ):
        for filled, make in (("ring", voxels), ("clouds", clouds)):
            field = make(side, 3, box=0.75).to(bench.device)

            def work(field: VoxelField = field, renderer: Renderer = renderer) -> None:
                field.zero_grad()
                view = renderer.render(field, cameras, torch.ones(3, device=bench.device), frozenset({"depth"}))
                (view.image.sum() + view.opacity.sum() + view.depth.sum()).backward()  # type: ignore[union-attr]

            def measure(work: Callable[[], None] = work) -> Found:
                milliseconds = bench.milliseconds(work, repeat)
                return Found({"ms": milliseconds, "peak MB": bench.peak_mb(work)})

            bench.check(f"{name}, forward and backward, 4 views of {size}^2, {side}^3 voxels, {filled}", measure)


def run(bench: Bench) -> None:
    fused(bench)
    others(bench)
    times(bench)
