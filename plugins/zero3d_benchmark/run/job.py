"""One job: a method on an object, scored, written. Executors call `score` in their workers."""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors.torch import save

from zero3d.errors import UserError, one_line
from zero3d.files import replacing, write_bytes, write_text
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.registry import Registry
from zero3d_benchmark import protocol as protocols
from zero3d_benchmark.options import FLOOR, Benchmark
from zero3d_benchmark.reading import from_plain
from zero3d_benchmark.run import folder
from zero3d_benchmark.run.placing import SAMPLED, Placing, place
from zero3d_benchmark.run.predict import Prediction, keep, predict
from zero3d_benchmark.run.truth import Truth

CALL = f"{__name__}:score"
GRID_SIDE = 192
"""Pixels of a picture in the grid."""


@lru_cache(maxsize=1)
def _opened(out: str, plugins: tuple[str, ...], written: str) -> tuple[Registry, Benchmark]:
    """Once a process: plug-ins, the benchmark as it stands in the folder, its metrics with their weights."""
    registry = load_plugins(plugins)
    benchmark = from_plain(json.loads(written), out, registry, runs=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    benchmark.measures = protocols.measures(benchmark.protocol, registry, device)
    return registry, benchmark


@lru_cache(maxsize=1)
def _truth(out: str, plugins: tuple[str, ...], written: str, name: str, digest: str) -> Truth:
    """One object, kept for the next method's job: its mesh is read, and its scene built, once."""
    _, benchmark = _opened(out, plugins, written)
    one = next(one for one in benchmark.objects if one.name == name)
    return Truth(one, benchmark.protocol, Path(benchmark.options.cache or Path(out) / folder.CACHE), digest)


def score(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Score one method on one object and write its row; a failure is a row, too. Returns {"error": line or None}."""
    out, label, name = Path(payload["out"]), payload["method"], payload["object"]
    started = time.monotonic()
    opened = str(out), tuple(payload["plugins"]), payload["benchmark"]
    registry, benchmark = _opened(*opened)
    truth = _truth(*opened, name, payload["digest"])
    row: dict[str, Any] = {"method": label, "object": name, "category": truth.one.category}
    row["seed"] = benchmark.options.seed
    try:
        if label == FLOOR:
            figures = {} if truth.mesh is None else _compared(benchmark, truth, truth.mesh, floor=True)
            row |= {"figures": figures, "error": None}
        else:
            row |= _scored(benchmark, registry, label, truth, out)
    except UserError as error:
        row["error"] = str(error)
    except Exception as error:  # one bad object, or one bad method, must not stop the others
        row["error"] = one_line(f"{type(error).__name__}: {error}")
    row["seconds"] = round(time.monotonic() - started, 2)
    write_text(folder.row(out, label, name), json.dumps(row, indent=1) + "\n")
    return {"error": row["error"]}


def _scored(benchmark: Benchmark, registry: Registry, label: str, truth: Truth, out: Path) -> dict[str, Any]:
    method, measures = benchmark.methods[label], benchmark.measures
    with tempfile.TemporaryDirectory(prefix=f"zero3d-{label}-") as scratch:
        started = time.monotonic()
        made = predict(method, truth, registry, benchmark.options.seed, Path(scratch))
        seconds = time.monotonic() - started
        keep(made, truth.azimuth_deg, folder.prediction(out, label, truth.one.name))
    figures: dict[str, float] = {}
    if measures.shapes:
        figures |= _shapes(benchmark, truth, made)
    if made.pictures is not None:
        figures |= _pictures(benchmark, truth, made.pictures)
        features = {
            f"{key}.{which}": metric.features(pictures).float().cpu().contiguous()
            for key, metric in measures.distributions.items()
            for which, pictures in (("made", made.pictures), ("true", _true(truth)))
        }
        if features:
            write_bytes(folder.features(out, label, truth.one.name), save(features))
    _show(truth, made, folder.row(out, label, truth.one.name))
    odd = {key: value for key, value in figures.items() if math.isnan(value)}
    if odd:
        raise UserError(f"{', '.join(odd)}: not a number; the prediction has no surface that can be measured")
    about = {"notes": made.notes[:20], **({"drawn": made.drawn} if made.drawn and measures.pictures else {})}
    return {"figures": figures, "error": None, "method_seconds": round(seconds, 2), **about}


def _shapes(benchmark: Benchmark, truth: Truth, made: Prediction) -> dict[str, float]:
    if made.mesh is None:
        return {}  # pictures alone: a shape is not told
    if truth.mesh is None:
        if not truth.targets:
            raise UserError(f"protocol {benchmark.protocol.id} compares shapes, and there is no true mesh")
        made.notes.insert(0, folder.NO_TRUTH)
        return {}
    return _compared(benchmark, truth, made.mesh)


def _compared(benchmark: Benchmark, truth: Truth, mesh: Any, floor: bool = False) -> dict[str, float]:
    """Figures of a mesh and the true one, both placed by the protocol. floor: `mesh` is the true one, and its figures are
    those of another sample of it."""
    seed, steps = benchmark.options.seed, benchmark.protocol.place
    about = Placing(truth.azimuth_deg, seed, elevation_deg=truth.elevation_deg)
    placed, true = place(mesh, truth.mesh, steps, about)
    itself = floor and not any(step in SAMPLED for step in steps)  # else the truth is not placed as itself
    return {
        _column(label, name, found): float(value)
        for label, metric in benchmark.measures.shapes.items()
        for found in [metric.floor(true, seed) if itself else metric.shape(placed, true, seed)]
        for name, value in found.items()
    }


def _pictures(benchmark: Benchmark, truth: Truth, pictures: torch.Tensor) -> dict[str, float]:
    """Means over an object's pictures. Equal pictures, whose PSNR is infinite, count if all are equal."""
    true = _true(truth)
    figures = {}
    for label, metric in benchmark.measures.pictures.items():
        found = metric.pictures(pictures, true, None)
        for name, values in found.items():
            finite = values[values.isfinite()]
            figures[_column(label, name, found)] = float(finite.mean() if len(finite) else values.mean())
    return figures


def _true(truth: Truth) -> torch.Tensor:
    return torch.stack([shot.on_white for shot in truth.targets])


def _column(label: str, name: str, found: Mapping[str, Any]) -> str:
    """A figure's column: the metric's label, with the figure's name where the metric gives several."""
    if len(found) == 1 or name == label:
        return label
    return name if name.startswith(label) else f"{label}.{name}"


def _show(truth: Truth, made: Prediction, row: Path) -> None:
    """What was made, as the first true picture shows it, beside the row; for the grid."""
    from PIL import Image

    if made.pictures is not None:
        picture = made.pictures[0].numpy()
    elif made.mesh is not None:  # nothing is asked for: as the input is seen
        camera = truth.input.camera
        camera = camera.resized(GRID_SIDE, round(GRID_SIDE * camera.width / camera.height))
        picture = MeshScene(made.mesh).draw(camera, supersample=1).image[0].numpy()
    else:
        return
    with replacing(row.with_suffix(".png")) as beside:
        Image.fromarray(_pixels(picture)).save(beside, "PNG")


def _pixels(picture: numpy.ndarray) -> numpy.ndarray:
    """[0, 1] -> uint8, the nearest."""
    return numpy.round(255 * picture.clip(0, 1)).astype(numpy.uint8)


def shown(truth: Truth) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The input picture and the first true one, (H, W, 3) uint8 on white; the input twice where nothing is asked for."""
    first = (truth.targets or [truth.input])[0]
    return _pixels(truth.input.on_white.numpy()), _pixels(first.on_white.numpy())
