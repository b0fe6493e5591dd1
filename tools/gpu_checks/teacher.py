"""The published Zero-1-to-3 at full size with random weights: what steps and views cost, and zero123.yaml's profile."""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Callable
from functools import partial, wraps
from time import perf_counter
from typing import Any

import denoiser as costs  # benchmarks/denoiser.py
import torch

from gpu_checks.rows import Bench, Found, need, root
from zero3d.engine import Engine
from zero3d.geometry import orbit
from zero3d.plugins import load_plugins
from zero3d.run import run as run_recipe
from zero3d.values import Cameras, Picture, Subject
from zero3d_zero123.component import Zero123
from zero3d_zero123.published.denoiser import PublishedDenoiser
from zero3d_zero123.published.network import Network

KERNELS = {"flash": "flash", "efficient": "fmha_cutlass", "cudnn": "cudnn", "plain": "softmax"}
"""SDPA's backends by what their kernels are called."""


def built(bench: Bench) -> PublishedDenoiser:
    need("diffusers", "transformers")
    torch.manual_seed(0)
    made = costs.random_denoiser(bench.device, "float32" if bench.tiny else "float16", bench.tiny)
    assert isinstance(made, PublishedDenoiser)
    return made


def in_precision(denoiser: PublishedDenoiser, dtype: torch.dtype, device: torch.device) -> None:
    network = Network(denoiser._unet.to(dtype), denoiser._vae, denoiser._clip, denoiser._cc)
    denoiser.use(network, device)


def cost(bench: Bench, denoiser: PublishedDenoiser, dtype: torch.dtype) -> Found:
    in_precision(denoiser, dtype, bench.device)
    many = 1 if bench.tiny else 5
    options = argparse.Namespace(steps=75, samples=4, evaluations=many, repeat=many, warmup=1)
    found = costs.measure(denoiser, bench.device, options)
    figures: dict[str, Any] = {}
    for name, part in found["parts"].items():
        figures[f"{name}, ms"] = 1000 * part["seconds"]
    figures["peak GB"] = max(part["peak_gb"] for part in found["parts"].values())
    figures["a view of 4 samples, 75 steps, s"] = found["view_s"]
    return Found(figures)


Question = tuple[torch.Tensor, torch.Tensor, Any, Cameras]


def asked(bench: Bench, denoiser: PublishedDenoiser, views: int) -> Question:
    generator = torch.Generator().manual_seed(0)
    size, side = denoiser.picture_resolution, denoiser.resolution
    picture = Picture(torch.rand(size, size, 3, generator=generator), torch.ones(size, size, 1))
    subject = Subject.of(picture, orbit(20.0, 0.0, size)).to(bench.device)
    noised = torch.randn(views, side, side, denoiser.channels, generator=generator).to(bench.device)
    sigma = denoiser.sigmas[torch.full((views,), 500)].to(bench.device)
    cameras = orbit(0.0, torch.linspace(30, 330, views), size).to(bench.device)
    return noised, sigma, denoiser.condition(subject), cameras


def precisions(bench: Bench, denoiser: PublishedDenoiser) -> Found:
    """How far each precision's answer lies from float32's, of both branches: root mean squares, relative."""
    question = asked(bench, denoiser, 2)
    answers = {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        if bench.tiny and dtype == torch.float16:
            continue  # half precision is emulated on a CPU
        in_precision(denoiser, dtype, bench.device)
        answers[str(dtype)[6:]] = torch.cat(list(denoiser.predict(*question, ("cond", "null")).values())).float()
    whole = answers.pop("float32")
    figures: dict[str, Any] = {name: float((answer - whole).norm() / whole.norm()) for name, answer in answers.items()}
    finite = all(bool(answer.isfinite().all()) for answer in answers.values())
    return Found(figures, finite and max(figures.values()) < 0.05, "weights were rounded to half precision before")


def attention(bench: Bench, denoiser: PublishedDenoiser) -> Found:
    """Which of SDPA's kernels the U-Net's attention takes."""
    question = asked(bench, denoiser, 1)
    kinds = sorted({type(one).__name__ for one in denoiser._unet.attn_processors.values()})  # type: ignore[operator, union-attr]
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if bench.device.type == "cuda" else []
    with torch.profiler.profile(activities=activities) as profile:
        denoiser.predict(*question, ("cond", "null"))
        bench.wait()
    names = [event.key.lower() for event in profile.key_averages()]
    figures = {word: any(part in name for name in names) for word, part in KERNELS.items()}
    return Found({**figures, "processors": ", ".join(kinds)})


def profile(bench: Bench, denoiser: PublishedDenoiser) -> Found:
    """recipes/zero123.yaml by `run` itself with this denoiser: milliseconds of a step by part, waiting for the device."""
    in_precision(denoiser, torch.float32 if bench.tiny else torch.float16, bench.device)
    spent: dict[str, float] = defaultdict(float)
    steps, counted, plain = (3, 0, {}) if bench.tiny else (24, 0, {})

    def timed(owner: Any, method: str, part: str) -> None:
        real: Callable[..., Any] = getattr(owner, method)
        plain[owner, method] = real

        @wraps(real)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal counted
            if part == "step":
                counted += 1
                if counted == (2 if bench.tiny else 5):
                    spent.clear()  # what came before warmed up
            bench.wait()
            started = perf_counter()
            answer = real(*arguments, **options)
            bench.wait()
            spent[part] += perf_counter() - started
            return answer

        setattr(owner, method, wrapper)

    for owner, method, part in (
        (Engine, "_render", "render"),
        (Engine, "_guide", "guide"),
        (Engine, "_regularize", "regularize"),
        (Engine, "_backward", "backward"),
        (PublishedDenoiser, "encode", "encode (in guide)"),
        (PublishedDenoiser, "predict", "predict (in guide)"),
        (Engine, "step", "step"),
    ):
        timed(owner, method, part)
    denoiser.load = lambda device: None  # type: ignore[method-assign]
    denoiser.weight_files = list  # type: ignore[method-assign]
    real_build = Zero123.build
    Zero123.build = classmethod(lambda cls, config: denoiser)  # type: ignore[assignment, method-assign]
    os.chdir(root())
    words = ["image=examples/mug.png", f"out={bench.shared}/zero123", "input.elevation_deg=20", f"steps={steps}"]
    words += [f"device={bench.device.type}", "observers={}", "export={}"]
    words += ["representation.resolution=16", "cameras.resolution=16", "cameras.views=1"] if bench.tiny else []
    try:
        work = partial(run_recipe, "recipes/zero123.yaml", load_plugins(), words, tell=lambda line: None)
        peak = bench.peak_mb(work) if bench.device.type == "cuda" else work() and None
    finally:
        Zero123.build = real_build  # type: ignore[method-assign]
        for (owner, method), real in plain.items():
            setattr(owner, method, real)
    left = counted - (1 if bench.tiny else 4)
    figures: dict[str, Any] = {f"{part}, ms": 1000 * seconds / left for part, seconds in spent.items()}
    return Found({**figures, "peak MB": peak}, note="float16, 4 views of 128 px, random weights")


def run(bench: Bench) -> None:
    found: list[PublishedDenoiser] = []

    def build() -> Found:
        started = perf_counter()
        found.append(built(bench))
        bench.wait()
        modules = (found[0]._unet, found[0]._vae, found[0]._clip, found[0]._cc)
        count = sum(p.numel() for module in modules for p in module.parameters())
        return Found({"parameters M": count / 1e6, "seconds": perf_counter() - started})

    bench.check("zero123 built at full size", build, 40.0)
    if not found:
        return
    kinds = (torch.float32,) if bench.tiny else (torch.float16, torch.bfloat16)
    for dtype in kinds:
        bench.check(f"zero123, the U-Net in {str(dtype)[6:]}", partial(cost, bench, found[0], dtype), 40.0)
    bench.check("zero123, which attention runs", partial(attention, bench, found[0]), 20.0)
    bench.check("zero123.yaml, a step by part", partial(profile, bench, found[0]), 60.0)
    bench.check("zero123, short precisions against float32", partial(precisions, bench, found[0]), 20.0)
