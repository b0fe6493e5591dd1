"""OmniObject3D as an evaluation set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from zero3d import UserError
from zero3d.interfaces import EvaluationObject, EvaluationSet, EvaluationView
from zero3d.transforms import Frame, read_transforms
from zero3d_evaluation_sets.common.meshes import files_of, own_axes
from zero3d_evaluation_sets.common.objects import FileObject, numbers, read_json
from zero3d_evaluation_sets.common.pictures import framed_view
from zero3d_evaluation_sets.common.selection import Selection, chosen, existing, holds

SCANS, RENDERS = "raw_scans", "blender_renders"
SCAN, CAMERAS = "Scan/Scan.obj", "render/transforms.json"


@dataclass
class OmniObject3DConfig(Selection):
    """`path`: folder of your copy. `objects`: ids to take, say anise_001, or .txt files of them, one a line; [] takes all.
    `limit`: the first so many of them; null takes all.

    `categories`: those to take; [] takes all.
    """

    categories: list[str] = field(default_factory=list)


class OmniObject(FileObject):
    """A scan (millimetres, y up), its 100 renders, or both.

    With renders the mesh stands in their world: scaled by their `frames[0].scale` and turned by 90 degrees about x, as the
    data's tools/mesh_eval.py does. Without, it is in millimetres, turned upright the same way.
    """

    def __init__(self, name: str, root: Path, category: str, scan: Path | None, cameras: Path | None) -> None:
        super().__init__(name, root, category)
        self._scan, self._cameras = scan, cameras

    @cached_property
    def view_names(self) -> Sequence[str]:  # type: ignore[override]
        return tuple(frame.path.stem for frame in self._frames()) if self._cameras else ()

    def files(self) -> Iterable[Path]:
        if self._scan:
            yield from files_of(self._scan)
        if self._cameras:
            yield self._cameras
            yield from (frame.path for frame in self._frames())

    def mesh(self) -> Any | None:
        if self._scan is None:
            return None
        mesh = own_axes(self._scan, up="y")
        return mesh.apply_scale(self._scale()) if self._cameras else mesh

    def view(self, index: int) -> EvaluationView:
        return framed_view(self._frames()[self.at(index)])

    def _scale(self) -> float:
        file = self._cameras
        assert file is not None
        frames = read_json(file, dict).get("frames")
        first = frames[0] if isinstance(frames, list) and frames and isinstance(frames[0], dict) else {}
        scale = float(numbers(first.get("scale"), (), f"{file}: frames[0].scale"))
        if scale <= 0:
            raise UserError(f"{file}: frames[0].scale: {scale}; above 0")
        return scale

    def _frames(self) -> list[Frame]:
        assert self._cameras is not None
        images = self._cameras.parent / "images"
        frames = read_transforms(self._cameras)
        return [frame if frame.path.is_file() else replace(frame, path=images / frame.path.name) for frame in frames]


class OmniObject3D(EvaluationSet):
    """OmniObject3D (CC BY 4.0): scanned objects of 190 categories, raw_scans with blender_renders."""

    name: ClassVar[str] = "omniobject3d"
    Config: ClassVar[type[Any]] = OmniObject3DConfig

    def objects(self) -> Sequence[EvaluationObject]:
        config: OmniObject3DConfig = self.config
        root = existing(config, "omniobject3d")
        base = root / "raw" if (root / "raw").is_dir() else root
        scans, renders = dict(_items(base / SCANS, SCAN)), dict(_items(base / RENDERS, CAMERAS))
        found: dict[str, EvaluationObject] = {}
        for key in sorted({*scans, *renders}):
            category, name = key
            if config.categories and category not in config.categories:
                continue
            if name in found:
                raise UserError(
                    f"omniobject3d: path: {root}: {name} is in two categories; take categories=[{category}]"
                )
            found[name] = OmniObject(name, base, category, scans.get(key), renders.get(key))
        if not scans and not renders:
            raise UserError(
                f"omniobject3d: path: {root}: no known layout: {holds(root)}; expected {SCANS}/CATEGORY/ID/{SCAN} or "
                f"{RENDERS}/CATEGORY/ID/{CAMERAS}"
            )
        gone = set(config.categories) - {category for category, _ in {*scans, *renders}}
        if gone:
            raise UserError(f"omniobject3d: categories: {min(gone)!r} is none of those in {base}")
        return chosen(found, config, "omniobject3d")


def _items(folder: Path, inside: str) -> Iterator[tuple[tuple[str, str], Path]]:
    """Category and id of each object that has the file `inside`; an id's folder may lie under its category's or without."""
    for first in sorted(folder.iterdir()) if folder.is_dir() else ():
        if (first / inside).is_file():
            yield (first.name.rpartition("_")[0], first.name), first / inside
        elif first.is_dir():
            for second in sorted(first.iterdir()):
                if (second / inside).is_file():
                    yield (first.name, second.name), second / inside
