"""Whether a recipe's parts fit each other: what one needs another provides; each mismatch is one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zero3d.errors import RecipeError, did_you_mean
from zero3d.interfaces import AdaptableDenoiser, Denoiser

if TYPE_CHECKING:
    from zero3d.parts.parts import Parts
    from zero3d.recipe import Block, Recipe

VIEW_NEEDS = frozenset({"novel_view", "near_view", "input_view"})
"""Which views a term may ask for, whatever the renderer."""
ENGINE_PROVIDES = VIEW_NEEDS | {"rgb", "background"}
"""What the engine provides whatever the renderer."""


def check_fit(recipe: Recipe, parts: Parts) -> None:
    """Hold the parts against each other; the representation may be on the meta device.

    Raises:
        RecipeError: two do not fit; the line names the place and the remedy.
    """
    _check_renderer(recipe, parts)
    _check_subject(recipe, parts)
    _check_accepts(recipe)
    _check_channels(recipe, parts)
    _check_teachers(recipe, parts)


def _check_renderer(recipe: Recipe, parts: Parts) -> None:
    renderer = parts.renderer
    wants = [(f"guidance.{g.label}", g.guidance.needs - {"background"}) for g in parts.guidances]
    wants += [(f"regularizers.{r.label}", r.regularizer.needs - ENGINE_PROVIDES) for r in parts.regularizers]
    for key, needs in wants:
        missing = sorted(needs - renderer.provides)
        if missing:
            raise RecipeError(
                f"{recipe.place(key)}: needs {', '.join(missing)}, but renderer {renderer.name!r} provides "
                f"{', '.join(sorted(renderer.provides))}; take another renderer or remove the term with {key}=null"
            )


def subject_needs(recipe: Recipe, parts: Parts) -> list[tuple[str, frozenset[str]]]:
    """Place in the recipe -> what is read there of the subject: "picture", "prompt"."""
    wants = [(recipe.denoisers[label].place, parts.denoisers[label].needs) for label in parts.teachers]
    wants += [(r.place, parts.start.needs) for r in [recipe.start] if r and parts.start]
    wants += [(recipe.guidance[g.label].place, g.guidance.reads) for g in parts.guidances]
    regularizers = [(recipe.regularizers[r.label].place, r) for r in parts.regularizers]
    wants += [(place, r.regularizer.reads) for place, r in regularizers]
    return wants + [(place, frozenset({"picture"})) for place, r in regularizers if "input_view" in r.needs]


def _check_subject(recipe: Recipe, parts: Parts) -> None:
    """Pictures and words: what is needed is there. (A recipe may leave both to who runs it.)"""
    if not recipe.subject:
        return
    if recipe.options.negative and recipe.options.prompt is None:
        place, negative = recipe.place("negative"), recipe.options.negative
        raise RecipeError(f"{place}: {negative!r}; it stands beside a prompt, and there is none")
    remedies = {"picture": "image=cat.png", "prompt": 'prompt="a cat"'}
    for place, needs in subject_needs(recipe, parts):
        for what in sorted(needs - recipe.subject):
            raise RecipeError(f"{place}: needs a {what}, and the recipe gives none; add for example {remedies[what]}")
    labels = {f"input.{label}" for label in list(recipe.images)[1:]}
    for term in parts.regularizers:
        if term.view.startswith("input.") and term.view not in labels:
            hint = did_you_mean(term.view, {"novel", "near", "input", *labels})
            raise RecipeError(f"{recipe.regularizers[term.label].place}.view: {term.view!r}.{hint}")


def _check_accepts(recipe: Recipe) -> None:
    kind = recipe.representation.component
    asked: list[tuple[Block, str, str]] = [(recipe.renderer, "draws", "take a renderer made for it")]
    asked += [(b, "acts on", f"remove it with regularizers.{b.label}=null") for b in recipe.regularizers.values()]
    asked += [(b, "exports", f"take another exporter or set export.{b.label}=null") for b in recipe.export.values()]
    for block, does, remedy in asked:
        accepts = block.component.accepts
        if not issubclass(kind, accepts):
            raise RecipeError(
                f"{block.place}: {block.component.name!r} {does} {accepts.__name__}s, "
                f"but representation {kind.name!r} is none; {remedy}"
            )


def _check_channels(recipe: Recipe, parts: Parts) -> None:
    channels = parts.representation.channels
    for label, block in recipe.guidance.items():
        if block.encoder and channels != 3:
            raise RecipeError(
                f"{recipe.representation.place}.channels: {channels}, but guidance.{label} shows its views to an encoder, "
                "which reads RGB; set representation.channels=3"
            )
        if not block.denoiser:
            continue
        denoiser = parts.denoisers[block.denoiser]
        encodes = channels == 3  # an RGB render can be encoded for any teacher
        if channels != denoiser.channels and not encodes:
            raise RecipeError(
                f"{recipe.representation.place}.channels: {channels}, but denoiser {denoiser.name!r} of "
                f"guidance.{label} works on {denoiser.channels}; set representation.channels={denoiser.channels} or 3"
            )
    if channels != 3 and all(channels != denoiser.channels for denoiser in parts.denoisers.values()):
        raise RecipeError(
            f"{recipe.representation.place}.channels: {channels} is neither RGB (3) nor any denoiser's latent; "
            "set representation.channels=3"
        )
    if channels != 3 and not parts.background.latent and recipe.background:
        raise RecipeError(
            f"{recipe.background.place}: {parts.background.name!r} stands behind RGB, but the representation is "
            f"rendered in a latent of {channels} channels; remove it with background=null or set representation.channels=3"
        )


def _check_teachers(recipe: Recipe, parts: Parts) -> None:
    """Branches that a guidance needs, and views in a teacher's groups."""
    for term in parts.guidances:
        block = recipe.guidance[term.label]
        encoder = parts.encoders[block.encoder] if block.encoder else None
        if encoder and term.guidance.reads - encoder.reads:
            unread = ", ".join(sorted(term.guidance.reads - encoder.reads))
            raise RecipeError(
                f"{block.place}: compares with the {unread}, but encoder {block.encoder!r} as set reads "
                f"{', '.join(sorted(encoder.reads))}; see its options, or take another target"
            )
        if not block.denoiser:
            continue
        denoiser = parts.denoisers[block.denoiser]
        if term.guidance.adapts and not isinstance(denoiser, AdaptableDenoiser):
            raise RecipeError(
                f"{block.place}: {term.guidance.name!r} as set trains adapters over its denoiser's network, and "
                f"{denoiser.name!r} lays none open; take another denoiser, or set it to a network of its own"
            )
        missing = sorted(set(term.guidance.branches) - set(denoiser.branches))
        if missing:
            raise RecipeError(
                f"{block.place}: {term.guidance.name!r} needs the prediction {', '.join(missing)}, but denoiser "
                f"{denoiser.name!r} makes {', '.join(denoiser.branches)}; take another guidance or denoiser"
            )
        fixed = type(denoiser).views is not Denoiser.views
        ungrouped = fixed or term.sampler.group != denoiser.group or term.sampler.views % denoiser.group
        if denoiser.group > 1 and ungrouped and not term.guidance.takes_fixed_views:
            key = f"guidance.{term.label}.cameras" if term.own else "cameras"
            raise RecipeError(
                f"{recipe.place(key)}: denoiser {denoiser.name!r} denoises {denoiser.group} views jointly, but "
                f"{term.sampler.name!r} draws {term.sampler.views} views in groups of {term.sampler.group}; "
                f"{'take target_pictures' if fixed else f'set {key}.group={denoiser.group} and views to a multiple of it'}"
            )
