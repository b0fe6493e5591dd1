"""What a teacher costs: seconds and memory a guidance step and a view, at full size with random weights.

    python benchmarks/denoiser.py [--teacher stable_diffusion] [--tiny] [--device cuda] [--dtype float16] [--json FILE]

Nothing is downloaded: any denoiser will do that has an untrained form (`Denoiser.untrained`); the published Zero-1-to-3
unless --teacher names another. A guidance step is one classifier-free-guided evaluation of one view (both branches in one
batch), or of the group of views that a teacher denoises jointly: samples are then whole groups. Zero-1-to-3's
reconstruction also decodes the input view with its gradient. A view is what `steps` of its demo ask for, times `samples`
drawn together, and their decoding; it is timed on --evaluations of them and scaled. Texts get random embeddings, so that
no text encoder runs (but Zero123++'s, once). On a CPU at full size (float32, about 6 GB) take --repeat 1 --warmup 0
--evaluations 1, and --dtype bfloat16 for those that do not fit.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from zero3d.errors import UserError
from zero3d.geometry import orbit
from zero3d.interfaces import Denoiser
from zero3d.parts import choose_device
from zero3d.plugins import load_plugins
from zero3d.values import Cameras, Picture, PosedPicture, Prompt, Subject

FIGURES = {
    "zero123": "the paper, on an RTX A6000: 2 s a view, 30 min a reconstruction of 10,000 steps",
    "stable_diffusion": "SDI's table 1 (threestudio, a GPU): SDS 66 min and 6 GB, SJC 13 and 13, SDI 119 and 39, "
    "HiFA 235 and 46, VSD 334 and 48; SJC's own README: 25 min and 10 GB on an RTX A5000",
    "image_variations": "none found; SJC over Stable Diffusion, of the same size, 25 min for 10,000 steps on an RTX A5000",
}
"""What is published of a teacher's cost, beside ours."""
RECONSTRUCTION_STEPS = 10_000


def random_denoiser(device: torch.device, dtype: str, tiny: bool = False, teacher: str = "zero123") -> Denoiser:
    """A teacher with the weights its modules begin with: no file is read."""
    component = load_plugins().get("denoiser", teacher, "--teacher")
    options = {"dtype": dtype} if "dtype" in {option.name for option in fields(component.Config)} else {}
    usual = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, dtype))  # the largest do not fit into memory in float32, not even on the way
    try:
        return component.untrained(component.Config(**options), device, tiny)
    finally:
        torch.set_default_dtype(usual)


class Stopwatch:
    """Seconds and peak memory of one kind of work."""

    def __init__(self, device: torch.device, warmup: int, repeat: int, clock: Callable[[], float]) -> None:
        self.device, self.warmup, self.repeat, self.clock = device, warmup, repeat, clock

    def __call__(self, name: str, work: Callable[[], Any], repeat: int | None = None) -> dict[str, float]:
        """Measure it, and say so at once: what comes after may need more memory than there is."""
        for _ in range(self.warmup):
            work()
        self._wait()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        count = repeat or self.repeat
        started = self.clock()
        for _ in range(count):
            work()
        self._wait()
        figure = {"seconds": (self.clock() - started) / count, "peak_gb": self._peak()}
        print(f"{name}: {figure['seconds']:.4f} s, {figure['peak_gb']:.2f} GB", file=sys.stderr, flush=True)
        return figure

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _peak(self) -> float:
        """On a CPU, the most that the process ever held."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def evaluations_of(steps: int) -> int:
    """How often the published demo's sampler asks the network: range(0, 1000, 1000 // S) without its last."""
    return len(range(0, 1000, 1000 // steps)) - 1


def views_around(denoiser: Denoiser, subject: Subject, samples: int) -> Cameras:
    """So many cameras, in the teacher's groups: its own views where it has some, else an orbit."""
    group, size = denoiser.group, denoiser.picture_resolution
    fixed = denoiser.views(subject)
    if fixed is not None:
        return fixed[torch.arange(group).repeat(samples // group)]
    if group > 1:
        return orbit(0.0, (360 / group * torch.arange(group)).repeat(samples // group), size)
    return orbit(0.0, torch.linspace(30, 330, samples), size)


def measure(denoiser: Denoiser, device: torch.device, options: argparse.Namespace) -> dict[str, Any]:
    """The figures of one configuration."""
    clock = time.process_time if options.cpu_time else time.perf_counter
    watch = Stopwatch(device, options.warmup, options.repeat, clock)
    generator = torch.Generator().manual_seed(0)
    size, side = denoiser.picture_resolution, denoiser.resolution
    picture = Picture(torch.rand(size, size, 3, generator=generator).to(device), torch.ones(size, size, 1).to(device))
    camera = orbit(20.0, 0.0, size).to(device)
    subject = Subject((PosedPicture("front", picture, camera),), Prompt("a cat", "ugly"))
    condition = denoiser.condition(subject)
    group = denoiser.group
    samples = group * math.ceil(options.samples / group)
    noised = torch.randn(samples, side, side, denoiser.channels, generator=generator).to(device)
    sigma = denoiser.sigmas[torch.full((samples,), 500)].to(device)
    around = views_around(denoiser, subject, samples).to(device)

    def step() -> None:
        with torch.no_grad():
            denoiser.denoise(noised[:group], sigma[:group], condition, around[:group], 100.0)

    def evaluation() -> None:
        with torch.no_grad():
            denoiser.denoise(noised, sigma, condition, around, 3.0)

    def perp_neg() -> None:
        with torch.no_grad():
            denoiser.predict(
                noised[:group], sigma[:group], condition, around[:group], ("cond", "null", "front", "side")
            )

    def decode() -> None:
        with torch.no_grad():
            denoiser.decode(noised)

    def decode_with_gradient() -> None:
        latent = noised[:1].clone().requires_grad_()
        denoiser.decode(latent).square().mean().backward()

    def encode_with_gradient() -> None:
        image = picture.rgb[None].clone().requires_grad_()
        denoiser.encode(image).square().mean().backward()

    parts: dict[str, tuple[Callable[[], Any], int | None]] = {
        "condition, once a run": (lambda: denoiser.condition(subject), None),
        "guidance step": (step, None),
        "decode with gradient (latent fields)": (decode_with_gradient, None),
        "encode with gradient (RGB fields)": (encode_with_gradient, None),
        f"evaluation of {samples} samples": (evaluation, options.evaluations),
        f"decode of {samples} samples": (decode, None),
    }
    if "front" in denoiser.branches:
        parts["guidance step with Perp-Neg (4 branches)"] = (perp_neg, None)
    figures = {name: watch(name, work, repeat) for name, (work, repeat) in parts.items()}
    count = evaluations_of(options.steps)
    view = count * figures[f"evaluation of {samples} samples"]["seconds"]
    view += figures[f"decode of {samples} samples"]["seconds"]
    paper_step = figures["guidance step"]["seconds"]
    if denoiser.name == "zero123":
        paper_step += figures["decode with gradient (latent fields)"]["seconds"]
    return {
        "parts": figures,
        "evaluations_a_view": count,
        "view_s": view,
        "samples": samples,
        "view_s_a_sample": view / samples,
        "reconstruction_min": RECONSTRUCTION_STEPS * paper_step / 60,
    }


def report(result: dict[str, Any]) -> None:
    """The table."""
    what = f"{result['teacher']}, {result['network']}, {result['parameters_m']:.0f} M parameters"
    print(f"{what}, {result['dtype']} on {result['device']}")
    for name, figure in result["parts"].items():
        print(f"  {name:40s}{figure['seconds']:10.4f} s   peak {figure['peak_gb']:6.2f} GB")
    what = f"a pose, {result['samples']} samples, S={result['steps']}"
    print(f"  {what:40s}{result['view_s']:10.2f} s   {result['view_s_a_sample']:.2f} s a sample")
    minutes = f"{RECONSTRUCTION_STEPS} steps, rendering not counted"
    print(f"  {minutes:40s}{result['reconstruction_min']:10.1f} min")
    print(f"  {FIGURES.get(result['teacher'], 'no published figures are known here')}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="zero123", help="a denoiser that has an untrained form (zero123)")
    parser.add_argument("--tiny", action="store_true", help="a network of a few million parameters, to try this out")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), help="of the U-Net (float16 on CUDA)")
    parser.add_argument("--steps", type=int, default=75, help="S of the demo's sampler")
    parser.add_argument("--samples", type=int, default=4, help="drawn together in one view")
    parser.add_argument("--evaluations", type=int, default=10, help="of the U-Net that a view's time is scaled from")
    parser.add_argument("--repeat", type=int, default=5, help="of everything else")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument(
        "--cpu-time", action="store_true", help="the processor's seconds, of all threads: a busy machine"
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    if not 1 <= options.steps <= 500 or min(options.samples, options.evaluations, options.repeat) < 1:
        parser.error("--steps is 1 to 500; --samples, --evaluations and --repeat are at least 1")
    device = choose_device(options.device)
    dtype = options.dtype or ("float16" if device.type == "cuda" else "float32")
    with contextlib.redirect_stdout(sys.stderr):
        try:
            denoiser = random_denoiser(device, dtype, options.tiny, options.teacher)
        except (NotImplementedError, UserError) as error:
            parser.exit(2, f"--teacher {options.teacher}: {error}\n")
    modules = [value for value in vars(denoiser).values() if isinstance(value, torch.nn.Module)]
    told = denoiser.size(device) or (sum(p.numel() for module in modules for p in module.parameters()), 0)
    result = {
        "network": "tiny" if options.tiny else "published size",
        "teacher": options.teacher,
        "parameters_m": told[0] / 1e6,
        "device": torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device} ({torch.get_num_threads()})",
        "dtype": dtype,
        "torch": torch.__version__,
        "clock": "processor" if options.cpu_time else "wall",
        "steps": options.steps,
        **measure(denoiser, device, options),
        "published_figures": FIGURES.get(options.teacher),
    }
    report(result)
    print(json.dumps(result))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
