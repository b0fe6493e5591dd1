"""gsplat 1.5.3: whether it builds, whether it draws the golden Gaussians, how long a picture takes."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy
import torch
from torch import Tensor

from gpu_checks.rows import Bench, Found, Missing, error, need, root
from zero3d.geometry import orbit
from zero3d.testing import fresh_step
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
from zero3d_gaussians.renderer import SplatConfig, SplatRenderer

GOLDEN = root() / "tests" / "data" / "gaussians_tiny.npz"
LIMIT = 2e-3
"""Of the largest value; its kernels take fast exponentials and drop alphas below 1/255, as the golden numbers do."""

OWN_LIMIT = 5e-3
"""Where a pixel of the two may stop before another Gaussian."""


def rasterization() -> Any:
    """gsplat's function; its kernels are compiled, or found compiled, when it is imported."""
    need("gsplat")
    if not torch.cuda.is_available():
        raise Missing("gsplat draws on CUDA alone")
    from gsplat.cuda._backend import _C

    if _C is None:
        raise Missing("gsplat has no kernels: no CUDA compiler")
    import gsplat

    return gsplat.rasterization


def golden(bench: Bench, case: str) -> Found:
    draw = rasterization()
    with numpy.load(GOLDEN, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}

    def tensor(name: str) -> Tensor:
        return torch.from_numpy(data[name]).float().to(bench.device)

    degree = 3 if case == "sh3" else 0
    leaves = {name: tensor(name) for name in ("means", "quats_wxyz", "scales", "opacities")}
    leaves["sh"] = tensor("sh")[:, : (degree + 1) ** 2]
    for leaf in leaves.values():
        leaf.requires_grad_()
    picture, alpha, _ = draw(
        leaves["means"],
        leaves["quats_wxyz"],
        leaves["scales"],
        leaves["opacities"],
        leaves["sh"],
        tensor("viewmats"),
        tensor("Ks"),
        32,
        32,
        near_plane=float(data["near"]),
        eps2d=float(data["eps2d"]),
        sh_degree=degree,
        packed=False,
        backgrounds=tensor("background"),
        render_mode="RGB+D",
        rasterize_mode="antialiased" if case.endswith("antialiased") else "classic",
    )
    found = {"image": picture[..., :3], "alpha": alpha, "depth": picture[..., 3:]}
    torch.autograd.backward(list(found.values()), [tensor(f"cot_{name}") for name in found])
    figures = {name: error(value, tensor(f"{case}_{name}")) for name, value in found.items()}
    for name, leaf in leaves.items():
        assert leaf.grad is not None
        figures[f"d {name}"] = error(leaf.grad, tensor(f"{case}_grad_{name}"))
    return Found(figures, max(figures.values()) < LIMIT, errors=True)


def speed(bench: Bench, count: int, size: int) -> Found:
    draw = rasterization()
    generator = torch.Generator().manual_seed(0)
    camera = orbit(20.0, 30.0, size, 2.0)
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    view = torch.linalg.inv(camera.camera_to_world @ flip).to(bench.device)
    focal = float(size / 2 / torch.tan(camera.fovs[0] / 2))
    ks = torch.tensor([[[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]]], device=bench.device)

    def leaf(value: Tensor) -> Tensor:
        return value.to(bench.device).requires_grad_()

    means = leaf(torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1) * 0.5)
    quats = leaf(torch.randn(count, 4, generator=generator))
    # a shell whose Gaussians just overlap, whatever their number
    scales = leaf(torch.full((count, 3), 0.9 / count**0.5))
    opacities, sh = leaf(torch.full((count,), 0.6)), leaf(0.3 * torch.randn(count, 16, 3, generator=generator))
    leaves = [means, quats, scales, opacities, sh]

    def forward() -> Tensor:
        picture: Tensor = draw(*leaves, view, ks, size, size, sh_degree=3, packed=False)[0]
        return picture

    def both() -> None:
        for one in leaves:
            one.grad = None
        forward().sum().backward()

    with torch.no_grad():
        ahead = bench.milliseconds(forward, 10)
    figures = {"forward ms": ahead, "forward and backward ms": bench.milliseconds(both, 10)}
    return Found({**figures, "peak MB": bench.peak_mb(both)})


def ours(bench: Bench, degree: int) -> Found:
    """Renderer `splat` on the device against its dense twin on the CPU: a view and the gradient of every parameter."""
    if bench.device.type == "cuda":
        rasterization()
    cloud = GaussianCloud(GaussiansConfig(points=60 if bench.tiny else 2000, degree=degree))
    with torch.no_grad():
        cloud.initialise(fresh_step())
        for parameter in cloud.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    cameras = orbit(torch.tensor([10.0, -30.0]), torch.tensor([0.0, 140.0]), 24 if bench.tiny else 64)
    drawn, gradients = [], []
    for device, backend in (("cpu", "torch"), (bench.device, "auto")):
        own = copy.deepcopy(cloud).to(device)
        renderer = SplatRenderer(SplatConfig(backend=backend))
        view = renderer.render(own, cameras.to(device), torch.ones(3, device=device), frozenset({"depth", "normals"}))
        parts = {"image": view.image, "opacity": view.opacity, "depth": view.depth, "normals": view.normals}
        weights = {
            name: torch.linspace(-1, 1, part.numel()).reshape(part.shape).to(device) for name, part in parts.items()
        }
        sum((part * weights[name]).sum() for name, part in parts.items()).backward()
        drawn.append(parts)
        gradients.append({name: parameter.grad for name, parameter in own.named_parameters()})
    figures = {name: error(value, drawn[0][name]) for name, value in drawn[1].items()}
    figures |= {
        f"d {name}": error(value, gradients[0][name]) for name, value in gradients[1].items() if value is not None
    }
    return Found(figures, max(figures.values()) < OWN_LIMIT, errors=True)


def step_time(bench: Bench, count: int, size: int) -> Found:
    """Renderer `splat` with gradients of all parameters, as a step has it."""
    if bench.device.type == "cuda":
        rasterization()
    cloud = GaussianCloud(GaussiansConfig(points=count, max_count=count)).to("cpu")
    with torch.no_grad():
        cloud.initialise(fresh_step())
    cloud.to(bench.device)
    renderer, cameras = SplatRenderer(SplatConfig()), orbit(20.0, 30.0, size).to(bench.device)
    white = torch.ones(3, device=bench.device)

    def both() -> None:
        cloud.zero_grad()
        renderer.render(cloud, cameras, white, frozenset({"depth"})).image.sum().backward()

    return Found({"forward and backward ms": bench.milliseconds(both, 10), "peak MB": bench.peak_mb(both)})


def run(bench: Bench) -> None:
    for degree in (0, 3):
        bench.check(f"splat on the device against its dense twin: degree {degree}", partial(ours, bench, degree), 60.0)
    for count, size in ((100, 32),) if bench.tiny else ((10_000, 256), (200_000, 512)):
        bench.check(f"splat, {count} Gaussians, {size}^2", partial(step_time, bench, count, size), 60.0)
    for case in ("sh0", "sh3", "sh0_antialiased"):
        bench.check(f"gsplat against the golden Gaussians: {case}", partial(golden, bench, case), 120.0)
    for count in (10_000, 200_000):
        for size in (256, 1024):
            bench.check(f"gsplat, {count} Gaussians, {size}^2", partial(speed, bench, count, size), 30.0)
