"""Objaverse-LVIS as an evaluation set."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from zero3d import UserError
from zero3d.interfaces import EvaluationObject, EvaluationSet
from zero3d.mesh_files import load_mesh
from zero3d_evaluation_sets.common.meshes import with_closed
from zero3d_evaluation_sets.common.objects import FileObject
from zero3d_evaluation_sets.common.selection import Selection, chosen, existing, holds

LISTS = ("lvis-annotations.json", "lvis-annotations.json.gz")
WANTED = "glbs/000-NNN/UID.glb beside lvis-annotations.json[.gz], as the package objaverse leaves them"


@dataclass
class ObjaverseConfig(Selection):
    """`path`: folder of your copy. `objects`: uids to take, or .txt files of them, one a line; [] takes all. `limit`: the
    first so many of them; null takes all.

    `categories`: LVIS categories to take; [] takes all.
    """

    categories: list[str] = field(default_factory=list)


class Glb(FileObject):
    """A GLB as `load_mesh` puts it: y up made z up, its front (+z) at azimuth 0, at rest, of the size it has."""

    def files(self) -> Iterable[Path]:
        yield self.root / f"{self.name}.glb"

    def mesh(self) -> Any | None:
        return with_closed(load_mesh(self.root / f"{self.name}.glb"))


class ObjaverseLvis(EvaluationSet):
    """Objaverse-LVIS: those objects of the LVIS categories whose GLB is in your copy; each has a licence of its own."""

    name: ClassVar[str] = "objaverse_lvis"
    Config: ClassVar[type[Any]] = ObjaverseConfig

    def objects(self) -> Sequence[EvaluationObject]:
        config: ObjaverseConfig = self.config
        root = existing(config, "objaverse_lvis")
        glbs = root / "glbs"
        if not glbs.is_dir():
            raise UserError(f"objaverse_lvis: path: {root}: no known layout: {holds(root)}; expected {WANTED}")
        categories = _categories(root)
        gone = set(config.categories) - set(categories.values())
        if gone:
            raise UserError(f"objaverse_lvis: categories: {min(gone)!r} is none of LVIS' in {root}")
        there = {path.stem: path.parent for path in sorted(glbs.glob("*/*.glb"))}
        found = {
            uid: Glb(uid, there[uid], category)
            for uid, category in sorted(categories.items())
            if uid in there and (not config.categories or category in config.categories)
        }
        if not found:
            raise UserError(
                f"objaverse_lvis: path: {glbs}: none of its {len(there)} GLBs is asked for; expected {WANTED}"
            )
        return chosen(found, config, "objaverse_lvis")


def _categories(root: Path) -> dict[str, str]:
    """Uid -> its (first) LVIS category."""
    file = next((root / name for name in LISTS if (root / name).is_file()), None)
    if file is None:
        raise UserError(
            f"objaverse_lvis: path: {root}: no {LISTS[0]}: {holds(root)}; expected {WANTED}; for meshes without LVIS' "
            "categories take mesh_folder"
        )
    try:
        data = file.read_bytes()
        said = json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
        pairs = [(str(uid), str(category)) for category, uids in said.items() for uid in uids]
    except (OSError, EOFError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{file}: no list {{category: [uid]}} ({str(error)[:80]}); copy it again") from None
    return dict(reversed(pairs))
