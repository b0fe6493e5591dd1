"""Any mesh file into a scene that can be drawn and measured, with notes on what it lacks."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

from zero3d.errors import UserError
from zero3d.files.mistaken import mistaken
from zero3d.meshes.compression import CannotRead
from zero3d.meshes.gltf import Document
from zero3d.meshes.plain import check_extensions, plain_glb, untextured

NO_CORNER = re.compile(rb"^[ \t]*f[ \t](?:[^\n]*[ \t])?0(?=[/\s]|$)", re.MULTILINE)
"""A face of an OBJ file with the corner 0, which trimesh takes for the last one."""
FORMATS = ("glb", "gltf", "obj", "ply", "stl")


@dataclass(frozen=True)
class MeshFile:
    """`scene`: a trimesh.Scene in the file's own axes, its triangles whole. `notes`: what was left out, a line each."""

    scene: Any
    notes: list[str] = field(default_factory=list)


def read_scene(path: str | Path) -> MeshFile:
    """Read a GLB, glTF, OBJ, PLY or STL file.

    Triangles with corners that are no numbers or do not exist are left out; so are textures that are missing or that
    nobody here can decode. Both are noted.

    Raises:
        UserError: missing, of another kind, unreadable, or without triangles.
    """
    import trimesh

    from zero3d.meshes.neighbours import Neighbours  # with trimesh: seconds that only meshes are worth

    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if not path.is_file():
        raise UserError(f"{path}: no such mesh; give a GLB, glTF, OBJ, PLY or STL file")
    notes: list[str] = []
    try:
        what = mistaken(path)
        if what:
            raise UserError(f"{path}: {what}")
        if kind not in FORMATS:
            raise UserError(f"{path}: no kind of mesh that is read here; give a GLB, glTF, OBJ, PLY or STL file")
        with _quiet():
            neighbours = Neighbours(path)
            source: Any = io.BytesIO(path.read_bytes())
            if kind == "obj" and NO_CORNER.search(source.getvalue()):
                raise UserError(f"{path}: a face names the corner 0, but OBJ counts from 1; export it again")
            if kind in ("glb", "gltf"):
                document = Document(path, neighbours)
                check_extensions(document)
                notes += untextured(document) + _broken_pictures(document)
                rewritten = plain_glb(document)
                kind, source = ("glb", io.BytesIO(rewritten)) if rewritten else (kind, source)
            scene = trimesh.load_scene(source, file_type=kind, resolver=neighbours, process=False)
            left_out = sum(_whole(geometry) for geometry in scene.geometry.values())
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{path}: too large for the memory, or damaged") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}); mend or export it again") from None
    except CannotRead as error:
        raise UserError(f"{path}: {error}") from None
    except Exception as error:  # trimesh's many readers raise whatever their parser met
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{path}: cannot be read as a mesh ({said}); export it again") from None
    faces = sum(len(geometry.faces) for geometry in scene.geometry.values() if isinstance(geometry, trimesh.Trimesh))
    if faces == 0:
        raise UserError(f"{path}: holds no triangles{_instead(scene, left_out)}; give a surface mesh")
    if left_out:
        notes.append(
            f"{left_out} of {left_out + faces} triangles have corners that are not finite or do not exist: left out"
        )
    notes += neighbours.notes()
    return MeshFile(scene, [f"{path.name}: {note}" for note in notes])


def _instead(scene: Any, left_out: int) -> str:
    if left_out:
        return f" but {left_out} with corners that are not finite or do not exist"
    points = sum(len(getattr(geometry, "vertices", ())) for geometry in scene.geometry.values())
    return f" but {points} points" if points else ""


def _broken_pictures(document: Document) -> list[str]:
    """A line for each embedded picture that cannot be decoded; trimesh would leave it out without one."""
    from zero3d.meshes.neighbours import undecodable

    lines = []
    for index, image in enumerate(document.list("images")):
        if image.get("mimeType") != "image/ktx2" and ("bufferView" in image or str(image["uri"]).startswith("data:")):
            wrong = undecodable(document.image(index))
            if wrong:
                lines.append(f"picture {image.get('name', index)} cannot be decoded ({wrong}): drawn without")
    return lines


def _whole(geometry: Any) -> int:
    """Leave out what nothing can be done with; how many triangles that were."""
    if not hasattr(geometry, "faces"):  # points and lines
        return 0
    vertices, faces = numpy.array(geometry.vertices, dtype=numpy.float64), numpy.asarray(geometry.faces)
    usable = numpy.isfinite(vertices).sum(axis=1) == 3
    corners: numpy.ndarray = numpy.where((faces >= 0) & (faces < len(vertices)), faces, len(vertices))
    kept = numpy.equal(numpy.append(usable, False)[corners].sum(axis=1), 3)
    if not usable.all():
        geometry.vertices = numpy.where(usable[:, None], vertices, 0.0)
    if not kept.all():
        geometry.faces = faces[kept]
        geometry.visual.update_faces(kept)
    material: Any = getattr(geometry.visual, "material", None)
    image = getattr(material, "image", None)
    if image is not None and image.size == (2, 2) and not material.kwargs and "file_path" not in image.info:
        material.image = None  # trimesh's stand-in where an OBJ names no material
    uv = getattr(geometry.visual, "uv", None)
    if uv is not None:
        if len(uv) != len(vertices):
            geometry.visual.uv = None
        elif not numpy.isfinite(uv).all() or numpy.abs(uv).max(initial=0) > 1e6:
            geometry.visual.uv = numpy.clip(numpy.nan_to_num(uv), -1, 1)
    return int((~kept).sum())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What a file sets off in the libraries is told in one line here, or not at all."""
    logger = logging.getLogger("trimesh")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), numpy.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
