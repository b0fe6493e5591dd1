"""A benchmark's file, checked to its last key before anything runs."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from zero3d.errors import RecipeError, UserError, did_you_mean
from zero3d.files.labels import check_label
from zero3d.interfaces import EvaluationObject, EvaluationSet
from zero3d.recipe import RecipeText, make_block, read_yaml
from zero3d.recipe.schema import typed
from zero3d.registry import Registry
from zero3d_benchmark import protocol as protocols
from zero3d_benchmark.methods import check_method
from zero3d_benchmark.options import DEFAULT_SET, FLOOR, Benchmark, BenchmarkOptions, MethodOptions

DATA_KEYS = ("path", "root", "data", "folder", "file")
"""The option of a set that `data=` stands for: the first that it has."""


def read(file: str | None, overrides: Sequence[str], registry: Registry, predictions: Sequence[str] = ()) -> Benchmark:
    """A benchmark's file, a recipe as its only method, or neither, with key=value overrides; checked whole, nothing is run.

    predictions: [LABEL=]FOLDER each, more methods; the label is the folder's name by default.

    Raises:
        UserError: a key, a name, a folder or a method's own recipe is wrong.
    """
    known = {option.name for option in dataclasses.fields(BenchmarkOptions)}
    if file is None:
        file = "zero3d benchmark"
        plain = read_yaml(RecipeText(file, "{}"), overrides)
    elif {"methods", "tables", "protocol"} & set(read_yaml(file)):
        plain = read_yaml(file, overrides)
        plain |= _table(plain, file)
    else:
        ours = [given for given in overrides if re.split(r"[.=\[]", given)[0] in known - {"objects"}]
        ours += [given for given in overrides if re.split(r"[.=\[]", given)[0] == "objects"]
        theirs = dict(_pair(given) for given in overrides if given not in ours)
        label = re.sub(r"[^\w+-]", "-", Path(file).stem) or "recipe"
        plain = {"methods": {label: {"recipe": file, "options": theirs}}, **read_yaml(RecipeText(file, "{}"), ours)}
    added = {}
    for word in predictions:
        label, _, folder = word.rpartition("=")
        label = label or Path(folder).name
        if label in added:
            raise RecipeError(f"--predictions {word}: {label} is given twice; write LABEL={folder} with another label")
        added[label] = {"predictions": folder}
    methods = plain.get("methods") or {}
    plain["methods"] = {**methods, **added} if isinstance(methods, dict) else methods
    return from_plain(plain, file, registry)


def read_all(
    file: str | None, overrides: Sequence[str], registry: Registry, predictions: Sequence[str] = ()
) -> list[Benchmark]:
    """As `read`; of table=all each of the file's tables, in out/LABEL."""
    plain = read_yaml(file, overrides) if file is not None and "tables" in read_yaml(file) else {}
    tables = plain.get("tables")
    if plain.get("table") != "all" or not isinstance(tables, dict) or "all" in tables:
        return [read(file, overrides, registry, predictions)]
    if plain.get("out") is None:
        raise RecipeError("out: missing; say where the results go, for example out=runs/paper")
    found = []
    for label, keys in tables.items():
        if keys is not None:
            own = [f"table={label}", f"out={json.dumps(str(Path(plain['out']) / str(label)))}"]
            found.append(read(file, [*overrides, *own], registry, predictions))
    return found


def from_plain(plain: dict[str, Any], place: str, registry: Registry, runs: bool = True) -> Benchmark:
    """A benchmark from its plain keys. `runs`: whether the methods are to run here, and are checked for it.

    Raises:
        UserError: as `read`.
    """
    options: BenchmarkOptions = typed(BenchmarkOptions, plain, f"{place}:")
    protocol = protocols.load(options.protocol, f"{place}: protocol")
    protocols.change_metrics(protocol, options.metrics, place)
    measures = protocols.measures(protocol, registry)
    if not options.methods:
        raise RecipeError(f"{place}: methods: missing; name one, for example methods.oracle={{oracle: true}}")
    methods = {}
    options.methods = {label: given for label, given in options.methods.items() if given is not None}
    for label, given in options.methods.items():
        where = f"{place}: methods.{label}"
        if check_label(label, where) == FLOOR:
            raise RecipeError(f"{where}: the label is kept for the truth against itself; take another")
        if not isinstance(given, dict):
            raise RecipeError(f"{where}: {given!r}; a map, say {{recipe: recipes/nano.yaml}}")
        methods[label] = typed(MethodOptions, given, where)
    executor = None
    if options.executor is not None:
        executor = make_block(registry, "executor", place, "executor", options.executor).build()
    objects = _objects(options, place, registry)
    benchmark = Benchmark(place, options, protocol, measures, methods, objects, executor)
    if runs:
        _check_runs(benchmark, registry)
    return benchmark


def _check_runs(benchmark: Benchmark, registry: Registry) -> None:
    """Hold what is needed to run it here against what is here: weights, the methods' own recipes, true meshes."""
    place, protocol, measures, objects = benchmark.place, benchmark.protocol, benchmark.measures, benchmark.objects
    for label, metric in measures.all.items():
        gone = [path for path in metric.weight_files() if not path.exists()]
        if gone:
            raise RecipeError(f"protocol {protocol.id}: metrics.{label}: {gone[0]}: no such file")
    for label, method in benchmark.methods.items():
        check_method(method, f"{place}: methods.{label}", registry, objects, protocol)
    if measures.shapes and len(measures.shapes) == len(measures.all) and not any(map(_has_mesh, objects)):
        raise RecipeError(
            f"{place}: set: none of {len(objects)} objects has a true mesh, and protocol {protocol.id} compares shapes "
            "here; take data with meshes, or metrics of pictures"
        )
    for label, metric in measures.all.items():
        if metric.wants_encoder or metric.weight_files():  # read once here, for one line in place of one a row
            protocols.loaded(protocol, label, registry, torch.device("cpu"))


def _has_mesh(one: EvaluationObject) -> bool:
    """Whether it has one, be it a damaged one, which is a failure of its own."""
    try:
        return one.mesh() is not None
    except UserError:
        return True


def _pair(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not equals or not key:
        raise RecipeError(f"override {given!r}: write key.path=value, for example objects=3")
    return key, value


def _table(plain: dict[str, Any], place: str) -> dict[str, Any]:
    """The keys that the chosen one of `tables` sets; `methods` may be a list of labels of the file's own."""
    given = plain.get("tables") or {}
    if not isinstance(given, dict) or not all(keys is None or isinstance(keys, dict) for keys in given.values()):
        raise RecipeError(f"{place}: tables: {str(given)[:80]}; a map of label -> keys")
    tables = {label: keys for label, keys in given.items() if keys is not None}
    if not tables:
        return {}
    chosen = plain.get("table")
    if chosen not in tables:
        shown = "missing" if chosen is None else f"{chosen!r} is none"
        raise RecipeError(f"{place}: table: {shown}; one of {', '.join(map(str, tables))}, or all")
    keys = dict(tables[chosen])
    known = {option.name for option in dataclasses.fields(BenchmarkOptions)} - {"tables", "table"}
    for key in keys:
        if key not in known:
            raise RecipeError(f"{place}: tables.{chosen}.{key}: no such option.{did_you_mean(str(key), known)}")
    if isinstance(keys.get("methods"), list):
        whole = plain.get("methods") or {}
        for label in keys["methods"]:
            if label not in whole:
                raise RecipeError(f"{place}: tables.{chosen}.methods: {label!r}.{did_you_mean(str(label), whole)}")
        keys["methods"] = {label: whole[label] for label in keys["methods"]}
    return keys


def _objects(options: BenchmarkOptions, place: str, registry: Registry) -> list[EvaluationObject]:
    """Those of the set that `objects` names."""
    made = make_block(registry, "evaluation_set", place, "set", _set_block(options, place, registry)).build()
    assert isinstance(made, EvaluationSet)
    objects = list(made.objects())
    if options.objects is None or isinstance(options.objects, int):
        return objects[: options.objects]
    names = list(map(str, options.objects))
    by = {one.name: one for one in objects}
    for at, name in enumerate(names):
        if name in names[:at]:
            raise RecipeError(f"{place}: objects: {name!r} stands there twice; name it once")
        if name not in by:
            raise RecipeError(f"{place}: objects: {name!r} is none of the set's {len(by)}.{did_you_mean(name, by)}")
    return [by[name] for name in names]


def _set_block(options: BenchmarkOptions, place: str, registry: Registry) -> dict[str, Any]:
    """The set's options with the place of the data; of a map of places that of this set stays in `options.data`."""
    kind = str(options.set.get("type", DEFAULT_SET["type"]))
    if isinstance(options.data, dict):
        if kind not in options.data:
            raise RecipeError(f"{place}: data: {', '.join(options.data) or 'none'}; where {kind} lies is not said")
        options.data = options.data[kind]
    if options.data is None:
        return options.set
    config = registry.get("evaluation_set", kind, f"{place}: set.type").Config
    options_of_set = {option.name for option in dataclasses.fields(config)}
    key = next((key for key in DATA_KEYS if key in options_of_set), None)
    if key is None:
        remedy = "name a set that does, such as set.type=mesh_folder, or leave it out"
        raise RecipeError(f"{place}: data: {options.data}; the set {kind!r} reads none; {remedy}")
    return {**options.set, key: options.data}
