"""What a step of the engine costs with each representation and renderer, on this machine: a GPU, or what is there.

    python benchmarks/engines.py [--device auto] [--resolution 64] [--views 4] [--json engines.json] [--readme]

Two states of each field: `start`, as a run begins, and `solid`, fitted to a ball with nothing around it, most of whose
space may be passed over; `gaussians` are as many as a surface of so many details has cells, in that ball, faint and then
opaque. A step is the engine's: novel views and the input's drawn, score distillation with a teacher
that costs nothing, the picture's loss, one backward pass, Adam. Pairs take turns; each time is the least of its steps.

On a GPU machine without a registry only PyTorch and NumPy must be there. Carry the rest as wheels, and the checkout:

    pip download -d .carry --no-deps nerfacc omegaconf pluggy psutil pyyaml packaging safetensors rich
    pip install --no-deps .carry/*.whl && PYTHONPATH=.:plugins python benchmarks/engines.py --json engines.json

nerfacc compiles its kernels with nvcc at the first step (minutes); tiny-cuda-nn is read if it is installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import platform
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from zero3d.engine import Engine, input_camera_at
from zero3d.errors import UserError
from zero3d.interfaces import RadianceField, Renderer, Teacher
from zero3d.parts import GuidanceTerm, Parts, RegularizerTerm, choose_device
from zero3d.recipe import OptimizerOptions
from zero3d.schedule import Schedule
from zero3d.testing import random_picture
from zero3d.testing.gaussian import GaussianConfig, GaussianDenoiser
from zero3d.values import Subject
from zero3d_cameras.sphere import SphereCameras, SphereConfig
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
from zero3d_gaussians.renderer import SplatConfig, SplatRenderer
from zero3d_losses.priors.input_view import InputView, InputViewConfig
from zero3d_nerfacc.marching import occupied_cells
from zero3d_nerfacc.renderer import NerfaccConfig, NerfaccRenderer, has_kernels
from zero3d_ngp.field import HashGridConfig, HashGridField, has_tinycudann
from zero3d_score.sds import ScoreDistillation, SdsConfig
from zero3d_voxels.field import VoxelField
from zero3d_voxels.fused import FusedConfig, FusedRenderer
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

README = Path(__file__).with_name("README.md")
BOX, RADIUS = 0.75, 0.4
OPAQUE = 0.999
"""Share of light that the ball takes from a ray within one detail of the field."""
FIELDS: dict[str, Callable[[int], RadianceField]] = {
    "voxels": lambda detail: VoxelField(VoxelConfig(resolution=detail, box=BOX, density_gain=10.0)),
    "hash_grid": lambda detail: HashGridField(HashGridConfig(box=BOX, finest_resolution=2 * detail, detail=detail)),
    "gaussians": lambda detail: GaussianCloud(GaussiansConfig(points=detail**2, radius=RADIUS, box=BOX)),
}
RENDERERS: dict[str, Callable[[], Renderer]] = {
    "volume": lambda: VolumeRenderer(VolumeConfig(step_ratio=1.0, jitter=True)),
    "fused": lambda: FusedRenderer(FusedConfig(step_ratio=1.0, jitter=True)),
    "nerfacc": lambda: NerfaccRenderer(NerfaccConfig(step_ratio=1.0, jitter=True)),
    "splat": lambda: SplatRenderer(SplatConfig()),
}
PAIRS = (
    ("voxels", "volume"),
    ("voxels", "fused"),
    ("voxels", "nerfacc"),
    ("hash_grid", "volume"),
    ("hash_grid", "nerfacc"),
    ("gaussians", "splat"),
)
"""The first is what the others are compared with."""


def fit(field: RadianceField, steps: int) -> None:
    """Make it an opaque ball in empty space, from its densities at random points; Gaussians lie in it already."""
    if isinstance(field, GaussianCloud):
        field.opacity_logits.data.fill_(math.log(OPAQUE / (1 - OPAQUE)))
        return
    device, generator = field.box.device, torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(field.param_groups(), lr=0.1 if isinstance(field, VoxelField) else 0.02)
    for _ in range(steps):
        points = (field.box[0].cpu() + torch.rand(8192, 3, generator=generator) * 2 * BOX).to(device)
        taken = 1 - torch.exp(-field.density(points) * field.spacing)
        inside = (points.norm(dim=-1) < RADIUS).float() * OPAQUE
        optimizer.zero_grad()
        functional.binary_cross_entropy(taken.clamp(1e-6, 1 - 1e-6), inside).backward()
        optimizer.step()


def make_engine(pair: tuple[str, str], options: argparse.Namespace, device: torch.device, solid: bool) -> Engine:
    size = options.resolution
    teacher = Teacher(GaussianDenoiser(GaussianConfig(resolution=size)))
    teacher.denoiser.load(device)
    sampler = SphereCameras(SphereConfig(resolution=size, views=options.views))
    parts = Parts(
        representation=FIELDS[pair[0]](options.detail).to(device),
        renderer=RENDERERS[pair[1]](),
        cameras=sampler,
        denoisers={"denoiser": teacher.denoiser},
        teachers={"denoiser": teacher},
        guidances=[GuidanceTerm("sds", ScoreDistillation(SdsConfig(), teacher), Schedule.parse(0.0001), sampler)],
        regularizers=[RegularizerTerm("input_view", InputView(InputViewConfig()), Schedule.parse(0.0001), "input")],
        observers={},
        exporters={},
        device=device,
        white=torch.ones(3, device=device),
    )
    # so small a rate that the field stays what it is while it is timed
    subject = Subject.of(random_picture(size), input_camera_at(20.0).resized(size, size))
    engine = Engine(parts, subject, OptimizerOptions("adam", 1e-6), 10**6, seed=0)
    engine.initialise()
    if solid:
        fit(parts.representation, options.fit)  # type: ignore[arg-type]
    return engine


def once(engine: Engine, index: int) -> float:
    """Seconds of one step."""
    device = engine.parts.device
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    started = time.perf_counter() if device.type == "cuda" else time.process_time()
    engine.step(index)
    wait()
    return (time.perf_counter() if device.type == "cuda" else time.process_time()) - started


def measure(state: str, options: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """A row for each pair; one that cannot be had here says why instead of a time."""
    rows: list[dict[str, Any]] = []
    engines: list[Engine | None] = []
    for pair in PAIRS:
        rows.append({"representation": pair[0], "renderer": pair[1], "state": state})
        try:
            engine = make_engine(pair, options, device, state == "solid")
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            once(engine, 0)  # compiles
            if device.type == "cuda":
                rows[-1]["peak_mb"] = torch.cuda.max_memory_allocated(device) / 2**20
            rows[-1]["filled"] = float(occupied_cells(engine.parts.representation, 64, 1e-3).float().mean())  # type: ignore[arg-type]
            engines.append(engine)
        except (RuntimeError, ValueError, ImportError, UserError) as error:
            rows[-1]["missing"] = str(error).splitlines()[0]
            engines.append(None)
    for index in range(1, options.steps + 1):
        for row, engine in zip(rows, engines, strict=True):
            if engine is not None:
                seconds = once(engine, index)
                row["step_ms"] = min(row.get("step_ms", seconds * 1000), seconds * 1000)
    for row in rows:
        if "step_ms" in row and "step_ms" in rows[0]:
            row["ratio"] = rows[0]["step_ms"] / row["step_ms"]
    return rows


def report(result: dict[str, Any]) -> str:
    lines = [
        f"{result['device']}, torch {torch.__version__}, {result['clock']} time; {result['views']} novel views and the "
        f"input's of {result['resolution']}^2, {result['detail']} details a side. tiny-cuda-nn: "
        f"{'yes' if result['tinycudann'] else 'no'}; nerfacc's kernels: {'yes' if result['nerfacc_kernels'] else 'no'}.",
        "",
        "| state | representation | renderer | a step | as fast as `voxels` on `volume` | of the box filled |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        figures = f"{row['step_ms']:.1f} ms | {row['ratio']:.2f}x | {row['filled']:.0%}" if "ratio" in row else ""
        figures = figures or f"{row.get('missing', 'no figure')} | - | -"
        lines.append(f"| {row['state']} | `{row['representation']}` | `{row['renderer']}` | {figures} |")
    return "\n".join(lines)


def write_readme(text: str) -> None:
    pattern = re.compile(r"(<!-- engines: begin -->\n).*?(<!-- engines: end -->)", re.S)
    old = README.read_text(encoding="utf-8")
    assert pattern.search(old), f"{README}: the markers of engines are missing"
    README.write_text(pattern.sub(lambda found: f"{found[1]}{text}\n{found[2]}", old), encoding="utf-8")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--resolution", type=int, default=64, help="pixels along a view's side")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--detail", type=int, default=64, help="voxels along a side, and the hash grid's steps")
    parser.add_argument("--steps", type=int, default=10, help="timed, of each pair")
    parser.add_argument("--fit", type=int, default=400, help="steps of fitting a field to the ball")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--readme", action="store_true", help="write the table into benchmarks/README.md")
    options = parser.parse_args(words)
    device = choose_device(options.device)
    result = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"{platform.machine()} CPU",
        "threads": torch.get_num_threads(),
        "clock": "wall" if device.type == "cuda" else "processor",
        "torch": torch.__version__,
        "resolution": options.resolution,
        "views": options.views,
        "detail": options.detail,
        "tinycudann": device.type == "cuda" and has_tinycudann(),
        "nerfacc": importlib.util.find_spec("nerfacc") is not None,
        "nerfacc_kernels": device.type == "cuda" and has_kernels(),
        "rows": [row for state in ("start", "solid") for row in measure(state, options, device)],
    }
    print(report(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if options.readme:
        write_readme(report(result))


if __name__ == "__main__":
    main()
