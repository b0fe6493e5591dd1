"""Any folder of meshes as an evaluation set."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zero3d import UserError
from zero3d.interfaces import EvaluationObject, EvaluationSet
from zero3d.mesh_files import FORMATS, load_mesh
from zero3d.mesh_placing import turned
from zero3d_evaluation_sets.common.meshes import files_of, with_closed
from zero3d_evaluation_sets.common.objects import FileObject, read_names
from zero3d_evaluation_sets.common.selection import Selection, chosen, existing, holds


@dataclass
class MeshFolderConfig(Selection):
    """`path`: folder of your copy. `objects`: names to take (a file's place below the folder without its ending, "/" made
    "_"), or .txt files of names, one a line; [] takes all. `limit`: the first so many of them; null takes all.

    `up`: the files' vertical axis, y (the front is +z) or z (the front is -y). `yaw_deg`: by how much each is turned after
    that, counter-clockwise seen from above, so that its front comes to azimuth 0. `glob`: which files, by their places, say
    "*/model.obj"; "*" stands for any part. `names`: a JSON file {name: place} of the files to take, under these names; ""
    takes all.
    """

    up: str = "y"
    yaw_deg: float = 0.0
    glob: str = "*"
    names: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.up not in ("y", "z"):
            raise ValueError(f"up: {self.up!r}; y (glTF's) or z (Blender's)")
        if not -360 <= self.yaw_deg <= 360:
            raise ValueError(f"yaw_deg: {self.yaw_deg:g}; degrees, -360 to 360")
        if not self.glob:
            raise ValueError('glob: empty; "*" takes all meshes')


class MeshFile(FileObject):
    """A mesh as `load_mesh` puts it, turned; the front at azimuth 0."""

    def __init__(self, name: str, path: Path, category: str, up: str, yaw_deg: float) -> None:
        super().__init__(name, path.parent, category)
        self._path, self._up, self._yaw = path, up, yaw_deg

    def settings(self) -> str:
        return f"up {self._up} yaw {self._yaw}"

    def files(self) -> Iterable[Path]:
        return files_of(self._path)

    def mesh(self) -> Any | None:
        return turned(with_closed(load_mesh(self._path, self._up)), self._yaw)


class MeshFolder(EvaluationSet):
    """Any folder of GLB, glTF, OBJ, PLY or STL files, each an object; pictures are rendered from them."""

    name: ClassVar[str] = "mesh_folder"
    Config: ClassVar[type[Any]] = MeshFolderConfig

    def objects(self) -> Sequence[EvaluationObject]:
        config: MeshFolderConfig = self.config
        root = existing(config, "mesh_folder")
        places = {place for place in _meshes(root) if fnmatch.fnmatchcase(place, config.glob)}
        if not places:
            raise UserError(
                f"mesh_folder: path: {root}: no mesh whose place fits {config.glob!r}: {holds(root)}; expected "
                f"{', '.join(FORMATS).upper()} files"
            )
        named = [(_name(place), place) for place in sorted(places)]
        if config.names:
            who = f"mesh_folder: names: {config.names}"
            given = read_names(Path(config.names).expanduser(), places, who, "no mesh below the folder")
            named = list(given.items())
        found: dict[str, EvaluationObject] = {}
        for name, place in named:
            if name in found:
                raise UserError(
                    f"mesh_folder: path: {root}: two meshes are called {name}, one of them {place}; choose by glob, say "
                    f'"*{Path(place).suffix}", or name them in a JSON file (names)'
                )
            category = place.split("/")[0] if "/" in place else ""
            found[name] = MeshFile(name, root / place, category, config.up, config.yaw_deg)
        return chosen(found, config, "mesh_folder")


def _meshes(root: Path) -> Iterator[str]:
    """Places of all meshes below the folder, "/" between their parts."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in files:
            if name.lower().endswith(tuple(f".{kind}" for kind in FORMATS)) and not name.startswith("."):
                yield Path(folder, name).relative_to(root).as_posix()


def _name(place: str) -> str:
    return re.sub(r"[^\w.-]", "_", place.rpartition(".")[0]) or "_"
