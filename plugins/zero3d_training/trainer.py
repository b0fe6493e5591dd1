"""Fit a TrainableDenoiser to a Dataset, stage by stage; a killed run goes on exactly where its checkpoint stands."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from zero3d.folder import MetricsLog
from zero3d.interfaces import Dataset, TrainableDenoiser
from zero3d.random import Generators
from zero3d_training import state
from zero3d_training.options import StageOptions, TrainOptions

WEIGHTS = "weights.safetensors"
"""The result's name in the out folder, in the denoiser's own form."""


class Average:
    """Exponential moving average of a module's parameters and buffers; its decay rises from 0.1 to `decay`."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: nn.Module, step: int) -> None:
        """After optimizer step number `step` (1 is the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.values[name].lerp_(value.detach(), 1 - decay)
            else:
                self.values[name].copy_(value)


def learning_rate(step: int, stage: StageOptions) -> float:
    """Linear from 0 to lr over `warmup` steps, times a cosine from 1 to `final` over all steps."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / stage.steps)))
    warm = min(1.0, step / stage.warmup) if stage.warmup else 1.0
    return stage.lr * warm * (stage.final + (1 - stage.final) * cosine)


class Trainer:
    """Runs the stages in order, each with a fresh AdamW and average; a finished stage keeps its averaged weights."""

    def __init__(
        self, denoiser: TrainableDenoiser, dataset: Dataset, stages: dict[str, StageOptions], options: TrainOptions
    ) -> None:
        self.denoiser, self.dataset, self.stages, self.options = denoiser, dataset, stages, options
        self.generators = Generators(options.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.modules = {name: denoiser.trainable(name) for name in stages}

    def run(
        self, out: Path, resume: bool = False, tell: Callable[[str, int, dict[str, float]], None] | None = None
    ) -> Path:
        """Train all stages and write the weights; returns their file.

        Args:
            out: an existing folder for checkpoint, log and weights.
            resume: go on from the checkpoint in `out`.
            tell: called with stage, step and figures whenever they are logged.

        Raises:
            RunError: the checkpoint is missing, damaged, or of another recipe.
        """
        names = list(self.stages)
        at = state.read(out) if resume else None
        first = names.index(at.stage) if at else 0
        if at:
            state.restore_modules(at, self.modules, self.generators)
        log = MetricsLog(out, self._before(first) + (at.step if at else 0))
        for index in range(first, len(names)):
            self._stage(names[index], out, at if index == first else None, log, self._before(index), tell)
        log.close()
        self.denoiser.save(str(out / WEIGHTS))
        return out / WEIGHTS

    def _before(self, index: int) -> int:
        """Steps of the stages before stage number `index`."""
        return sum(stage.steps for stage in list(self.stages.values())[:index])

    def _stage(
        self,
        name: str,
        out: Path,
        at: state.State | None,
        log: MetricsLog,
        before: int,
        tell: Callable[[str, int, dict[str, float]], None] | None,
    ) -> None:
        stage, options, module = self.stages[name], self.options, self.modules[name]
        module.requires_grad_(True)
        adamw = options.optimizer
        parameters = list(module.parameters())
        betas = (adamw.betas[0], adamw.betas[1])
        optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=betas, weight_decay=adamw.weight_decay)
        average = Average(module, options.ema)
        done = 0
        if at:
            state.restore_stage(at, optimizer, average.values)
            done = at.step
        generator = self.generators[f"train.{name}"]
        for step in range(done, stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, stage)
            loss, figures = self.denoiser.training_loss(
                self.dataset.batch(stage.batch, stage.targets, generator), name, generator
            )
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            norm: Tensor = nn.utils.clip_grad_norm_(parameters, adamw.clip)
            optimizer.step()
            average.update(module, step + 1)
            if step % options.log_every == 0 or step + 1 == stage.steps:
                figures = {"loss": float(loss.detach()), "gradient_norm": float(norm), **figures}
                log.write(before + step, {"stage": name, **figures})
                if tell:
                    tell(name, step, figures)
            if (step + 1) % options.every == 0 and step + 1 < stage.steps:
                state.write(out, name, step + 1, self.modules, optimizer, average.values, self.generators)
        module.load_state_dict(average.values)
        following = list(self.stages)[list(self.stages).index(name) + 1 :]
        if following:
            state.write(out, following[0], 0, self.modules, None, {}, self.generators)
