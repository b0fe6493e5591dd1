"""The laws of an exporter."""

from __future__ import annotations

import copy
import json
import math
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d.errors import ExportError
from zero3d.geometry import orbit, world_to_gltf
from zero3d.interfaces import Exporter, ExportSubject, Representation
from zero3d.testing.balls import BOUNDS, CENTRES, COLOURS, RADII, ThreeBalls, ThreeBallsConfig, draw_balls
from zero3d.testing.laws.common import Laws, copied, same
from zero3d.values import Cameras, View

NEAR = 0.06
"""How far a bound of the surface may lie from the true one, world units."""
OLD = b"a model from before"


def three_balls(density: float = 200.0) -> ExportSubject:
    """A red ball on +x, a green one on +y and a blue one on +z as something to export, drawn exactly."""
    field = ThreeBalls(ThreeBallsConfig(density))

    def draw(cameras: Cameras) -> View:
        with torch.no_grad():
            return draw_balls(field, cameras, torch.ones(3))

    return ExportSubject(field, draw, lambda image: image, True, orbit(20.0, 0.0, 32), 32)


def check_exporter(
    component: type[Exporter],
    config: Any = None,
    subject: ExportSubject | None = None,
    watertight: bool = True,
    read: Callable[[Path], Any] | None = None,
    empty: ExportSubject | None = None,
) -> None:
    """The laws of an exporter. Call it from a test with your class; the first broken one is an AssertionError of one line.

    Three balls of known size and colour, on the three axes of the world, are exported, and the file is read again with
    trimesh.

    - `filename(label)` is a name that begins with the label; that file is written, and the report is JSON with figures.
    - The file can be read, has triangles, and its surface is closed and looks outwards (its volume is the balls').
    - Axes: (x, y, z) of the world is (y, z, x) in the file, glTF's; sizes are the world's. Vertex colours, if it has
      some, are each ball's own.
    - The representation and the process's random numbers are left as they were; the same field gives the same bytes.
    - It is written whole or not at all: beside its place and then moved there, so that a failure, or a kill on the way,
      leaves the former model; a failure leaves no other file.
    - An empty field is an ExportError of one line, and no file.

    Args:
        component: your class.
        config: its options, the defaults if None: take them coarse, for a quick test.
        subject: for an exporter of other representations: the three balls (see `zero3d.testing.balls`) as one of those.
            None: a RadianceField of them.
        watertight: False for a format whose surface need not be closed (a point cloud has none, sheets are open).
        read: for a format that trimesh cannot read: a file -> `trimesh.Trimesh(vertices, faces, vertex_colors=...)` or, of
            a cloud of points or Gaussians, `trimesh.PointCloud(points, colors)`, as they stand in the file.
        empty: with `subject`, one of the same kind with nothing in it. None: it is not asked.
    """
    laws = Laws(component)
    exporter = component(laws.default(component, config))
    own = subject is None
    subject = subject or three_balls()
    law = "it accepts what it is tried with"
    given = type(subject.representation).__name__
    laws(law, isinstance(subject.representation, component.accepts), f"a {given} is no {component.accepts.__name__}")
    name = exporter.filename("mesh")
    good = Path(name).name == name and name.startswith("mesh") and Path(name).suffix
    laws("filename(label) is a name that begins with the label", bool(good), f"filename('mesh') is {name!r}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "first" / name
        path.parent.mkdir()
        _write(laws, exporter, subject, path)
        _read(laws, path, watertight, read)
        _again(laws, exporter, subject, path, folder / "again" / name)
        _atomic(laws, exporter, subject, folder / "atomic" / name)
        nothing = three_balls(density=0.0) if own else empty
        if nothing is not None:
            _empty(laws, exporter, nothing, folder / "empty" / name)


def _write(laws: Laws, exporter: Exporter, subject: ExportSubject, path: Path) -> None:
    before = copied(subject.representation.state_dict())
    with laws.own_randomness("nothing"), laws.runs("it exports three balls", "export() fails"):
        report = exporter.export(subject, path)
    laws("it writes the file that it names", path.is_file(), f"no {path.name}")
    with laws.runs("the report is JSON with figures", f"{report!r}"):
        json.dumps(report)
    laws("the report is JSON with figures", isinstance(report, dict) and bool(report), f"it is {report!r}")
    unchanged = same(before, subject.representation.state_dict())
    laws("the representation is not changed", unchanged, "its parameters or buffers differ after export")


def _read(laws: Laws, path: Path, watertight: bool, read: Callable[[Path], Any] | None) -> None:
    if read is not None:
        with laws.runs("its own reader reads the file", f"{path.name} cannot be read"):
            mesh = read(path)
    else:
        with laws.runs("trimesh reads the file", f"{path.name} cannot be read"):
            mesh = _by_trimesh(path)
    faces, places = len(getattr(mesh, "faces", ())), len(mesh.vertices)
    law = "the file holds a surface, or points"
    laws(law, faces > 0 or (places > 0 and not watertight), f"{faces} triangles and {places} points in {path.name}")
    low, high = (torch.tensor(bound, dtype=torch.float64) for bound in BOUNDS)
    wanted = torch.stack([world_to_gltf(low), world_to_gltf(high)])
    bounds = torch.from_numpy(numpy.array(mesh.bounds, dtype=numpy.float64))
    off = float((bounds - wanted).abs().max())
    found = (
        f"bounds {bounds.round(decimals=2).tolist()}, not {wanted.round(decimals=2).tolist()} = (y, z, x) of the world"
    )
    laws("axes and sizes are glTF's", off < NEAR, found)
    _colours(laws, mesh)
    if not watertight:
        return
    joined = mesh.copy()
    joined.merge_vertices(merge_tex=True, merge_norm=True)
    laws("the surface is closed", joined.is_watertight, "an edge has not two faces")
    volume, true = float(joined.volume), sum(4 / 3 * math.pi * radius**3 for radius in RADII)
    found = f"a volume of {volume:.4f}, the balls have {true:.4f}"
    laws("the surface looks outwards and is no thicker than the object", 0.7 * true < volume < 1.35 * true, found)


def _by_trimesh(path: Path) -> Any:
    """A mesh, or a cloud of points, of which `load_mesh` makes nothing."""
    import trimesh

    mesh: Any = trimesh.load_mesh(path, process=False)
    return mesh if len(mesh.faces) else trimesh.load(path, process=False)


def _colours(laws: Laws, mesh: Any) -> None:
    """Each ball's vertices have its colour, within what two colour spaces differ by: no more than which is which."""
    visual = getattr(mesh, "visual", None)
    colours = getattr(visual, "vertex_colors", None) if getattr(visual, "kind", None) == "vertex" else None
    if colours is None:
        return
    vertices = torch.from_numpy(numpy.array(mesh.vertices, dtype=numpy.float32))
    centres = world_to_gltf(torch.tensor(CENTRES))
    nearest = ((vertices[:, None] - centres).norm(dim=-1) - torch.tensor(RADII)).argmin(dim=-1)
    rgb = torch.from_numpy(numpy.array(colours)[:, :3].astype(numpy.float32))
    for ball, colour in enumerate(COLOURS):
        mean = rgb[nearest == ball].mean(dim=0)
        brightest = int(mean.argmax())
        law = "vertex colours are the field's"
        wanted = max(range(3), key=lambda channel: colour[channel])
        laws(law, brightest == wanted, f"the ball of {colour} has {[round(float(v)) for v in mean]}")


def _again(laws: Laws, exporter: Exporter, subject: ExportSubject, path: Path, other: Path) -> None:
    other.parent.mkdir()
    exporter.export(subject, other)
    laws("the same field gives the same bytes", other.read_bytes() == path.read_bytes(), f"two {path.name} differ")


class _Interrupted(Exception):
    """What a failure on the way is tried with."""


def _fails(*arguments: Any, **options: Any) -> Any:
    raise _Interrupted("tried on purpose")


def _atomic(laws: Laws, exporter: Exporter, subject: ExportSubject, path: Path) -> None:
    from unittest import mock

    law = "it is written whole or not at all"
    path.parent.mkdir()
    path.write_bytes(OLD)
    with mock.patch("os.replace", _fails), mock.patch("os.rename", _fails), mock.patch("os.link", _fails):
        _ignoring(lambda: exporter.export(subject, path))
    found = "the file is written in place; write beside it, then os.replace"
    laws(law, path.read_bytes() == OLD, found)
    for left in path.parent.iterdir():  # what a kill would leave
        if left != path:
            left.unlink()
    asked: list[Any] = []  # one that reads parameters alone asks for nothing that could fail

    def fails(*arguments: Any, **options: Any) -> Any:
        asked.append(arguments)
        _fails()

    broken = replace(subject, representation=_failing(subject.representation, fails), draw=fails, decode=fails)
    _ignoring(lambda: exporter.export(broken, path))
    left_over = sorted(found.name for found in path.parent.iterdir() if found != path)
    good = path.is_file() and (not asked or path.read_bytes() == OLD) and not left_over
    laws(law, good, f"a field that cannot be read leaves {left_over or 'another ' + path.name}")


def _failing(representation: Representation, fails: Callable[..., Any]) -> Representation:
    """A copy that fails on its third question."""
    other = copy.deepcopy(representation)
    asked = iter(range(2))

    def limited(ask: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def answer(*arguments: Any) -> Tensor:
            return ask(*arguments) if next(asked, None) is not None else fails()

        return answer

    for name in ("density", "features", "forward"):
        if hasattr(other, name):
            setattr(other, name, limited(getattr(other, name)))
    return other


def _ignoring(act: Callable[[], Any]) -> None:
    try:
        act()
    except Exception:
        return


def _empty(laws: Laws, exporter: Exporter, subject: ExportSubject, path: Path) -> None:
    law = "an empty field is an ExportError of one line, and no file"
    path.parent.mkdir()
    laws.says(law, lambda: exporter.export(subject, path), ExportError)
    left = sorted(found.name for found in path.parent.iterdir())
    laws(law, not left, f"{', '.join(left)} is there")
