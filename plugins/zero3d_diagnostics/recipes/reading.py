"""One recipe as `zero3d recipes` shows it: its header's words, and what its components say of their weights."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zero3d.errors import UserError
from zero3d.interfaces import Component
from zero3d.recipe import Block, Recipe, load_recipe, make_block, read_yaml
from zero3d.registry import Registry
from zero3d.weights import Published, find

SENTENCE = re.compile(r"(?<=[^.\s]{2})\.(?=\s+[A-Z]|\s*$)")
"""Where one ends: neither within 2.1 nor behind a single letter."""
EXAMPLE = re.compile(r"zero3d (?:run|train) .*")
GIVEN = re.compile(r"\b(image|prompt|dataset\.root|images)(?:\.\S+)?=")
CALLED = {"image": "picture", "images": "pictures", "dataset.root": "dataset"}
TEACHERS = ("denoiser", "encoder")


@dataclasses.dataclass(frozen=True)
class Weights:
    """What one teacher of a recipe names. `published`: what is known of it. `missing`: why it is not here; empty if it is.

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

    `extras`: those that its components use, and whether each is installed. `wrong`: why it cannot be read at all.
    """

    name: str
    summary: str
    example: str
    needs: tuple[str, ...]
    weights: tuple[Weights, ...] = ()
    extras: tuple[tuple[str, bool], ...] = ()
    wrong: str = ""

    @property
    def here(self) -> bool:
        """Whether all its weights are on this machine."""
        return not self.wrong and all(not own.missing for own in self.weights)


def tell(file: Path, registry: Registry) -> RecipeSummary:
    """What a recipe's file says; no weight is read, nothing is fetched."""
    summary, example = header(file.read_text(encoding="utf-8"))
    try:
        source = read_yaml(file)
        blocks = list(_blocks(source, file, registry))
    except UserError as error:
        return RecipeSummary(file.stem, summary, example, _needs(example, {}), wrong=str(error))
    teachers = {_key(block): block for block in blocks if block.component.kind in TEACHERS}
    known = [entry for component in registry.all() for entry in component.component.published]
    weights = tuple(own for key, block in teachers.items() for own in _weights(key, block, known))
    extras = {extra: module for block in blocks for extra, module in block.component.extras.items()}
    installed = tuple((extra, find_spec(module) is not None) for extra, module in sorted(extras.items()))
    return RecipeSummary(file.stem, summary, example, _needs(example, source), weights, installed)


def _needs(example: str, source: Mapping[str, Any]) -> tuple[str, ...]:
    """What the command gives to it, or it names itself."""
    keys = [*GIVEN.findall(example), *(key for key in ("image", "images") if source.get(key))]
    return tuple(dict.fromkeys(CALLED.get(key, key) for key in keys))


def header(text: str) -> tuple[str, str]:
    """The first sentence of the comment that a recipe begins with, and the first command in it."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    command = next((number for number, line in enumerate(lines) if EXAMPLE.match(line)), len(lines))
    words = " ".join(line for line in lines[:command] if line)
    return SENTENCE.split(words)[0].strip(), lines[command] if command < len(lines) else ""


def _blocks(source: Mapping[str, Any], file: Path, registry: Registry) -> Iterator[Block]:
    if "dataset" in source:  # of `zero3d train`
        yield make_block(registry, "denoiser", str(file), "denoiser", source.get("denoiser"))
        return
    recipe = load_recipe(file, registry)
    for stage in (recipe, *recipe.later):
        yield from _of_stage(stage)


def _of_stage(recipe: Recipe) -> Iterator[Block]:
    for entry in dataclasses.fields(recipe):
        value = getattr(recipe, entry.name)
        found = value.values() if isinstance(value, dict) else [value]
        yield from (block for block in found if isinstance(block, Block))


def _key(block: Block) -> str:
    """Its key in the recipe, or in a stage."""
    return block.place.rpartition(": ")[2]


def _weights(key: str, block: Block, known: list[Published]) -> Iterator[Weights]:
    """Of a teacher, what its options name."""
    component: type[Component] = block.component
    parts = [entry.part for entry in component.published] or ["weights", "start"]
    for part in dict.fromkeys(parts):
        name = getattr(block.config, part, None)
        if name and isinstance(name, str):
            yield Weights(name, f"{key}.{part}", find(name, [*component.published, *known]), _missing(block))


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
