"""Adan (arXiv 2208.06677, algorithm 1), which torch lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import Optimizer


class Adan(Optimizer):
    """Adaptive Nesterov momentum. `betas` as the authors' code writes them: the share that is kept, (0.98, 0.92, 0.99)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, ...] = (0.98, 0.92, 0.99),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """m: mean of g; v: mean of g - g'; n: mean square of g + b2 (g - g'), each corrected for its start at zero.

        theta <- (theta - lr (m + b2 v) / (sqrt(n) + eps)) / (1 + lr decay); g' is the last step's gradient.
        """
        for group in self.param_groups:
            b1, b2, b3 = group["betas"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = torch.tensor(0.0)
                    state |= {key: torch.zeros_like(p) for key in ("exp_avg", "exp_avg_diff", "exp_avg_sq")}
                    state["last_grad"] = p.grad.clone()
                state["step"] += 1
                count = float(state["step"])
                change = p.grad - state["last_grad"]
                state["exp_avg"].lerp_(p.grad, 1 - b1)
                state["exp_avg_diff"].lerp_(change, 1 - b2)
                look = p.grad + b2 * change
                state["exp_avg_sq"].mul_(b3).addcmul_(look, look, value=1 - b3)
                state["last_grad"].copy_(p.grad)
                ahead = state["exp_avg"] / (1 - b1**count) + b2 * state["exp_avg_diff"] / (1 - b2**count)
                size = (state["exp_avg_sq"] / (1 - b3**count)).sqrt_().add_(group["eps"])
                p.addcdiv_(ahead, size, value=-group["lr"]).div_(1 + group["lr"] * group["weight_decay"])
