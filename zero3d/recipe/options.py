"""The plain keys of a recipe, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from zero3d.errors import did_you_mean
from zero3d.picture import FRAMINGS
from zero3d.schedule import Schedule

FASTEST = 10_000
"""The largest learning rate: some fields are trained by plain descent at a few hundred."""
MOST_STEPS = 10**9


@dataclass
class InputOptions:
    """`input`: how the picture is read.

    elevation_deg: the camera's height over the object's horizon, degrees in [-90, 90]; None assumes 20 and says so.
    mask: a file, or a method of the image source; None finds it. framing: keep, demo or fit (see zero3d.picture).
    """

    elevation_deg: float | None = None
    mask: str | None = None
    framing: str = "fit"

    def __post_init__(self) -> None:
        if self.elevation_deg is not None and not -90 <= self.elevation_deg <= 90:
            raise ValueError(f"elevation_deg: {self.elevation_deg}; degrees up from the horizon, -90 to 90")
        if self.framing not in FRAMINGS:
            raise ValueError(f"framing: {self.framing!r}.{did_you_mean(self.framing, FRAMINGS)}")


@dataclass
class OptimizerOptions:
    """`optimizer`. type: adam, adamax or sgd. lr: the rate, a number or a schedule, 0 to 10,000. betas, eps: as in torch,
    eps from 0 to 1."""

    type: str = "adam"
    lr: Any = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.type not in ("adam", "adamax", "sgd"):
            raise ValueError(f"type: {self.type!r}.{did_you_mean(self.type, ('adam', 'adamax', 'sgd'))}")
        self.rate.within(0, FASTEST, "lr")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: {self.betas}; two numbers in [0, 1)")
        if not 0 <= self.eps <= 1:
            raise ValueError(f"eps: {self.eps}; 0 to 1")

    @property
    def moments(self) -> int:
        """How many numbers it keeps of each parameter."""
        return 0 if self.type == "sgd" else 2

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

    out: the run's folder. overwrite: the files of a former run there are removed first. seed: of all random streams, 0 or
    more. device: auto, cpu, cuda or mps. steps: of the optimisation, at least 1. input: how the picture is read.
    optimizer: which, and how fast. checkpoint: how often the run is saved.
    """

    out: str | None = None
    overwrite: bool = False
    seed: int = 0
    device: str = "auto"
    steps: int = 1000
    input: InputOptions = field(default_factory=InputOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    checkpoint: CheckpointOptions = field(default_factory=CheckpointOptions)

    def __post_init__(self) -> None:
        if not 1 <= self.steps <= MOST_STEPS:
            raise ValueError(f"steps: {self.steps}; at least 1, at most {MOST_STEPS:,}")
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed}; not negative")
        self.device = self.device.lower()
