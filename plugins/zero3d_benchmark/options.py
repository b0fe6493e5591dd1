"""A benchmark's file, checked to its last key before anything runs."""

from __future__ import annotations

import dataclasses
import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from zero3d.errors import RecipeError, UserError, did_you_mean
from zero3d.interfaces import EvaluationObject, EvaluationSet, Executor
from zero3d.labels import check_label
from zero3d.mesh_files import FORMATS
from zero3d.recipe import RecipeText, make_block, read_yaml
from zero3d.recipe.schema import typed
from zero3d.registry import Registry
from zero3d.run import check, one_shot
from zero3d_benchmark import protocol as protocols
from zero3d_benchmark.protocol import Measures, Protocol

DATA_KEYS = ("path", "root", "data", "folder", "file")
"""The option of a set that `data=` stands for: the first that it has."""
SOURCES = ("recipe", "reconstructor", "views", "predictions", "oracle")
FLOOR = "floor"
"""The label of the truth against another sample of itself."""
_DISC = numpy.where(numpy.hypot(*(numpy.mgrid[-1:1:96j, -1:1:96j]))[..., None] < 0.6, [200, 90, 40, 255], 0).astype(
    numpy.uint8
)
"""A picture to check recipes with."""
DEFAULT_PROTOCOL, DEFAULT_SET = "zero3d-solids", {"type": "procedural"}


@dataclass
class MethodOptions:
    """A method: one of recipe (a file), reconstructor (a name), views (a denoiser's name), predictions (a folder of an
    outside method's results) and oracle (true: the truth itself).

    options: of the recipe (key.path: value, or nested), reconstructor or denoiser. picture: the recipe's key that takes it.
    up: vertical axis of predictions' files, y or z. yaw_deg: by how much they are turned about it. turned: whether they
    stand as the input camera sees them (its azimuth 0), and not as the data do. arguments: further words of `zero3d views`,
    as [--steps, 50]. tell_elevation: whether the
    method is told how high the input camera stands; else it assumes what it does. baked: whether the colours of its meshes
    hold light and shade; they are then drawn bare, else under the light of the targets, where that is known.
    """

    recipe: str | None = None
    reconstructor: str | None = None
    views: str | None = None
    predictions: str | None = None
    oracle: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)
    picture: str = "image"
    up: str = "y"
    yaw_deg: float = 0.0
    turned: bool = True
    tell_elevation: bool = True
    baked: bool = False

    def __post_init__(self) -> None:
        given = [name for name in SOURCES if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"{given[-1] if given else 'recipe'}: {given or 'none'}; give one of {', '.join(SOURCES)}")
        if self.up not in ("y", "z"):
            raise ValueError(f"up: {self.up!r}; y (glTF's) or z")

    @property
    def source(self) -> str:
        return next(name for name in SOURCES if getattr(self, name))


@dataclass
class BenchmarkOptions:
    """A benchmark's file. protocol: a shipped one's name or a YAML file. set: an evaluation set's type and options. methods:
    label -> method; null leaves one out. executor: who runs the jobs; null is this process. out: folder of the results.
    data: where the user's copy lies, in place of the set's own option; or
    set's type -> where, for several tables. objects: the first so many, or a list of names; null
    takes all. seed: of all methods and samples. shard: i/n, the i-th of n parts of the objects. cache: folder of rendered
    pictures, out/cache by default. metrics: more metrics, as of a protocol, beside its own (LPIPS, FID: they need weights);
    null leaves one of its own out.
    tables: label -> keys that stand in place of these. table: which of them; all makes each in a folder of its own.
    """

    protocol: str = DEFAULT_PROTOCOL
    set: dict[str, Any] = field(default_factory=lambda: dict(DEFAULT_SET))
    methods: dict[str, Any] = field(default_factory=dict)
    executor: Any = field(default_factory=lambda: {"type": "processes", "workers": 1})
    out: str | None = None
    data: Any = None
    objects: Any = None
    seed: int = 0
    shard: str | None = None
    cache: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    table: str | None = None

    def __post_init__(self) -> None:
        several = isinstance(self.data, dict) and all(isinstance(place, str) for place in self.data.values())
        if self.data is not None and not isinstance(self.data, str) and not several:
            raise ValueError(
                f"data: {self.data!r}; a folder, or a map of set's type -> folder, say {{gso: GSO, rtmv: RTMV}}"
            )
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed}; not negative")
        names = isinstance(self.objects, list) and all(isinstance(name, str | int) for name in self.objects)
        if self.objects is not None and not names and not (type(self.objects) is int and self.objects > 0):
            raise ValueError(f"objects: {self.objects!r}; how many, or a list of names")
        if self.shard is not None and not valid_shard(self.shard):
            raise ValueError(f"shard: {self.shard!r}; i/n with 1 <= i <= n, say 2/8")


def valid_shard(text: str) -> tuple[int, int] | None:
    """(i, n), or None if it is no i/n."""
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", str(text))
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        return None
    return int(found[1]), int(found[2])


@dataclass
class Benchmark:
    """A benchmark that is ready to run."""

    place: str
    options: BenchmarkOptions
    protocol: Protocol
    measures: Measures
    methods: dict[str, MethodOptions]
    objects: list[EvaluationObject]
    executor: Executor | None

    @property
    def mine(self) -> list[EvaluationObject]:
        """The objects of this shard."""
        part = valid_shard(self.options.shard) if self.options.shard else None
        return self.objects if part is None else self.objects[part[0] - 1 :: part[1]]


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
    plain["methods"] = {**(plain.get("methods") or {}), **added} if added else plain.get("methods") or {}
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
    if runs:
        for label, metric in measures.all.items():
            gone = [path for path in metric.weight_files() if not path.exists()]
            if gone:
                raise RecipeError(f"protocol {protocol.id}: metrics.{label}: {gone[0]}: no such file")
        for label, method in methods.items():
            _check_method(method, f"{place}: methods.{label}", registry, objects, protocol)
        if measures.shapes and len(measures.shapes) == len(measures.all) and not any(map(_has_mesh, objects)):
            raise RecipeError(
                f"{place}: set: none of {len(objects)} objects has a true mesh, and protocol {protocol.id} compares shapes "
                "here; take data with meshes, or metrics of pictures"
            )
        for label, metric in measures.all.items():
            if metric.wants_encoder or metric.weight_files():  # read once here, for one line in place of one a row
                protocols.loaded(protocol, label, registry, torch.device("cpu"))
    return Benchmark(place, options, protocol, measures, methods, objects, executor)


def _has_mesh(one: EvaluationObject) -> bool:
    """Whether it has one, be it a damaged one, which is a failure of its own."""
    try:
        return one.mesh() is not None
    except UserError:
        return True


def recipe_of(method: MethodOptions, registry: Registry) -> tuple[str | RecipeText, list[str]]:
    """The recipe that a method runs, and its overrides."""
    if method.reconstructor:
        config = registry.get("reconstructor", method.reconstructor, "reconstructor").Config
        own = {option.name for option in dataclasses.fields(config)}
        given = {f"start.{key}" if key in own else key: value for key, value in method.options.items()}
        return one_shot(method.reconstructor, registry), [_override(pair) for pair in given.items()]
    assert method.recipe is not None
    return method.recipe, [_override(pair) for pair in _flat(method.options)]


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """key.path and value of options that may be nested, as key=value on the command line nests them; a block with a type
    of its own stays whole."""
    for key, value in options.items():
        if isinstance(value, Mapping) and value and "type" not in value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _override(pair: tuple[str, Any]) -> str:
    key, value = pair
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def _pair(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not equals or not key:
        raise RecipeError(f"override {given!r}: write key.path=value, for example objects=3")
    return key, value


def _table(plain: dict[str, Any], place: str) -> dict[str, Any]:
    """The keys that the chosen one of `tables` sets; `methods` may be a list of labels of the file's own."""
    tables = {label: keys for label, keys in (plain.get("tables") or {}).items() if keys is not None}
    if not tables:
        return {}
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise RecipeError(f"{place}: tables: a map of label -> keys")
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
    block = dict(options.set)
    if isinstance(options.data, dict):
        kind = block.get("type", DEFAULT_SET["type"])
        if kind not in options.data:
            raise RecipeError(f"{place}: data: {', '.join(options.data) or 'none'}; where {kind} lies is not said")
        options.data = options.data[kind]
    if options.data is not None:
        name = str(block.get("type", DEFAULT_SET["type"]))
        taken = {f.name for f in dataclasses.fields(registry.get("evaluation_set", name, f"{place}: set.type").Config)}
        key = next((key for key in DATA_KEYS if key in taken), None)
        if key is None:
            remedy = "name a set that does, such as set.type=mesh_folder, or leave it out"
            raise RecipeError(f"{place}: data: {options.data}; the set {name!r} reads none; {remedy}")
        block[key] = options.data
    found = make_block(registry, "evaluation_set", place, "set", block).build()
    assert isinstance(found, EvaluationSet)
    objects = list(found.objects())
    if isinstance(options.objects, int):
        return objects[: options.objects]
    if options.objects is not None:
        twice = [name for name in map(str, options.objects) if list(map(str, options.objects)).count(name) > 1]
        if twice:
            raise RecipeError(f"{place}: objects: {twice[0]!r} stands there twice; name it once")
        by = {one.name: one for one in objects}
        for name in map(str, options.objects):
            if name not in by:
                raise RecipeError(f"{place}: objects: {name!r} is none of the set's {len(by)}.{did_you_mean(name, by)}")
        return [by[str(name)] for name in options.objects]
    return objects


def _check_method(
    method: MethodOptions, place: str, registry: Registry, objects: Sequence[EvaluationObject], protocol: Protocol
) -> None:
    if method.predictions:
        _check_predictions(Path(method.predictions), place, objects)
    elif method.views:
        from zero3d_benchmark.run.views import check_views

        if protocol.targets is None:
            raise RecipeError(
                f"{place}.views: draws pictures, and protocol {protocol.id} asks for none here; leave it out"
            )
        try:
            check_views(method, registry)
        except UserError as error:
            raise RecipeError(f"{place}: {error}") from None
    elif not method.oracle:
        if method.reconstructor:
            registry.get("reconstructor", method.reconstructor, f"{place}.reconstructor")
        with tempfile.TemporaryDirectory() as folder:
            shown = Path(folder) / "picture.png"
            Image.fromarray(_DISC, "RGBA").save(shown)
            try:
                file, overrides = recipe_of(method, registry)
                check(file, registry, [*given(method, shown, 20.0), *overrides])
            except UserError as error:
                raise RecipeError(f"{place}: {error}") from None


def given(method: MethodOptions, picture: Path, elevation_deg: float) -> list[str]:
    """What every run is told of its picture, before the method's own options."""
    told = [f"{method.picture}={json.dumps(str(picture))}", "observers={}", "input.mask=alpha"]
    return [*told, f"input.elevation_deg={elevation_deg:.6f}"] if method.tell_elevation else told


def _check_predictions(folder: Path, place: str, objects: Sequence[EvaluationObject]) -> None:
    if not folder.is_dir():
        raise RecipeError(f"{place}.predictions: {folder}: no such folder")
    if not any(prediction_file(folder, one.name) or (folder / one.name).is_dir() for one in objects):
        raise RecipeError(
            f"{place}.predictions: {folder}: nothing for any of {len(objects)} objects; expected OBJECT.glb (obj, ply, stl) "
            f"or OBJECT/NNN.png, with the set's names, such as {objects[0].name}.glb"
        )


def prediction_file(folder: Path, name: str) -> Path | None:
    """The mesh that an outside method made of an object; None if there is none."""
    places = [folder / f"{name}.{kind}" for kind in FORMATS]
    return next((path for path in places if path.is_file()), None)
