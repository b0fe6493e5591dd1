"""The optimizers a recipe may name, all from torch."""

from __future__ import annotations

import torch

from zero3d.interfaces import Representation
from zero3d.recipe import OptimizerOptions
from zero3d.values import Step


def make_optimizer(options: OptimizerOptions, representation: Representation) -> torch.optim.Optimizer:
    """An optimizer over the representation's groups; a group's "lr_scale" multiplies the recipe's rate."""
    groups = [{"lr_scale": 1.0, **group} for group in representation.param_groups()]
    betas = (options.betas[0], options.betas[1])
    if options.type == "adam":
        return torch.optim.Adam(groups, lr=0.0, betas=betas, eps=options.eps, fused=True)
    if options.type == "adamax":
        return torch.optim.Adamax(groups, lr=0.0, betas=betas, eps=options.eps)
    return torch.optim.SGD(groups, lr=0.0)


def set_learning_rate(optimizer: torch.optim.Optimizer, options: OptimizerOptions, step: Step) -> None:
    """Give each group the schedule's rate for this step."""
    rate = options.rate(step)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
