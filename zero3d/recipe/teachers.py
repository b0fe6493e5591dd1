"""Which denoiser or encoder a term asks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from zero3d.errors import RecipeError, did_you_mean
from zero3d.recipe.blocks import Block


def with_teacher(block: Block, denoisers: Mapping[str, Block], encoders: Mapping[str, Block]) -> Block:
    """The term's block with the label of its teacher, which it need not name where there is one.

    Raises:
        RecipeError: no such teacher, several to choose from, or one named that the term does not ask.
    """
    asks = block.component.asks
    known = {"denoiser": denoisers, "encoder": encoders}
    for kind in known:
        if getattr(block, kind) is not None and kind != asks:
            raise RecipeError(f"{block.place}.{kind}: {block.component.name!r} asks no {kind}; remove it")
    if asks is None:
        return block
    named, there = getattr(block, asks), known[asks]
    label = named or (next(iter(there)) if len(there) == 1 else None)
    if label in there:
        chosen = {"denoiser": block.denoiser, "encoder": block.encoder, asks: label}
        return dataclasses.replace(block, denoiser=chosen["denoiser"], encoder=chosen["encoder"])
    if named is None and not there:
        raise RecipeError(
            f"{block.place}: {block.component.name!r} asks {_a(asks)}; add {asks}: {{type: ...}} to the recipe"
        )
    if named is None:
        raise RecipeError(f"{block.place}.{asks}: missing; name one of {', '.join(there)}")
    raise RecipeError(f"{block.place}.{asks}: {named!r} is no {asks} of this recipe.{did_you_mean(str(named), there)}")


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
