"""What a method makes of an object: a mesh in the world of the data, pictures from the cameras asked for, or both."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from zero3d.errors import UserError
from zero3d.files import write_bytes
from zero3d.geometry import world_to_gltf
from zero3d.mesh_files import FORMATS, load_mesh, save_mesh
from zero3d.mesh_placing import turned
from zero3d.mesh_views import MeshScene
from zero3d.recipe import load_recipe
from zero3d.registry import Registry
from zero3d.run import run
from zero3d_benchmark.methods import given, prediction_file, recipe_of
from zero3d_benchmark.options import MethodOptions
from zero3d_benchmark.run.placing import to_world
from zero3d_benchmark.run.truth import Truth, over_white, resized
from zero3d_benchmark.run.views import views_of


@dataclass
class Prediction:
    """`mesh`: in the world of the data; None of a method that makes pictures alone. `pictures` (N, H, W, 3) in [0, 1], on
    white, of the targets; None where nothing was asked for. `file`: the mesh's own file, if one was made. `drawn`: how
    the pictures show the mesh, if they do.
    """

    mesh: Any = None
    pictures: torch.Tensor | None = None
    file: Path | None = None
    drawn: str = ""
    notes: list[str] = field(default_factory=list)


def predict(method: MethodOptions, truth: Truth, registry: Registry, seed: int, folder: Path) -> Prediction:
    """Run the method, or read what it made. `folder`: an empty one for its files.

    Raises:
        UserError: it cannot be run, or made nothing.
    """
    if method.oracle:
        made = Prediction(truth.mesh)
        if truth.targets:
            made.pictures = torch.stack([shot.on_white for shot in truth.targets])
    elif method.predictions:
        made = _read(method, truth)
    elif method.views:
        return Prediction(pictures=views_of(method, truth, registry, seed, folder))
    else:
        made = _ran(method, truth, registry, seed, folder)
    if made.pictures is None and truth.targets:
        assert made.mesh is not None
        scene = MeshScene(made.mesh)
        light = None if method.baked else truth.light
        made.drawn = "bare" if light is None else "under the targets' light"
        drawn = [scene.draw(shot.camera, light=light).image[0] for shot in truth.targets]
        made.pictures = torch.stack(drawn).float()
    return made


def _ran(method: MethodOptions, truth: Truth, registry: Registry, seed: int, folder: Path) -> Prediction:
    """The mesh that a recipe, or a reconstructor's, exports."""
    file, overrides = recipe_of(method, registry)
    shown, out = truth.input, folder / "run"
    own = [*given(method, shown.path, truth.elevation_deg), f"out={json.dumps(str(out))}", f"seed={seed}"]
    notes: list[str] = []
    run(file, registry, [*own, *overrides], tell=notes.append)
    files = [path for path in sorted(out.iterdir()) if path.suffix.lower().lstrip(".") in FORMATS]
    if not files:
        raise UserError(f"{file}: it exported no mesh ({', '.join(FORMATS)}); add export.mesh to it")
    framing = load_recipe(out / "recipe.yaml", registry).options.input.framing
    mesh = to_world(load_mesh(files[0]), shown.camera, shown.rgba[..., 3], framing)
    return Prediction(mesh, file=files[0], notes=notes)


def _read(method: MethodOptions, truth: Truth) -> Prediction:
    """What an outside method made: a mesh, or pictures by the number of the target."""
    root, name = Path(str(method.predictions)), truth.one.name
    made, file, pictures = Prediction(), prediction_file(root, name), root / name
    if file is not None:
        mesh = turned(load_mesh(file, method.up), method.yaw_deg)
        made.mesh = turned(mesh, truth.azimuth_deg) if method.turned else mesh
        made.notes = list(mesh.metadata.get("notes", []))
    if truth.targets and pictures.is_dir():
        made.pictures = torch.stack([_picture(pictures, i, shot.rgba.shape) for i, shot in enumerate(truth.targets)])
    if made.mesh is None and made.pictures is None:
        raise UserError(f"{root}: no {name}.glb (obj, ply, stl) and no folder {name} of pictures")
    return made


def _picture(folder: Path, number: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Picture NNN.png of a folder, (H, W, 3) in [0, 1] on white, of the target's size."""
    path = folder / f"{number:03d}.png"
    try:
        with Image.open(path) as opened:
            read = opened.convert("RGBA")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); one PNG for each target is wanted, from 000.png") from None
    return over_white(numpy.asarray(resized(read, shape[0], shape[1])))


def keep(made: Prediction, azimuth_deg: float, place: Path) -> None:
    """Leave the mesh beside the scores as `predictions` reads it, so that it scores there as it did: of the data's size and
    place, seen from the input camera's azimuth. A GLB stays as it was exported, textures and all,
    below a node that moves it."""
    if made.mesh is None or made.file is None:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    mesh = turned(made.mesh, -azimuth_deg)
    if made.file.suffix.lower() != ".glb":
        save_mesh(mesh, place)
        return
    own, there = (numpy.asarray(one.vertices) for one in (load_mesh(made.file), mesh))
    scale = float(numpy.ptp(there, axis=0).max() / numpy.ptp(own, axis=0).max())
    offset = world_to_gltf(torch.from_numpy(there.mean(0) - scale * own.mean(0))[None])[0].tolist()
    write_bytes(place, _moved(made.file.read_bytes(), scale, offset))


def _moved(glb: bytes, scale: float, offset: Sequence[float]) -> bytes:
    """A GLB whose scenes are scaled, then moved."""
    (length,) = struct.unpack_from("<I", glb, 12)
    tree = json.loads(glb[20 : 20 + length])
    for scene in tree["scenes"]:
        tree["nodes"].append({"children": scene["nodes"], "scale": [scale] * 3, "translation": list(offset)})
        scene["nodes"] = [len(tree["nodes"]) - 1]
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    rest = glb[20 + length :]
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
    return head + text + rest
