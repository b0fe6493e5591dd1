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

from zero3d.folder.layout import MADE_BY, read_manifest
from zero3d.registry import Registry

REPORTED_PACKAGES = ("zero3d", "torch", "numpy", "diffusers", "transformers", "omegaconf", "pluggy", "trimesh")


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


def made_otherwise(folder: Path, registry: Registry) -> str:
    """A sentence for each plug-in that the run was given by `--plugin` and that is not here now, and one for another
    version of zero3d; else nothing.

    (They are not loaded by themselves: a run's folder may come from a stranger, and names no code to execute.)
    """
    made_with, other = read_manifest(folder).get("local_plugins"), other_version(folder)
    here = {entry.plugin for entry in registry.brought()}
    missing = [path for n, path in made_with.items() if n not in here] if isinstance(made_with, dict) else []
    lines = [f"The run was made with --plugin {path}; give that again." for path in missing]
    return "".join(f" {line}" for line in [*lines, *([f"The run was {other}."] if other else [])])


def other_version(folder: Path) -> str:
    """`made by zero3d X, this is Y`; empty where they are the same, or the run does not say."""
    packages, own = read_manifest(folder).get("packages"), _version("zero3d")
    made_by = packages.get("zero3d") if isinstance(packages, dict) else None
    return f"made by zero3d {made_by}, this is {own}" if made_by and own and made_by != own else ""


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
