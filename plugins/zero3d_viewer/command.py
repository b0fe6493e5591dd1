"""`zero3d view`: runs and models' files side by side in a browser."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from zero3d import UserError, folder
from zero3d.gate import open_page
from zero3d.interfaces import Command
from zero3d.mesh_files import load_mesh
from zero3d.registry import Registry
from zero3d.values import Cameras, Picture
from zero3d_viewer.curves import Curves
from zero3d_viewer.server import Address, Server, address_of, check_installed
from zero3d_viewer.shapes import Shape, Splats, mesh_of, shape_of

MOST = 500_000
"""Splats of a model at the most."""
DETAIL = 96
"""Cells along a field's longest side."""
GAP = 0.25
"""Between neighbours, as a share of the widest."""


@dataclass(frozen=True)
class Model:
    """A model to be seen, under its `name`; of a run also its curves, and its input picture with the camera of that."""

    name: str
    shape: Shape
    curves: Curves | None = None
    camera: Cameras | None = None
    picture: Picture | None = None


class View(Command):
    """Show runs, finished or not, and GLB, OBJ, PLY, STL or splat files side by side in a browser."""

    name: ClassVar[str] = "view"
    examples: ClassVar[str] = """
        zero3d view runs/nano-cat
        zero3d view runs/nano-cat mesh.glb
    """
    extras: ClassVar[Mapping[str, str]] = {"viewer": "viser"}

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("models", nargs="+", metavar="RUN|FILE", help="a run's folder, or a mesh or splat file in glTF axes")
        add("--export", action="store_true", help="of runs, show the exported mesh rather than the model itself")
        add(
            "--host",
            default="127.0.0.1",
            help="the address to serve at; one that others reach needs --token (127.0.0.1)",
        )
        add("--port", type=int, help="0 for any free one (8080, or the next one that is free)")
        add("--token", default="", help="what visitors must know: 16 characters or more, or auto")
        add("--origin", action="append", default=[], metavar="URL", help="of a page that may hold this one in a frame")
        add("--open", action="store_true", help="open the page in a browser")

    def run(self, arguments: argparse.Namespace) -> int:
        check_installed("view")
        address = address_of(arguments.host, arguments.port, arguments.token, arguments.origin)
        try:
            address.check()
        except ValueError as error:
            message = str(error).replace("token=auto", "--token auto").replace("origins:", "origin:")  # as spelled here
            raise UserError(f"view: --{message}") from None
        models = [_open(Path(text), arguments.export, arguments.registry) for text in arguments.models]
        server = serve(models, address)
        print(server.url, flush=True)
        if arguments.open:
            open_page(server.url)
        print("Ctrl-C ends it", file=sys.stderr, flush=True)
        try:
            while True:
                time.sleep(3600)
        finally:
            server.close()


def serve(models: list[Model], address: Address) -> Server:
    """A server with these models in a row along y, as seen from the front: the first one on the left.

    Raises:
        RunError: it cannot be served there.
    """
    from zero3d_viewer.page import Page

    server = Server(address, "view", "--port 0")
    page = Page(server.viser)
    names: dict[str, int] = {}
    gap = GAP * max(_width(one.shape) for one in models)
    edge = 0.0
    for one in models:
        low, high = one.shape.bounds[:, 1]
        names[one.name] = names.get(one.name, 0) + 1
        name = one.name if names[one.name] == 1 else f"{one.name} {names[one.name]}"
        exhibit = page.exhibit(name, edge - low)
        edge += high - low + gap
        page.show(exhibit, one.shape)
        page.label(exhibit, float(one.shape.bounds[1, 2]))
        if one.camera is not None:
            page.frusta(exhibit, "input", one.camera, one.picture)
        if one.curves is not None:
            page.curves(one.curves, name)
    heights = [float(one.shape.bounds[1, 2] - one.shape.bounds[0, 2]) for one in models]
    page.look_from((edge - gap) / 2, max(edge - gap, *heights))
    page.say(" · ".join(names))
    return server


def _width(shape: Shape) -> float:
    return float(shape.bounds[1, 1] - shape.bounds[0, 1])


def _open(path: Path, export: bool, registry: Registry) -> Model:
    if not path.is_dir():
        return Model(path.name, _file(path, registry))
    run = folder.open_run(path)
    found = folder.exported_mesh(run)
    if found is not None and (export or not (run / folder.CHECKPOINT).is_file()):
        return Model(path.name, _file(found, registry), _curves(run))
    if export:
        raise UserError(f"{path}: no exported mesh; make one with: zero3d export {path}")
    from zero3d import checkpoint
    from zero3d.run import open_session

    session = open_session(run, registry)
    checkpoint.load(session.engine, run)
    shape = shape_of(session.parts.representation, DETAIL, MOST)
    if shape is None and found is not None:
        shape = _file(found, registry)
    if shape is None:
        raise UserError(
            f"{path}: its {session.parts.representation.name} is only seen through a renderer, and no mesh is exported; "
            f"make one with: zero3d export {path}"
        )
    engine = session.engine
    return Model(path.name, shape, _curves(run), engine.input_camera, engine.picture)


def _curves(run: Path) -> Curves | None:
    curves = Curves()
    curves.read(run)
    return curves if len(curves) > 1 else None


def _file(path: Path, registry: Registry) -> Shape:
    """A mesh as `load_mesh` reads it, or what a representation does.

    Raises:
        UserError: missing, of no kind that is known, or damaged.
    """
    from zero3d.run import open_representation

    found = open_representation(path, registry)
    if found is None:
        mesh = load_mesh(path)
        for note in mesh.metadata.get("notes", ()):
            print(f"note: {note}", file=sys.stderr)
        return mesh_of(mesh)
    shape = shape_of(found, DETAIL, MOST)
    if shape is None or (isinstance(shape, Splats) and not len(shape.centres)):
        raise UserError(f"{path}: nothing of it can be shown; all of it is fainter than a browser draws")
    return shape


__all__ = ["Model", "View", "serve"]
