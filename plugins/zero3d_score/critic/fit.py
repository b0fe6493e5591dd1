"""How a critic is trained: AdamW of its own, whose moments are state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from zero3d.diffusion import broadcast
from zero3d.errors import StepError
from zero3d_score.critic.base import Critic

MOMENTS = {"exp_avg": "first", "exp_avg_sq": "second"}
HALF_SCALE = 2.0**12
"""What multiplies the loss through a network in half precision, whose small gradients are 0 otherwise; a power of 2."""

LOSSES = ("v", "eps")


def critic_loss(x0: Tensor, y: Tensor, sigma: Tensor, unit: float, kind: str) -> Tensor:
    """The mean squared error in v or in eps of the variance-preserving form, by that of x0.

    With s = sigma / unit, eps - n = -(D - y) / sigma and v_phi - v = -(D - y) sqrt(1 + s^2) / sigma.
    """
    s = sigma / unit
    weight = (1 + s**2 if kind == "v" else torch.ones_like(s)) / s**2
    return (broadcast(weight, y) * ((x0 - y) / unit).square()).mean()


class Fit:
    """A critic with AdamW and how many updates it has had."""

    def __init__(
        self, critic: Critic, lr: float, warmup: int, weight_decay: float, betas: tuple[float, float], eps: float
    ) -> None:
        self.critic, self.updates, self.skipped = critic, 0, 0
        self._lr, self._warmup = lr, warmup
        self.trained = critic.trained()
        options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay, "betas": betas, "eps": eps}
        self._optimizer = torch.optim.AdamW(self.trained.values(), **options)

    def update(self, loss: Tensor, half: bool, index: int) -> None:
        """One step down the loss. In half precision one whose gradient overflows is skipped, and counted.

        Raises:
            StepError: the gradient holds nan or inf.
        """
        scale = HALF_SCALE if half else 1.0
        gradients = torch.autograd.grad(scale * loss, list(self.trained.values()))
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            self.skipped += 1
            if half and self.skipped < 1000:
                return
            raise StepError(
                f"step {index}: guidance vsd: the gradient of its critic holds nan or inf; lower lr, or set warmup"
            )
        for parameter, gradient in zip(self.trained.values(), gradients, strict=True):
            parameter.grad = gradient / scale
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr * min(1.0, (self.updates + 1) / max(self._warmup, 1))
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.updates += 1

    def state_dict(self) -> dict[str, Any]:
        """phi.NAME, and first.NAME, second.NAME, once it has moved; counters."""
        state: dict[str, Any] = {"updates": self.updates, "skipped": self.skipped}
        for name, parameter in self.trained.items():
            state[f"phi.{name}"] = parameter.detach()
            for key, short in MOMENTS.items() if self.updates else ():
                state[f"{short}.{name}"] = self._optimizer.state[parameter][key]
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Raises ValueError if it is that of another critic."""
        updates = int(state["updates"])
        kinds = ["phi", *(MOMENTS.values() if updates else ())]
        for name, parameter in self.trained.items():
            for full in (f"{kind}.{name}" for kind in kinds):
                found = state.get(full)
                if not isinstance(found, Tensor) or found.shape != parameter.shape:
                    raise ValueError(
                        f"{full} is {'missing' if found is None else 'of another shape'}: another critic's"
                    )
        for name, parameter in self.trained.items():
            with torch.no_grad():
                parameter.copy_(state[f"phi.{name}"])
            if updates:
                moments = {key: state[f"{short}.{name}"].to(parameter).clone() for key, short in MOMENTS.items()}
                self._optimizer.state[parameter] = {"step": torch.tensor(float(updates)), **moments}
        self.updates, self.skipped = updates, int(state.get("skipped", 0))
