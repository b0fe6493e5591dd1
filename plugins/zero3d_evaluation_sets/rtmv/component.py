"""RTMV as an evaluation set."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zero3d import UserError
from zero3d.errors import did_you_mean
from zero3d.interfaces import EvaluationObject, EvaluationSet
from zero3d_evaluation_sets.common.selection import Selection, chosen, existing, holds
from zero3d_evaluation_sets.rtmv.scenes import RtmvScene, Zero123Scene

LAYOUTS = {
    "rtmv": "[GROUP/]SCENE/00000.json with 00000.exr or 00000.png",
    "zero123": "SCENE/transforms.json with 00000.png",
}
DEEPEST = 3
"""Folders below `path` in which scenes are looked for."""


@dataclass
class RtmvConfig(Selection):
    """`path`: folder of your copy. `objects`: names to take (a scene's folder, with its group's before it, say
    google_scanned_00000), or .txt files of names, one a line; [] takes all. `limit`: the first so many; null takes all.

    `layout`: rtmv (as published), zero123 (that paper's copy), or auto. `alpha`: where opacity is taken from: picture (the
    EXR's channel A), depth (where there is one), or auto: the channel A if it tells pixels apart, else the depth, else all
    opaque. `group`: google_scanned, abc, bricks or amazon_berkeley, by the folder that scenes lie in; "" takes all.
    """

    layout: str = "auto"
    alpha: str = "auto"
    group: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.layout not in ("auto", *LAYOUTS):
            raise ValueError(f"layout: {self.layout!r} is none.{did_you_mean(self.layout, ('auto', *LAYOUTS))}")
        if self.alpha not in ("auto", "picture", "depth"):
            raise ValueError(f"alpha: {self.alpha!r}; auto, picture or depth")


class Rtmv(EvaluationSet):
    """RTMV's ray-traced scenes: EXR pictures made sRGB, with JSON cameras; or Zero-1-to-3's copy, with meshes."""

    name: ClassVar[str] = "rtmv"
    Config: ClassVar[type[Any]] = RtmvConfig
    extras: ClassVar[Mapping[str, str]] = {"exr": "OpenEXR"}

    def objects(self) -> Sequence[EvaluationObject]:
        config: RtmvConfig = self.config
        root = existing(config, "rtmv")
        found: dict[str, EvaluationObject] = {}
        others: set[str] = set()
        for folder, layout in _scenes(root):
            if config.layout not in ("auto", layout):
                continue
            place = folder.relative_to(root).parts
            if not place:
                raise UserError(
                    f"rtmv: path: {root} is one scene's folder; name the folder above, objects=[{root.name}]"
                )
            name, group = "_".join(place), place[0] if len(place) > 1 else ""
            beside = place[:-1] or (root.resolve().name,)
            if config.group and config.group not in beside and not (layout == "zero123" and not group):
                others |= set(beside[-1:])
                continue
            if name in found:
                raise UserError(f"rtmv: path: {root}: two scenes are called {name}; name one group's folder")
            if layout == "rtmv":
                found[name] = RtmvScene(name, folder, group, config.alpha)
            else:
                found[name] = Zero123Scene(name, folder, group)
        if not found and others:
            raise UserError(
                f"rtmv: group: {config.group!r}: no scene of it in {root}; copy it, or take all with group=''."
                f"{did_you_mean(config.group, others)}"
            )
        if not found:
            wanted = "; ".join(f"{name}: {LAYOUTS[name]}" for name in LAYOUTS if config.layout in ("auto", name))
            raise UserError(f"rtmv: path: {root}: no scene there: {holds(root)}; expected {wanted}")
        return chosen(found, config, "rtmv")


def _scenes(root: Path, depth: int = 0) -> Iterator[tuple[Path, str]]:
    """Folders of scenes with their layout, in the order of their names; none is looked for inside of one."""
    if (root / "00000.json").is_file():
        yield root, "rtmv"
    elif (root / "transforms.json").is_file() and (root / "00000.png").is_file():
        yield root, "zero123"
    elif depth < DEEPEST:
        with os.scandir(root) as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
        for name in below:
            yield from _scenes(root / name, depth + 1)
