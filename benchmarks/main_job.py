"""The main job, recipes/nano.yaml on examples/mug.png, with the plain and with the fused renderer.

    python benchmarks/main_job.py [--rounds 2] [--steps N] [--cpu-time] [--json main_job.json] [--readme] [key=value ...]

The two take turns, each run in a process of its own. Printed are the seconds of a whole run (imports, weights, preview,
turntable and mesh included), their ratio, and where a step's time goes: `cameras`, `render`, `denoise`, `regularize` and
`optimise` are the seconds inside of the sampler, the renderer with its backward pass, the guidance, the penalties with their
derivatives, and torch's Adam with what frees its gradients; `rest` is all else of `Engine.step`, the engine's own.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

RECIPE = "recipes/nano.yaml"
RENDERERS = ("volume", "fused")
COMPONENTS = (
    ("camera_sampler", "sphere", "sample", "cameras"),
    ("renderer", "volume", "render", "render"),
    ("renderer", "fused", "render", "render"),
    ("guidance", "sds", "gradient", "denoise"),
    ("regularizer", "input_view", "penalty", "regularize"),
    ("regularizer", "opaque", "penalty", "regularize"),
)
"""What recipes/nano.yaml is made of: kind, name, the method that does the work, and the part it is counted as."""
PARTS = ("cameras", "render", "denoise", "regularize", "optimise", "rest")


CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
CLOCK = "wall"


def timed(owner: Any, method: str, part: str, spent: Counter[str]) -> None:
    """Count the seconds that a method takes in a step, those within another counted one as that one's."""
    plain: Callable[..., Any] = getattr(owner, method)

    @wraps(plain)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        if not spent["open"]:
            return plain(*arguments, **options)
        spent["open"] = 0
        started = CLOCKS[CLOCK]()
        try:
            return plain(*arguments, **options)
        finally:
            spent[part] += CLOCKS[CLOCK]() - started
            spent["open"] = 1

    setattr(owner, method, wrapper)


def one_run(renderer: str, steps: int, overrides: list[str]) -> dict[str, Any]:
    """In this process: the seconds of the run, and milliseconds of a step by part, the first two steps left out."""
    started = CLOCKS[CLOCK]()
    from zero3d.engine import Engine
    from zero3d.plugins import load_plugins
    from zero3d.run import run

    registry, spent = load_plugins(), Counter[str]()
    for kind, name, method, part in COMPONENTS:
        timed(registry.get(kind, name, "main_job"), method, part, spent)
    timed(torch.autograd, "backward", "render", spent)
    timed(torch.autograd, "grad", "regularize", spent)
    counted = 0
    plain_step = Engine.step

    def step(engine: Engine, index: int, look: Any = None) -> Any:
        nonlocal counted
        counted += 1
        if counted == 1:  # the object's own methods: its class is not torch.optim.Adam itself
            adam = getattr(engine.optimizer, "torch", engine.optimizer)
            for method in ("step", "zero_grad"):
                timed(adam, method, "optimise", spent)
        if counted == 3:
            spent.clear()  # compilers and caches are warm
        began, spent["open"] = CLOCKS[CLOCK](), 1
        figures = plain_step(engine, index, look)
        spent["step"] += CLOCKS[CLOCK]() - began
        spent["open"] = 0
        return figures

    Engine.step = step  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        run(
            RECIPE,
            registry,
            [
                "image=examples/mug.png",
                f"out={folder}/run",
                "input.elevation_deg=20",
                f"renderer.type={renderer}",
                f"steps={steps}",
                *overrides,
            ],
            tell=lambda line: None,
        )
    seconds = CLOCKS[CLOCK]() - started
    spent["rest"] = spent["step"] - sum(spent[part] for part in PARTS[:-1])
    milliseconds = {part: 1000 * spent[part] / max(counted - 2, 1) for part in (*PARTS, "step")}
    return {"seconds": seconds, "milliseconds": milliseconds, "threads": torch.get_num_threads()}


def in_a_process(renderer: str, steps: int, overrides: list[str]) -> dict[str, Any]:
    clock = ["--cpu-time"] if CLOCK == "processor" else []
    command = [sys.executable, __file__, "--only", renderer, "--steps", str(steps), *clock, *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=True, encoding="utf-8")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(runs: dict[str, list[dict[str, Any]]], steps: int) -> str:
    best = {name: min(rounds, key=lambda one: one["seconds"]) for name, rounds in runs.items()}
    lines = [
        f"{steps} steps, {best['fused']['threads']} thread(s), {CLOCK} time, the best of {len(runs['fused'])} run(s).",
        "",
        f"| renderer | whole run | a step | {' | '.join(PARTS)} |",
        "|---|---|---|" + "---|" * len(PARTS),
    ]
    for name, one in best.items():
        shares = " | ".join(f"{one['milliseconds'][part]:.1f} ms" for part in PARTS)
        lines.append(f"| `{name}` | {one['seconds']:.1f} s | {one['milliseconds']['step']:.1f} ms | {shares} |")
    whole = best["volume"]["seconds"] / best["fused"]["seconds"]
    step = best["volume"]["milliseconds"]["step"] / best["fused"]["milliseconds"]["step"]
    own = best["fused"]["milliseconds"]["rest"] / best["fused"]["milliseconds"]["step"]
    last = f"`fused` is {whole:.2f}x as fast over the whole run, {step:.2f}x in a step, of which the rest is {own:.1%}."
    return "\n".join([*lines, "", last])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--steps", type=int, default=OmegaConf.load(RECIPE).steps, help="the recipe's own, unless given"
    )
    parser.add_argument("--only", choices=RENDERERS, help="one run, here, printed as JSON")
    parser.add_argument(
        "--cpu-time", action="store_true", help="seconds of the processor: for a busy machine, one thread"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true", help="write the table into benchmarks/README.md")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    global CLOCK
    CLOCK = "processor" if arguments.cpu_time else "wall"
    if arguments.only:
        print(json.dumps(one_run(arguments.only, arguments.steps, arguments.overrides)))
        return
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in RENDERERS}
    for _ in range(arguments.rounds):
        for name in RENDERERS:
            runs[name].append(in_a_process(name, arguments.steps, arguments.overrides))
            print(f"{name}: {runs[name][-1]['seconds']:.1f} s", flush=True)
    text = report(runs, arguments.steps)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=2), encoding="utf-8")
    if arguments.readme:
        from render import write_readme

        write_readme("main job", text)


if __name__ == "__main__":
    main()
