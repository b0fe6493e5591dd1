"""`zero3d run` end to end on the device: beside the CPU's run, beside itself, and stopped and resumed."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gpu_checks.rows import Bench, Found, Missing, error, need, root
from zero3d import checkpoint, folder
from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.plugins import load_plugins
from zero3d.run import open_session

BARE = ("observers={}", "export={}")
TINY = ("steps=4", "representation.resolution=16", "cameras.resolution=16", "export.mesh.resolution=16")
SPARED = ("observers.turntable=null",)
CPU_RUN = "nano-cpu"
ALIKE_DB = 25.0
"""Pictures of a run's result on another device differ by its random steps' rounding, which guidance feeds on."""


def nano(bench: Bench, name: str, device: str, *overrides: str) -> Path:
    """Run recipes/nano.yaml on the mug by the command line's own entry."""
    out = bench.shared / name
    sizes = TINY[: 3 if "export={}" in overrides else 4] if bench.tiny else ()
    words = ["image=examples/mug.png", f"out={out}", "input.elevation_deg=20", f"device={device}", *sizes, *overrides]
    os.chdir(root())
    code = main(["run", "recipes/nano.yaml", *words])
    if code:
        raise RuntimeError(f"zero3d run: exit code {code}; its line is in the log")
    return out


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def pace(out: Path) -> float:
    """Milliseconds a step, the first half left out, in which compilers and caches warm up."""
    seconds = [line["seconds"] for line in lines(out)]
    half = len(seconds) // 2
    return 1000 * (seconds[-1] - seconds[half - 1]) / (len(seconds) - half)


def on_the_cpu(bench: Bench) -> None:
    """The run that the device's is held against; another process makes it meanwhile."""

    def work() -> Found:
        started = time.perf_counter()
        out = nano(bench, f"{CPU_RUN}.part", "cpu", *SPARED)
        seconds = time.perf_counter() - started
        out.rename(bench.shared / CPU_RUN)
        return Found({"run s": seconds, "step ms": pace(bench.shared / CPU_RUN), "threads": torch.get_num_threads()})

    bench.check("nano.yaml on the CPU", work, 200.0)


def whole(bench: Bench) -> Found:
    started = time.perf_counter()
    out = nano(bench, "whole", bench.device.type, *SPARED)
    figures: dict[str, Any] = {"run s": time.perf_counter() - started, "step ms": pace(out)}
    figures["mesh kB"] = sum(path.stat().st_size for path in out.rglob("*.glb")) / 1e3
    return Found(figures, figures["mesh kB"] > 1, "the first run compiles")


def beside_the_cpu(bench: Bench, patience: float) -> Found:
    """Last figures of both, and both results drawn by the same renderer."""
    until = time.monotonic() + patience
    while not (bench.shared / CPU_RUN).exists():
        if time.monotonic() > until:
            raise Missing("the CPU's run has not ended")
        time.sleep(0.2)
    outs = [bench.shared / "whole", bench.shared / CPU_RUN]
    ends = [lines(out)[-10:] for out in outs]
    figures: dict[str, Any] = {}
    for key in ("regularizers.input_view.value", "guidance.sds.gradient"):
        for name, end in zip(("device", "CPU"), ends, strict=True):
            figures[f"{key.split('.', 1)[1]}, {name}"] = sum(line[key] for line in end) / len(end)
    views = [shots(out) for out in outs]
    figures["PSNR between them dB"] = psnr(views[0], views[1])
    figures["mesh volume, device"], figures["mesh volume, CPU"] = (volume(out) for out in outs)
    return Found(figures, bench.tiny or figures["PSNR between them dB"] > ALIKE_DB, "eight views of both results")


def psnr(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(-10 * (found - expected).square().mean().clamp(min=1e-12).log10())


def shots(out: Path) -> torch.Tensor:
    session = open_session(out, load_plugins(), tell=lambda line: None)
    cameras = orbit(15.0, torch.arange(8) * 45.0, 64, 2.0)
    return session.engine.draw(cameras).image.cpu()


def volume(out: Path) -> float:
    need("trimesh")
    from trimesh import load_mesh

    (mesh,) = out.rglob("*.glb")
    return abs(float(load_mesh(mesh).volume))


def state(out: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(out)[0]


def furthest(one: Path, other: Path) -> float:
    """The largest difference of two checkpoints' representations, as a share of each tensor's largest value."""
    first, second = state(one), state(other)
    names = [name for name in first if name.startswith("representation.") and first[name].is_floating_point()]
    assert names
    return max(error(first[name], second[name]) for name in names)


@contextmanager
def stopped_after(steps: int) -> Iterator[None]:
    """Ctrl-C when so many steps are done."""
    real: Callable[..., None] = folder.MetricsLog.write

    def write(self: folder.MetricsLog, step: int, figures: dict[str, Any]) -> None:
        real(self, step, figures)
        if step + 1 == steps:
            os.kill(os.getpid(), signal.SIGINT)

    folder.MetricsLog.write = write  # type: ignore[method-assign]
    try:
        yield
    finally:
        folder.MetricsLog.write = real  # type: ignore[method-assign]


def resumed(bench: Bench) -> Found:
    """How far a stopped and resumed run ends from an undisturbed one, beside how far two undisturbed ones do."""
    kind, stop = bench.device.type, 2 if bench.tiny else 40
    steps = () if bench.tiny else ("steps=80",)
    whole, again = (nano(bench, name, kind, *BARE, *steps) for name in ("once", "again"))
    with stopped_after(stop):
        try:
            nano(bench, "cut", kind, *BARE, *steps)
        except (RuntimeError, KeyboardInterrupt):  # the command line ends with the code of Ctrl-C
            reached = len(lines(bench.shared / "cut"))
    assert reached == stop, f"stopped after {reached} steps"
    code = main(["resume", str(bench.shared / "cut")])
    assert code == 0, f"zero3d resume: exit code {code}"
    figures = {
        "resumed, largest difference": furthest(bench.shared / "cut", whole),
        "the same run twice": furthest(again, whole),
        "step ms": pace(again),
    }
    views = [shots(out) for out in (whole, again, bench.shared / "cut")]
    figures["resumed, PSNR dB"] = psnr(views[2], views[0])
    figures["twice, PSNR dB"] = psnr(views[1], views[0])
    # a resumed run may differ by what two runs of the same recipe differ by: sums whose order the device chooses
    worst = figures["the same run twice"]
    ok = figures["resumed, largest difference"] <= (3 * worst if worst else 0.0)
    return Found(figures, ok, "of the representation's tensors, as a share of their largest value")


def run(bench: Bench) -> None:
    bench.check("nano.yaml on the device, from the command to the mesh", partial(whole, bench), 75.0)
    bench.check("a run stopped and resumed", partial(resumed, bench), 75.0)
    bench.check("the device's run beside the CPU's", partial(beside_the_cpu, bench, 40.0), 60.0)
