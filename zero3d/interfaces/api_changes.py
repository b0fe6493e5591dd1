"""What a plug-in written for an older plug-in API must change, in one line that names the method."""

from __future__ import annotations

import inspect

from zero3d.interfaces import Component

REPLACED = {
    ("denoiser", "denoise"): (
        "denoise() is now predict(noised, sigma, condition, cameras, branches) -> {branch: x0}, with the branches 'cond' "
        "and 'null' unmixed"
    ),
    ("denoiser", "solid"): "solid() is now a component of its own, a Reconstructor",
    ("image_source", "load"): "load(mask) is now read(mask)",
}
"""(kind, method of API 1) -> what to write."""
PARAMETERS = {
    ("denoiser", "condition"): (
        2,
        "condition(picture, input_camera) is now condition(subject): subject.pictures[0] has both",
    ),
    ("representation", "after_step"): (3, "after_step(step) is now after_step(step, optimizer)"),
}
"""(kind, method) -> how many parameters it has with self, and what to write."""


def outdated(component: type[Component]) -> str:
    """What to write, for the first method of the class or its bases that API 2 has otherwise; nothing if there is none."""
    own = {name: value for base in reversed(component.__mro__) if _foreign(base) for name, value in vars(base).items()}
    for (kind, name), remedy in REPLACED.items():
        kept = name == "load" and "read" in own  # the lifecycle's, which API 2 gives every kind
        if component.kind == kind and callable(own.get(name)) and not kept:
            return remedy
    for (kind, name), (count, remedy) in PARAMETERS.items():
        method = own.get(name)
        if component.kind == kind and inspect.isfunction(method):
            given = inspect.signature(method).parameters.values()
            free = any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in given)
            needed = sum(p.default is p.empty for p in given)
            if not free and not needed <= count <= len(given):
                return remedy
    return ""


def _foreign(base: type) -> bool:
    """Not one of the interfaces, nor of what they are made of."""
    return base.__module__.partition(".")[0] not in ("abc", "builtins", "torch") and not base.__module__.startswith(
        "zero3d.interfaces."
    )
