"""A run's plan as tables: what is built, who needs what, how large it is, what will be written where."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zero3d.folder import MANIFEST, METRICS, RECIPE, picture_name
from zero3d.parts import ENGINE_PROVIDES, component_size, free_bytes, memory_of
from zero3d.recipe import BLOCK_MAPS, SINGLE_BLOCKS, Block, Recipe
from zero3d.registry import Registry
from zero3d.run import Plan
from zero3d_diagnostics.options import changed_options, schedule_text
from zero3d_diagnostics.sizes import in_bytes

if TYPE_CHECKING:
    from rich.table import Table

DENOISERS = "denoisers"


@dataclass(frozen=True)
class Section:
    """A table: its title, its columns, its rows of text."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def table(section: Section) -> Table:
    """For rich, without the title; text is taken as it is, without markup."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, show_header=any(section.columns))
    for column in section.columns:
        drawn.add_column(column, overflow="fold", header_style="dim")
    for row in section.rows:
        drawn.add_row(*map(Text, row))
    return drawn


def sections(plan: Plan, registry: Registry) -> list[Section]:
    """All that can be told of a run before it starts, in order."""
    return [
        Section("run", ("", ""), list(_run(plan))),
        Section(
            "parts", ("key", "component", "package", "options that differ from the default"), _parts(plan, registry)
        ),
        Section("terms", ("term", "weight", "acts on", "needs, and who provides it"), list(_terms(plan))),
        Section("cameras", ("views", "from where", "pixels"), list(_cameras(plan))),
        Section("parameters", ("part", "shape", "numbers", ""), list(_parameters(plan))),
        Section("memory, about", ("", "size", ""), list(_memory(plan))),
        Section(f"written to {plan.folder}", ("file", "what"), list(_files(plan))),
    ]


def _run(plan: Plan) -> Iterator[tuple[str, str]]:
    options = plan.recipe.options
    optimizer = options.optimizer
    yield "recipe", plan.recipe.file
    yield "steps", f"{options.steps} on {plan.parts.device}, seed {options.seed}"
    yield "optimizer", f"{optimizer.type}, lr {schedule_text(optimizer.rate)}"
    yield "picture", plan.origin
    if options.prompt:
        yield "prompt", options.prompt + (f"; not: {options.negative}" if options.negative else "")
    for label, framed in plan.framed.framed.items() if plan.framed else ():
        several = f" ({label})" if len(plan.input_cameras) > 1 else ""
        yield f"framing{several}", f"{options.input.framing}: {framed.scale:.3g} pixels for one of the picture's"
    for note in plan.notes:
        yield "note", note


def blocks_of(recipe: Recipe) -> Iterator[tuple[str, str, Block]]:
    """(key path, kind, block) of every component that a recipe names."""
    unused = "image" if "images" in recipe.source else "images"
    for key, kind in SINGLE_BLOCKS.items():
        block = getattr(recipe, key, None)  # `denoiser` is read as one of `denoisers`
        if block is not None and key != unused:
            yield key, kind, block
    for key, kind in BLOCK_MAPS.items():
        if key == unused:
            continue
        for label, block in getattr(recipe, key).items():
            alone = key == DENOISERS and label == "denoiser"
            path = label if alone else f"{key}.{label}"
            yield path, kind, block
            if block.cameras is not None:
                yield f"{path}.cameras", "camera_sampler", block.cameras


def _parts(plan: Plan, registry: Registry) -> list[tuple[str, str, str, str]]:
    rows = []
    for key, kind, block in blocks_of(plan.recipe):
        entry = registry.entry(kind, block.component.name, block.place)
        options = ", ".join(f"{name}: {value}" for name, value in changed_options(block.config).items())
        package = f"{entry.package} {entry.version}" + (f" ({entry.path})" if entry.path else "")
        rows.append((key, f"{kind} {entry.component.name}", package, options or "-"))
    return rows


def _needs(plan: Plan) -> dict[str, frozenset[str]]:
    """Of every term, by its key."""
    return {f"guidance.{term.label}": term.guidance.needs for term in plan.parts.guidances} | {
        f"regularizers.{term.label}": term.needs for term in plan.parts.regularizers
    }


def _terms(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    needs = _needs(plan)
    for guidance in plan.parts.guidances:
        key = f"guidance.{guidance.label}"
        block = plan.recipe.guidance[guidance.label]
        views = "its own views" if guidance.own else "novel views"
        asks = f", asks {block.denoiser or block.encoder}" if guidance.guidance.asks else ""
        yield key, schedule_text(guidance.weight), f"{views}{asks}", _provided(plan, needs[key])
    for term in plan.parts.regularizers:
        key = f"regularizers.{term.label}"
        yield key, schedule_text(term.weight), f"{term.view} view", _provided(plan, needs[key])


def _provided(plan: Plan, needs: frozenset[str]) -> str:
    parts = plan.parts
    decoder = next((label for label, d in parts.denoisers.items() if d is parts.latent_denoiser), None)
    by_engine = {
        "novel_view": f"cameras {parts.cameras.name}",
        "near_view": f"cameras {parts.cameras.name}",
        "input_view": "the input camera",
        "background": f"background {parts.background.name}",
        "rgb": f"{decoder} decodes" if decoder else "the views are RGB",
    }
    assert by_engine.keys() == ENGINE_PROVIDES
    renderer = f"renderer {parts.renderer.name}"
    return ", ".join(f"{need} ({by_engine.get(need, renderer)})" for need in sorted(needs - {"novel_view"})) or "-"


def _cameras(plan: Plan) -> Iterator[tuple[str, str, str]]:
    parts, needed = plan.parts, frozenset().union(*_needs(plan).values())
    size = parts.cameras.resolution
    pixels = f"{size} x {size}" + ("" if parts.latent_denoiser is None else " (latent)")
    each = f"{parts.cameras.views} a step"
    yield f"novel: {each}", parts.cameras.name, pixels
    if "near_view" in needed:
        yield f"near: {each}", f"beside each novel one, by {parts.cameras.name}", pixels
    yield from _input_cameras(plan, "input_view" in needed)
    for term in parts.guidances:
        if term.own:
            own = term.sampler.resolution
            yield f"guidance.{term.label}: {term.sampler.views} a step", term.sampler.name, f"{own} x {own}"


def _input_cameras(plan: Plan, rendered: bool) -> Iterator[tuple[str, str, str]]:
    side = plan.recipe.options.input.resolution or plan.parts.cameras.resolution
    for label, camera in plan.input_cameras.items():
        azimuth, elevation = (round(math.degrees(float(angle[0])), 2) for angle in (camera.azimuth, camera.elevation))
        place = f"azimuth {azimuth:g}, elevation {elevation:g}, distance {float(camera.distance[0]):g}"
        name = "input" if len(plan.input_cameras) == 1 else f"input {label}"
        often = "1 a step" if rendered else "not drawn"
        pixels = f"{side} x {side}" + ("" if plan.parts.latent_denoiser is None else " (latent)")
        yield f"{name}: {often}", f"{place}, field of view {math.degrees(float(camera.fovs[0])):.2f} degrees", pixels


def _parameters(plan: Plan) -> Iterator[tuple[str, str, str, str]]:
    for name, tensor in plan.parts.representation.named_parameters():
        shape = " x ".join(map(str, tensor.shape)) or "a number"
        yield f"representation.{name}", shape, f"{tensor.numel():,}", "" if tensor.requires_grad else "held fixed"
    for key, label, asked in _denoisers(plan):
        files = plan.parts.denoisers[label].weight_files()
        there = sum(path.stat().st_size for path in files if path.is_file())
        size = component_size(plan.parts.denoisers[label], plan.parts.device)
        state = "not loaded" if asked else "no guidance asks it"
        held = f"{in_bytes(there)} in {len(files)} file{'s' * (len(files) != 1)}" if there else ""
        numbers = "known once loaded" if size is None else f"{size[0]:,}"
        yield key, "", numbers, ", ".join(filter(None, ["" if size == (0, 0) else state, held]))


def _denoisers(plan: Plan) -> Iterator[tuple[str, str, bool]]:
    """Key path, label, and whether a run loads it."""
    for label in plan.parts.denoisers:
        yield label if label == "denoiser" else f"{DENOISERS}.{label}", label, label in plan.parts.teachers


def _memory(plan: Plan) -> Iterator[tuple[str, str, str]]:
    parts, options = plan.parts, plan.recipe.options
    memory = memory_of(plan.recipe, parts)
    yield "representation", in_bytes(memory.parameters), ""
    yield "its gradient", in_bytes(memory.gradients), ""
    yield "optimizer", in_bytes(memory.moments), f"{options.optimizer.moments} moments ({options.optimizer.type})"
    views = 2 * parts.cameras.views + max(1, len(plan.recipe.images))
    yield "a step's render", in_bytes(memory.render), f"{views} views at most, with what their backward pass needs"
    unknown = False
    for key, component in parts.components():
        size, alone = component_size(component, parts.device), key.removeprefix(f"{DENOISERS}.")
        if size is None or size[1]:
            unknown = unknown or size is None
            name = alone if alone == "denoiser" else key
            yield name, in_bytes(size[1]) if size else "known once loaded", "weights at most; its own work comes on top"
    more = "over " if unknown else ""
    yield "together", f"{more}{in_bytes(memory.total)}", f"{in_bytes(free_bytes(parts.device))} are free"


def _files(plan: Plan) -> Iterator[tuple[str, str]]:
    options, parts = plan.recipe.options, plan.parts
    if plan.folder.is_dir() and any(plan.folder.iterdir()):
        yield ".", "the former run's files are removed first (overwrite=true); what is not a run's stays"
    yield RECIPE, "the resolved recipe"
    yield MANIFEST, "versions, weight hashes, notes"
    for label in plan.recipe.images:
        yield picture_name(label, plan.recipe.images), "the picture with its mask"
    yield METRICS, f"a line a step: {options.steps}"
    yield "checkpoint/", f"every {options.checkpoint.every} steps, the last one is kept"
    for label, observer in parts.observers.items():
        for name in observer.writes:
            yield name, f"observer {label}"
    for label, exporter in parts.exporters.items():
        yield exporter.filename(label), f"export {label} ({exporter.name})"
        yield f"{label}.report.yaml", f"what export {label} found"
