"""A benchmark's folder: its manifest, its rows, and whether two of them may stand in one table."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from zero3d.errors import RunError
from zero3d.files import write_text
from zero3d.recipe import recipe_file
from zero3d_benchmark.options import Benchmark, MethodOptions

MANIFEST, CACHE, ROWS = "manifest.json", "cache", "objects"
NO_TRUTH = "no true mesh: the shape is not scored"
"""A note of a row."""
PACKAGES = ("zero3d", "torch", "numpy", "scipy", "trimesh", "scikit-image", "embreex", "libigl", "pillow")


def row(out: Path, method: str, name: str) -> Path:
    """The file of a method's scores on an object."""
    return out / ROWS / method / f"{name}.json"


def prediction(out: Path, method: str, name: str) -> Path:
    return out / "predictions" / method / f"{name}.glb"


def features(out: Path, method: str, name: str) -> Path:
    """The file of features of distributions."""
    return out / "features" / method / f"{name}.safetensors"


def manifest_of(benchmark: Benchmark) -> dict[str, Any]:
    """What the rows of a folder rest on."""
    options, protocol = benchmark.options, benchmark.protocol
    said: dict[str, Any] = {"options": dict(options.set), "data": options.data}
    return {
        "protocol": {"id": protocol.id, "version": protocol.version, "sha256": _digest(vars(protocol))},
        "set": said,
        "seed": options.seed,
        "methods": {label: method_record(method) for label, method in benchmark.methods.items()},
        "objects": {one.name: one.digest() for one in benchmark.mine},
        "shard": options.shard,
        "benchmark": plain_of(benchmark),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def plain_of(benchmark: Benchmark) -> dict[str, Any]:
    """Its keys with absolute paths, for workers and for tables that are made later."""
    plain = {**dataclasses.asdict(benchmark.options), "tables": {}, "table": None}
    for key in ("data", "cache", "out"):
        plain[key] = None if plain[key] is None else str(Path(plain[key]).expanduser().absolute())
    plain["protocol"] = absolute(plain["protocol"])
    plain["set"] = {key: absolute(value) for key, value in plain["set"].items()}
    for label, method in plain["methods"].items():
        plain["methods"][label] = {key: absolute(value) for key, value in method.items()}
    return plain


def absolute(value: Any) -> Any:
    """A path that is there, and means another in another folder, as an absolute one; anything else as it is."""
    if isinstance(value, str) and ("/" in value or "." in value) and Path(value).expanduser().exists():
        return str(Path(value).expanduser().absolute())
    return value


def method_record(method: MethodOptions) -> dict[str, Any]:
    """A method's options, with the hash of the recipe's file."""
    kept = {key: value for key, value in vars(method).items() if value not in (None, {}, [], False, "image")}
    if method.recipe:
        kept["recipe_sha256"] = hashlib.sha256(recipe_file(method.recipe).read_bytes()).hexdigest()
    return kept


def joined(one: Mapping[str, Any] | None, other: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Both manifests as one: methods and objects of both.

    Raises:
        RunError: they are of another protocol, seed, method of the same name or object of the same name.
    """
    if one is None:
        return dict(other)
    for key in ("protocol", "seed"):
        if one[key] != other[key]:
            differ = f"{_short(one[key])} there, {_short(other[key])} here"
            raise RunError(f"{place}: holds another benchmark ({key}: {differ}); name another folder")
    for key in ("methods", "objects"):
        for name in one[key].keys() & other[key].keys():
            if one[key][name] != other[key][name]:
                differ = f"{key}.{name}: {_short(one[key][name])} there, {_short(other[key][name])} here"
                raise RunError(f"{place}: holds another benchmark ({differ}); name another folder")
    both: dict[str, Any] = {key: {**one[key], **other[key]} for key in ("methods", "objects")}
    if "benchmark" in one and "benchmark" in other:
        a, b = one["benchmark"], other["benchmark"]
        objects = a["objects"] if a["objects"] == b["objects"] else None
        both["benchmark"] = {**a, "methods": {**a["methods"], **b["methods"]}, "objects": objects}
    return {**one, **both, "shard": None if one.get("shard") != other.get("shard") else one.get("shard")}


def read_manifest(out: Path) -> dict[str, Any] | None:
    """None of a folder that is not there, or empty.

    Raises:
        RunError: it is another's folder, or its manifest is damaged.
    """
    path = out / MANIFEST
    if not path.is_file():
        if out.exists() and (not out.is_dir() or any(map(_foreign, out.iterdir()))):
            raise RunError(f"out: {out} holds no benchmark and is not empty; name another folder")
        return None
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"protocol", "seed", "methods", "objects"} <= read.keys():
            raise ValueError("keys are missing")
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: no manifest of a benchmark ({error}); name another folder") from None
    return read


def _foreign(entry: Path) -> bool:
    """Whether a benchmark that was killed before its manifest stood would not have left it."""
    return entry.name[0] != "." and entry.name not in (ROWS, "features", CACHE)


def write_manifest(out: Path, manifest: Mapping[str, Any]) -> None:
    write_text(out / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def rows(out: Path) -> Iterator[dict[str, Any]]:
    """Every row of the folder, by method and object.

    Raises:
        RunError: a row's file is damaged.
    """
    for path in sorted((out / ROWS).glob("*/*.json")):
        if not path.name.startswith("."):
            yield read_row(path)


def read_row(path: Path) -> dict[str, Any]:
    """One row.

    Raises:
        RunError: it is damaged.
    """
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        read["method"], read["object"], read["error"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"{path}: no row of a benchmark ({type(error).__name__}); remove it, it is scored anew"
        ) from None
    return read


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=vars).encode()).hexdigest()


def _short(value: Any) -> str:
    said = json.dumps(value)
    return said if len(said) < 120 else f"{said[:110]}..."


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
