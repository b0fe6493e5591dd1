"""A finished model in a file, opened without a run by whichever representation knows it."""

from __future__ import annotations

from pathlib import Path

from zero3d.errors import UserError
from zero3d.interfaces import Representation
from zero3d.mesh_files import load_mesh
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
