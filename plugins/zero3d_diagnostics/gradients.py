"""How hard each term pulls on the representation, and whether terms pull the same way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.folder import METRICS
from zero3d.interfaces import Observer, RunView
from zero3d.values import StepTerms
from zero3d_diagnostics.charts import Series, line_charts

NORM, COSINE = "parameter_gradient", "cosine"


@dataclass
class GradientsConfig:
    """`every`: steps between measurements, at least 1; each costs one backward pass a term."""

    every: int = 25

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")


class Gradients(Observer):
    """Each term's weighted gradient norm on the parameters, and the cosine between guidances and regularizers.

    Every `every` steps and at the last, in metrics.jsonl: TERM.parameter_gradient, the Euclidean norm of weight * dL/d
    theta over all parameters of the representation, and regularizers.LABEL.cosine.GUIDANCE in [-1, 1], below 0 where
    the two work against each other (left out where either gradient is zero); and both by parameter, with its name
    behind. The cosine over all is without single numbers, such as the global density scale of `voxels`: their gradient
    is a sum over the whole field and would drown the rest. gradients.png shows the run. A measurement takes one
    backward pass through the renderer a term; the run itself is not changed.
    """

    name: ClassVar[str] = "gradients"
    Config: ClassVar[type[Any]] = GradientsConfig
    writes: ClassVar[tuple[str, ...]] = ("gradients.png",)

    def on_terms(self, run: RunView, terms: StepTerms) -> Mapping[str, float]:
        done = terms.step.index + 1
        if done % self.config.every and done != run.steps:
            return {}
        guidances: dict[str, Mapping[str, Tensor]] = {}
        figures: dict[str, Tensor] = {}
        for term in terms.terms:  # guidances come first; only theirs are kept
            gradient = terms.on_parameters(term)
            figures |= _named(f"{term.label}.{NORM}", _norms(gradient))
            if term.value is None:
                guidances[term.label] = gradient
                continue
            for label, other in guidances.items():
                key = f"{term.label}.{COSINE}.{label.removeprefix('guidance.')}"
                figures |= _named(key, _cosines(gradient, other))
        if not figures:
            return {}
        values = torch.stack(list(figures.values())).tolist()  # one transfer from the device
        told = dict(zip(figures, values, strict=True))
        return {key: value for key, value in told.items() if f".{COSINE}." not in key or not math.isnan(value)}

    def on_end(self, run: RunView, finished: bool) -> None:
        lines = (run.folder / METRICS).read_text(encoding="utf-8").splitlines()
        norms, cosines = gradient_series([json.loads(line) for line in lines])
        if norms:
            line_charts(
                run.folder / "gradients.png",
                [
                    ("weighted gradient norm on the parameters (logarithmic)", norms, True),
                    ("cosine between guidance and regularizer", cosines, False),
                ],
                run.steps,
            )


def gradient_series(records: Sequence[Mapping[str, Any]]) -> tuple[list[Series], list[Series]]:
    """Norms by term and cosines by pair over all parameters, at the steps they were measured, from metrics.jsonl."""
    found: tuple[dict[str, Series], dict[str, Series]] = ({}, {})
    for record in records:
        for key, value in record.items():
            match key.split("."):
                case [kind, label, last] if last == NORM:
                    place, name = 0, f"{kind}.{label}"
                case [_, label, middle, guidance] if middle == COSINE:
                    place, name = 1, f"{label}, {guidance}"
                case _:
                    continue
            found[place].setdefault(name, Series(name, [])).points.append((record["step"], value))
    return list(found[0].values()), list(found[1].values())


def _named(key: str, figures: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`key` for the figure over all parameters, called "", and `key.NAME` for each one's if there are several."""
    if len(figures) <= 2:
        return {key: figures[""]}
    return {f"{key}.{name}" if name else key: value for name, value in figures.items()}


def _norms(gradient: Mapping[str, Tensor]) -> dict[str, Tensor]:
    each = {name: part.norm() for name, part in gradient.items()}
    return {"": torch.stack(list(each.values())).norm(), **each}


def _cosines(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Of each parameter but single numbers, and of those together; NaN where a gradient is zero."""
    names = [name for name in a if a[name].numel() > 1] or list(a)
    dots = {name: (a[name] * b[name]).sum() for name in names}
    norms = {name: (a[name].norm(), b[name].norm()) for name in names}
    own, other = (torch.stack([norms[name][side] for name in names]).norm() for side in (0, 1))
    total = torch.stack(list(dots.values())).sum() / (own * other)
    each = {name: dots[name] / (norms[name][0] * norms[name][1]) for name in names}
    return {name: value.clamp(-1, 1) for name, value in {"": total, **each}.items()}
