"""manifest.json: what made a run; and by that, whether a folder is a run's."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from zero3d.folder.layout import MANIFEST
from zero3d.registry import Registry

MADE_BY = "zero3d run"
REPORTED_PACKAGES = ("zero3d", "torch", "numpy", "diffusers", "transformers", "omegaconf", "pluggy", "trimesh")
UNMARKED = frozenset({"python", "platform", "packages", "plugins", "local_plugins", "components"})
"""The keys by which a manifest of a version that wrote no `made_by` is known."""


def make_manifest(registry: Registry, components: dict[str, str], notes: list[str], **facts: Any) -> str:
    """The file's text: what made this run: packages, plug-ins, device, and facts such as the implied input scale."""
    content = {
        "made_by": MADE_BY,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "packages": {name: found for name in REPORTED_PACKAGES if (found := _version(name))},
        "plugins": {entry.plugin: f"{entry.package} {entry.version}" for entry in registry.brought()},
        "local_plugins": registry.local,
        "components": components,
        "notes": notes,
        **facts,
    }
    return json.dumps(content, indent=2) + "\n"


def read_manifest(folder: Path) -> dict[str, Any]:
    """A folder's manifest.json; empty where there is none of ours."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return found if found.get("made_by") == MADE_BY or found.keys() >= UNMARKED else {}


def missing_plugins(folder: Path, registry: Registry) -> str:
    """A sentence for each plug-in that the run was given by `--plugin` and that is not here now; else nothing.

    (They are not loaded by themselves: a run's folder may come from a stranger, and names no code to execute.)
    """
    try:
        made_with = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["local_plugins"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""
    here = {entry.plugin for entry in registry.brought()}
    return "".join(
        f" The run was made with --plugin {path}; give that again." for n, path in made_with.items() if n not in here
    )


def file_sha256(path: Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(paths: Sequence[Path]) -> dict[str, str]:
    """Path from the files' common folder -> sha256: parts of one model often share a file name."""
    if not paths:
        return {}
    common = os.path.commonpath([path.parent for path in paths])
    return {Path(os.path.relpath(path, common)).as_posix(): file_sha256(path) for path in paths}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
