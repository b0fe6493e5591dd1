"""The laws of a metric."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d.interfaces import DistributionMetric, Metric, PictureMetric, ShapeMetric
from zero3d.testing.laws.common import Laws
from zero3d.testing.samples import random_picture

SIDE = 64
"""Pixels of the pictures that it is tried with."""
SLACK = 0.15
"""By so much of its value, and a hundredth, two random samples of one surface may differ."""


def check_metric(metric: Metric, half_size: Mapping[str, float] | None = None) -> None:
    """The laws of a metric, loaded. Call it from a test; the first broken one is an AssertionError of one line.

    - `better` is "less" or "more". Figures are named numbers, none of them nan; the same seed gives the same; no random
      numbers of the process are drawn, and what it compares is not changed.
    - Shapes: a truth scored against itself is at its floor, and a ball scored against a box is worse than that. Turning
      both by a right angle about the vertical changes nothing but the sample, and neither does moving both, or scaling
      both, if it says so by `half_size` being None.
    - Pictures: a figure a picture, whatever else is in the batch; equal pictures score best, stronger noise worse.
    - Distributions: a feature vector a picture, whatever else is in the batch; a set is nearer to itself than to noise,
      and as far from another as that from it.

    Args:
        metric: yours, after `load`.
        half_size: figure -> what it must be, within a twentieth, for a ball of diameter 1/2 about the centre of a ball of
            diameter 1; None for a metric that takes size away, or that measures no shapes.
    """
    laws = Laws(type(metric))
    laws.refuses(metric.config)
    better = getattr(metric, "better", None)
    laws("better is 'less' or 'more'", better in ("less", "more"), f"it is {better!r}")
    known = isinstance(metric, ShapeMetric | PictureMetric | DistributionMetric)
    laws("it compares shapes, pictures or distributions", known, "it is of none of the three classes")
    if isinstance(metric, ShapeMetric):
        _shapes(laws, metric, half_size)
    if isinstance(metric, PictureMetric):
        _pictures(laws, metric)
    if isinstance(metric, DistributionMetric):
        _distributions(laws, metric)


def worse(metric: Metric, value: float, than: float) -> bool:
    """Whether one of its figures is clearly worse than another."""
    return value > than if metric.better == "less" else value < than


def _asked(laws: Laws, ask: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    with laws.own_randomness("a generator made of the seed"), laws.runs("it gives figures", "it fails"):
        first, again = dict(ask()), dict(ask())
    laws("it gives figures", len(first) > 0 and all(isinstance(name, str) for name in first), f"{first}")
    for name, value in first.items():
        values = value.double() if isinstance(value, Tensor) else torch.tensor(float(value))
        laws("no figure is nan", not bool(values.isnan().any()), f"{name} is nan")
        others = again.get(name)
        equal = torch.equal(value, again[name]) if isinstance(value, Tensor) else value == others
        laws("same seed, same figures", bool(equal), f"{name} is {value}, then {others}")
    return first


def _shapes(laws: Laws, metric: ShapeMetric, half_size: Mapping[str, float] | None) -> None:
    import trimesh

    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    box = trimesh.creation.box((1.0, 0.5, 0.3)).subdivide_loop(0).subdivide().subdivide()
    kept = numpy.array(ball.vertices), numpy.array(box.vertices)
    apart = _asked(laws, lambda: metric.shape(ball, box))
    itself, floor = _asked(laws, lambda: metric.shape(box, box)), _asked(laws, lambda: metric.floor(box))
    still = numpy.array_equal(ball.vertices, kept[0]) and numpy.array_equal(box.vertices, kept[1])
    laws("what it compares is not changed", still, "a mesh was written to; take a copy")
    for name, value in apart.items():
        law = "a truth against itself is at its floor"
        laws(law, name in floor and name in itself, f"{name} has none")
        laws(law, _near(itself[name], floor[name]), f"{name}: {itself[name]:.4g}, its floor {floor[name]:.4g}")
        told = f"{name}: {value:.4g} for a ball, {floor[name]:.4g} for itself"
        laws("another shape is worse than the truth", worse(metric, value, floor[name]), told)
    turn = numpy.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    pair = ball.copy().apply_scale((1.0, 0.8, 0.6)), box.copy()
    before = metric.shape(*pair)
    after = metric.shape(*(mesh.copy().apply_transform(turn) for mesh in pair))
    for name, value in before.items():
        told = f"{name}: {value:.4g}, then {after[name]:.4g}"
        laws("turning both by a right angle changes nothing", _near(value, after[name]), told)
    small = metric.shape(ball.copy().apply_scale(0.5), ball)
    for name, value in (metric.floor(ball) if half_size is None else half_size).items():
        told = f"{name}: {small.get(name)}, not {value:.4g}, for a ball of half the size"
        good = name in small and (
            _near(small[name], value) if half_size is None else math.isclose(small[name], value, rel_tol=0.05)
        )
        laws("size counts as it says", good, told)


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= SLACK * max(abs(one), abs(other)) + 0.01


def _batch() -> tuple[Tensor, Tensor]:
    """Two smooth pictures and noise of the same size, (2, H, W, 3) each."""
    small = torch.stack([random_picture(8, seed).rgb for seed in (1, 2)]).movedim(-1, 1)
    smooth = torch.nn.functional.interpolate(small, size=(SIDE, SIDE), mode="bilinear").movedim(1, -1)
    return smooth, torch.stack([random_picture(SIDE, seed).rgb for seed in (3, 4)])


def _pictures(laws: Laws, metric: PictureMetric) -> None:
    truths, noise = _batch()
    mild, strong = (torch.lerp(truths, noise, share) for share in (0.1, 0.6))
    kept = truths.clone(), strong.clone()
    best, near, far = (_asked(laws, lambda x=x: metric.pictures(x, truths)) for x in (truths, mild, strong))  # type: ignore[misc]
    unchanged = torch.equal(truths, kept[0]) and torch.equal(strong, kept[1])
    laws("what it compares is not changed", unchanged, "a picture was written to")
    alone = metric.pictures(strong[:1], truths[:1])
    for name, values in far.items():
        shape = tuple(values.shape)
        laws("a figure for each picture", shape == (2,), f"{name} is {shape} for two pictures")
        told = f"{name}: {alone[name].tolist()} alone, {values.tolist()} in a batch"
        laws("a picture's figure is its own", torch.allclose(alone[name], values[:1], rtol=1e-3, atol=1e-5), told)
        rising = [[float(figures[name][i]) for figures in (best, near, far)] for i in range(2)]
        good = all(worse(metric, b, a) for row in rising for a, b in itertools.pairwise(row))
        laws("equal pictures score best, and stronger noise worse", good, f"{name}: {rising}")
    everywhere = metric.pictures(strong, truths, torch.ones(2, SIDE, SIDE, dtype=torch.bool))
    for name, values in everywhere.items():
        good = name in far and torch.allclose(values, far[name], rtol=1e-3, atol=1e-5)
        laws("a mask of all pixels is none", good, f"{name}: {values.tolist()}, without {far[name].tolist()}")


def _distributions(laws: Laws, metric: DistributionMetric) -> None:
    smooth, noise = _batch()
    shares = torch.linspace(0, 1, 6)
    one = torch.cat([torch.lerp(smooth, smooth.flip(0), 0.3 * share) for share in shares])
    other = torch.cat([torch.lerp(noise, noise.flip(0), 0.3 * share) for share in shares])
    law = "a feature vector for each picture"
    with laws.own_randomness("a fixed seed"), laws.runs(law, "features() fails"):
        a, b, alone = metric.features(one), metric.features(other), metric.features(one[:1])
    laws(law, a.ndim == 2 and len(a) == len(one) and bool(torch.isfinite(a).all()), f"{tuple(a.shape)}, or nan")
    told = f"they differ by {float((alone - a[:1]).abs().max()):.3g} in a batch"
    laws("a picture's features are its own", torch.allclose(alone, a[:1], rtol=1e-3, atol=1e-4), told)
    own, there, back = (_asked(laws, lambda x=x, y=y: metric.distance(x, y)) for x, y in ((a, a), (a, b), (b, a)))  # type: ignore[misc]
    for name, value in there.items():
        told = f"{name}: {own[name]:.4g} to itself, {value:.4g} to noise"
        laws("a set is nearest to itself", worse(metric, value, own[name]), told)
        equal = math.isclose(value, back[name], rel_tol=0.02, abs_tol=1e-3)
        laws("it is as far there as back", equal, f"{name}: {value:.6g} and {back[name]:.6g}")
