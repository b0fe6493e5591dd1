"""Every distillation algorithm at equal teacher calls: a perfect teacher, one that errs, and nano on unseen objects.

    nice -n 15 python benchmarks/algorithms.py --resume [--only sds ...] [--teacher perfect ...] [--budget 100 ...]
    python benchmarks/algorithms.py --quick                                  # two minutes: a look, no figures to quote
    python benchmarks/algorithms.py --readme              # the tables of what stands in the JSONL, algorithms that are whole
    python benchmarks/algorithms.py --validation --set sds.max_t=0.95 ...    # objects to choose settings by

One call is one picture through one branch of the teacher's network: guidance with two branches on one view is two calls, a
batch of four views under one branch four. Counted is each `predict` of the run. A run has as many optimisation steps as its
calls allow; renderer, regularizers and learning rates are those of recipes/nano.yaml, the same for all (from noise, fewer
than 100 steps are larger). How each is set stands in `algorithms_settings.py`.

perfect and flawed (`pooled.py`): the five shapes of `oracle.py` from one picture, from noise. nano: 20 procedural objects it
was not trained on, seen as in `nano_solids.py`, from the solid as its network lifts it (32^3). `none` is no
teacher: that start and the picture. Every run is a line of the JSONL, so that --resume goes on where it was cut off.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy
import torch
import yaml
from algorithms_settings import ALGORITHMS, Algorithm
from algorithms_table import report
from nano_solids import FIRST_SEED, picture_of, procedural_look
from oracle import ELEVATION_DEG, NOVEL
from PIL import Image
from pooled import FLAWED, PERFECT, Flaws, PooledTeacher, ideas, register, write_teacher

from zero3d.errors import ExportError
from zero3d.geometry import orbit
from zero3d.interfaces import Denoiser, PixelDenoiser, Teacher
from zero3d.mesh_files import load_mesh, normalise
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.random import Generators
from zero3d.recipe import make_block
from zero3d.registry import Registry
from zero3d.run import run
from zero3d.values import Step, View
from zero3d_metrics.image import psnr
from zero3d_metrics.shape import MORE_POINTS, Sample, compare, inside, sample
from zero3d_procedural.families import make_object
from zero3d_procedural.gate import SHAPES
from zero3d_zero123.nano.denoiser import NanoDenoiser

TEACHERS: dict[str, Flaws | None] = {"perfect": PERFECT, "flawed": FLAWED, "nano": None}
ORDER = (
    *(("perfect", 100), ("flawed", 100), ("nano", 50), ("perfect", 50), ("flawed", 50)),
    *(("perfect", 200), ("flawed", 200), ("nano", 100), ("perfect", 400), ("flawed", 400)),
    *(("nano", 200), ("nano", 400)),
)
"""Teachers and budgets of the tables, in the order of the runs."""
VALIDATION_SEED = 2_000_000
FIELD, PIXELS, NANO_PIXELS, EXPORT, LIFTED = 48, 48, 64, 96, 32
COMMON = (
    f"A field of {FIELD}^3 voxels, views of {PIXELS}^2 pixels ({NANO_PIXELS}^2 with nano, its size), the mesh cut at "
    f"{EXPORT}^3, one seed; CD is the Chamfer distance at 20,000 points, *beside* it the mean of its differences to `sds`, "
    "object by object, with its standard error; seconds of one thread of the processor with the export, on a busy machine."
)
NO_SURFACE = {"chamfer": 0.5, "iou": 0.0, "normal_consistency": 0.0}
"""What a run without any surface scores: the distance of a point half the object away."""


@dataclass
class Case:
    """An object to reconstruct; `look`: its light and texture."""

    name: str
    mesh: Any
    elevation_deg: float
    look: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def scene(self) -> MeshScene:
        return MeshScene(self.mesh)

    @cached_property
    def solid(self) -> numpy.ndarray:
        """Which cells of the unit cube are in it."""
        return inside(normalise(self.mesh))

    @cached_property
    def points(self) -> Sample:
        """Of its surface."""
        return sample(normalise(self.mesh), MORE_POINTS, 1)

    @cached_property
    def floor(self) -> float:
        """The Chamfer distance of two samples of the truth."""
        return compare(sample(normalise(self.mesh), MORE_POINTS, 2), self.points, ())["chamfer"]

    @cached_property
    def novel(self) -> torch.Tensor:
        """Its pictures from the oracle's eight cameras."""
        return self.scene.draw(orbit(*torch.tensor(NOVEL).T, 64), **self.look).image


@cache
def cases(teacher: str, validation: bool) -> list[Case]:
    """The objects of a table, or others that settings were chosen by."""
    if teacher == "nano":
        first, count = (VALIDATION_SEED + 100, 8) if validation else (FIRST_SEED, 20)
        return [Case(str(seed), *procedural_look(seed)) for seed in range(first, first + count)]
    if validation:
        return [Case(str(s), make_object(s), ELEVATION_DEG) for s in range(VALIDATION_SEED, VALIDATION_SEED + 5)]
    return [Case(name, make(), ELEVATION_DEG) for name, make in SHAPES.items()]


class Count:
    """Calls so far."""

    def __init__(self) -> None:
        self.calls = 0


@contextmanager
def counted(owner: type[Denoiser]) -> Iterator[Count]:
    """Counts every picture through every branch that `owner`'s instances are asked for."""
    count, plain = Count(), owner.predict

    def predict(self: Any, noised: Any, sigma: Any, condition: Any, cameras: Any, branches: Any) -> Any:
        count.calls += len(noised) * len(branches)
        return plain(self, noised, sigma, condition, cameras, branches)

    owner.predict = predict  # type: ignore[method-assign]
    try:
        yield count
    finally:
        owner.predict = plain  # type: ignore[method-assign]


class Blank(PixelDenoiser):
    """White whatever it is asked: to count calls."""

    name = "blank"
    resolution = picture_resolution = 8

    def condition(self, subject: Any) -> None:
        pass

    def predict(self, noised: Any, sigma: Any, condition: Any, cameras: Any, branches: Any) -> dict[str, torch.Tensor]:
        return dict.fromkeys(branches, torch.ones_like(noised))


def steps_within(budget: int, algorithm: Algorithm, options: dict[str, Any], registry: Registry) -> int:
    """The most steps whose calls stay within the budget, found by asking a blank teacher."""
    if algorithm.steps:
        return algorithm.steps

    def fits(steps: int) -> bool:
        guidance = make_block(registry, "guidance", "algorithms", "guidance", dict(options)).build(Teacher(Blank(None)))
        around = {"type": "sphere", "views": algorithm.views, "resolution": 8}
        sampler = make_block(registry, "camera_sampler", "algorithms", "cameras", around).build()
        guidance.load(torch.device("cpu"))
        generators = Generators(0)
        with counted(Blank) as count:
            for index in range(steps):
                step = Step(index, steps, generators)
                cameras = guidance.cameras(step, sampler) or sampler.sample(step)
                image = torch.ones(len(cameras), 8, 8, 3)
                guidance.gradient(View(image, image[..., :1], image[..., :1]), cameras, step)
                guidance.after_step(step)
                if count.calls > budget:
                    return False
        return True

    low, high = 1, budget + 1
    while fits(high):
        low, high = high, 4 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def reconstruct(
    case: Case,
    teacher: str,
    algorithm: Algorithm,
    options: dict[str, Any],
    steps: int,
    folder: Path,
    registry: Registry,
) -> dict[str, Any]:
    """One run: its scores, calls and seconds of the processor, the mesh's export in them."""
    picture, out = folder / "input.png", folder / "run"
    size = 256 if teacher == "nano" else 512
    Image.fromarray(picture_of(case.mesh, case.elevation_deg, size, **case.look), "RGBA").save(picture)
    blocks: dict[str, Any] = {
        "steps": steps,
        "representation.resolution": FIELD,
        "guidance": {"algorithm": options},
        "observers": {},
        "checkpoint.every": 10**6,
        "export": {"mesh": {"type": "marching_cubes", "resolution": EXPORT, "hull": False}},
        "optimizer.lr": algorithm.rates(steps, teacher),
        "representation.density_rate": 1,
        "input": {
            "elevation_deg": case.elevation_deg,
            "framing": "fit" if teacher == "nano" else "keep",
            "mask": "alpha",
        },
    }
    if teacher == "nano":
        blocks |= {"cameras.resolution": NANO_PIXELS, "cameras.views": algorithm.views, "start.resolution": LIFTED}
    else:
        blocks["start"] = None
        blocks["cameras"] = {"type": "pool", "resolution": PIXELS, "views": algorithm.views}
        blocks["denoiser"] = {"type": "pooled", "file": str(folder.parent / f"{teacher}-{case.name}.npz")}
    given = [
        f"{key}={yaml.safe_dump(value, default_flow_style=True, width=10**6).strip()}" for key, value in blocks.items()
    ]
    given = [line.removesuffix("\n...") for line in given]
    started = time.process_time()
    row: dict[str, Any] = {"surface": True}
    with counted(NanoDenoiser if teacher == "nano" else PooledTeacher) as count:
        try:
            session = run(
                "recipes/nano.yaml",
                registry,
                [f"image={picture}", f"out={out}", "overwrite=true", *given],
                tell=lambda line: None,
            )
        except ExportError as error:
            row |= {"surface": False, "error": str(error)}
    row |= {"calls": count.calls, "seconds": round(time.process_time() - started, 2), "chamfer_floor": case.floor}
    if not row["surface"]:
        return row | NO_SURFACE | {"psnr": 0.0}
    mesh = load_mesh(out / "mesh.glb")
    a = normalise(mesh)
    figures = compare(sample(a, MORE_POINTS, 0), case.points, ())
    solid, cameras = inside(a), orbit(*torch.tensor(NOVEL).T, 64)
    # nano's input is framed to fit: both stand at longest side 1, and the mesh's colours hold their light
    drawn = MeshScene(a).draw(cameras, light=None) if teacher == "nano" else session.subject().draw(cameras)
    return row | {
        "chamfer": figures["chamfer"],
        "normal_consistency": figures["normal_consistency"],
        "iou": float((solid & case.solid).sum() / (solid | case.solid).sum()),
        "psnr": float(psnr(drawn.image.cpu(), case.novel).mean()),
    }


def planned(arguments: argparse.Namespace) -> Iterator[tuple[str, int, str, int]]:
    """(teacher, the object's number, algorithm, budget): what matters most first, every algorithm alike."""
    stages = [(t, b) for t in TEACHERS for b in arguments.budget] if arguments.budget else ORDER
    for teacher, budget in stages:
        if teacher in arguments.teacher:
            for number in range(len(cases(teacher, arguments.validation)))[: arguments.objects]:
                for name in arguments.only:
                    yield teacher, number, name, 0 if ALGORITHMS[name].steps else budget


def prepare(teacher: str, everything: list[Case], folder: Path) -> None:
    """Write the teachers' files of all objects."""
    flaws = TEACHERS[teacher]
    if flaws is None:
        return
    true = torch.stack([ideas(case.scene, PIXELS, PERFECT, 0) for case in everything])
    for number, case in enumerate(everything):
        own = true[number] if flaws == PERFECT else ideas(case.scene, PIXELS, flaws, number)
        write_teacher(folder / f"{teacher}-{case.name}.npz", own, true, flaws)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=list(ALGORITHMS), nargs="+", default=list(ALGORITHMS))
    parser.add_argument("--teacher", choices=list(TEACHERS), nargs="+", default=list(TEACHERS))
    parser.add_argument("--budget", type=int, nargs="+", help="calls, in place of the table's")
    parser.add_argument("--objects", type=int, help="the first so many of each teacher's objects")
    parser.add_argument("--validation", action="store_true", help="the objects that settings were chosen by")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="NAME.OPTION=VALUE", help="other settings than the table's"
    )
    parser.add_argument("--quick", action="store_true", help="one shape and one object, 12 calls")
    parser.add_argument("--resume", action="store_true", help="keep the lines of --rows and do what they lack")
    parser.add_argument("--rows", type=Path, default=Path("runs/algorithms.jsonl"))
    parser.add_argument("--readme", action="store_true", help="no runs: write the tables into the documents")
    arguments = parser.parse_args(given)
    if arguments.quick:
        arguments.objects, arguments.budget = 1, [12]
    if not arguments.readme:
        measure(arguments)
    rows = _rows(arguments.rows)
    text = report(rows, COMMON)
    print(text)
    if arguments.readme:
        from render import write_readme

        write_readme("algorithms", text)


def measure(arguments: argparse.Namespace) -> None:
    """Do the runs that the JSONL lacks."""
    torch.set_num_threads(1)
    registry = load_plugins()
    register(registry)
    arguments.rows.parent.mkdir(parents=True, exist_ok=True)
    done = {_key(row) for row in _rows(arguments.rows)} if arguments.resume else set()
    changes = [change.partition("=") for change in arguments.set]
    steps: dict[tuple[Any, ...], int] = {}
    ready: dict[str, list[Case]] = {}
    mode = "a" if arguments.resume else "w"
    with tempfile.TemporaryDirectory() as temporary, arguments.rows.open(mode, encoding="utf-8") as file:
        for teacher, number, name, budget in planned(arguments):
            algorithm = ALGORITHMS[name]
            options = algorithm.options(teacher)
            for place, _, value in changes:
                owner, _, option = place.partition(".")
                if owner == name:
                    options[option] = yaml.safe_load(value)
            if teacher not in ready:
                ready[teacher] = cases(teacher, arguments.validation)[: 2 if arguments.quick else None]
                prepare(teacher, ready[teacher], Path(temporary))
            case = ready[teacher][number]
            label = {"teacher": teacher, "object": case.name, "algorithm": name, "budget": budget, "options": options}
            if _key(label) in done:
                continue
            asked = (name, budget, json.dumps(options))
            if asked not in steps:
                steps[asked] = steps_within(budget, algorithm, options, registry)
            folder = Path(temporary) / "work"
            folder.mkdir(exist_ok=True)
            row = reconstruct(case, teacher, algorithm, options, steps[asked], folder, registry)
            file.write(json.dumps({**label, "steps": steps[asked], **row}) + "\n")
            file.flush()
            done.add(_key(label))
            scores = f"CD {row['chamfer']:.4f} IoU {row['iou']:.3f} PSNR {row['psnr']:.2f}"
            spent = f"{row['calls']} calls, {steps[asked]} steps, {row['seconds']:.1f} s"
            print(f"{teacher} {case.name} {name} {budget}: {scores} {spent}", file=sys.stderr, flush=True)


def _rows(file: Path) -> list[dict[str, Any]]:
    """Those of the JSONL; a line that was cut off is left out."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _key(row: dict[str, Any]) -> str:
    """What a line is about: other settings are another run."""
    return json.dumps([row[name] for name in ("teacher", "object", "algorithm", "budget", "options")], sort_keys=True)


if __name__ == "__main__":
    main()
