"""From a recipe's blocks to parts that fit each other, before any weight is read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from zero3d.errors import RecipeError
from zero3d.interfaces import Denoiser, Encoder, EncoderTeacher, Reconstructor, Representation, Teacher
from zero3d.parts.devices import choose_device
from zero3d.parts.fit import check_fit, subject_needs
from zero3d.parts.groups import optimizer_group
from zero3d.parts.memory import Memory, component_size, estimate_memory, free_bytes
from zero3d.parts.parts import GuidanceTerm, Parts, RegularizerTerm, White
from zero3d.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zero3d.recipe import Block, Recipe

ONE = Schedule.parse(1.0)


def estimators(recipe: Recipe) -> Iterator[Reconstructor | Denoiser]:
    """Who may tell a picture's elevation, in the order that they are asked; each built when it is asked, and not loaded."""
    for stage in (recipe, *recipe.later):
        asked = dict.fromkeys(block.denoiser for block in stage.guidance.values() if block.denoiser)
        yield from (block.build() for block in (stage.start, *(stage.denoisers[label] for label in asked)) if block)


def build_parts(recipe: Recipe) -> Parts:
    """Build every part and check that they fit: needs, channels, accepted classes, memory.

    Raises:
        RecipeError: two parts do not fit; the line names the places and the remedy.
    """
    device = choose_device(recipe.options.device)
    denoisers: dict[str, Denoiser] = {label: block.build() for label, block in recipe.denoisers.items()}
    encoders: dict[str, Encoder] = {label: block.build() for label, block in recipe.encoders.items()}
    parts = Parts(
        representation=_sketch(recipe.representation),
        renderer=recipe.renderer.build(),
        cameras=recipe.cameras.build(),
        denoisers=denoisers,
        teachers={b.denoiser: Teacher(denoisers[b.denoiser]) for b in recipe.guidance.values() if b.denoiser},
        guidances=[],
        regularizers=[],
        observers={label: block.build() for label, block in recipe.observers.items()},
        exporters={label: block.build() for label, block in recipe.export.items()},
        device=device,
        encoders=encoders,
        encoder_teachers={
            b.encoder: EncoderTeacher(encoders[b.encoder]) for b in recipe.guidance.values() if b.encoder
        },
        background=recipe.background.build() if recipe.background else White(None),
        start=recipe.start.build() if recipe.start else None,
    )
    parts.guidances += [_guidance(label, block, parts) for label, block in recipe.guidance.items()]
    parts.regularizers += [_regularizer(label, block, parts) for label, block in recipe.regularizers.items()]
    check_fit(recipe, parts)
    _check_memory(recipe, parts)
    whole = _representation(recipe.representation).to(device)
    for group in whole.param_groups():
        optimizer_group(group, whole.name)
    return dataclasses.replace(parts, representation=whole)


def build_stages(recipe: Recipe) -> list[Parts]:
    """The parts of a recipe and of its later stages, each held against the one before too.

    Raises:
        RecipeError: see `build_parts`; or a representation that cannot start from the former stage's.
    """
    built: list[Parts] = []
    for stage in (recipe, *recipe.later):
        parts, former = build_parts(stage), built[-1].representation if built else None
        if stage.start and not built:
            _check_start(stage, parts)
        elif not parts.representation.can_follow(former):
            reason = f"cannot start from the former stage's {former.name!r}" if former else "needs a stage before it"
            raise RecipeError(f"{stage.representation.place}: {parts.representation.name!r} as set {reason}")
        built.append(parts)
    _check_prompt(recipe, built)
    return built


def _check_start(recipe: Recipe, parts: Parts) -> None:
    """What a reconstructor makes is known once it has; here, whether anybody takes it."""
    if recipe.start and not parts.representation.follows:
        raise RecipeError(
            f"{recipe.start.place}: representation {parts.representation.name!r} as set begins from something else and "
            "would not look at it; set representation.start=previous, or remove this with start=null"
        )


def _check_prompt(recipe: Recipe, stages: list[Parts]) -> None:
    """A prompt, a negative one, pictures or an encoder that no stage reads is a mistake. (Some subject every run has.)"""
    used: frozenset[str] = frozenset()
    unasked = {label: block.place for stage in (recipe, *recipe.later) for label, block in stage.encoders.items()}
    for stage, parts in zip((recipe, *recipe.later), stages, strict=True):
        used |= frozenset().union(*(needs for _, needs in subject_needs(stage, parts)))
        asked = {block.encoder for block in (*stage.guidance.values(), *stage.regularizers.values())}
        used |= frozenset().union(*(encoder.reads for label, encoder in parts.encoders.items() if label in asked))
        unasked = {label: place for label, place in unasked.items() if label not in asked}
        others = [parts.start, parts.representation, *parts.exporters.values()]
        used |= frozenset().union(*(part.uses for part in others if part), *(p.uses for _, p in parts.components()))
        used |= {"pictures" for t in parts.regularizers if "input_view" in t.regularizer.needs or "." in t.view}
        used |= {"negative"} & frozenset().union(*(term.guidance.branches for term in parts.guidances))
    if unasked:
        place = next(iter(unasked.values()))
        raise RecipeError(f"{place}: nothing in this recipe asks this encoder; remove it, or add a term that does")
    if len(recipe.images) > 1 and "pictures" not in used:
        raise RecipeError(f"{[*recipe.images.values()][1].place}: nothing reads a picture after the first; remove it")
    for what in sorted(recipe.subject - used if "prompt" in recipe.subject else (), reverse=True):
        key = "images" if what == "picture" and "image" not in recipe.source else what.replace("picture", "image")
        raise RecipeError(f"{recipe.place(key)}: nothing in this recipe reads a {what}; remove it with {key}=null")
    if recipe.options.negative and "negative" not in used:
        raise RecipeError(
            f"{recipe.place('negative')}: nothing in this recipe reads a negative prompt; see the options of its denoiser "
            "(unconditional, negative_as_null) and guidance (negative), or remove it with negative=''"
        )


def _guidance(label: str, block: Block, parts: Parts) -> GuidanceTerm:
    teacher = parts.teachers[block.denoiser] if block.denoiser else None
    encoder = parts.encoder_teachers[block.encoder] if block.encoder else None
    asked = teacher or encoder
    sampler = block.cameras.build() if block.cameras else parts.cameras
    guidance = block.build(asked) if asked else block.build()
    return GuidanceTerm(label, guidance, block.weight or ONE, sampler, own=block.cameras is not None)


def _regularizer(label: str, block: Block, parts: Parts) -> RegularizerTerm:
    regularizer = block.build(parts.encoders[block.encoder]) if block.encoder else block.build()
    return RegularizerTerm(label, regularizer, block.weight or ONE, block.view)


def _sketch(block: Block) -> Representation:
    """On the meta device: its size, and no memory."""
    with torch.device("meta"):
        return _representation(block)


def _representation(block: Block) -> Representation:
    try:
        built: Representation = block.build()
    except (RuntimeError, OverflowError, MemoryError) as error:
        reason = str(error).splitlines()[0]
        lower = " or ".join(_sizes(block)) or "its size"
        raise RecipeError(f"{block.place}: {block.label!r} cannot be allocated ({reason}); lower {lower}") from None
    return built


def memory_of(recipe: Recipe, parts: Parts) -> Memory:
    """About what a run of the recipe holds."""
    side = recipe.options.input.resolution or parts.cameras.resolution
    sides = [(block.placed.resolution if block.placed else None) or side for block in recipe.images.values()] or [side]
    steps, descends = recipe.options.steps, recipe.options.optimizer
    own = [term.sampler for term in parts.guidances if term.own]
    drawn = sorted((s**2 for s in sides), reverse=True)[: recipe.options.input.per_step]
    pixels = sum(drawn) + sum(sampler.pixels(steps) for sampler in own)
    views = len(drawn) + sum(sampler.views for sampler in own)
    memory = estimate_memory(parts.representation, parts.renderer, parts.cameras, descends, pixels, steps, views)
    sizes = [component_size(component, parts.device) for _, component in parts.components()]
    return dataclasses.replace(memory, weights=sum(size[1] for size in sizes if size))


def _check_memory(recipe: Recipe, parts: Parts) -> None:
    memory, free = memory_of(recipe, parts), free_bytes(parts.device)
    if memory.total > free:
        held = memory.parameters + memory.gradients + memory.moments
        weights = f", {memory.weights / 2**30:.1f} for weights" if memory.weights >= 2**27 else ""
        raise RecipeError(
            f"{recipe.representation.place}: needs about {memory.total / 2**30:.1f} GiB ({held / 2**30:.1f} for "
            f"the representation, {memory.render / 2**30:.1f} for a step's render{weights}), {free / 2**30:.1f} GiB are "
            f"free; lower {' or '.join([*_sizes(recipe.representation), 'cameras.resolution'])}"
        )


def _sizes(block: Block) -> list[str]:
    """The options that say how large a representation is, of those that it has."""
    known = [option.name for option in dataclasses.fields(block.config)]
    return [f"representation.{name}" for name in ("max_count", "resolution") if name in known]
