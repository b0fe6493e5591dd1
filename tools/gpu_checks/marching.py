"""nerfacc's kernels: the renderer with them against itself without, and against `volume`."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any

import torch

from gpu_checks.drawing import LIMIT, against_the_cpu, alike, clouds, drawn, two, voxels
from gpu_checks.rows import Bench, Found, need
from zero3d_nerfacc.renderer import NerfaccConfig, NerfaccRenderer, has_kernels
from zero3d_voxels.field import VoxelField
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

FINE = 0.05
"""Steps so short that samples in their middle and at their start see the same."""
NEAR_LIMIT = 0.03


def against_volume(bench: Bench, size: int, field: VoxelField) -> Found:
    """They put samples elsewhere in a step, so that only pictures with short steps are alike; nothing passed over."""
    options: dict[str, Any] = {"step_ratio": FINE, "weight_threshold": 0.0}
    found = drawn(
        NerfaccRenderer(NerfaccConfig(tolerance=0.0, **options)), field, two(size), bench.device, frozenset(), False
    )
    expected = drawn(VolumeRenderer(VolumeConfig(**options)), field, two(size), bench.device, frozenset(), False)
    return alike(found, expected, field, NEAR_LIMIT)


def run(bench: Bench) -> None:
    def there() -> Found:
        need("nerfacc")
        return Found({"kernels": has_kernels(), "nvcc": shutil.which("nvcc") or "none"}, bench.tiny or has_kernels())

    bench.check("nerfacc is there", there)
    side, size = (8, 6) if bench.tiny else (24, 32)

    def inner(make: Any, **options: Any) -> Found:
        need("nerfacc")
        kernels = NerfaccRenderer(NerfaccConfig(backend="torch" if bench.tiny else "cuda", **options))
        plain = NerfaccRenderer(NerfaccConfig(backend="torch", **options))
        return against_the_cpu(bench, partial(make, side), kernels, two(size), LIMIT, reference=plain)

    # what is left of a map's cell on a threshold may differ: clouds have none near it
    bench.check("nerfacc's kernels against its formulas: clouds", partial(inner, clouds), 60.0)
    bench.check("nerfacc's kernels against its formulas: ring, jitter", partial(inner, voxels, jitter=True), 60.0)

    def near() -> Found:
        need("nerfacc")
        return against_volume(bench, size, clouds(side, 3))

    bench.check("nerfacc's kernels against volume, steps of a twentieth", near, 60.0)

    def fast() -> Found:
        need("nerfacc")
        detail, pixels = (8, 8) if bench.tiny else (128, 128)
        field = voxels(detail, 3, box=0.75).to(bench.device)
        one = NerfaccRenderer(NerfaccConfig(step_ratio=1.0))
        cameras = two(pixels).to(bench.device)

        def work() -> None:
            field.zero_grad()
            one.render(field, cameras, torch.ones(3, device=bench.device)).image.sum().backward()

        return Found({"ms": bench.milliseconds(work, 1 if bench.tiny else 5), "peak MB": bench.peak_mb(work)})

    bench.check("nerfacc, forward and backward, 2 views of 128^2, 128^3 voxels, ring", fast, 60.0)
