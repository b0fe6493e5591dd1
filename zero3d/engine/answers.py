"""What a term answers, held against what it may: plug-ins fail in one line that names the term and the step."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import Tensor

from zero3d.errors import StepError, UserError
from zero3d.values import Cameras, LossContext, Step, View, ViewGradient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zero3d.parts import GuidanceTerm, RegularizerTerm


def own_cameras(term: GuidanceTerm, step: Step) -> Cameras | None:
    """The views that a guidance wants for itself.

    Raises:
        StepError: it failed, or answered something else.
    """
    place = f"step {step.index}: {term.views}"
    with blamed(place):
        cameras = term.cameras(step)
    if cameras is not None and not isinstance(cameras, Cameras):
        raise StepError(
            f"{place}: cameras() returned {type(cameras).__name__}; return Cameras, or None for the novel ones"
        )
    return cameras


def answered(term: GuidanceTerm, view: View, cameras: Cameras, step: Step) -> ViewGradient:
    """A guidance's gradients on `view`, whose shapes they have.

    Raises:
        StepError: it failed, or answered something else.
    """
    place = f"step {step.index}: guidance.{term.label}"
    with blamed(place):
        answer = term.guidance.gradient(view, cameras, step.scoped(f"guidance.{term.label}"))
    if not isinstance(answer, ViewGradient):
        raise StepError(f"{place}: gradient() returned {type(answer).__name__}; return a ViewGradient")
    fields = view.tensors()
    for name, gradient in answer.gradients.items():
        if name not in fields:
            raise StepError(f"{place}: a gradient of {name!r}, which the view lacks; name it in `needs`")
        if not isinstance(gradient, Tensor) or gradient.shape != fields[name].shape:
            found = tuple(gradient.shape) if isinstance(gradient, Tensor) else type(gradient).__name__
            raise StepError(f"{place}: the gradient of {name!r} is {found}; it needs {tuple(fields[name].shape)}")
    return answer


def regularized(term: RegularizerTerm, context: LossContext) -> Tensor:
    """A regularizer's penalty, a scalar.

    Raises:
        StepError: it failed, answered something else, or a number other than 0 that nothing optimised moves.
    """
    place = f"step {context.step.index}: regularizers.{term.label}"
    with blamed(place):
        penalty = term.regularizer.penalty(context)
    if not isinstance(penalty, Tensor) or penalty.numel() != 1:
        found = f"shape {tuple(penalty.shape)}" if isinstance(penalty, Tensor) else type(penalty).__name__
        raise StepError(f"{place}: penalty() returned {found}; return a tensor of one number")
    optimised = any(parameter.requires_grad for parameter in context.representation.parameters())
    if not penalty.requires_grad and optimised and bool(penalty.isfinite()) and bool(penalty != 0):
        raise StepError(
            f"{place}: penalty() returned {float(penalty):.4g} without a graph, so that it moves nothing; compute it from "
            "context's tensors without detach(), item() or torch.no_grad()"
        )
    return penalty.reshape(())


def finite(figures: dict[str, float], step: Step) -> dict[str, float]:
    """The figures of a step.

    Raises:
        StepError: a term's value or gradient is nan or inf; the line names the first.
    """
    for name, value in figures.items():
        if not math.isfinite(value) and name.rpartition(".")[2] in ("value", "gradient"):
            term = name.rpartition(".")[0]
            raise StepError(
                f"step {step.index}: {name} is {value}: the run stops before it moves anything; look at {term}, "
                f"lower its weight or the learning rate, or remove it with {term}=null"
            )
    return figures


@contextmanager
def blamed(place: str) -> Iterator[None]:
    """Whatever a plug-in raises is told as its own; a user's mistake and what the machine lacks pass."""
    try:
        yield
    except (UserError, MemoryError, OSError):
        raise
    except (Exception, SystemExit) as error:  # a plug-in does not end the program
        raise StepError(f"{place}: {type(error).__name__}: {error}") from error
