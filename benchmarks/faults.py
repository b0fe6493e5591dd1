"""Faults on purpose: kill -9, full disks, double starts, a term that turns NaN; what was interrupted must end to the byte.

    python benchmarks/faults.py --kills 10                 # of each command: run, stages, export, train, dataset render
    python benchmarks/faults.py --kills 40 --only run stages

Each case runs a toy-sized command in a forked process, ends it at a random moment, goes on as a user would (`resume`, or
`run` again where nothing was begun), and compares every file that counts with those of an uninterrupted run: the mesh, the
checkpoint, the metrics (without their times), the weights, the pictures. "exact" counts equal ends, "whole" what could be
gone on with at once; a difference is listed with its seed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

RECIPE = """
steps: 30
device: cpu
image: {folder}/ball.png
input: {{elevation_deg: 20, framing: keep, mask: alpha}}
cameras: {{type: sphere, resolution: 12}}
denoiser: {{type: gaussian, resolution: 12}}
representation: {{type: voxels, resolution: 12, box: 0.75}}
renderer: {{type: volume, step_ratio: 1.0}}
optimizer: {{type: adam, lr: 0.1}}
checkpoint: {{every: 4}}
guidance: {{sds: {{guidance_scale: 1}}}}
regularizers: {{input_view: {{weight: 100}}}}
export: {{mesh: {{type: marching_cubes, resolution: 16, threshold: 0.1}}}}
"""
STAGES = "stages={coarse: {steps: 12}, fine: {steps: 12, optimizer: {lr: 0.02}}}"
TRAIN = """
seed: 3
device: cpu
out: {folder}/out
dataset: {{type: views_folder, root: {folder}/views, size: 8, views: 4, workers: 0}}
denoiser: {{type: toy_trainable}}
stages: {{fit: {{steps: 40, batch: 4, targets: 2, lr: 0.05, warmup: 3, final: 1}}}}
every: 3
log_every: 1
"""
PLUGIN = '''
"""What the faults need: a term that turns NaN while a file says so, and a denoiser that trains in no time."""

from pathlib import Path

import torch
from torch import nn

from zero3d import hookimpl
from zero3d.interfaces import PixelDenoiser, Regularizer, TrainableDenoiser


ZERO3D_API = 2


class Sick(Regularizer):
    """NaN from step 17 on, while the file `sick` lies beside this one."""

    name = "sick"
    needs = frozenset({"image"})
    default_weight = 1.0

    def penalty(self, context):
        ill = context.step.index >= 17 and (Path(__file__).parent / "sick").exists()
        return context.view.image.square().mean() * (float("nan") if ill else 0.01)


class Toy(PixelDenoiser, TrainableDenoiser):
    """A linear map of colours."""

    name = "toy_trainable"
    stages = ("fit",)
    resolution = picture_resolution = 8

    def condition(self, subject):
        return None

    def predict(self, noised, sigma, condition, cameras, branches):
        return {branch: self.layer(noised) for branch in branches}

    def trainable(self, stage):
        self.layer = nn.Linear(3, 3)
        return self.layer

    def training_loss(self, batch, stage, generator):
        truth = batch.target_rgba[..., :3]
        noise = torch.randn(truth.shape, generator=generator)
        return (self.layer(truth + 0.3 * noise) - truth).square().mean(), {}

    def save(self, path):
        from safetensors.torch import save_file

        save_file({name: value.detach().clone() for name, value in self.layer.state_dict().items()}, path)


@hookimpl
def register_components(register):
    register(Sick)
    register(Toy)
'''
Files = dict[str, bytes]


class Commands:
    """Command lines in forked processes of this one, which has loaded what they need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plugin = ["--plugin", str(folder / "faults_plugin.py")]

    def start(self, *words: str, limit: int | None = None) -> int:
        """The process's number; its stderr goes to `folder`/stderr.NUMBER. `limit`: of a file's size, in bytes."""
        process = os.fork()
        if process:
            return process
        code = 70
        try:
            said = os.open(self.folder / f"stderr.{os.getpid()}", os.O_WRONLY | os.O_CREAT, 0o644)
            os.dup2(said, 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            from zero3d.cli import main

            code = main([*words, *self.plugin])
        except SystemExit as error:
            code = int(error.code or 0)
        finally:
            os._exit(code)
        raise AssertionError

    def end(self, process: int) -> tuple[int, str]:
        """Exit code (minus the signal, if one ended it), and what it said on stderr."""
        _, status = os.waitpid(process, 0)
        path = self.folder / f"stderr.{process}"
        said = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        path.unlink(missing_ok=True)
        return os.waitstatus_to_exitcode(status), said

    def run(self, *words: str, limit: int | None = None) -> tuple[int, str]:
        return self.end(self.start(*words, limit=limit))

    def killed(self, after: float, *words: str) -> None:
        """Run it, and kill it after so many seconds; it may have ended."""
        process = self.start(*words)
        time.sleep(after)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        self.end(process)


def results(folder: Path) -> Files:
    """What must be the same: metrics without their times; no manifest or recipe, which name folders and moments."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            kept = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
            found[name] = json.dumps(kept).encode()
        elif path.suffix == ".safetensors":
            found[name] = canonical(path.read_bytes())
        elif path.is_file() and path.suffix not in (".json", ".yaml") and path.name != ".zero3d.lock":
            found[name] = path.read_bytes()
    return found


def canonical(content: bytes) -> bytes:
    """A safetensors file with its header in order: the library writes the metadata in any."""
    end = 8 + int.from_bytes(content[:8], "little")
    return json.dumps(json.loads(content[8:end]), sort_keys=True).encode() + content[end:]


class Case:
    """A command, how to go on with it, and what it ends in."""

    def __init__(
        self, commands: Commands, name: str, begin: Sequence[str], go_on: Callable[[Path], Sequence[str]]
    ) -> None:
        self.commands, self.name, self.begin, self.go_on = commands, name, begin, go_on
        self.out = commands.folder / "out"
        self.expected: Files = {}
        self.seconds = 0.0

    def prepare(self) -> None:
        """Once without a fault."""
        self.clean()
        started = time.monotonic()
        code, said = self.commands.run(*self.begin)
        assert code == 0, said
        self.seconds, self.expected = time.monotonic() - started, results(self.out)

    def clean(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)

    def finish(self) -> str:
        """Go on as a user would: "" if that ends as it should, else what is wrong."""
        code, said = self.commands.run(*self.go_on(self.out))
        if code:
            return f"exit code {code}: {said.strip()[-300:]}"
        found = results(self.out)
        wrong = sorted(name for name in {*found, *self.expected} if found.get(name) != self.expected.get(name))
        return f"other files: {', '.join(wrong)}" if wrong else ""


class ExportCase(Case):
    """Export again, finer, of a finished run: the model is the former or the new one at every moment."""

    def prepare(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        code, said = self.commands.run("run", str(self.commands.folder / "r.yaml"))
        assert code == 0, said
        self.kept = self.commands.folder / "kept"
        shutil.copytree(self.out, self.kept)
        self.former = results(self.out)
        super().prepare()

    def clean(self) -> None:
        shutil.rmtree(self.out, ignore_errors=True)
        shutil.copytree(self.kept, self.out)

    def finish(self) -> str:
        now = (self.out / "mesh.glb").read_bytes()
        if now not in (self.former["mesh.glb"], self.expected["mesh.glb"]):
            return "half a model"
        return super().finish()


def make_inputs(folder: Path) -> None:
    """A picture, two meshes, rendered views, recipes, the plug-in."""
    import numpy
    import trimesh
    from PIL import Image

    rgba = numpy.zeros((48, 48, 4), numpy.uint8)
    rows, columns = numpy.mgrid[:48, :48]
    rgba[(rows - 24) ** 2 + (columns - 24) ** 2 < 300] = (200, 60, 40, 255)
    Image.fromarray(rgba, "RGBA").save(folder / "ball.png")
    (folder / "meshes").mkdir()
    for number in range(4):
        trimesh.creation.icosphere(1, 0.2 + 0.1 * number).export(folder / "meshes" / f"ball{number}.ply")
    random_colours = numpy.random.default_rng(0)
    for number in range(8):
        place = folder / "views" / f"object{number}"
        place.mkdir(parents=True)
        for view in range(4):
            picture = random_colours.integers(0, 255, (8, 8, 4), dtype=numpy.uint8)
            Image.fromarray(picture, "RGBA").save(place / f"{view:03d}.png")
            pose = numpy.eye(4)[:3]
            pose[2, 3] = -2 - 0.1 * view
            numpy.save(place / f"{view:03d}.npy", pose)
    (folder / "views" / "valid_paths.json").write_text(json.dumps([f"object{n}" for n in range(8)]), encoding="utf-8")
    (folder / "r.yaml").write_text(RECIPE.format(folder=folder) + f"out: {folder}/out\n", encoding="utf-8")
    (folder / "train.yaml").write_text(TRAIN.format(folder=folder), encoding="utf-8")
    (folder / "faults_plugin.py").write_text(PLUGIN, encoding="utf-8")


def make_cases(commands: Commands) -> dict[str, Case]:
    from zero3d_training.state import is_training

    recipe, out = str(commands.folder / "r.yaml"), str(commands.folder / "out")

    def resumed(*begin: str) -> Callable[[Path], Sequence[str]]:
        return lambda place: ["resume", out] if (place / "picture.png").exists() else begin

    run, staged = ["run", recipe], ["run", recipe, STAGES]
    export = ["export", out, "export.mesh.resolution=40"]
    train = ["train", str(commands.folder / "train.yaml")]
    dataset = ["dataset", "render", str(commands.folder / "meshes"), "--out", out, "--size", "16", "--views", "3"]
    return {
        "run": Case(commands, "run", run, resumed(*run)),
        "stages": Case(commands, "stages", staged, resumed(*staged)),
        "export": ExportCase(commands, "export", export, lambda place: export),
        "train": Case(
            commands,
            "train",
            train,
            lambda place: [*train, "--resume"] if is_training(place) else train,
        ),
        "dataset": Case(commands, "dataset", dataset, lambda place: dataset),
    }


def kills(case: Case, seed: int) -> str:
    """Killed up to three times, at random moments, the goings-on too."""
    chance = random.Random(seed)
    case.clean()
    case.commands.killed(chance.uniform(0, case.seconds), *case.begin)
    for _ in range(chance.randrange(3)):
        case.commands.killed(chance.uniform(0, case.seconds), *case.go_on(case.out))
    return case.finish()


def full(case: Case, seed: int) -> str:
    """A limit on every file's size, as a full disk is: one line, exit code 1, no temporary file; then room again."""
    chance = random.Random(seed)
    case.clean()
    largest = max(map(len, case.expected.values()))
    code, said = case.commands.run(*case.begin, limit=int(largest * chance.uniform(0.05, 0.95)))
    lines = [line for line in said.splitlines() if line.startswith("zero3d: ")]
    left = [path.name for path in case.out.rglob(".zero3d-*")] if case.out.exists() else []
    if code not in (1, 2) or len(lines) != 1 or "Traceback" in said:
        return f"exit code {code}, said {said.strip()[-300:]!r}"
    return f"left {', '.join(left)}" if left else case.finish()


def double(case: Case, seed: int) -> str:
    """Started twice within a moment: one is refused, the other ends as it should."""
    chance = random.Random(seed)
    case.clean()
    first = case.commands.start(*case.begin)
    time.sleep(chance.uniform(0, case.seconds))
    codes = sorted((case.commands.run(*case.go_on(case.out))[0], case.commands.end(first)[0]))
    if codes not in ([0, 2], [0, 0]):  # the second may begin when the first has ended
        return f"exit codes {codes}"
    return case.finish()


def nan(case: Case, seed: int) -> str:
    """A term that turns NaN at step 17: exit code 1, it and the step are named, the last checkpoint is from before."""
    sick = case.commands.folder / "sick"
    case.clean()
    sick.touch()
    code, said = case.commands.run(*case.begin, "regularizers.sick={}")
    sick.unlink()
    if code != 1 or "sick" not in said or "17" not in said:
        return f"exit code {code}, said {said.strip()[-300:]!r}"
    code, said = case.commands.run("resume", str(case.out))
    return "" if code == 0 else f"cannot be gone on with: {said.strip()[-300:]}"


KINDS: dict[str, tuple[Callable[[Case, int], str], tuple[str, ...]]] = {
    "kill -9": (kills, ("run", "stages", "export", "train", "dataset")),
    "full disk": (full, ("run", "stages", "export", "train")),
    "double start": (double, ("run", "stages", "export", "train", "dataset")),
    "NaN": (nan, ("run",)),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a row for each case and kind of fault; 0 if every one ended as it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="of each command (10)")
    parser.add_argument("--others", type=int, default=3, help="of each other kind of fault (3)")
    parser.add_argument(
        "--only", nargs="+", default=None, metavar="COMMAND", help="run, stages, export, train, dataset"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    arguments = parser.parse_args(argv)
    import zero3d_training.trainer  # noqa: F401  (what the forked processes need, loaded once)
    from zero3d.plugins import load_plugins

    load_plugins()
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        commands = Commands(Path(temporary))
        make_inputs(commands.folder)
        cases = make_cases(commands)
        print("| fault | command | tried | exact |\n|---|---|---|---|", flush=True)
        for name, case in cases.items():
            if arguments.only and name not in arguments.only:
                continue
            case.prepare()
            for fault, (make, whose) in KINDS.items():
                if name not in whose:
                    continue
                tries = arguments.kills if fault == "kill -9" else 1 if fault == "NaN" else arguments.others
                wrong = {
                    seed: said for seed in range(arguments.seed, arguments.seed + tries) if (said := make(case, seed))
                }
                print(f"| {fault} | {name} | {tries} | {tries - len(wrong)} |", flush=True)
                for seed, said in wrong.items():
                    print(f"  seed {seed}: {said}", flush=True)
                bad += len(wrong)
            if isinstance(case, ExportCase):
                shutil.rmtree(case.kept)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
