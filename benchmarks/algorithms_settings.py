"""How each algorithm of `algorithms.py` is set; chosen on validation objects, never on those of the tables.

To compare another one, add a line to ALGORITHMS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RATE = 0.1
"""The first learning rate with nano, and of a hundred steps from noise."""
POWER = 0.5


@dataclass(frozen=True)
class Algorithm:
    """type: of the guidance. both: options; oracle: more of them with the teachers of `pooled.py`, nano: with nano.

    views: of a step. steps: fixed, for what asks nothing; else as many as the calls allow.
    """

    type: str
    both: dict[str, Any] = field(default_factory=dict)
    oracle: dict[str, Any] = field(default_factory=dict)
    nano: dict[str, Any] = field(default_factory=dict)
    views: int = 1
    steps: int = 0

    def options(self, teacher: str) -> dict[str, Any]:
        """The guidance's block."""
        return {"type": self.type, **self.both, **(self.nano if teacher == "nano" else self.oracle)}

    def rates(self, steps: int, teacher: str) -> dict[str, float]:
        """Falling to a twentieth; from noise, few steps are larger ones."""
        first = RATE if teacher == "nano" else RATE * min(max(100 / steps, 1.0), 9.0) ** POWER
        return {"0%": first, "60%": first / 2, "100%": first / 20}


ALGORITHMS: dict[str, Algorithm] = {
    "none": Algorithm("sds", {"weight": 0}, steps=100),
    "sds": Algorithm(
        "sds",
        {"weighting": "sigma", "guidance_scale": 1.0},
        oracle={"min_t": 0.02, "max_t": 0.5},
        nano={"min_t": 0.6, "max_t": 0.9},
    ),
    "sjc": Algorithm("sjc", {"guidance_scale": 1.0, "t_range": [0.6, 0.9]}),
    "csd": Algorithm(
        "csd",
        {"weighting": "sigma"},
        oracle={"min_t": 0.02, "max_t": 0.1},
        nano={"min_t": 0.02, "max_t": 0.1},
    ),
    "nfsd": Algorithm(
        "nfsd",
        {"weighting": "sigma", "negative": False, "guidance_scale": 1.0, "min_t": 0.02},
        oracle={"max_t": 0.2},
        nano={"max_t": 0.2},
    ),
    "vsd": Algorithm(
        "vsd",
        {"weighting": "sigma", "guidance_scale": 1.0, "critic": "small"},
        oracle={"min_t": 0.02, "max_t": 0.98},
        nano={"min_t": 0.6, "max_t": 0.9},
    ),
    "sdi": Algorithm(
        "sdi",
        {"guidance_scale": 1.0, "hop": 1.0, "end_t": 0.6},
        oracle={"inversion_scale": 0.0},
        nano={"inversion_scale": 1.0},
    ),
    "ism": Algorithm(
        "ism",
        {"guidance_scale": 1.0, "hops": 0},
        oracle={"min_t": 0.02, "max_t": 0.06, "interval": 0.02},
        nano={"min_t": 0.6, "max_t": 0.9},
    ),
    "hifa": Algorithm(
        "hifa",
        {"guidance_scale": 1.0, "samples": 1},
        oracle={"min_t": 0.1, "max_t": 0.5},
        nano={"min_t": 0.6, "max_t": 0.9},
    ),
    "sir": Algorithm(
        "sir",
        {"guidance_scale": 1.0, "samples": 2, "jump": 1.0, "level": 0.9, "from_noise": False, "fit": "l2"},
        oracle={"every": 12},
        nano={"every": 15},
        views=4,
    ),
}
