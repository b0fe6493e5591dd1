"""What a term answers, held against what it may: plug-ins fail in one line that names the term and the step."""

from __future__ import annotations

import math
import traceback
from typing import TYPE_CHECKING

import torch

from zero3d.errors import StepError, UserError
from zero3d.values import Cameras, LossContext, Step, View, ViewGradient

if TYPE_CHECKING:
    from zero3d.parts import GuidanceTerm, RegularizerTerm


def own_cameras(term: GuidanceTerm, step: Step) -> Cameras | None:
    """The views that a guidance wants for itself.

    Raises:
        StepError: it failed, or answered something else.
    """
    with blamed(step, term.views):
        cameras = term.cameras(step)
    if cameras is not None and not isinstance(cameras, Cameras):
        told = f"cameras() returned {type(cameras).__name__}; return Cameras, or None for the novel ones"
        raise StepError(f"step {step.index}: {term.views}: {told}")
    return cameras


def answered(term: GuidanceTerm, view: View, cameras: Cameras, step: Step) -> ViewGradient:
    """A guidance's gradients on `view`, whose shapes they have.

    Raises:
        StepError: it failed, or answered something else.
    """
    place = f"step {step.index}: {term.views}"
    with blamed(step, term.views):
        answer = term.guidance.gradient(view, cameras, step.scoped(term.views))
    if not isinstance(answer, ViewGradient):
        raise StepError(f"{place}: gradient() returned {type(answer).__name__}; return a ViewGradient")
    for name, gradient in answer.gradients.items():
        field = view.get(name)
        if field is None:
            raise StepError(f"{place}: a gradient of {name!r}, which the view lacks; name it in `needs`")
        if not isinstance(gradient, torch.Tensor) or gradient.shape != field.shape:
            found = tuple(gradient.shape) if isinstance(gradient, torch.Tensor) else type(gradient).__name__
            raise StepError(f"{place}: the gradient of {name!r} is {found}; it needs {tuple(field.shape)}")
    return answer


def regularized(term: RegularizerTerm, context: LossContext) -> torch.Tensor:
    """A regularizer's penalty, a scalar.

    Raises:
        StepError: it failed, answered something else, or a number other than 0 that nothing optimised moves.
    """
    place = f"step {context.step.index}: regularizers.{term.label}"
    with blamed(context.step, f"regularizers.{term.label}"):
        penalty = term.regularizer.penalty(context)
    if not isinstance(penalty, torch.Tensor) or penalty.numel() != 1:
        found = f"shape {tuple(penalty.shape)}" if isinstance(penalty, torch.Tensor) else type(penalty).__name__
        raise StepError(f"{place}: penalty() returned {found}; return a tensor of one number")
    told = not penalty.requires_grad and bool(penalty.isfinite()) and bool(penalty != 0)
    if told and any(parameter.requires_grad for parameter in context.representation.parameters()):
        raise StepError(
            f"{place}: penalty() returned {float(penalty):.4g} without a graph, so that it moves nothing; compute it from "
            "context's tensors without detach(), item() or torch.no_grad()"
        )
    return penalty.reshape(()) if penalty.ndim else penalty


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


class blamed:
    """With this about it, whatever a plug-in raises is told as its own; a user's mistake and what the machine lacks pass."""

    def __init__(self, step: Step, place: str) -> None:
        self.step, self.place = step, place

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        # a plug-in does not end the program
        if isinstance(error, (Exception, SystemExit)) and not isinstance(error, (UserError, MemoryError, OSError)):
            # the plug-in's, not one of torch's below it; the first is the engine's
            last = [f for f in traceback.extract_tb(error.__traceback__) if torch.__path__[0] not in f.filename][-1]
            told = f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
            raise StepError(f"step {self.step.index}: {self.place}: {told}") from error
