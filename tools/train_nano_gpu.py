"""Train nano on a rented GPU, in slices: makes its own data, goes on from local disk, needs no registry.

On the machine that has a registry, fetch the wheels that shapes need (2 MB):

    python tools/train_nano_gpu.py wheels --python 3.12 --to .carry

On the GPU machine (torch, numpy and safetensors are enough; the checkout and .carry travel), three times 9 minutes:

    python tools/train_nano_gpu.py slice --bfloat16 --wheels .carry --minutes 9 --lift 18 --denoiser 7 --to "$OUT"

or, to go on from weights that are there, in one slice, with the lift alone:

    python tools/train_nano_gpu.py slice --bfloat16 --wheels .carry --minutes 8 --lift 7 --denoiser 0 --one-slice \\
        --start plugins/zero3d_zero123/nano/weights/nano.safetensors --to "$OUT"

A slice makes shapes on most cores and draws them on the GPU, while it trains on those that are there; after `lift`
minutes of training in all, it goes on to the denoiser. It saves to --disk every minute and when its time is over; the
next slice finds that there, and the shapes. `--to` gets nano.safetensors, which recipes take as `denoiser.weights`. A
line `held_out` before and after tells what the lift's means lose on objects that nothing is trained on; lower is better.
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
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WHEELS = ("trimesh", "manifold3d", "pluggy")
STAGES = ("lift", "denoiser")
SAVE_EVERY_S = 60.0
TELL_EVERY = 50
"""Steps."""
RATE, RESTART_RATE = 1e-3, 6e-4
"""Peaks of the cosine: of new weights, and of those that were trained before, which a high one would undo."""
WARMUP_STEPS = 200
FIRST_SEED = 3_000_000
"""Objects before 700,000 taught the weights that ship; those from 1,000,000 to here are held out."""
HELD_OUT_SEED = 1_500_000
"""Objects that are neither the benchmark's nor those by which anything was chosen; a quarter as many as scenes."""
HELD_OUT_BATCH = 50
FINISH_S = 15.0
"""Of a slice's time, for the held-out loss and the last save."""
EVERY = 4
"""A lift's loss takes this share of a target's pixels each way: 256 of 4,096, and no others are drawn."""


def fetch(python: str, folder: Path) -> None:
    """Download wheels for that Python into `folder`."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), "--python-version", python]
    for name in WHEELS:
        subprocess.run([*command, "--only-binary", ":all:", name], check=True)


def install(wheels: Path) -> None:
    """Put the carried wheels where this Python finds them, without asking any registry."""
    target = ROOT / ".carried"
    if not target.exists():
        files = [str(path) for name in WHEELS for path in sorted(wheels.glob(f"{name}-*.whl"))]
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation"]
        subprocess.run([*command, "--quiet", "--target", str(target), *files], check=True)
    for folder in (ROOT, ROOT / "plugins", target):
        sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(str(f) for f in (ROOT, ROOT / "plugins", target))


class Makers:
    """Processes that make shapes into a folder while it trains; they end with the slice."""

    def __init__(self, folder: Path, first_seed: int, count: int, most: int | None = None) -> None:
        """`most`: files that each makes; None goes on to the slice's end."""
        command = [sys.executable, "-m", "zero3d_procedural.stream", str(folder), "--first-seed", str(first_seed)]
        command += [] if most is None else ["--most", str(most)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._processes = [
            subprocess.Popen([*command, "--worker", str(worker), "--workers", str(count)], env=environment)
            for worker in range(count)
        ]

    def check(self) -> None:
        """Raises: RuntimeError, one of them has died."""
        if any(process.poll() is not None for process in self._processes):
            raise RuntimeError("a process that makes shapes has ended; its own message stands above")

    def wait(self) -> None:
        """Until those that make so many files and no more have done so. Raises: RuntimeError, one of them failed."""
        if any(process.wait() for process in self._processes):
            raise RuntimeError("a process that makes shapes has failed; its own message stands above")

    def stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()


class Ahead:
    """Makes the next step's batch while this step is computed: on a GPU in a thread and a stream of its own."""

    def __init__(self, device: Any, make: Callable[[str, int], tuple[Any, Any]]) -> None:
        self.device, self.make = device, make
        self.pool = ThreadPoolExecutor(1) if device.type == "cuda" else None
        self.stream: Any = None
        self.next: tuple[tuple[str, int], Future[Any]] | None = None

    def take(self, stage: str, step: int) -> tuple[Any, Any]:
        """That step's batch; the one after it is begun."""
        if self.pool is None:
            return self.make(stage, step)
        import torch

        if self.next is None or self.next[0] != (stage, step):
            self.next = (stage, step), self.pool.submit(self._on_its_stream, stage, step)
        batch, pixels, done = self.next[1].result()
        self.next = (stage, step + 1), self.pool.submit(self._on_its_stream, stage, step + 1)
        here = torch.cuda.current_stream(self.device)
        here.wait_event(done)
        for tensor in (pixels, *tensors_of(batch)):
            if tensor is not None:
                tensor.record_stream(here)  # or its memory might be used anew before this stream is done with it
        return batch, pixels

    def _on_its_stream(self, stage: str, step: int) -> tuple[Any, Any, Any]:
        import torch

        torch.cuda.set_device(self.device.index or 0)
        self.stream = self.stream or torch.cuda.Stream(self.device)
        with torch.cuda.stream(self.stream), torch.no_grad():
            batch, pixels = self.make(stage, step)
            return batch, pixels, self.stream.record_event()

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(wait=True, cancel_futures=True)


def tensors_of(batch: Any) -> list[Any]:
    """All tensors of a TrainingBatch, those of its cameras too."""
    found = [batch.input_rgba, batch.target_rgba, batch.occupancy]
    for cameras in (batch.input_cameras, batch.target_cameras):
        found += [cameras.camera_to_world, *([] if isinstance(cameras.fov, float) else [cameras.fov])]
    return found


class Trainer:
    """Both networks, an optimizer for each, running means of the weights, all of it on disk."""

    def __init__(self, arguments: argparse.Namespace, device: Any) -> None:
        import torch

        from zero3d_procedural.stream import ShapeStream
        from zero3d_training.average import Average
        from zero3d_training.muon import Muon
        from zero3d_zero123.nano.denoiser import NanoDenoiser

        self.torch, self.device, self.disk, self.out = torch, device, arguments.disk, arguments.to
        self.bfloat16 = arguments.bfloat16
        self.batch, self.targets = dict(zip(STAGES, arguments.batch, strict=True)), arguments.targets
        self.budget = {"lift": 60 * arguments.lift, "denoiser": 60 * arguments.denoiser}
        self.denoiser = NanoDenoiser(None, arguments.start)
        self.shapes = ShapeStream(self.disk / "shapes", device)
        self.held_out = ShapeStream(self.disk / "held-out", device)
        self.judged = arguments.held_out
        self.rate, self.one_slice = arguments.rate or (RESTART_RATE if arguments.start else RATE), arguments.one_slice
        self.ahead = Ahead(device, self._batch)
        torch.manual_seed(0)
        self.networks = {stage: self.denoiser.trainable(stage).to(device) for stage in STAGES}
        self.means = {stage: Average(network, 0.999) for stage, network in self.networks.items()}
        self.spent = dict.fromkeys(STAGES, 0.0)
        self.steps = dict.fromkeys(STAGES, 0)
        self.examples = 0
        self.optimizers = {
            s: Muon(n.parameters(), lr=0.0, weight_decay=0.02, betas=(0.9, 0.99)) for s, n in self.networks.items()
        }
        if (self.disk / "state.pt").exists():
            self._restore(torch.load(self.disk / "state.pt", map_location="cpu", weights_only=True))

    def run(self, until: float, least: int, makers: Makers) -> None:
        """Train until that time or until both stages have had theirs; begins with `least` shapes."""
        started = time.monotonic()
        self.held_out.refresh()
        self._judge("start")
        while len(self.shapes) < least and time.monotonic() < until:
            makers.check()
            time.sleep(0.2)
            self.shapes.refresh()
        self._print(shapes=len(self.shapes), waited_s=time.monotonic() - started)
        until -= min(FINISH_S, 0.2 * (until - time.monotonic()))
        if self.one_slice:  # the rate falls to its end within the time that is left
            scale = (until - time.monotonic()) / max(sum(self.budget.values()), 1e-9)
            self.budget = {stage: budget * min(1.0, scale) for stage, budget in self.budget.items()}
        began = time.monotonic(), len(self.shapes)
        over = threading.Event()
        reader = threading.Thread(target=self._read, args=(over,), daemon=True)
        reader.start()
        try:
            for stage in STAGES:
                if time.monotonic() < until and self.spent[stage] < self.budget[stage]:
                    self._stage(stage, until, makers)
        finally:
            over.set()
            reader.join()
            self.ahead.close()
        self.save()
        self._judge("end")
        seconds = max(time.monotonic() - began[0], 1e-9)
        made = len(self.shapes) - began[1]
        self._print(shapes_made_a_second=made / seconds, examples_a_shape=self.examples / max(len(self.shapes), 1))

    def _read(self, over: threading.Event) -> None:
        while not over.wait(1.0):
            self.shapes.refresh()

    def _stage(self, stage: str, until: float, makers: Makers) -> None:
        if stage == "denoiser":  # it sees what the finished lift draws
            self.networks["lift"].load_state_dict(self.means["lift"].values)
        saved = told = time.monotonic()
        while (before := time.monotonic()) < until and self.spent[stage] < self.budget[stage]:
            figures = self._step(stage)
            now = time.monotonic()
            self.spent[stage] += now - before
            if self.steps[stage] % TELL_EVERY == 0:
                self._print(
                    stage=stage,
                    step=self.steps[stage],
                    spent_s=self.spent[stage],
                    shapes=len(self.shapes),
                    step_s=(now - told) / TELL_EVERY,
                    **figures,
                )
                told = now
                makers.check()
            if now - saved > SAVE_EVERY_S:
                self.save()
                saved = now

    def _step(self, stage: str) -> dict[str, float]:
        from zero3d_zero123.nano.lift import Lift
        from zero3d_zero123.nano.losses import lift_loss

        torch, network, optimizer = self.torch, self.networks[stage], self.optimizers[stage]
        share = min(1.0, self.spent[stage] / self.budget[stage])
        rate = self.rate * min(1.0, (self.steps[stage] + 1) / WARMUP_STEPS)
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))
        batch, pixels = self.ahead.take(stage, self.steps[stage])
        generator = torch.Generator(self.device).manual_seed(self.steps[stage])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            if not isinstance(network, Lift):
                loss, figures = self.denoiser.training_loss(batch, stage, generator)
            else:
                loss, figures = lift_loss(network, batch, generator, pixels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        self.steps[stage] += 1
        self.examples += self.batch[stage]
        self.means[stage].update(network, self.steps[stage])
        return dict(figures)

    def _batch(self, stage: str, step: int) -> tuple[Any, Any]:
        """A step's batch; for the lift of each target only the pixels that its loss takes, and which those are."""
        chosen = self.torch.Generator().manual_seed(step)
        if stage == "lift":
            return self.shapes.sparse_batch(self.batch[stage], self.targets, chosen, EVERY)
        return self.shapes.batch(self.batch[stage], self.targets, chosen), None

    def _judge(self, when: str) -> None:
        """The lift's loss on the same pixels of the same held-out objects, of the means as they are written."""
        from zero3d_zero123.nano import weights
        from zero3d_zero123.nano.lift import Lift
        from zero3d_zero123.nano.losses import lift_loss
        from zero3d_zero123.nano.unet import UNet

        torch, written = self.torch, self.disk / "judged.safetensors"
        self._write(written)
        lift = Lift()
        weights.read(written, lift, UNet())
        lift, totals = lift.to(self.device).eval(), dict[str, float]()
        size = min(HELD_OUT_BATCH, self.judged)
        parts = self.judged // size if size else 0
        for part in range(parts):
            chosen = torch.Generator().manual_seed(part)
            batch, pixels = self.held_out.sparse_batch(size, self.targets, chosen, EVERY)
            with torch.no_grad():
                loss, figures = lift_loss(lift, batch, torch.Generator(self.device).manual_seed(part), pixels)
            for name, value in {**figures, "loss": float(loss)}.items():
                totals[name] = totals.get(name, 0.0) + value / parts
        self._print(held_out=when, scenes=parts * size, **totals)

    def _print(self, **figures: float | str) -> None:
        print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}), flush=True)

    def save(self) -> None:
        """All that the next slice needs, replaced in one move; and the means' nano.safetensors."""
        state = {
            "networks": {s: n.state_dict() for s, n in self.networks.items()},
            "means": {s: mean.values for s, mean in self.means.items()},
            "optimizers": {s: o.state_dict() for s, o in self.optimizers.items()},
            "spent": self.spent,
            "steps": self.steps,
        }
        self.torch.save(state, self.disk / "state.tmp")
        os.replace(self.disk / "state.tmp", self.disk / "state.pt")
        self._write(self.out / "nano.safetensors")

    def _write(self, path: Path) -> None:
        """The means."""
        from zero3d_zero123.nano import weights
        from zero3d_zero123.nano.lift import Lift
        from zero3d_zero123.nano.unet import UNet

        lift, unet = Lift(), UNet()
        lift.load_state_dict(self.means["lift"].values)
        unet.load_state_dict(self.means["denoiser"].values)
        weights.write(path, lift, unet, in_bytes=True)

    def _restore(self, state: dict[str, Any]) -> None:
        for stage, network in self.networks.items():
            network.load_state_dict(state["networks"][stage])
            self.optimizers[stage].load_state_dict(state["optimizers"][stage])
            for name, value in state["means"][stage].items():
                self.means[stage].values[name].copy_(value)
        self.spent, self.steps = state["spent"], state["steps"]


def train(arguments: argparse.Namespace) -> None:
    """One slice."""
    until = time.monotonic() + 60 * arguments.minutes
    if arguments.wheels:
        install(arguments.wheels)
    for folder in (arguments.disk, arguments.to):
        folder.mkdir(parents=True, exist_ok=True)
    cores = os.cpu_count() or 2
    files = math.ceil(arguments.held_out / 4 / HELD_OUT_BATCH)
    judges = Makers(arguments.disk / "held-out", HELD_OUT_SEED, files, most=1)
    makers = Makers(arguments.disk / "shapes", arguments.first_seed, max(1, 3 * cores // 4))
    try:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
        device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        trainer = Trainer(arguments, device)
        judges.wait()
        trainer.run(until, arguments.least, makers)
    finally:
        makers.stop()
        judges.stop()
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
    piece.add_argument("--lift", type=float, default=18.0, help="minutes of training, over all slices")
    piece.add_argument("--denoiser", type=float, default=7.0, help="minutes of training, over all slices")
    piece.add_argument("--disk", type=Path, default=Path("/tmp/nano"), help="local disk that outlives a slice")
    piece.add_argument("--to", type=Path, default=Path("runs/nano-gpu"))
    piece.add_argument("--start", type=Path, help="weights to go on from; none: new ones")
    piece.add_argument("--rate", type=float, help=f"peak; {RATE} for new weights, {RESTART_RATE} with --start")
    piece.add_argument("--held-out", type=int, default=800, help="scenes by which the lift is judged; 0: not")
    piece.add_argument(
        "--one-slice", action="store_true", help="no other follows: the rate falls within this one's time"
    )
    piece.add_argument("--first-seed", type=int, default=FIRST_SEED, help="of the objects")
    piece.add_argument("--least", type=int, default=2_000, help="shapes that training begins with")
    piece.add_argument(
        "--batch", type=int, nargs=2, default=(128, 64), help="objects a step, of the lift and the denoiser"
    )
    piece.add_argument("--targets", type=int, default=4)
    piece.add_argument("--bfloat16", action="store_true", help="the networks compute in it; else in float32")
    piece.add_argument("--device", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    if arguments.action == "wheels":
        fetch(arguments.python, arguments.to)
    else:
        train(arguments)


if __name__ == "__main__":
    main()
