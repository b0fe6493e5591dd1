"""The run's optimizer: torch's algorithms and Adan, rates by schedule, and rows that come and go with their moments."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zero3d.engine.adan import Adan
from zero3d.errors import RecipeError, StepError
from zero3d.parts import optimizer_group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from zero3d.interfaces import Representation
    from zero3d.recipe import OptimizerOptions
    from zero3d.values import Step


OF_TORCH = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamax": torch.optim.Adamax, "sgd": torch.optim.SGD}
"""The algorithms but Adan."""
SHARED = "shared_moment"
"""Of a group: see `Representation.param_groups`."""


class Optimizer:
    """Descends on a representation's groups, and on `others` (a learned background) at the recipe's own rate."""

    def __init__(
        self, options: OptimizerOptions, representation: Representation, others: Iterable[nn.Parameter] = ()
    ) -> None:
        """
        Raises:
            RecipeError: a group gives "lr" itself, or a scale that is no schedule.
        """
        self.options, self._rate = options, options.rate
        self._representation = representation
        groups = [optimizer_group(group, representation.name) for group in representation.param_groups()]
        extra = list(others)
        self.torch = _make(options, [*groups, *([optimizer_group({"params": extra}, "")] if extra else [])])

    def step(self, step: Step) -> None:
        """Descend on the gradients that are there, each group at its rate of this step."""
        rate = self._rate(step)
        for group in self.torch.param_groups:  # at a rate of 0 torch updates the moments alone
            group["lr"] = 0.0 if group.get(SHARED) else rate * group["lr_scale"](step)
        with torch.no_grad():
            self.torch.step()
            for group in filter(lambda group: group.get(SHARED), self.torch.param_groups):
                self._descend_together(group, rate * group["lr_scale"](step))

    def _descend_together(self, group: dict[str, Any], rate: float) -> None:
        """Adam's step from the moments that it has just updated, with one second moment for all of a parameter's numbers.

        As in Adam-mini (arXiv 2406.16793), the mean of the numbers' own, here of those that had a gradient.
        """
        for parameter in group["params"]:
            if (state := self.torch.state[parameter]) and parameter.grad is not None:
                first, second = (1 - beta ** float(state["step"]) for beta in group["betas"])
                square = state["exp_avg_sq"]
                size = (square.sum() / square.count_nonzero().clamp(min=1) / second).sqrt() + group["eps"]
                parameter -= rate / first * state["exp_avg"] / size

    def zero_grad(self) -> None:
        self.torch.zero_grad(set_to_none=True)

    def rearrange(self, name: str, rows: Tensor, new: Tensor | None = None) -> None:
        """See `RowOptimizer`."""
        parameter = self._representation.get_parameter(name)
        count, rows = len(parameter), rows.to(parameter.device)
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < count:
            raise IndexError(f"rearrange({name!r}): rows must lie in 0 to {count - 1}")
        for key, value in self._moments(parameter).items():
            moved = value.index_select(0, rows)
            if new is not None:
                moved[new.to(moved.device)] = 0
            self.torch.state[parameter][key] = moved
        parameter.data = parameter.data.index_select(0, rows)
        parameter.grad = None

    def reset(self, name: str, rows: Tensor | None = None) -> None:
        """See `RowOptimizer`."""
        parameter = self._representation.get_parameter(name)
        for value in self._moments(parameter).values():
            value[slice(None) if rows is None else rows] = 0

    def _moments(self, parameter: Tensor) -> dict[str, Tensor]:
        """What the algorithm keeps of each number of the parameter, by its name there."""
        state = self.torch.state.get(parameter, {})
        return {key: kept for key, kept in state.items() if isinstance(kept, Tensor) and kept.shape == parameter.shape}

    def check(self, index: int) -> None:
        """Hold the parameters and moments against the representation's after a step.

        Raises:
            StepError: a parameter was replaced or changed its size past `rearrange`.
        """
        held = {id(p) for group in self.torch.param_groups for p in group["params"]}
        for name, parameter in self._representation.named_parameters():
            if parameter.requires_grad and id(parameter) not in held:
                raise StepError(
                    f"{self._place(index, name)} is new or was replaced, so that nothing optimises it; "
                    "change rows by optimizer.rearrange"
                )
            for key, value in self.torch.state.get(parameter, {}).items():
                if isinstance(value, Tensor) and key != "step" and value.shape != parameter.shape:
                    raise StepError(
                        f"{self._place(index, name)} became {tuple(parameter.shape)}, its moments are "
                        f"{tuple(value.shape)}; change rows by optimizer.rearrange"
                    )

    def check_finite(self, index: int) -> None:
        """Read all parameters, which takes as long as some of the step's own parts: not in every one.

        Raises:
            StepError: the updates up to step `index` left one of them nan or inf; or see `check`.
        """
        self.check(index)
        sums = [p.detach().sum(dtype=torch.float32) for p in self._representation.parameters()]
        if sums and not bool(torch.isfinite(torch.stack(sums)).all()):
            names = [n for n, p in self._representation.named_parameters() if not bool(torch.isfinite(p).all())]
            if names:
                raise StepError(
                    f"step {index}: the optimizer's update made {', '.join(names)} of the representation nan or inf; "
                    "lower optimizer.lr or raise optimizer.eps"
                )

    def _place(self, index: int, name: str) -> str:
        return f"step {index}: representation {self._representation.name!r}: parameter {name!r}"

    def state_dict(self) -> dict[int, dict[str, Any]]:
        """Per parameter, in the groups' order: its moments and counters."""
        found: dict[int, dict[str, Any]] = self.torch.state_dict()["state"]
        return found

    def load_state_dict(self, state: Mapping[int, Mapping[str, Any]]) -> None:
        """Go on from `state_dict`; moments get the layout of their parameter, so that sums round as they did before.

        Raises:
            ValueError: a moment has another shape than its parameter.
        """
        parameters = [parameter for group in self.torch.param_groups for parameter in group["params"]]
        for index, own in state.items():
            for name, value in own.items():
                shape = parameters[index].shape
                if isinstance(value, Tensor) and value.numel() != 1 and value.shape != shape:
                    raise ValueError(f"optimizer.{index}.{name} is {list(value.shape)}, its parameter {list(shape)}")
        self.torch.load_state_dict({"state": state, "param_groups": self.torch.state_dict()["param_groups"]})
        for parameter, values in self.torch.state.items():
            for name, value in self._moments(parameter).items():
                if value.stride() != parameter.stride():
                    values[name] = torch.empty_like(parameter).copy_(value)


def _make(options: OptimizerOptions, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {"lr": 0.0, "weight_decay": options.weight_decay}
    if options.type != "sgd":
        settings |= {"eps": options.eps, "betas": options.kept}
    if options.type in ("adam", "adamw"):
        settings["fused"] = True
    if options.type != "adam" and any(group.get(SHARED) for group in groups):
        raise RecipeError(f"optimizer.type: {options.type!r}; adam, for the representation's {SHARED}")
    return _uncompiled(OF_TORCH.get(options.type, Adan))(groups, **settings)


WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict", "step")


@functools.cache
def _uncompiled(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The algorithm with its methods as they are inside what torch wraps about them for its compiler.

    Those wrappers import torch._dynamo, which takes as long as torch itself, and nothing here is compiled. The one about
    `step` switches gradients off as well: the caller does.
    """
    return type(kind.__name__, (kind,), {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED})
