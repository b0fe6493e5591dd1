"""The plain keys of a recipe, checked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Any

from zero3d.errors import did_you_mean
from zero3d.picture import FRAMINGS
from zero3d.schedule import Schedule

FASTEST = 10_000
"""The largest learning rate: some fields are trained by plain descent at a few hundred."""
MOST_STEPS = 10**9
AUTO = "auto"
"""In place of an elevation: whoever of the run's parts can tell one from the picture is asked."""


@dataclass
class InputOptions:
    """`input`: how the picture is read.

    elevation_deg: the camera's height over the object's horizon, degrees in [-90, 90]; auto has a part of the run guess
    it from the picture, where one can, else assumes 20; either is said.
    mask: a file, or a method of the image source; None finds it. framing: keep, demo or fit (see zero3d.picture).
    resolution: side of the input views as they are rendered, pixels; None takes the novel views'. per_step: of several
    pictures, how many are rendered in a step: the first, and others drawn at random; None renders all.
    """

    elevation_deg: Any = AUTO
    mask: str | None = None
    framing: str = "fit"
    resolution: int | None = None
    per_step: int | None = None

    def __post_init__(self) -> None:
        if self.per_step is not None and self.per_step < 1:
            raise ValueError(f"per_step: {self.per_step}; at least 1 picture")
        if self.resolution is not None and not 2 <= self.resolution <= 4096:
            raise ValueError(f"resolution: {self.resolution}; 2 to 4096 pixels")
        self.elevation_deg = AUTO if self.elevation_deg in (None, AUTO) else _elevation(self.elevation_deg)
        if self.framing not in FRAMINGS:
            raise ValueError(f"framing: {self.framing!r}.{did_you_mean(self.framing, FRAMINGS)}")


def _elevation(given: Any) -> float:
    with contextlib.suppress(TypeError, ValueError):
        if not isinstance(given, bool) and -90 <= float(given) <= 90:
            return float(given)
    raise ValueError(f"elevation_deg: {given}; degrees up from the horizon, -90 to 90, or {AUTO}")


MOMENTS = {"adam": 2, "adamw": 2, "adamax": 2, "adan": 4, "sgd": 0}
"""The optimizers, and how many numbers each keeps of a parameter."""


@dataclass
class OptimizerOptions:
    """`optimizer`. type: adam, adamw, adamax, adan or sgd. lr: the rate, a number or a schedule, 0 to 10,000.
    eps: as in torch, 0 to 1.

    betas: shares of the moments that are kept; by default [0.9, 0.99], and [0.98, 0.92, 0.99] for adan. weight_decay: as in
    torch: added to the gradient (adam, adamax, sgd), or taken off the parameter (adamw, adan).
    """

    type: str = "adam"
    lr: Any = 0.01
    betas: list[float] | None = None
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        if self.type not in MOMENTS:
            raise ValueError(f"type: {self.type!r}.{did_you_mean(self.type, MOMENTS)}")
        self.rate.within(0, FASTEST, "lr")
        count = 3 if self.type == "adan" else 2
        if len(self.kept) != count or not all(0 <= beta < 1 for beta in self.kept):
            raise ValueError(f"betas: {self.betas}; {count} numbers in [0, 1) for {self.type}")
        if not 0 <= self.eps <= 1:
            raise ValueError(f"eps: {self.eps}; 0 to 1")
        if not 0 <= self.weight_decay <= 100:
            raise ValueError(f"weight_decay: {self.weight_decay}; 0 to 100")

    @property
    def kept(self) -> tuple[float, ...]:
        """The betas, given or by default."""
        default = (0.98, 0.92, 0.99) if self.type == "adan" else (0.9, 0.99)
        return default if self.betas is None else tuple(self.betas)

    @property
    def moments(self) -> int:
        """How many numbers it keeps of each parameter."""
        return MOMENTS[self.type]

    @property
    def rate(self) -> Schedule:
        """The learning rate over the run. (`lr` stays as written: OmegaConf keeps plain values in nested options.)"""
        return Schedule.parse(self.lr, "lr")


@dataclass
class CheckpointOptions:
    """`checkpoint`. every: steps between two saves, at least 1."""

    every: int = 100

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")


@dataclass
class RunOptions:
    """The plain keys of a recipe.

    out: the run's folder. overwrite: the files of a former run there are removed first. seed: of all random streams, 0
    or more. device: auto, cpu, cuda or mps. steps: of the optimisation; 0 keeps what `start` makes as it is. prompt,
    negative: what is wanted in words, and what is not. input: how the picture is read. optimizer: which, and how fast.
    checkpoint: how often the run is saved.
    """

    out: str | None = None
    overwrite: bool = False
    seed: int = 0
    device: str = "auto"
    steps: int = 1000
    prompt: str | None = None
    negative: str = ""
    input: InputOptions = field(default_factory=InputOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    checkpoint: CheckpointOptions = field(default_factory=CheckpointOptions)

    def __post_init__(self) -> None:
        if not 0 <= self.steps <= MOST_STEPS:
            raise ValueError(f"steps: {self.steps}; 0 to {MOST_STEPS:,}")
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed}; not negative")
        self.device = self.device.lower()
        if self.prompt is not None and not self.prompt.strip():
            raise ValueError(f"prompt: {self.prompt!r}; say what is wanted, or leave it out")
