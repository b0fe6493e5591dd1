"""Train nano on a rented GPU, in slices: makes its own data, goes on from local disk, needs no registry.

On the machine that has a registry, fetch the wheels that the data needs (meshes and ray casting; about 30 MB):

    python tools/train_nano_gpu.py wheels --python 3.12 --to .carry

On the GPU machine (torch, numpy and safetensors are enough; the checkout and .carry travel), three times 9 minutes:

    python tools/train_nano_gpu.py slice --wheels .carry --minutes 9 --lift 14 --denoiser 6 --to "$OUT"

A slice renders objects on every core while it trains on those that are there; after `lift` minutes of training in all,
it goes on to the denoiser. It saves to --disk every minute and when its time is over; the next slice finds it there.
`--to` gets nano.safetensors, which recipes take as `denoiser.weights`, and the log.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ("trimesh", "embreex", "manifold3d", "pluggy", "tqdm")
STAGES = ("lift", "denoiser")
SAVE_EVERY_S = 60.0
RATES = {"lift": 1e-3, "denoiser": 1.5e-3}
WARMUP_STEPS = 200


def fetch(python: str, folder: Path) -> None:
    """Download wheels for that Python into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), "--python-version", python]
    for name in WHEELS:
        subprocess.run([*command, "--only-binary", ":all:", name], check=True)


def install(wheels: Path) -> None:
    """Put the carried wheels where this Python finds them, without asking any registry."""
    target = ROOT / ".carried"
    if not target.exists():
        files = [str(path) for path in sorted(wheels.iterdir())]
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation"]
        subprocess.run([*command, "--quiet", "--target", str(target), *files], check=True)
    for folder in (ROOT, ROOT / "plugins", target):
        sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(str(f) for f in (ROOT, ROOT / "plugins", target))


class Trainer:
    """Both networks, an optimizer for the present stage, running means of the weights, all of it on disk."""

    def __init__(self, disk: Path, device: Any, batch: int, targets: int, objects: int, budget_s: dict[str, float]):
        import torch

        from zero3d_procedural.dataset import ProceduralConfig, ProceduralObjects
        from zero3d_training.muon import Muon
        from zero3d_zero123.nano.denoiser import NanoDenoiser

        self.torch, self.device, self.disk, self.budget = torch, device, disk, budget_s
        self.batch, self.targets = batch, targets
        self.denoiser = NanoDenoiser()
        config = ProceduralConfig(cache=str(disk / "data"), objects=objects, variants=1, targets=targets + 1)
        self.data, self.workers = ProceduralObjects(config), max(1, (os.cpu_count() or 2) - 1)
        torch.manual_seed(0)
        self.networks = {stage: self.denoiser.trainable(stage).to(device) for stage in STAGES}
        self.means = {s: {k: v.clone() for k, v in n.state_dict().items()} for s, n in self.networks.items()}
        self.spent = dict.fromkeys(STAGES, 0.0)
        self.steps = dict.fromkeys(STAGES, 0)
        self.optimizers = {
            s: Muon(n.parameters(), lr=0.0, weight_decay=0.02, betas=(0.9, 0.99)) for s, n in self.networks.items()
        }
        if (disk / "state.pt").exists():
            self._restore(torch.load(disk / "state.pt", map_location=device, weights_only=True))

    def render(self) -> subprocess.Popen[bytes]:
        """Fill the cache in a process of its own, so that training starts on what is there."""
        config = self.data.config
        code = (
            "from pathlib import Path; from zero3d_procedural.cache import Cache, CacheSpec\n"
            f"spec = CacheSpec(0, {config.objects}, 1, {config.targets}, {config.size})\n"
            f"if __name__ == '__main__': Cache(Path({config.cache!r}), spec).fill({self.workers}, False)"
        )
        script = self.disk / "render.py"
        script.write_text(code)
        # in a group of its own: when the slice ends, the rendering processes end with it
        return subprocess.Popen([sys.executable, str(script)], start_new_session=True)

    def run(self, until: float, least: int) -> None:
        """Train until that time or until both stages have had theirs; begins with `least` rendered examples."""
        started = time.monotonic()
        while self._ready() < least and time.monotonic() < until:
            time.sleep(0.5)
        print(json.dumps({"examples": self._ready(), "waited_s": round(time.monotonic() - started)}), flush=True)
        saved = time.monotonic()
        for stage in STAGES:
            if self.spent[stage] >= self.budget[stage]:
                continue
            if stage == "denoiser":  # it sees what the finished lift draws
                self.networks["lift"].load_state_dict(self.means["lift"])
            for batch in self._batches():
                before = time.monotonic()
                figures = self._step(stage, batch)
                self.spent[stage] += time.monotonic() - before
                if self.steps[stage] % 100 == 0:
                    self._tell(stage, figures)
                if time.monotonic() - saved > SAVE_EVERY_S:
                    self.save()
                    saved = time.monotonic()
                if time.monotonic() >= until or self.spent[stage] >= self.budget[stage]:
                    break
            if time.monotonic() >= until:
                break
        self.save()

    def _step(self, stage: str, batch: Any) -> dict[str, float]:
        torch, network = self.torch, self.networks[stage]
        share = min(1.0, self.spent[stage] / self.budget[stage])
        rate = RATES[stage] * min(1.0, (self.steps[stage] + 1) / WARMUP_STEPS)
        for group in self.optimizers[stage].param_groups:
            group["lr"] = rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        generator = torch.Generator().manual_seed(self.steps[stage])
        loss, figures = self.denoiser.training_loss(batch, stage, generator)
        self.optimizers[stage].zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        self.optimizers[stage].step()
        self.steps[stage] += 1
        decay = min(0.999, self.steps[stage] / (9 + self.steps[stage]))
        with torch.no_grad():
            for name, value in network.state_dict().items():
                self.means[stage][name].lerp_(value, 1 - decay)
        return figures

    def _batches(self) -> Iterator[Any]:
        """Endless batches on the device; the next ones are read by threads meanwhile."""
        import queue
        from dataclasses import fields, replace

        ready: queue.Queue[Any] = queue.Queue(8)
        stop = threading.Event()

        def read(seed: int) -> None:
            generator = self.torch.Generator().manual_seed(time.time_ns() % 2**40 + seed)
            while not stop.is_set():
                made = self.data.batch(self.batch, self.targets, generator)
                while not stop.is_set():
                    try:
                        ready.put(made, timeout=1.0)
                        break
                    except queue.Full:
                        continue

        for seed in range(min(4, self.workers)):
            threading.Thread(target=read, args=(seed,), daemon=True).start()
        try:
            while True:
                batch = ready.get()
                moved = {
                    f.name: getattr(batch, f.name).to(self.device)
                    for f in fields(batch)
                    if hasattr(getattr(batch, f.name), "to")
                }
                yield replace(batch, **moved)
        finally:
            stop.set()

    def _ready(self) -> int:
        return int(self.data.complete)

    def _tell(self, stage: str, figures: dict[str, float]) -> None:
        line = {"stage": stage, "step": self.steps[stage], "spent_s": round(self.spent[stage]), "n": self._ready()}
        print(json.dumps({**line, **{k: round(v, 4) for k, v in figures.items()}}), flush=True)

    def save(self) -> None:
        """Weights as recipes take them, and all that the next slice needs, each replaced in one move."""
        state = {
            "networks": {s: n.state_dict() for s, n in self.networks.items()},
            "means": self.means,
            "optimizers": {s: o.state_dict() for s, o in self.optimizers.items()},
            "spent": self.spent,
            "steps": self.steps,
        }
        self.torch.save(state, self.disk / "state.tmp")
        os.replace(self.disk / "state.tmp", self.disk / "state.pt")

    def write(self, folder: Path) -> None:
        """nano.safetensors with the means."""
        for stage, network in self.networks.items():
            network.load_state_dict(self.means[stage])
        self.denoiser.save(str(folder / "nano.safetensors"))

    def _restore(self, state: dict[str, Any]) -> None:
        for stage, network in self.networks.items():
            network.load_state_dict(state["networks"][stage])
            self.optimizers[stage].load_state_dict(state["optimizers"][stage])
        self.means, self.spent, self.steps = state["means"], state["spent"], state["steps"]


def train(arguments: argparse.Namespace) -> None:
    """One slice."""
    until = time.monotonic() + 60 * arguments.minutes
    if arguments.wheels:
        install(arguments.wheels)
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    for folder in (arguments.disk, arguments.to):
        folder.mkdir(parents=True, exist_ok=True)
    budget = {"lift": 60 * arguments.lift, "denoiser": 60 * arguments.denoiser}
    trainer = Trainer(arguments.disk, device, arguments.batch, arguments.targets, arguments.objects, budget)
    renderer = trainer.render()
    try:
        trainer.run(until, min(arguments.objects, arguments.least))
    finally:
        if renderer.poll() is None:
            os.killpg(renderer.pid, 15)
    trainer.write(arguments.to)
    print(json.dumps({"spent_s": trainer.spent, "steps": trainer.steps, "device": str(device)}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    wheels = actions.add_parser("wheels")
    wheels.add_argument("--python", default="3.12")
    wheels.add_argument("--to", type=Path, default=Path(".carry"))
    piece = actions.add_parser("slice")
    piece.add_argument("--wheels", type=Path, help="folder of carried wheels; none: they are installed")
    piece.add_argument("--minutes", type=float, default=9.0, help="of this slice, all in all")
    piece.add_argument("--lift", type=float, default=14.0, help="minutes of training, over all slices")
    piece.add_argument("--denoiser", type=float, default=6.0, help="minutes of training, over all slices")
    piece.add_argument("--disk", type=Path, default=Path("/tmp/nano"), help="local disk that outlives a slice")
    piece.add_argument("--to", type=Path, default=Path("runs/nano-gpu"))
    piece.add_argument("--objects", type=int, default=150_000, help="at most")
    piece.add_argument("--least", type=int, default=2_000, help="rendered examples that training begins with")
    piece.add_argument("--batch", type=int, default=64, help="objects a step")
    piece.add_argument("--targets", type=int, default=4)
    piece.add_argument("--device", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    if arguments.action == "wheels":
        fetch(arguments.python, arguments.to)
    else:
        train(arguments)


if __name__ == "__main__":
    main()
