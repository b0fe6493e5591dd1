"""The parts of a run, built from a recipe and held against each other before any weight is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import psutil
import torch
from torch import Tensor

from zero3d.errors import RecipeError, RunError
from zero3d.interfaces import (
    CameraSampler,
    Denoiser,
    Exporter,
    Guidance,
    Observer,
    Regularizer,
    Renderer,
    Representation,
    Teacher,
)
from zero3d.recipe import Block, OptimizerOptions, Recipe
from zero3d.schedule import Schedule

VIEW_FIELDS = frozenset({"image", "opacity", "depth", "weights", "normals"})
"""What a renderer may provide."""
ENGINE_PROVIDES = frozenset({"near_view", "input_view", "rgb"})
"""What the engine provides whatever the renderer."""


@dataclass(frozen=True)
class GuidanceTerm:
    """A guidance with its weight; `cameras` is its own sampler, or None for the run's."""

    label: str
    guidance: Guidance
    weight: Schedule
    cameras: CameraSampler | None


@dataclass(frozen=True)
class RegularizerTerm:
    """A regularizer with its weight and the view it acts on."""

    label: str
    regularizer: Regularizer
    weight: Schedule
    view: str

    @property
    def needs(self) -> frozenset[str]:
        """The declared needs and the view that the recipe chose."""
        chosen = {"near": {"near_view"}, "input": {"input_view"}}.get(self.view, set())
        return self.regularizer.needs | chosen


@dataclass(frozen=True)
class Memory:
    """About how many bytes a run holds on its device, its denoisers not counted."""

    parameters: int
    gradients: int
    moments: int
    render: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.moments + self.render


@dataclass
class Parts:
    """Everything a run consists of. `load_teachers` fills `background` and the denoisers' weights."""

    representation: Representation
    renderer: Renderer
    cameras: CameraSampler
    denoisers: dict[str, Denoiser]
    teachers: dict[str, Teacher]
    guidances: list[GuidanceTerm]
    regularizers: list[RegularizerTerm]
    observers: list[Observer]
    exporters: dict[str, Exporter]
    device: torch.device
    background: Tensor = field(default_factory=lambda: torch.ones(3))

    @property
    def latent_denoiser(self) -> Denoiser | None:
        """The denoiser whose latent the representation is drawn in; None for RGB."""
        if self.representation.channels == 3:
            return None
        return next(d for d in self.denoisers.values() if d.channels == self.representation.channels)

    @property
    def decode(self) -> Callable[[Tensor], Tensor]:
        """Image space of the representation -> RGB."""
        denoiser = self.latent_denoiser
        return (lambda image: image) if denoiser is None else denoiser.decode

    def load_teachers(self) -> None:
        """Read the weights that guidance needs, and what lies behind the object in the representation's space."""
        for label in self.teachers:
            self.denoisers[label].load(self.device)
        self._set_background()

    def solid(self) -> Representation | None:
        """What the first denoiser that says so takes the object for, if the representation starts from that."""
        told = (teacher.denoiser.solid(teacher.condition) for teacher in self.teachers.values())
        fits = (solid for solid in told if solid and self.representation.can_follow(solid))
        return next(fits, None) if self.representation.starts_from_solid else None

    def load_decoder(self) -> None:
        """Read only what drawing and exporting need: nothing for RGB."""
        if self.latent_denoiser is not None:
            self.latent_denoiser.load(self.device)
        self._set_background()

    def _set_background(self) -> None:
        denoiser = self.latent_denoiser
        white = torch.ones(3) if denoiser is None else denoiser.background()
        self.background = white.to(self.device)


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA, then the CPU.

    Raises:
        RunError: unknown, or not to be had on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = name.split(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise RunError(f"device: {name!r} is unknown; use auto, cpu, cuda or mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise RunError(f"device: {name!r}, but this PyTorch sees no CUDA device; use device=cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise RunError(f"device: {name!r}, but this machine has no Metal device; use device=cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RunError(f"device: {name!r}: {error}") from None
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if device.index is not None and device.index >= count:
        raise RunError(f"device: {name!r}, but this machine has {count}, counted from 0; use device={kind}")
    return torch.device("cpu") if kind == "cpu" else device


def build_parts(recipe: Recipe) -> Parts:
    """Build every part and check that they fit: needs, channels, accepted classes, memory.

    Raises:
        RecipeError: two parts do not fit; the line names the places and the remedy.
    """
    device = choose_device(recipe.options.device)
    renderer: Renderer = recipe.renderer.build()
    cameras: CameraSampler = recipe.cameras.build()
    denoisers: dict[str, Denoiser] = {label: block.build() for label, block in recipe.denoisers.items()}
    teachers = {
        block.denoiser: Teacher(denoisers[block.denoiser]) for block in recipe.guidance.values() if block.denoiser
    }
    guidances = [
        GuidanceTerm(
            label,
            block.build(teachers[str(block.denoiser)]),
            block.weight or Schedule.parse(1.0),
            block.cameras.build() if block.cameras else None,
        )
        for label, block in recipe.guidance.items()
    ]
    regularizers = [
        RegularizerTerm(label, block.build(), block.weight or Schedule.parse(1.0), block.view)
        for label, block in recipe.regularizers.items()
    ]
    _check_needs(recipe, renderer, guidances, regularizers)
    _check_accepts(recipe)
    with torch.device("meta"):
        sketch = _representation(recipe.representation)
    _check_channels(recipe, sketch, denoisers)
    _check_memory(recipe, estimate_memory(sketch, renderer, cameras, recipe.options.optimizer), device)
    return Parts(
        representation=_representation(recipe.representation).to(device),
        renderer=renderer,
        cameras=cameras,
        denoisers=denoisers,
        teachers=teachers,
        guidances=guidances,
        regularizers=regularizers,
        observers=[block.build() for block in recipe.observers.values()],
        exporters={label: block.build() for label, block in recipe.export.items()},
        device=device,
    )


def build_stages(recipe: Recipe) -> list[Parts]:
    """The parts of a recipe and of its later stages, each held against the one before too.

    Raises:
        RecipeError: see `build_parts`; or a representation that cannot start from the former stage's.
    """
    built: list[Parts] = []
    for stage in (recipe, *recipe.later):
        parts, former = build_parts(stage), built[-1].representation if built else None
        if not parts.representation.can_follow(former):
            reason = f"cannot start from the former stage's {former.name!r}" if former else "needs a stage before it"
            raise RecipeError(f"{stage.representation.place}: {parts.representation.name!r} as set {reason}")
        built.append(parts)
    return built


def _representation(block: Block) -> Representation:
    try:
        built: Representation = block.build()
    except (RuntimeError, OverflowError, MemoryError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(
            f"{block.place}: {block.label!r} cannot be allocated ({reason}); lower its resolution"
        ) from None
    return built


def _check_needs(
    recipe: Recipe, renderer: Renderer, guidances: list[GuidanceTerm], regularizers: list[RegularizerTerm]
) -> None:
    provided = renderer.provides | ENGINE_PROVIDES
    wants = [(f"guidance.{g.label}", g.guidance.needs) for g in guidances]
    wants += [(f"regularizers.{r.label}", r.regularizer.needs) for r in regularizers]
    for key, needs in wants:
        missing = sorted(needs - provided)
        if missing:
            raise RecipeError(
                f"{recipe.place(key)}: needs {', '.join(missing)}, but renderer {renderer.name!r} provides "
                f"{', '.join(sorted(renderer.provides))}; take another renderer or remove the term with {key}=null"
            )


def _check_accepts(recipe: Recipe) -> None:
    kind = recipe.representation.component
    asked = [(recipe.renderer, "draws", "take a renderer made for it")]
    asked += [(b, "acts on", f"remove it with regularizers.{b.label}=null") for b in recipe.regularizers.values()]
    asked += [(b, "exports", f"take another exporter or set export.{b.label}=null") for b in recipe.export.values()]
    for block, does, remedy in asked:
        accepts = block.component.accepts
        if not issubclass(kind, accepts):
            raise RecipeError(
                f"{block.place}: {block.component.name!r} {does} {accepts.__name__}s, "
                f"but representation {kind.name!r} is none; {remedy}"
            )


def _check_channels(recipe: Recipe, representation: Representation, denoisers: dict[str, Denoiser]) -> None:
    channels = representation.channels
    for label, block in recipe.guidance.items():
        denoiser = denoisers[str(block.denoiser)]
        encodes = channels == 3  # an RGB render can be encoded for any teacher
        if channels != denoiser.channels and not encodes:
            raise RecipeError(
                f"{recipe.representation.place}.channels: {channels}, but denoiser {denoiser.name!r} of "
                f"guidance.{label} works on {denoiser.channels}; set representation.channels={denoiser.channels} or 3"
            )
    if channels != 3 and all(channels != denoiser.channels for denoiser in denoisers.values()):
        raise RecipeError(
            f"{recipe.representation.place}.channels: {channels} is neither RGB (3) nor any denoiser's latent; "
            "set representation.channels=3"
        )


def estimate_memory(
    representation: Representation, renderer: Renderer, cameras: CameraSampler, optimizer: OptimizerOptions
) -> Memory:
    """The representation (real, or on the meta device), its gradient and the optimizer's moments, and one step's render.

    The render is taken to draw every novel view, a near one for each, and the input's.
    """
    parameters = sum(tensor.numel() * tensor.element_size() for tensor in representation.parameters())
    rays = (cameras.views * 2 + 1) * cameras.resolution**2
    return Memory(parameters, parameters, optimizer.moments * parameters, renderer.memory_bytes(representation, rays))


def free_bytes(device: torch.device) -> int:
    """What the device has free."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available


def _check_memory(recipe: Recipe, memory: Memory, device: torch.device) -> None:
    free = free_bytes(device)
    if memory.total > free:
        held = memory.total - memory.render
        raise RecipeError(
            f"{recipe.representation.place}: needs about {memory.total / 2**30:.1f} GiB ({held / 2**30:.1f} for "
            f"the representation, {memory.render / 2**30:.1f} for a step's render), {free / 2**30:.1f} GiB are free; "
            "lower representation.resolution or cameras.resolution"
        )
