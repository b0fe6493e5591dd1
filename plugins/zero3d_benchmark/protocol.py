"""Protocols: which pictures are shown, which are asked for, how shapes are placed, what is measured; a YAML file each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from zero3d.errors import RecipeError, UserError, did_you_mean
from zero3d.evaluation import make_metric
from zero3d.files.labels import check_label
from zero3d.interfaces import DistributionMetric, Metric, PictureMetric, ShapeMetric
from zero3d.recipe import make_block, read_yaml
from zero3d.recipe.schema import typed
from zero3d.registry import Registry
from zero3d.values import PUBLISHED_FOV

FOLDER = Path(__file__).parent / "protocols"
STAGES = ("bbox", "diagonal", "none")
PLACES = (
    *("bbox", "bbox_prediction", "bbox_truth", "diagonal", "eschernet", "sv3d", "sv3d_icp", "zeroshape"),
    *("zeroshape_search", "right_angles", "icp"),
)
"""Names of steps of placing, carried out by zero3d_benchmark.run.placing."""


@dataclass
class Seen:
    """Where pictures are taken from. views: indices of the object's own pictures, where it has some; a negative one counts
    from the end, "others" are all but the input.

    Else they are rendered from the mesh, one for each of elevation_deg, azimuth_deg (degrees) and distance (world units), a
    list of one standing for all; with count > 0 that many, at random between the least and the largest of each list.
    """

    views: Any = field(default_factory=list)
    elevation_deg: list[float] = field(default_factory=lambda: [20.0])
    azimuth_deg: list[float] = field(default_factory=lambda: [0.0])
    distance: list[float] = field(default_factory=lambda: [2.0])
    count: int = 0

    def __post_init__(self) -> None:
        numbers = isinstance(self.views, list) and all(type(index) is int for index in self.views)
        if self.views != "others" and not numbers:
            raise ValueError(f"views: {self.views!r}; a list of numbers, or others")
        lengths = {len(given) for given in (self.elevation_deg, self.azimuth_deg, self.distance)} - {1}
        if 0 in lengths or (len(lengths) > 1 and not self.count):
            raise ValueError(f"elevation_deg: of {len(self.elevation_deg)}; lists of one length, or of one number")
        if not all(abs(value) <= 90 for value in self.elevation_deg):
            raise ValueError(f"elevation_deg: {self.elevation_deg}; degrees in [-90, 90]")
        if not all(0.1 <= value <= 100 for value in self.distance):
            raise ValueError(f"distance: {self.distance}; 0.1 to 100 world units")
        if not 0 <= self.count <= 1000:
            raise ValueError(f"count: {self.count}; 0 to 1000")


@dataclass
class PublishedRows:
    """Rows of published tables beside which measured ones may stand. rows: their protocols' names in published.json.

    where: words of which one must stand in a row's source; [] takes all. figures: ours -> theirs. code_public: whether the
    code that made them is; else they get an asterisk. set: the evaluation set that they were measured on; beside another
    they are left out. objects: how many there were; None where nobody says.
    """

    rows: list[str] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    code_public: bool = False
    set: str = ""
    objects: int | None = None


@dataclass
class Protocol:
    """A protocol. id, version: what rows must share to stand in one table. title, source, notes: for people. nearest: it is
    the nearest recipe to one that was not published whole.

    input: the picture that methods are shown, one. targets: the pictures that are asked for; null asks for none. size:
    pixels of all. fov_deg: of rendered ones. ambient: the share of light from everywhere, 1 for bare colours. stage: how
    the true mesh stands when it is rendered (bbox: centred, longest side 1; diagonal; none). place: steps that place
    prediction and truth before shapes are compared. metrics: label -> type and options. floors: whether the truth is
    scored against another sample of itself. published: rows of published tables.
    """

    id: str = ""
    version: int = 1
    title: str = ""
    source: str = ""
    notes: list[str] = field(default_factory=list)
    nearest: bool = False
    input: Seen = field(default_factory=Seen)
    targets: Any = None
    size: int = 256
    fov_deg: float = math.degrees(PUBLISHED_FOV)
    ambient: float = 0.75
    stage: str = "bbox"
    place: list[str] = field(default_factory=lambda: ["bbox"])
    metrics: dict[str, Any] = field(default_factory=dict)
    floors: bool = False
    published: PublishedRows = field(default_factory=PublishedRows)

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise ValueError(f"stage: {self.stage!r}.{did_you_mean(self.stage, STAGES)}")
        for step in self.place:
            if step not in PLACES:
                raise ValueError(f"place: {step!r}.{did_you_mean(step, PLACES)}")
        if not 16 <= self.size <= 2048:
            raise ValueError(f"size: {self.size}; 16 to 2048 pixels")
        if not 0 < self.fov_deg < 180:
            raise ValueError(f"fov_deg: {self.fov_deg}; degrees between 0 and 180")
        if not 0 <= self.ambient <= 1:
            raise ValueError(f"ambient: {self.ambient}; a share, 0 to 1")


@dataclass
class Measures:
    """A protocol's metrics by kind, label -> metric, not loaded."""

    shapes: dict[str, ShapeMetric] = field(default_factory=dict)
    pictures: dict[str, PictureMetric] = field(default_factory=dict)
    distributions: dict[str, DistributionMetric] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Metric]:
        return {**self.shapes, **self.pictures, **self.distributions}


def names() -> list[str]:
    """The protocols that are shipped."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load(name: str, place: str) -> Protocol:
    """The protocol of that name, or of a YAML file of one's own.

    Raises:
        RecipeError: there is none, or a key of it is wrong.
    """
    if name.endswith((".yaml", ".yml")):
        return parse(read_yaml(name), name)
    if name not in names():
        begun = [f"'{one}'" for one in names() if one.startswith(f"{name}-")]
        hint = f" Did you mean {' or '.join(begun)}?" if begun else did_you_mean(name, names())
        raise RecipeError(f"{place}: no protocol called {name!r}.{hint}")
    return parse(read_yaml(FOLDER / f"{name}.yaml"), f"{name}.yaml")


def parse(plain: dict[str, Any], place: str) -> Protocol:
    """A protocol from its plain keys.

    Raises:
        RecipeError: a key of it is wrong.
    """
    protocol: Protocol = typed(Protocol, plain, f"{place}:")
    if protocol.targets is not None:
        if not isinstance(protocol.targets, dict):
            raise RecipeError(f"{place}: targets: {protocol.targets!r}; a map as of input, or null")
        protocol.targets = typed(Seen, protocol.targets, f"{place}: targets")
    if not protocol.id or not protocol.metrics:
        raise RecipeError(f"{place}: {'metrics' if protocol.id else 'id'}: missing; write it")
    return protocol


def change_metrics(protocol: Protocol, changes: Mapping[str, Any], place: str) -> None:
    """Add metrics to its own, or leave some out (null); where none compares pictures, none are asked for.

    Raises:
        RecipeError: one of that name is there already, or none, or none is left.
    """
    for label, block in changes.items():
        where = f"{place}: metrics.{label}"
        if block is None:
            if label not in protocol.metrics:
                raise RecipeError(
                    f"{where}: protocol {protocol.id} has none to leave out.{did_you_mean(label, protocol.metrics)}"
                )
            del protocol.metrics[label]
        elif check_label(label, where) in protocol.metrics:
            raise RecipeError(f"{where}: protocol {protocol.id} has one of that name; take another")
        else:
            protocol.metrics[label] = block
    if not protocol.metrics:
        raise RecipeError(f"{place}: metrics: none is left of protocol {protocol.id}'s; keep one")


def made(protocol: Protocol, label: str, registry: Registry) -> Metric:
    """One of its metrics, not loaded. Raises RecipeError: none of that name, or an option of it is wrong."""
    block = protocol.metrics[label]
    metric: Metric = make_block(registry, "metric", f"protocol {protocol.id}", f"metrics.{label}", block, label).build()
    return metric


def loaded(protocol: Protocol, label: str, registry: Registry, device: torch.device) -> Metric:
    """One of its metrics with its weights and encoder.

    Raises:
        UserError: as `made`, or the weights cannot be read; the line names the metric.
    """
    place = f"protocol {protocol.id}: metrics.{label}"
    try:
        options = {"type": label, **protocol.metrics[label]}
        return make_metric(registry, options, f"protocol {protocol.id}", f"metrics.{label}", device)
    except UserError as error:
        raise error if str(error).startswith(place) else RecipeError(f"{place}: {error}") from None


def measures(protocol: Protocol, registry: Registry, device: torch.device | None = None) -> Measures:
    """Its metrics, made; with a device, loaded there with their weights and encoders.

    Raises:
        UserError: no metric of that name, an option of it is wrong, or its weights cannot be read.
    """
    found = Measures()
    for label in protocol.metrics:
        metric = loaded(protocol, label, registry, device) if device else made(protocol, label, registry)
        if isinstance(metric, ShapeMetric):
            found.shapes[label] = metric
        elif isinstance(metric, PictureMetric):
            found.pictures[label] = metric
        else:
            assert isinstance(metric, DistributionMetric)
            found.distributions[label] = metric
    if not found.pictures and not found.distributions:
        protocol.targets = None
    needs = [label for label in (*found.pictures, *found.distributions) if protocol.targets is None]
    if needs:
        raise RecipeError(f"protocol {protocol.id}: metrics.{needs[0]}: compares pictures, and targets asks for none")
    return found
