"""One recipe as `zero3d recipes` shows it: its header's words, and what its components say of their weights."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zero3d.errors import UserError
from zero3d.interfaces import Component
from zero3d.recipe import Block, load_recipe, make_block, read_yaml
from zero3d.registry import Registry
from zero3d.weights import Published, find

SENTENCE = re.compile(r"(?<=[^.\s]{2})\.(?=\s+[A-Z]|\s*$)")
"""Where one ends: neither within 2.1 nor behind a single letter."""
EXAMPLE = re.compile(r"zero3d (?:run|train) .*")
GIVEN = re.compile(r"\b(image|prompt|dataset\.root|images)(?:\.\S+)?=")
CALLED = {"image": "picture", "images": "pictures", "dataset.root": "dataset"}
WEIGHTY = ("denoiser", "encoder", "reconstructor")
"""The kinds whose options name weights."""
COST = re.compile(r"GPUs?\b|CPU\b|RTX|[VAH]\d00\b|\b(?:minutes?|hours?|days?)\b")
MACHINE = re.compile(r"GPU with (\d+ GB)|\b(RTX \w+|[VAH]\d00)\b|\b(CPU|GPU)\b")


@dataclasses.dataclass(frozen=True)
class Weights:
    """What one part of a recipe names. `published`: what is known of it. `missing`: why it is not here; empty if it is.

    `place`: the recipe's key that names another one.
    """

    name: str
    place: str
    published: Published | None
    missing: str

    @property
    def size(self) -> str:
        """Of the download."""
        known = self.published.gigabytes if self.published else None
        return f"{known:.1f} GB" if known else "" if not self.published else "size unknown"


@dataclasses.dataclass(frozen=True)
class RecipeSummary:
    """`summary`: its header's first sentence. `example`: the header's first command. `needs`: what that gives to it.

    `extras`: those that its components use, and whether each is installed. `steps`: of all stages. `costs`: what the header
    says of machines and times; `hardware`: the first machine in that. `wrong`: why it cannot be read at all.
    """

    name: str
    summary: str
    example: str
    needs: tuple[str, ...]
    weights: tuple[Weights, ...] = ()
    extras: tuple[tuple[str, bool], ...] = ()
    steps: int = 0
    costs: tuple[str, ...] = ()
    hardware: str = ""
    wrong: str = ""

    @property
    def here(self) -> bool:
        """Whether all its weights are on this machine."""
        return not self.wrong and all(not own.missing for own in self.weights)


def tell(file: Path, registry: Registry) -> RecipeSummary:
    """What a recipe's file says; no weight is read, nothing is fetched."""
    text = file.read_text(encoding="utf-8")
    summary, example = header(text)
    costs, hardware = stated_costs(text)
    plain = RecipeSummary(file.stem, summary, example, _needs(example, {}), costs=costs, hardware=hardware)
    try:
        source = read_yaml(file)
        steps, blocks = _contents(source, file, registry)
    except UserError as error:
        return dataclasses.replace(plain, wrong=str(error))
    weighty = {_key(block): block for block in blocks if block.component.kind in WEIGHTY}
    known = [entry for component in registry.all() for entry in component.component.published]
    weights = tuple(own for key, block in weighty.items() for own in _weights(key, block, known))
    extras = {extra: module for block in blocks for extra, module in block.component.extras.items()}
    installed = tuple((extra, find_spec(module) is not None) for extra, module in sorted(extras.items()))
    return dataclasses.replace(plain, needs=_needs(example, source), weights=weights, extras=installed, steps=steps)


def _needs(example: str, source: Mapping[str, Any]) -> tuple[str, ...]:
    """What the command gives to it, or it names itself."""
    keys = [*GIVEN.findall(example), *(key for key in ("image", "images") if source.get(key))]
    return tuple(dict.fromkeys(CALLED.get(key, key) for key in keys))


def header(text: str) -> tuple[str, str]:
    """The first sentence of the comment that a recipe begins with, and the first command in it."""
    lines = _comment(text)
    command = next((number for number, line in enumerate(lines) if EXAMPLE.match(line)), len(lines))
    words = " ".join(line for line in lines[:command] if line)
    return SENTENCE.split(words)[0].strip(), lines[command] if command < len(lines) else ""


def stated_costs(text: str) -> tuple[tuple[str, ...], str]:
    """What the first paragraph of that comment says of machines and times after its summary; the first machine in all."""
    lines = _comment(text)
    paragraph = lines[: lines.index("")] if "" in lines else lines
    words = " ".join(line for line in paragraph if not EXAMPLE.match(line))
    machine = MACHINE.search(words)
    hardware = "" if machine is None else f"GPU, {machine[1]}" if machine[1] else machine[2] or machine[3]
    sentences = [sentence.strip() for sentence in SENTENCE.split(words)]
    return tuple(one for one in sentences[1:] if COST.search(one)), hardware


def _comment(text: str) -> list[str]:
    """The lines of the comment that a recipe begins with."""
    return [
        line.lstrip("#").strip() for line in itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    ]


def _contents(source: Mapping[str, Any], file: Path, registry: Registry) -> tuple[int, list[Block]]:
    """All steps, and all components."""
    if "dataset" in source:  # of `zero3d train`
        stages = source.get("stages")
        counts = [stage.get("steps", 0) for stage in stages.values() if stage] if isinstance(stages, Mapping) else []
        return sum(counts), [make_block(registry, "denoiser", str(file), "denoiser", source.get("denoiser"))]
    recipe = load_recipe(file, registry)
    both = (recipe, *recipe.later)
    fields = [getattr(stage, entry.name) for stage in both for entry in dataclasses.fields(stage)]
    values = [one for value in fields for one in (value.values() if isinstance(value, dict) else [value])]
    return sum(stage.options.steps for stage in both), [value for value in values if isinstance(value, Block)]


def _key(block: Block) -> str:
    """Its key in the recipe, or in a stage."""
    return block.place.rpartition(": ")[2]


def _weights(key: str, block: Block, known: list[Published]) -> Iterator[Weights]:
    """What its options name; of an option that names nothing, the published files that the component then needs."""
    component: type[Component] = block.component
    parts = [entry.part for entry in component.published] or ["weights", "start"]
    missing = _missing(block)
    for part in dict.fromkeys(parts):
        name, place = getattr(block.config, part, None), f"{key}.{part}"
        if name and isinstance(name, str):
            yield Weights(name, place, find(name, [*component.published, *known]), missing)
        else:
            lacking = [entry for entry in component.published if entry.part == part and entry.name in missing]
            yield from (Weights(entry.name, place, entry, missing) for entry in lacking)


def _missing(block: Block) -> str:
    """Why the component cannot be made from what is on this machine; empty if it can."""
    config: Any = block.config
    if any(field.name == "offline" for field in dataclasses.fields(config)):
        config = dataclasses.replace(config, offline=True)
    try:
        dataclasses.replace(block, config=config).build()
    except UserError as error:
        return str(error)
    return ""
