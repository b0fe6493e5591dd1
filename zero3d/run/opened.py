"""A finished model in a file, opened without a run by whichever representation knows it, and what draws it."""

from __future__ import annotations

from pathlib import Path

import torch

from zero3d.errors import UserError
from zero3d.interfaces import Renderer, Representation
from zero3d.mesh_files import load_mesh
from zero3d.recipe import make_block
from zero3d.registry import Registry


def open_representation(path: Path, registry: Registry) -> Representation | None:
    """What a file holds, in world axes; None where it is a mesh, or nothing that a representation reads.

    Raises:
        UserError: a PLY of neither a mesh nor anything that a representation reads, or what one reads, but damaged.
    """
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
