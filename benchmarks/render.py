"""How fast the fused renderer is: rays a second against `volume` and against code in the style of SJC, on this machine.

    python benchmarks/render.py [--quick] [--threads 2] [--json render.json] [--readme]

All compared times come from one run, each the best of several that take turns. --readme writes the tables into
benchmarks/README.md. Fields: `trained`, a solid ring with a soft edge in space that is empty (softplus argument -25);
`hazy`, the same where the argument is -11, as 300 steps from noise leave it, so that nothing may be passed over; `fog`,
SJC's start. Four channels, two samples a voxel, as SJC has it.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from sjc_style import render as sjc_style

from zero3d.geometry import orbit
from zero3d_voxels.field import VoxelField
from zero3d_voxels.fused import FusedConfig, FusedRenderer
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

README = Path(__file__).with_name("README.md")
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
CPU_TIME = False
TURNS = 12
EMPTY = {"trained": -25.0, "hazy": -11.0}


def make_field(kind: str, resolution: int, channels: int = 4) -> VoxelField:
    field = VoxelField(VoxelConfig(resolution=resolution, channels=channels, activation="none"))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        field.raw_features.normal_(generator=generator)
        if kind == "fog":
            field.raw_density.normal_(std=0.1, generator=generator)
            return field
        middle = (torch.arange(resolution) + 0.5) / resolution * 2 - 1
        z, y, x = torch.meshgrid(middle, middle, middle, indexing="ij")
        inside = 0.15 - ((torch.hypot(x, y) - 0.35).square() + z.square()).sqrt()
        argument = (inside * 1000).clamp(EMPTY[kind], 50)  # the edge is soft over 0.05 units
        field.raw_density[0, 0] = argument - field.config.density_shift
    return field


def renderers(step_ratio: float = 0.5) -> dict[str, Callable[..., Any]]:
    fused, volume = FusedRenderer(FusedConfig(step_ratio)), VolumeRenderer(VolumeConfig(step_ratio))
    return {
        "fused": fused.render,
        "volume": volume.render,
        "sjc": lambda field, cameras, background: sjc_style(field, cameras, background, step_ratio),
    }


def once(draw: Callable[..., Any], field: VoxelField, size: int) -> tuple[float, float]:
    """Seconds of a forward pass, and of it with the backward pass."""
    field.zero_grad(set_to_none=True)
    cameras, background = orbit(20.0, 30.0, size), torch.ones(field.channels)
    clock = CLOCKS["cpu" if CPU_TIME else "wall"]
    started = clock()
    view = draw(field, cameras, background)
    drawn = clock()
    (view.image.square().sum() + view.depth.sum() + view.opacity.sum()).backward()
    return drawn - started, clock() - started


def measure(draws: dict[str, Callable[..., Any]], field: VoxelField, size: int, seconds: float) -> dict[str, Any]:
    """The best of several turns, each of as many draws as fit into its share of the time, one at least."""
    best: dict[str, tuple[float, float]] = {}
    planes = deepcopy(field)  # as SJC keeps its grid, one channel after the other: its gradient then needs no copy
    planes.raw_features.data = planes.raw_features.data.contiguous()
    spent = dict.fromkeys(draws, 0.0)
    for turn in range(TURNS):
        for name, draw in draws.items():
            until = spent[name] + seconds / TURNS
            while (turn < 2 or spent[name] < seconds) and spent[name] < until:
                times = once(draw, planes if name == "sjc" else field, size)
                spent[name] += times[1]
                best[name] = times if name not in best else (min(best[name][0], times[0]), min(best[name][1], times[1]))
    return {name: {"forward": forward, "both": both} for name, (forward, both) in best.items()}


def peak_megabytes(kind: str, name: str, resolution: int, size: int) -> float:
    """What one forward and backward pass adds to a fresh process's peak."""
    code = (
        "from render import *; "
        f"field, draw = make_field({kind!r}, {resolution}), renderers()[{name!r}]; once(draw, make_field({kind!r}, 8), 4); "
        "Path('/proc/self/clear_refs').write_text('5'); before = megabytes('VmRSS'); "
        f"once(draw, field, {size}); print(megabytes('VmHWM') - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=README.parent, capture_output=True, text=True, check=True, encoding="utf-8"
    )
    return float(done.stdout)


def megabytes(what: str) -> float:
    """Resident memory now (VmRSS), or its peak since it was reset (VmHWM); Linux."""
    (line,) = [
        line for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines() if line.startswith(what)
    ]
    return int(line.split()[1]) / 1024


def compare(sizes: list[int], grids: list[int], seconds: float) -> list[dict[str, Any]]:
    rows = []
    for grid in grids:
        for kind in ("trained", "hazy", "fog"):
            field = make_field(kind, grid)
            for size in sizes:
                times = measure(renderers(), field, size, seconds)
                rows.append({"field": kind, "grid": grid, "rays": size**2, **times})
                print(table(rows[-1:]).splitlines()[-1], flush=True)
    return rows


def growth(seconds: float) -> list[dict[str, Any]]:
    """fused alone, forward and backward, about 100^3, 64^2 rays, half a voxel a step, 4 channels."""
    rows = []
    for what, kind, size, grid, ratio, channels in [
        ("base", "hazy", 64, 100, 0.5, 4),
        ("a quarter of the rays", "hazy", 32, 100, 0.5, 4),
        ("four times the rays", "hazy", 128, 100, 0.5, 4),
        ("half the samples", "hazy", 64, 100, 1.0, 4),
        ("twice the samples", "hazy", 64, 100, 0.25, 4),
        ("an eighth of the voxels, a step as long", "hazy", 64, 50, 0.25, 4),
        ("eight times the voxels, a step as long", "hazy", 64, 200, 1.0, 4),
        ("1 channel", "hazy", 64, 100, 0.5, 1),
        ("8 channels", "hazy", 64, 100, 0.5, 8),
    ]:
        draws = {"fused": renderers(ratio)["fused"]}
        rows.append({"case": what, **measure(draws, make_field(kind, grid, channels), size, seconds)})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| field | grid | rays | fused forward | fused both | volume both | SJC's style both | to volume | to SJC's style |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        both = {name: row[name]["both"] for name in ("fused", "volume", "sjc")}
        speeds = [row["rays"] / row["fused"]["forward"], *(row["rays"] / seconds for seconds in both.values())]
        lines.append(
            f"| {row['field']} | {row['grid']}^3 | {row['rays'] ** 0.5:.0f}^2 | "
            + " | ".join(f"{speed / 1000:.0f}" for speed in speeds)
            + f" | {both['volume'] / both['fused']:.1f}x | {both['sjc'] / both['fused']:.1f}x |"
        )
    return "\n".join(lines)


def report(result: dict[str, Any]) -> str:
    memory = ["| field | fused | volume | SJC's style |", "|---|---|---|---|"]
    for kind, peaks in result["memory_megabytes"].items():
        memory.append(f"| {kind} | " + " | ".join(f"{peaks[name]:.0f}" for name in ("fused", "volume", "sjc")) + " |")
    base = result["growth"][0]["fused"]["both"]
    grown = ["| change | time, forward and backward |", "|---|---|"]
    grown += [f"| {row['case']} | {row['fused']['both'] / base:.2f}x |" for row in result["growth"]]
    return "\n".join(
        [
            f"{result['threads']} thread(s), {result['machine']}, torch {torch.__version__}, {result['clock']} time.",
            result["note"] and f"{result['note']}.",
            "",
            "Thousand rays a second, forward and with the backward pass (both); ratios of the times of both:",
            "",
            table(result["speed"]),
            "",
            "Peak memory of one forward and backward pass, MB, 100^3 voxels, 64^2 rays, the gradients' 20 MB included:",
            "",
            *memory,
            "",
            f"How `fused` grows: `hazy`, from {base * 1000:.0f} ms (100^3, 64^2 rays, 2 samples a voxel, 4 channels):",
            "",
            *grown,
        ]
    )


def write_readme(name: str, text: str) -> None:
    """Replace what stands between the two markers of `name`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    old = README.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.S)
    assert pattern.search(old), f"{README}: the markers of {name} are missing"
    README.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", old), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="64^2 rays and 100^3 voxels alone")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=1.0, help="for each time, about")
    parser.add_argument(
        "--cpu-time", action="store_true", help="seconds of the processor: for a busy machine, one thread"
    )
    parser.add_argument("--note", default="", help="a word on the machine for the table")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    global CPU_TIME
    CPU_TIME = arguments.cpu_time
    once(renderers()["fused"], make_field("fog", 8), 4)  # compile
    sizes, grids = ([64], [100]) if arguments.quick else ([32, 64, 128], [50, 100, 200])
    result = {
        "threads": arguments.threads,
        "machine": f"{platform.system()} {platform.machine()}",
        "note": arguments.note,
        "clock": "processor" if CPU_TIME else "wall",
        "speed": compare(sizes, grids, arguments.seconds),
        "memory_megabytes": {
            kind: {name: peak_megabytes(kind, name, 100, 64) for name in renderers()} for kind in ("trained", "fog")
        },
        "growth": growth(arguments.seconds),
    }
    text = report(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if arguments.readme:
        write_readme("render", text)


if __name__ == "__main__":
    main()
