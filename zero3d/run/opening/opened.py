"""A run's field, or a finished model in a file by whichever representation knows it; and what draws it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from zero3d import checkpoint, folder
from zero3d.errors import UserError
from zero3d.interfaces import ExportSubject, Renderer, Representation
from zero3d.mesh_files import load_mesh
from zero3d.recipe import make_block
from zero3d.registry import Registry
from zero3d.run.opening.session import open_session
from zero3d.values import Cameras, View


def field_drawer(run_folder: str | Path, registry: Registry) -> tuple[Callable[[Cameras], View], ExportSubject]:
    """What draws the field of a run's last checkpoint, without a graph, and all else that is known of it.

    It takes B cameras anywhere and gives RGB (B, H, W, 3) on white in [0, 1], opacity, depth and normals as the renderer
    has them, on the CPU. A field in a latent space is drawn at the size that its decoder was trained on, and resized.

    Raises:
        UserError: no run, no checkpoint, or one that does not fit its recipe.
    """
    run = folder.open_run(run_folder)
    session = open_session(run, registry)
    checkpoint.load(session.engine, run)
    subject = session.subject()

    def draw(cameras: Cameras) -> View:
        drawn_at = cameras
        if not subject.decodes_pixelwise:
            side = subject.resolution
            drawn_at = cameras.resized(max(1, round(side * cameras.height / cameras.width)), side)
        with torch.no_grad():
            view = subject.draw(drawn_at)
            decoded = View(subject.decode(view.image).clamp(0, 1), view.opacity, view.depth, normals=view.normals)
            return decoded.changed(lambda image: _sized(image, cameras).cpu())

    return draw, subject


def _sized(image: Tensor, cameras: Cameras) -> Tensor:
    """(B, H, W, C) at the size of the cameras: bilinear."""
    size = (cameras.height, cameras.width)
    if image.shape[1:3] == size:
        return image
    planes = functional.interpolate(image.movedim(-1, 1), size, mode="bilinear", antialias=True)
    return planes.movedim(1, -1)


def check_target(target: Path) -> None:
    """Raises UserError: neither a run's folder nor a file."""
    if target.is_dir():
        folder.open_run(target)
    elif not target.exists():
        raise UserError(
            f"{target}: no such run or model file; name a run's folder, or a GLB, glTF, OBJ, PLY or STL file"
        )


def open_representation(path: Path, registry: Registry) -> Representation | None:
    """What a file holds, in world axes; None where it is a mesh, or nothing that a representation reads.

    Raises:
        UserError: no file, a PLY of neither a mesh nor anything that a representation reads, or what one reads, but damaged.
    """
    check_target(path)
    known = [e.component for e in registry.all(Representation.kind) if issubclass(e.component, Representation)]
    for kind in known:
        found = kind.from_file(path)
        if found is not None:
            return found
    if path.suffix.lower() == ".ply":  # which says what it holds only within
        readers = [kind.name for kind in known if "from_file" in vars(kind)]
        try:
            load_mesh(path)
        except UserError as error:
            raise UserError(f"{error}{', or a file of ' if readers else ''}{' or '.join(readers)}") from None
    return None


def renderer_for(representation: Representation, registry: Registry, command: str) -> Renderer:
    """The one made for it, loaded: of all that accept it, that with the narrowest idea of what it draws.

    `command` begins the error's line.

    Raises:
        UserError: none does.
    """
    fit = [e.component for e in registry.all(Renderer.kind) if issubclass(e.component, Renderer)]
    fit = [kind for kind in fit if isinstance(representation, kind.accepts)]
    if not fit:
        raise UserError(
            f"{command}: no installed renderer draws {representation.name}; install the plug-in that has one"
        )
    chosen = max(fit, key=lambda kind: len(kind.accepts.__mro__))
    renderer: Renderer = make_block(registry, "renderer", command, "renderer", {"type": chosen.name}).build()
    renderer.load(torch.device("cpu"))
    return renderer
