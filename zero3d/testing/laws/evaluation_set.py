"""The laws of an evaluation set."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import Any

import numpy
import torch

from zero3d.geometry import project
from zero3d.interfaces import EvaluationObject, EvaluationSet
from zero3d.testing.laws.common import Laws

NOWHERE = "/nowhere/at/all"
PATHS = ("root", "data", "path", "folder", "file")
HELD = 3
"""So many objects, the first and the last among them, are read."""


def check_evaluation_set(component: type[EvaluationSet], config: Any = None, missing: Any = None) -> None:
    """The laws of an evaluation set. Call it from a test; the first broken one is an AssertionError of one line.

    - `objects` gives some, the same in the same order each time; their names are unique and can be files' names.
    - `digest` is a SHA-256 in hex, the same each time.
    - Every object has a truth: a mesh, or views. A mesh has triangles, finite corners and an extent; a view is straight
      RGBA in [0, 1] with something opaque, and one right-handed camera of its size; a number beyond them is an IndexError.
    - Depths, where they are known, are (H, W), above 0, and finite where something is.
    - Where there are a mesh and views, they stand in one world: its corners lie within what is opaque.
    - What is read is read anew: writing into it changes nothing for the next reader.
    - What is missing is a UserError of one line. No random numbers of the process are drawn.

    Args:
        component: your class.
        config: its options, the defaults if None.
        missing: options that name data that are not there. None: `config` with its option `root`, `data`, `path`,
            `folder` or `file` set to a place that is not there, if it has one.
    """
    laws = Laws(component)
    config = laws.default(component, config)
    with laws.own_randomness("a generator of your own"), laws.runs("it lists objects", "objects() fails"):
        first, again = (list(component(config).objects()) for _ in range(2))
    names = [one.name for one in first]
    laws("it lists objects", len(first) > 0, "there are none; raise a UserError where the data are empty")
    laws("objects come in the same order", names == [one.name for one in again], "a second reader finds another")
    laws("names are unique", len(set(names)) == len(names), f"{len(names)} objects have {len(set(names))} names")
    odd = [name for name in names if not re.fullmatch(r"[^/\\\x00-\x1f]{1,200}", name) or name.startswith(".")]
    laws("a name can be a file's", not odd, f"{odd[:1]}; no / and no dot in front")
    for place in sorted({0, len(first) // 2, len(first) - 1})[:HELD]:
        with laws.own_randomness("a generator of your own"):
            _object(laws, first[place], again[place])
    _missing(laws, component, config, missing)


def _object(laws: Laws, one: EvaluationObject, other: EvaluationObject) -> None:
    digests = [one.digest(), one.digest(), other.digest()]
    good = len(set(digests)) == 1 and re.fullmatch("[0-9a-f]{64}", digests[0])
    laws("digest is a SHA-256 in hex, always the same", bool(good), f"{one.name}: {digests}")
    with laws.runs("a mesh is finite, with triangles and an extent", f"{one.name}: mesh() fails"):
        mesh = one.mesh()
    laws("every object has a truth", mesh is not None or len(one.view_names) > 0, f"{one.name}: no mesh and no view")
    if mesh is not None:
        _mesh(laws, one, mesh)
    for index in sorted({0, len(one.view_names) - 1}) if one.view_names else []:
        _view(laws, one, index)
        if mesh is not None:
            _agree(laws, one, index)
    with laws.runs("a view beyond the last is an IndexError", one.name), contextlib.suppress(IndexError):
        raise LookupError(f"view {len(one.view_names)} is {one.view(len(one.view_names))}")


def _mesh(laws: Laws, one: EvaluationObject, mesh: Any) -> None:
    law = "a mesh is finite, with triangles and an extent"
    corners = numpy.asarray(mesh.vertices)[numpy.asarray(mesh.faces)]
    good = corners.size > 0 and numpy.isfinite(corners).all() and numpy.ptp(corners.reshape(-1, 3), axis=0).max() > 0
    laws(law, bool(good), f"{one.name}: {len(mesh.faces)} triangles, not all finite, or of no extent")
    kept = numpy.array(mesh.vertices)
    mesh.apply_scale(2.0)
    again: Any = one.mesh()
    same = numpy.array_equal(numpy.asarray(again.vertices), kept)
    laws("what is read is read anew", same, f"{one.name}: a mesh that was scaled comes back scaled; give a copy")


def _view(laws: Laws, one: EvaluationObject, index: int) -> None:
    law = "a view is straight RGBA in [0, 1] and one camera of its size"
    with laws.runs(law, f"{one.name}: view({index}) fails"):
        rgba, camera = one.view(index).rgba, one.view(index).camera
    good = rgba.ndim == 3 and rgba.shape[-1] == 4 and rgba.is_floating_point() and bool(torch.isfinite(rgba).all())
    laws(law, good, f"{one.name}: {tuple(rgba.shape)} {rgba.dtype}, or not finite")
    laws(law, bool(((rgba >= 0) & (rgba <= 1)).all()), f"{one.name}: from {float(rgba.min())} to {float(rgba.max())}")
    size = len(camera) == 1 and (camera.height, camera.width) == tuple(rgba.shape[:2])
    laws(law, size, f"{one.name}: {len(camera)} of {camera.height} x {camera.width} for {tuple(rgba.shape[:2])}")
    laws("a view shows something", bool((rgba[..., 3] > 0.5).any()), f"{one.name}: nothing of view {index} is opaque")
    rotation = camera.camera_to_world[0, :3, :3].double()
    straight = torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64), atol=1e-3)
    right = straight and bool(torch.linalg.det(rotation) > 0)
    laws("a view's camera is right-handed and orthonormal", right, f"{one.name}: not that of view {index}")
    with laws.runs("a depth is (H, W) and above 0", f"{one.name}: depth({index}) fails"):
        depth = one.depth(index)
    if depth is not None:
        good = depth.shape == rgba.shape[:2] and bool((depth > 0).all()) and bool(torch.isfinite(depth).any())
        laws("a depth is (H, W) and above 0", good, f"{one.name}: {tuple(depth.shape)}, from {float(depth.min())}")
    kept = rgba.clone()
    rgba.zero_()
    same = torch.equal(one.view(index).rgba, kept)
    laws("what is read is read anew", same, f"{one.name}: a picture that was blacked comes back black; give a copy")


def _agree(laws: Laws, one: EvaluationObject, index: int) -> None:
    view, mesh = one.view(index), one.mesh()
    assert mesh is not None  # `_object` has seen it
    height, width = view.rgba.shape[:2]
    corners = torch.from_numpy(numpy.asarray(mesh.vertices)[numpy.unique(mesh.faces)]).float()
    places = (project(corners, view.camera)[0][0] + 1) / 2 * torch.tensor([width, height])
    x, y = places.floor().long().unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    opaque = torch.nn.functional.max_pool2d(view.rgba[None, ..., 3], 3, 1, 1)[0] > 0
    share = float(opaque[y[inside], x[inside]].float().mean()) if inside.any() else 0.0
    law = "mesh and pictures stand in one world"
    laws(law, share > 0.9, f"{one.name}: {share:.0%} of the corners lie within what view {index} shows")


def _missing(laws: Laws, component: type[EvaluationSet], config: Any, missing: Any) -> None:
    if missing is None:
        names = [field.name for field in dataclasses.fields(config) if field.name in PATHS]
        if not names:
            return
        missing = dataclasses.replace(config, **dict.fromkeys(names, NOWHERE))
    laws.says("missing data are a UserError of one line", lambda: component(missing).objects())
