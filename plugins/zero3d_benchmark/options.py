"""What a benchmark's file may say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from zero3d.interfaces import EvaluationObject, Executor
from zero3d_benchmark.protocol import Measures, Protocol

SOURCES = ("recipe", "reconstructor", "views", "predictions", "oracle")
FLOOR = "floor"
"""The label of the truth against another sample of itself."""
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
        if "type" not in self.set:
            self.set = {**DEFAULT_SET, **self.set}
        if isinstance(self.executor, dict) and "type" not in self.executor:
            self.executor = {"type": "processes", **self.executor}
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
