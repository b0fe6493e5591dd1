"""How fast Gaussians are drawn on a CPU: the kernel against the dense reference, how it grows, and a step beside voxels.

    python benchmarks/splat.py [--quick] [--threads 1] [--cpu-time] [--json splat.json] [--readme]

Gaussians lie in a ball of radius 0.5 seen from 2, opacity and shape at random, their size given. All compared times come
from one run, each the best of several. The reference keeps some 15 numbers of each Gaussian at each pixel, and so is drawn
in strips of `STRIP` rows, each with its backward pass: its time is their sum, its memory that of one strip.
--readme writes the tables into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from render import CLOCKS, README, write_readme

from zero3d.engine import Engine, fit
from zero3d.geometry import orbit
from zero3d.plugins import load_plugins
from zero3d.run import run
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
from zero3d_gaussians.drawing import dense, tiles
from zero3d_gaussians.drawing.projection import project

STRIP = 16
CLOCK = CLOCKS["wall"]
GATE = {"ratio": 40.0, "memory": 0.1}


def make_cloud(count: int, size: float) -> GaussianCloud:
    cloud = GaussianCloud(GaussiansConfig(points=count))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in cloud.parameters():
            parameter.normal_(generator=generator)
        cloud.log_scales.mul_(0.5).add_(torch.tensor(size).log())
        cloud.means.div_(cloud.means.norm(dim=1, keepdim=True)).mul_(
            0.5 * torch.rand(count, 1, generator=generator) ** (1 / 3)
        )
    return cloud


def draw(cloud: GaussianCloud, size: int, how: str, views: int = 1, strips: int | None = None) -> tuple[float, float]:
    """Seconds forward, and with the backward pass, of colour, depth and opacity; the projection included."""
    cloud.zero_grad(set_to_none=True)
    cameras = orbit(20.0, torch.arange(views) * 360 / views, size)
    first, both = 0.0, 0.0
    rows = size if how == "kernel" else min(STRIP, size)
    for top in list(range(0, size, rows))[:strips]:
        started = CLOCK()
        ellipses = project(cloud.means, cloud.axes(), cloud.opacities(), cameras, 0.3, 0.01, False)
        if how != "kernel":
            ellipses = replace(ellipses, means=ellipses.means - torch.tensor([0.0, top]))
        colours = cloud.shown(cloud.sh_base[:, 0]).expand(views, -1, -1)
        composite: Callable[..., Any] = tiles.composite if how == "kernel" else dense.composite
        sums, opacity = composite(ellipses, torch.cat([colours, ellipses.z[..., None]], dim=-1), rows, size)
        first += CLOCK() - started
        (sums.square().sum() + opacity.sum()).backward()
        both += CLOCK() - started
    return first, both


def best(turns: int, *arguments: Any, **options: Any) -> dict[str, float]:
    times = [draw(*arguments, **options) for _ in range(turns)]
    return {"forward": min(time[0] for time in times), "both": min(time[1] for time in times)}


def peak_megabytes(how: str, count: int, size: float, side: int) -> float:
    """What one forward and backward pass (of the reference's, one strip) adds to a fresh process's peak."""
    code = (
        "from splat import *; from render import megabytes; "
        f"cloud = make_cloud({count}, {size}); draw(make_cloud(10, 0.1), 16, {how!r}); "
        "Path('/proc/self/clear_refs').write_text('5'); before = megabytes('VmRSS'); "
        f"draw(cloud, {side}, {how!r}, strips=1); print(megabytes('VmHWM') - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=README.parent, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return float(done.stdout)


def compare(cases: list[tuple[int, float, int]], turns: int) -> list[dict[str, Any]]:
    """Kernel and reference: times and memory."""
    rows = []
    for count, size, side in cases:
        cloud = make_cloud(count, size)
        row: dict[str, Any] = {"gaussians": count, "size": size, "side": side}
        row |= {"kernel": best(turns, cloud, side, "kernel"), "dense": best(1, cloud, side, "dense")}
        row["megabytes"] = {how: peak_megabytes(how, count, size, side) for how in ("kernel", "dense")}
        row["ratio"] = row["dense"]["both"] / row["kernel"]["both"]
        row["memory"] = row["megabytes"]["kernel"] / row["megabytes"]["dense"]
        rows.append(row)
        print(table(rows[-1:]).splitlines()[-1], flush=True)
    return rows


def growth(turns: int) -> list[dict[str, Any]]:
    """The kernel alone, about 10,000 Gaussians of size 0.015 at 256^2."""
    rows = []
    for what, count, size, side, views in [
        ("base", 10_000, 0.015, 256, 1),
        ("a quarter of the Gaussians", 2_500, 0.015, 256, 1),
        ("four times the Gaussians", 40_000, 0.015, 256, 1),
        ("a quarter of the pixels", 10_000, 0.015, 128, 1),
        ("four times the pixels", 10_000, 0.015, 512, 1),
        ("half the size: a quarter of the overlap", 10_000, 0.0075, 256, 1),
        ("twice the size: four times the overlap", 10_000, 0.03, 256, 1),
        ("four views", 10_000, 0.015, 256, 4),
    ]:
        rows.append({"case": what, **best(turns, make_cloud(count, size), side, "kernel", views)})
    return rows


def steps(count: int) -> dict[str, float]:
    """Median milliseconds of a step of the two nano recipes with a teacher that costs nothing, their steps taking turns."""
    engines = {name: _engine(f"recipes/{name}.yaml") for name in ("nano", "nano-gaussians")}
    times: dict[str, list[float]] = {name: [] for name in engines}
    for index in range(count):
        for name, engine in engines.items():
            started = CLOCK()
            fit(_only(engine, index), index, lambda i, figures: True)
            times[name].append(1000 * (CLOCK() - started))
    return {name: median(own[count // 5 :]) for name, own in times.items()}


def _engine(recipe: str) -> Engine:
    """After one step from nano's lift."""
    with tempfile.TemporaryDirectory() as folder:
        overrides = [
            "image=examples/mug.png",
            f"out={folder}/run",
            "input.elevation_deg=20",
            "steps=1",
            "denoiser={type: gaussian, resolution: 64}",
            "guidance.sds.weight=0.001",
            "observers={}",
            "export={}",
        ]
        return run(recipe, load_plugins(), overrides, tell=lambda line: None).engine


def _only(engine: Engine, index: int) -> Engine:
    engine.total_steps = max(engine.total_steps, index + 1)
    return engine


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| Gaussians | size | pixels | kernel forward | both | reference both | ratio | kernel's memory | a strip's |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        kernel, megabytes = row["kernel"], row["megabytes"]
        lines.append(
            f"| {row['gaussians']:,} | {row['size']} | {row['side']}^2 | {1000 * kernel['forward']:.0f} ms | "
            f"{1000 * kernel['both']:.0f} ms | {row['dense']['both']:.1f} s | {row['ratio']:.0f}x | "
            f"{megabytes['kernel']:.0f} MB | {megabytes['dense']:.0f} MB |"
        )
    return "\n".join(lines)


def report(result: dict[str, Any]) -> str:
    base = result["growth"][0]["both"]
    grown = ["| change | time, forward and backward |", "|---|---|"]
    grown += [f"| {row['case']} | {row['both'] / base:.2f}x |" for row in result["growth"]]
    step = result["step_ms"]
    return "\n".join(
        [
            f"{result['threads']} thread(s), {result['machine']}, torch {torch.__version__}, {result['clock']} time.",
            "",
            table(result["speed"]),
            "",
            f"How the kernel grows, from {1000 * base:.0f} ms (10,000 Gaussians of size 0.015, 256^2 pixels, one view):",
            "",
            *grown,
            "",
            "A step beside `fused` voxels, the teacher left out (two views of 64^2, forward, backward, optimizer): "
            f"`nano.yaml` {step['nano']:.1f} ms, `nano-gaussians.yaml` {step['nano-gaussians']:.1f} ms.",
        ]
    )


def main() -> int:
    global CLOCK
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer Gaussians and turns")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--cpu-time", action="store_true", help="seconds of the processor: for a busy machine, one thread"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    CLOCK = CLOCKS["cpu" if arguments.cpu_time else "wall"]
    draw(make_cloud(10, 0.1), 16, "kernel")  # compile
    turns = 2 if arguments.quick else 7
    result = {
        "threads": arguments.threads,
        "machine": f"{platform.system()} {platform.machine()}",
        "clock": "processor" if arguments.cpu_time else "wall",
        "speed": compare([(500, 0.03, 64)] if arguments.quick else [(2_000, 0.03, 64), (10_000, 0.015, 256)], turns),
        "growth": growth(turns),
        "step_ms": steps(10 if arguments.quick else 60),
    }
    text = report(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if arguments.readme:
        write_readme("splat", text)
    last = result["speed"][-1]
    passed = last["ratio"] >= GATE["ratio"] and last["memory"] <= GATE["memory"]
    print("gate passed" if passed else f"gate MISSED: {GATE}")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
