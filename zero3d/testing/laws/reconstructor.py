"""The laws of a reconstructor."""

from __future__ import annotations

import torch

from zero3d.geometry import orbit
from zero3d.interfaces import PointCloud, Reconstructor, Representation
from zero3d.testing.laws.common import Laws, same
from zero3d.testing.samples import fresh_step, random_picture
from zero3d.values import Prompt, Subject


def check_reconstructor(reconstructor: Reconstructor, subject: Subject | None = None) -> None:
    """The laws of a reconstructor, loaded. Call it from a test; the first broken one is an AssertionError of one line.

    - It makes a Representation of finite numbers, without a graph, and leaves the subject as it was.
    - A PointCloud has places (N, 3) and features (N, C), some, and of RGB in [0, 1].
    - The same seed gives the same model; random numbers come from `step.generator(name)` alone.
    - `needs` names parts of a subject; `weight_files` are there; `size` tells nothing or two whole numbers.

    Args:
        reconstructor: yours, after `load`. Random weights will do.
        subject: what it is shown; None: a picture of noise from azimuth 0, and a prompt.
    """
    laws = Laws(type(reconstructor))
    laws.refuses(reconstructor.config)
    known = frozenset({"picture", "prompt"})
    laws("needs name parts of a subject", reconstructor.needs <= known, f"{sorted(reconstructor.needs)}")
    if subject is None:
        side = reconstructor.picture_resolution
        posed = Subject.of(random_picture(side), orbit(20.0, 0.0, side)).pictures
        subject = Subject(posed, Prompt("a red ball"))
    before = [posed.picture.rgb.clone() for posed in subject.pictures]
    with laws.own_randomness(), laws.runs("it makes a model", "reconstruct() fails; is it loaded?"):
        first, again = (reconstructor.reconstruct(subject, fresh_step()) for _ in range(2))
    laws("it makes a Representation", isinstance(first, Representation), f"it returned a {type(first).__name__}")
    graphs = [name for name, parameter in first.named_parameters() if not parameter.is_leaf]
    graphs += [name for name, buffer in first.named_buffers() if buffer.requires_grad]
    laws("the model carries no graph", not graphs, f"{', '.join(graphs)}; reconstruct under torch.no_grad()")
    state = first.state_dict()
    for name, value in state.items():
        laws("the model is finite", torch.isfinite(value.double()).all(), f"{name} holds nan or inf")
    if isinstance(first, PointCloud):
        _points(laws, first)
    laws("same seed, same model", same(state, again.state_dict()), "two of seed 0 differ")
    kept = all(torch.equal(a, p.picture.rgb) for a, p in zip(before, subject.pictures, strict=True))
    laws("the subject is not changed", kept, "a picture was written to")
    missing = [str(path) for path in reconstructor.weight_files() if not path.exists()]
    laws("weight_files are there", not missing, f"missing: {', '.join(missing)}")
    laws.sized(reconstructor)


def _points(laws: Laws, cloud: PointCloud) -> None:
    law = "its points have places and features"
    places, features = cloud.points()
    count = len(places)
    good = count > 0 and places.shape == (count, 3) and features.shape == (count, cloud.channels)
    shapes = f"{tuple(places.shape)} and {tuple(features.shape)}"
    laws(law, good, f"they are {shapes}, not (N, 3) and (N, {cloud.channels})")
    within = cloud.channels != 3 or bool(((features >= 0) & (features <= 1)).all())
    laws(law, within, f"colours from {float(features.min()):g} to {float(features.max()):g}, not in [0, 1]")
