"""Muon for matrices, AdamW for the rest: lower losses from as many examples, where these are what a CPU lacks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
LEAST = 8
"""Rows and columns of the smallest matrix that is worth it; smaller ones, biases and scales are AdamW's."""
STEPS = 5
"""Newton-Schulz iterations."""
POLYNOMIAL = (3.4445, -4.775, 2.0315)
"""Of X, X X^T X and (X X^T)^2 X; its fast rise brings every singular value to about 1, within 0.3."""
LIKE_ADAMW = 0.2
"""Root mean square of an update at learning rate 1, as AdamW's is: so both take the same rate."""


class Muon(torch.optim.AdamW):
    """Steps of equal size in all directions of a weight matrix: its momentum with every singular value set to one.

    After Jordan et al. 2024 (kellerjordan.github.io/posts/muon), with the scale of Liu et al. 2025 (arXiv 2502.16982).
    A convolution's kernel is a matrix of output channels and all the rest. Groups may have what AdamW's may; `step`
    takes the gradients of the matrices, whose `grad` is None after it.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        assert closure is None, "not with a closure"
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None and is_matrix(parameter):
                    alike[parameter.flatten(1).shape].append(parameter)
            for parameters in alike.values():
                self._step(parameters, group["lr"], group["weight_decay"])
        return super().step()

    def _step(self, parameters: list[nn.Parameter], rate: float, decay: float) -> None:
        """Matrices of one shape at once: a GPU is slow to be told of many small products."""
        ahead = torch.stack([one.flatten(1) for one in self._ahead(parameters)])
        updates = orthogonal(ahead, precision(ahead)) * (LIKE_ADAMW * max(ahead.shape[1:]) ** 0.5)
        shaped = [update.reshape(parameter.shape) for update, parameter in zip(updates, parameters, strict=True)]
        moved: list[Tensor] = list(parameters)
        torch._foreach_mul_(moved, 1 - rate * decay)
        torch._foreach_sub_(moved, shaped, alpha=rate)
        for parameter in parameters:
            parameter.grad = None  # AdamW's own step passes over it

    def _ahead(self, parameters: list[nn.Parameter]) -> Sequence[Tensor]:
        """Nesterov's momenta, after this step's gradients."""
        for parameter in parameters:
            state = self.state[parameter]
            if not state:
                state["step"] = torch.zeros(())  # AdamW looks for it when a state is loaded
                state["momentum"] = torch.zeros_like(parameter)
            state["step"] += 1
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        momenta = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        return torch._foreach_lerp(gradients, momenta, MOMENTUM)


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon steps it."""
    return parameter.ndim > 1 and min(parameter.shape[0], parameter[0].numel()) >= LEAST


def precision(matrices: Tensor) -> torch.dtype:
    """What the iteration is computed in: on any GPU bfloat16, as by Jordan; the polynomial forgives it."""
    return torch.bfloat16 if matrices.is_cuda else matrices.dtype


def orthogonal(matrices: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """(B, M, N), each with its singular vectors kept and its singular values brought near 1; computed in `dtype`."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = (x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)).to(dtype or x.dtype)
    a, b, c = POLYNOMIAL
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x if wide else x.mT).to(matrices.dtype)
