"""From where each term has what to say: its loss and its gradient by the camera's direction, over the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import torch
from torch import Tensor

from zero3d.files import write_text
from zero3d.folder import MetricsLog
from zero3d.interfaces import Observer, RunView
from zero3d.values import StepTerms, TermGradient
from zero3d_diagnostics.charts import Map, heat_maps

LOG = "azimuth_loss.jsonl"


@dataclass
class AzimuthLossConfig:
    """`every`: steps between measurements. `azimuth_bins` over 360 degrees and `elevation_bins` over -90 to 90, 1 to 360."""

    every: int = 1
    azimuth_bins: int = 12
    elevation_bins: int = 6

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")
        for name in ("azimuth_bins", "elevation_bins"):
            if not 1 <= getattr(self, name) <= 360:
                raise ValueError(f"{name}: {getattr(self, name)}; 1 to 360")


class AzimuthLoss(Observer):
    """Each term's loss and gradient by the camera's azimuth and elevation, over the run: azimuth_loss.json and .png.

    Of every view that a term acts on, azimuth_loss.jsonl keeps where it was taken from, the term's value there (a
    guidance's mean distance |denoised - view|, a regularizer's penalty, which is one for all views of a step), and the
    norm of its weighted gradient on that view, times B, so that it does not depend on how many views a step draws. The
    maps hold the means over the run's steps. A measurement reads three numbers a term and view back from the device.
    """

    name: ClassVar[str] = "azimuth_loss"
    Config: ClassVar[type[Any]] = AzimuthLossConfig
    writes: ClassVar[tuple[str, ...]] = (LOG, "azimuth_loss.json", "azimuth_loss.png")

    def on_start(self, run: RunView) -> None:
        self._log = MetricsLog(run.folder, run.first_step, LOG)

    def on_terms(self, run: RunView, terms: StepTerms) -> Mapping[str, float]:
        index = terms.step.index
        if (index + 1) % self.config.every == 0 or index + 1 == run.steps:
            self._log.write(index, {"terms": {term.label: _measure(term, terms) for term in terms.terms}})
        return {}

    def on_end(self, run: RunView, finished: bool) -> None:
        self._log.close()
        records = [json.loads(line) for line in (run.folder / LOG).read_text(encoding="utf-8").splitlines()]
        maps = direction_maps(records, self.config.azimuth_bins, self.config.elevation_bins)
        write_text(run.folder / "azimuth_loss.json", json.dumps(maps, indent=1) + "\n")
        edges = (maps["azimuth_edges_deg"], maps["elevation_edges_deg"])
        shown = [
            [Map(f"{label} {name}", numpy.array(found[name], float), *edges) for name in ("value", "gradient")]
            for label, found in maps["terms"].items()
        ]
        if shown:
            heat_maps(run.folder / "azimuth_loss.png", shown)


def _measure(term: TermGradient, terms: StepTerms) -> dict[str, list[float | None]]:
    """Of each view that a term acts on: azimuth and elevation in degrees, value (None if it has none), gradient norm."""
    cameras = terms.cameras[term.acts_on]
    views = len(cameras)
    norms_of = [gradient.flatten(1).norm(dim=1) for gradient in term.views.get(term.acts_on, {}).values()]
    norms = views * torch.stack(norms_of).norm(dim=0) if norms_of else torch.zeros(views)
    value = _value(term, views)
    angles = (torch.rad2deg(cameras.azimuth), torch.rad2deg(cameras.elevation))
    columns = [part.to(norms) for part in (*angles, norms if value is None else value, norms)]
    azimuth, elevation, values, gradient = torch.stack(columns).tolist()
    return {
        "azimuth_deg": azimuth,
        "elevation_deg": elevation,
        "value": [None] * views if value is None else values,
        "gradient": gradient,
    }


def _value(term: TermGradient, views: int) -> Tensor | None:
    """(B,): a penalty for all views alike; how far a guidance's teacher is from each; None if it does not say."""
    if term.value is not None:
        return term.value.expand(views)
    if {"view", "denoised"} <= term.pictures.keys():
        return (term.pictures["denoised"] - term.pictures["view"]).abs().flatten(1).mean(dim=1)
    return None


def direction_maps(records: Sequence[Mapping[str, Any]], azimuth_bins: int, elevation_bins: int) -> dict[str, Any]:
    """From the lines of azimuth_loss.jsonl to maps of means, rows by elevation upwards, columns by azimuth from -180.

    A bin holds its lower edge; the last elevation also 90 degrees. "count" is how many views fell into it; where there
    are none (or without a value), the mean is None.
    """
    edges = (numpy.linspace(-90, 90, elevation_bins + 1), numpy.linspace(-180, 180, azimuth_bins + 1))
    rows: dict[str, dict[str, list[Any]]] = {}
    for record in records:
        for label, columns in record["terms"].items():
            for name, values in columns.items():
                rows.setdefault(label, {}).setdefault(name, []).extend(values)
    terms = {}
    for label, columns in rows.items():
        azimuth = (numpy.array(columns["azimuth_deg"]) + 180) % 360 - 180
        place = (numpy.array(columns["elevation_deg"]), azimuth)
        terms[label] = {"count": _sums(place, edges).astype(int).tolist()} | {
            name: _means(place, edges, numpy.array(columns[name], float)) for name in ("value", "gradient")
        }
    return {"azimuth_edges_deg": edges[1].tolist(), "elevation_edges_deg": edges[0].tolist(), "terms": terms}


def _sums(place: Any, edges: Any, weights: numpy.ndarray | None = None) -> numpy.ndarray:
    return numpy.histogram2d(place[0], place[1], bins=list(edges), weights=weights)[0]


def _means(place: Any, edges: Any, values: numpy.ndarray) -> list[list[float | None]]:
    known = ~numpy.isnan(values)
    chosen = tuple(axis[known] for axis in place)
    counts, sums = _sums(chosen, edges), _sums(chosen, edges, values[known])
    return [
        [float(total / count) if count else None for total, count in zip(*row, strict=True)]
        for row in zip(sums, counts, strict=True)
    ]
