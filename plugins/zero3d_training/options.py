"""A training recipe: YAML and key=value overrides -> checked options and blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from zero3d.errors import RecipeError, did_you_mean
from zero3d.recipe import Block, make_block, read_yaml, typed
from zero3d.registry import Registry

DEVICES = ("auto", "cpu")
OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("no", "fp16", "bf16")


@dataclass
class StageOptions:
    """One stage: `steps` of `batch` objects with `targets` views each; `lr` is the peak of a warmed-up cosine.

    batch: over all processes and micro-batches. accumulate: micro-batches whose gradients make a step, each a part of the
    batch. warmup: steps until the peak. final: the last learning rate, as a share of the peak; 1 keeps the peak.
    """

    steps: int
    batch: int = 16
    targets: int = 4
    lr: float = 1e-3
    warmup: int = 200
    final: float = 0.02
    accumulate: int = 1

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "targets", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)}; at least 1")
        if self.lr <= 0:
            raise ValueError(f"lr: {self.lr}; more than 0")
        if self.warmup < 0 or not 0 <= self.final <= 1:
            raise ValueError(f"warmup: {self.warmup}, final: {self.final}; warmup not negative, final in [0, 1]")


@dataclass
class OptimizerOptions:
    """`optimizer`. type: adamw, or muon for weight matrices with AdamW for the rest. betas: AdamW's. weight_decay:
    decoupled. clip: the largest norm of the gradient, 0 for any."""

    type: str = "adamw"
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    weight_decay: float = 0.02
    clip: float = 1.0

    def __post_init__(self) -> None:
        if self.type not in OPTIMIZERS:
            raise ValueError(f"type: {self.type!r}.{did_you_mean(self.type, OPTIMIZERS)}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: {self.betas}; two numbers in [0, 1)")
        if self.weight_decay < 0 or self.clip < 0:
            raise ValueError(f"weight_decay: {self.weight_decay}, clip: {self.clip}; not negative")


@dataclass
class ValidationOptions:
    """`validation`, on objects the dataset holds out. every: steps between two, 0 for none. objects, targets: how many
    objects, and views of each. steps: of the sampler (DDIM, eta 0), 1 to 1000. guidance_scale: not negative."""

    every: int = 0
    objects: int = 4
    targets: int = 2
    steps: int = 25
    guidance_scale: float = 3.0

    def __post_init__(self) -> None:
        if self.every < 0 or self.objects < 1 or self.targets < 1:
            raise ValueError(
                f"every: {self.every}, objects: {self.objects}, targets: {self.targets}; not negative, and at least 1"
            )
        if not 1 <= self.steps <= 1000 or self.guidance_scale < 0:
            raise ValueError(f"steps: {self.steps}, guidance_scale: {self.guidance_scale}; 1 to 1000, and not negative")


@dataclass
class TrainOptions:
    """The plain keys. out: folder of weights, log and checkpoint. seed: of everything random. ema: decay of the averaged
    weights. every: steps between checkpoints. log_every: steps between lines of metrics.jsonl. device: auto (what
    accelerate finds) or cpu. mixed_precision: no, fp16 or bf16. tensorboard: figures and validation pictures as its
    events, too. optimizer, validation: see there.
    """

    out: str | None = None
    seed: int = 0
    ema: float = 0.999
    every: int = 300
    log_every: int = 25
    device: str = "auto"
    mixed_precision: str = "no"
    tensorboard: bool = False
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)

    def __post_init__(self) -> None:
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: {self.ema}; in [0, 1)")
        if self.every < 1 or self.log_every < 1:
            raise ValueError(f"every: {self.every}, log_every: {self.log_every}; at least 1 step")
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed}; not negative")
        for name, allowed in (("device", DEVICES), ("mixed_precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: {getattr(self, name)!r}.{did_you_mean(getattr(self, name), allowed)}")


@dataclass(frozen=True)
class TrainRecipe:
    """A checked training recipe; `source` is the plain mapping that is kept beside the weights."""

    file: str
    source: dict[str, Any]
    options: TrainOptions
    dataset: Block
    denoiser: Block
    stages: dict[str, StageOptions]


def load_train_recipe(file: str, registry: Registry, overrides: Sequence[str] = ()) -> TrainRecipe:
    """Read and check.

    Raises:
        RecipeError: one line that names the file, the key path, the value and the nearest right one.
    """
    source = read_yaml(file, overrides)
    plain = [f.name for f in fields(TrainOptions)]
    known = [*plain, "dataset", "denoiser", "stages"]
    for key in source:
        if key not in known:
            raise RecipeError(f"{file}: {key}: no such key.{did_you_mean(key, known)}")
    for key in ("out", "dataset", "denoiser", "stages"):
        if source.get(key) is None:
            raise RecipeError(f"{file}: {key}: missing; a training recipe needs it")
    if isinstance(source.get("mixed_precision"), bool):
        source["mixed_precision"] = "no"  # YAML reads `no` as false
    options = typed(TrainOptions, {key: source[key] for key in plain if source.get(key) is not None}, f"{file}:")
    return TrainRecipe(
        file=file,
        source=source,
        options=options,
        dataset=make_block(registry, "dataset", file, "dataset", source["dataset"]),
        denoiser=make_block(registry, "denoiser", file, "denoiser", source["denoiser"]),
        stages=_stages(file, source["stages"]),
    )


def _stages(file: str, value: Any) -> dict[str, StageOptions]:
    place = f"{file}: stages"
    if not isinstance(value, Mapping) or not value:
        raise RecipeError(f"{place}: {value!r} is no map; write stage: {{steps: ..., batch: ...}}")
    stages = {}
    for name, block in value.items():
        if block is None:
            continue
        if not isinstance(block, Mapping) or "steps" not in block:
            raise RecipeError(f"{place}.{name}: {block!r}; write {{steps: ..., batch: ..., targets: ..., lr: ...}}")
        stages[str(name)] = typed(StageOptions, block, f"{place}.{name}")
    return stages
