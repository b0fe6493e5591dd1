"""Google Scanned Objects as an evaluation set."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from zero3d import UserError
from zero3d.errors import did_you_mean
from zero3d.interfaces import EvaluationObject, EvaluationSet
from zero3d_evaluation_sets.common.objects import read_json, read_names
from zero3d_evaluation_sets.common.selection import Selection, chosen, existing, holds
from zero3d_evaluation_sets.gso.layouts import (
    MODEL,
    TRANSFORMS,
    EscherNetObject,
    FuelObject,
    SyncDreamerObject,
    Zero123Object,
    syncdreamer,
)

LAYOUTS = {
    "eschernet": "NAME/render_mvs_25/model/000.png with 000.npy",
    "zero123": f"NAME/{TRANSFORMS}, or NAME/render_mvs/model/000.png with 000.npy",
    "syncdreamer": "NAME/000.png ... 015.png",
    "fuel": f"NAME/{MODEL} (or NAME/VERSION/{MODEL})",
}
"""In the order in which they are looked for: EscherNet's copy and SyncDreamer's hold Fuel's mesh too."""
RENDERS = {"eschernet": "render_mvs_25", "zero123": "render_mvs"}


@dataclass
class GsoConfig(Selection):
    """`path`: folder of your copy. `objects`: names to take, or .txt files of names, one a line; [] takes all. `limit`: the
    first so many of them; null takes all.

    `layout`: whose copy it is: fuel (as Gazebo's Fuel has it), syncdreamer,
    eschernet, zero123; auto looks at the folders. `renders`: folder of an object's pictures in EscherNet's and zero123's
    copies; "" takes render_mvs_25 and render_mvs. `meshes`: SyncDreamer's folder of meshes, if it is another one than that
    of the pictures. `names`: a JSON file {name: folder} that gives folders other names, say {"chicken": "CHICKEN_NESTING"}.
    `yaw`: how the true mesh stands; none (as in its file), syncdreamer (by that paper's list: normalised, then turned), or
    a JSON file {name: degrees} used like it; auto is syncdreamer for its layout, else none.
    """

    layout: str = "auto"
    renders: str = ""
    meshes: str = ""
    names: str = ""
    yaw: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in ("auto", *LAYOUTS):
            raise ValueError(f"layout: {self.layout!r} is none.{did_you_mean(self.layout, ('auto', *LAYOUTS))}")
        if self.yaw not in ("auto", "none", "syncdreamer") and not self.yaw.endswith(".json"):
            raise ValueError(f"yaw: {self.yaw!r}; auto, none, syncdreamer, or a .json file of {{name: degrees}}")
        if self.yaw not in ("auto", "none") and self.layout not in ("auto", "fuel", "syncdreamer"):
            raise ValueError(
                f"yaw: {self.yaw!r}; only of layouts fuel and syncdreamer: the meshes of others stand already"
            )


class Gso(EvaluationSet):
    """Google Scanned Objects (CC BY 4.0): Fuel's models, or the renders of SyncDreamer, EscherNet or Zero-1-to-3."""

    name: ClassVar[str] = "gso"
    Config: ClassVar[type[Any]] = GsoConfig

    def objects(self) -> Sequence[EvaluationObject]:
        config: GsoConfig = self.config
        root = existing(config, "gso")
        layout, folders = self._layout(root)
        if config.names:
            file = Path(config.names).expanduser()
            named = read_names(file, folders, str(file), f"no object's folder in {root}; one of those there")
            folders = {name: folders[folder] for name, folder in named.items()}
        make, yaws = self._maker(layout), self._yaws(layout)
        found: dict[str, EvaluationObject] = {}
        for name, folder in folders.items():
            made = make(name, folder)
            if isinstance(made, FuelObject) and yaws is not None:
                made.yaw_deg = yaws.get(name)
            found[name] = made
        taken = chosen(found, config, "gso")
        without = (one for one in taken if isinstance(one, FuelObject) and yaws is not None and one.yaw_deg is None)
        unturned = [one.name for one in without if one.model() is not None]
        if unturned:
            raise UserError(
                f"gso: yaw: of {unturned[0]!r} ({len(unturned)} objects in all) no turn is known; its names are those of "
                "`names`, a JSON file {name: folder}; else give yaw=none or a JSON file of {name: degrees}"
            )
        return taken

    def _layout(self, root: Path) -> tuple[str, dict[str, Path]]:
        """The layout, and the folders that have it by name."""
        option = self.config.layout
        looked = [name for name in LAYOUTS if option in ("auto", name)]
        below = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        listed = root / "val.json"
        if "zero123" in looked and listed.is_file():
            names = [str(name) for name in read_json(listed, list)]
            gone = [name for name in names if not (root / name).is_dir()]
            if gone:
                raise UserError(
                    f"{listed}: {gone[0]!r} has no folder here ({len(gone)} of {len(names)}); copy it whole"
                )
            return "zero123", {name: root / name for name in names}
        for layout in looked:
            places = {path.name: _newest(path) if layout == "fuel" else path for path in below}
            folders = {name: path for name, path in places.items() if self._has(layout, path)}
            if folders:
                return layout, folders
        if any(self._has(layout, root) for layout in looked):
            raise UserError(f"gso: path: {root} is one object's folder; name the folder above, objects=[{root.name}]")
        wanted = "; ".join(f"{name}: {LAYOUTS[name]}" for name in looked)
        raise UserError(f"gso: path: {root}: no known layout: {holds(root)}; expected {wanted}")

    def _has(self, layout: str, folder: Path) -> bool:
        renders = self.config.renders or RENDERS.get(layout, "")
        places = {
            "fuel": [MODEL],
            "syncdreamer": ["000.png"],
            "eschernet": [f"{renders}/model/000.npy"],
            "zero123": [TRANSFORMS, f"{renders}/model/000.npy"],
        }
        return any((folder / place).is_file() for place in places[layout])

    def _maker(self, layout: str) -> Callable[[str, Path], EvaluationObject]:
        config: GsoConfig = self.config
        renders = config.renders or RENDERS.get(layout, "")
        if layout == "syncdreamer":
            meshes = Path(config.meshes).expanduser() if config.meshes else None
            if meshes and not meshes.is_dir():
                raise UserError(f"gso: meshes: {config.meshes}: no such folder; name that of NAME/model.obj")
            return partial(SyncDreamerObject, meshes=meshes)
        if layout == "fuel":
            return FuelObject
        return partial(EscherNetObject if layout == "eschernet" else Zero123Object, renders=renders)

    def _yaws(self, layout: str) -> Mapping[str, float] | None:
        yaw = self.config.yaw
        if yaw == "none" or (yaw == "auto" and layout != "syncdreamer"):
            return None
        if yaw in ("auto", "syncdreamer"):
            known: Mapping[str, float] = syncdreamer()["yaw_deg"]
            return known
        file = Path(yaw).expanduser()
        said = read_json(file, dict)
        for name, degrees in said.items():
            if not isinstance(degrees, int | float) or isinstance(degrees, bool) or not math.isfinite(degrees):
                raise UserError(f"{file}: {name}: {degrees!r}; degrees are needed")
        return {name: float(degrees) for name, degrees in said.items()}


def _newest(folder: Path) -> Path:
    """The folder of the highest version, where Fuel's own tool keeps NAME/VERSION/; else the folder itself."""
    if (folder / MODEL).is_file():
        return folder
    versions = [path for path in folder.iterdir() if path.name.isdecimal() and (path / MODEL).is_file()]
    return max(versions, key=lambda path: int(path.name), default=folder)
