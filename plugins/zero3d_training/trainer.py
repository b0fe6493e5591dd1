"""Fit a TrainableDenoiser to a Dataset, stage by stage; a killed run goes on exactly where its checkpoint stands."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.errors import RecipeError, RunError
from zero3d.interfaces import Dataset, Share, TrainableDenoiser, TrainingBatch
from zero3d.random import Generators
from zero3d_training import state
from zero3d_training.average import Average
from zero3d_training.muon import Muon
from zero3d_training.options import StageOptions, TrainOptions
from zero3d_training.processes import Objective, Processes
from zero3d_training.report import Log, Report
from zero3d_training.validation import FOLDER, validate


def learning_rate(step: int, stage: StageOptions) -> float:
    """Linear from 0 to lr over `warmup` steps, times a cosine from 1 to `final` over all steps."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / stage.steps)))
    warm = min(1.0, step / stage.warmup) if stage.warmup else 1.0
    return stage.lr * warm * (stage.final + (1 - stage.final) * cosine)


class Trainer:
    """Runs the stages in order, each with a fresh optimizer and average; a finished stage keeps its averaged weights.

    Batch number n, and the random numbers of its loss, depend on the seed and n alone: that makes resuming exact, and
    several processes take the very step that one takes with the whole batch, as far as the loss draws by batch.seeds.
    """

    def __init__(
        self,
        denoiser: TrainableDenoiser,
        dataset: Dataset,
        stages: dict[str, StageOptions],
        options: TrainOptions,
        processes: Processes | None = None,
    ) -> None:
        """Loads the networks; `dataset` is prepared.

        Raises:
            RecipeError: no held-out objects to validate with.
            RunError: a batch that the processes cannot share.
        """
        self.denoiser, self.dataset, self.stages, self.options = denoiser, dataset, stages, options
        self.processes = processes or Processes(options)
        self._micro = {name: self.processes.share(stage, name) for name, stage in stages.items()}
        self._held_out: TrainingBatch | None = None
        if options.validation.every:
            self._held_out = dataset.held_out(options.validation.objects, options.validation.targets)
            if self._held_out is None:
                raise RecipeError(f"validation: {dataset.name!r} holds no objects out; remove it, or give it more data")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.modules = {name: denoiser.trainable(name) for name in stages}
        self._reports: list[Report] = []

    def run(self, out: Path, resume: bool = False, reports: Sequence[Report] = ()) -> Path:
        """Train all stages and write the weights; returns their file or folder.

        Args:
            out: an existing folder for checkpoint, log and weights.
            resume: go on from the checkpoint in `out`; from the beginning, if there is none yet.
            reports: what hears of the run beside metrics.jsonl.

        Raises:
            RunError: the checkpoint is damaged, or of another recipe; or the loss is no number any more.
        """
        names = list(self.stages)
        at = state.read(out) if resume else None
        if at and at.stage not in names:
            raise RunError(
                f"{at.path}: stands in stage {at.stage!r}, which this recipe has not; train in another folder"
            )
        first = names.index(at.stage) if at else 0
        if at:
            state.restore_modules(at, self.modules)
        done = self._before(first) + (at.step if at else 0)
        if self.processes.main:
            self._reports = [Log(out, done, self.options.tensorboard), *reports]
        try:
            for index in range(first, len(names)):
                self._stage(names[index], out, at if index == first else None)
        finally:
            for report in self._reports:
                report.close()
        path = out / self.denoiser.weights_name
        if self.processes.main:
            if path.is_dir():
                shutil.rmtree(path)  # of a run that was killed while it wrote them, or has finished before
            self.denoiser.save(str(path))
        self.processes.wait()
        return path

    def _before(self, index: int) -> int:
        """Steps of the stages before stage number `index`."""
        return sum(stage.steps for stage in list(self.stages.values())[:index])

    def _stage(self, name: str, out: Path, at: state.State | None) -> None:
        stage, options, module = self.stages[name], self.options, self.modules[name]
        before = self._before(list(self.stages).index(name))
        module.requires_grad_(True)
        optimizer = self._optimizer(name, module)
        model, optimizer = self.processes.prepare(Objective(self.denoiser, name, module), optimizer)
        average = Average(module, options.ema, lambda tensor: self.denoiser.is_averaged(name, tensor))
        done = 0
        if at:
            state.restore_stage(at, optimizer, average.values)
            self.processes.restore_scaler(at.part("scaler."))
            done = at.step
        for report in self._reports:
            report.stage(name, stage.steps, done)
        batches = self._batches(name, done)
        for step in range(done, stage.steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step, stage) * group["factor"]
            optimizer.zero_grad()
            loss, figures = self._gradient(name, step, model, batches)
            norm = self.processes.clip([p for p in module.parameters() if p.grad is not None], options.optimizer.clip)
            optimizer.step()
            average.update(module, step + 1)
            if step % options.log_every == 0 or step + 1 == stage.steps:
                self._tell(name, step, before + step, {"loss": loss, "gradient_norm": norm, **figures})
            for report in self._reports:
                report.step()
            if options.validation.every and (step + 1) % options.validation.every == 0:
                self._validate(name, step, before + step, module, average, out)
            if (step + 1) % options.every == 0 and step + 1 < stage.steps:
                self._save(out, name, step + 1, optimizer, average.values)
        module.load_state_dict(average.values)
        following = list(self.stages)[list(self.stages).index(name) + 1 :]
        if following:
            self._save(out, following[0], 0, None, {})

    def _optimizer(self, name: str, module: nn.Module) -> torch.optim.Optimizer:
        """With a group of parameters for each factor on the learning rate."""
        groups: dict[float, list[nn.Parameter]] = {}
        for parameter, value in module.named_parameters():
            groups.setdefault(self.denoiser.learning_rate_factor(name, parameter), []).append(value)
        options = self.options.optimizer
        listed: list[dict[str, Any]] = [{"params": values, "factor": factor} for factor, values in groups.items()]
        kind = Muon if options.type == "muon" else torch.optim.AdamW
        return kind(listed, lr=0.0, betas=(options.betas[0], options.betas[1]), weight_decay=options.weight_decay)

    def _batches(self, name: str, done: int) -> Iterator[TrainingBatch]:
        """This process's micro-batches from step `done` of a stage on."""
        stage, own = self.stages[name], self.processes
        seed = self.options.seed * 1000 + list(self.stages).index(name)
        share = Share(self._micro[name], stage.targets, seed, done * stage.accumulate, own.rank, own.world)
        return self.dataset.batches(share)

    def _gradient(
        self, name: str, step: int, model: nn.Module, batches: Iterator[TrainingBatch]
    ) -> tuple[Tensor, dict[str, float]]:
        """Add up the gradients of a step's micro-batches; the mean loss of this process, and the last figures."""
        accumulate = self.stages[name].accumulate
        total: Tensor = torch.zeros((), device=self.processes.device)
        figures: dict[str, float] = {}
        for micro in range(accumulate):
            batch = next(batches).to(self.processes.device)
            generator = Generators(self.options.seed)[f"train.{name}.{step}.{micro}.{self.processes.rank}"]
            with self.processes.last(model, micro + 1 == accumulate):
                loss, figures = model(batch, generator)
                self.processes.backward(loss / accumulate)
            total = total + loss.detach() / accumulate
        return total, figures

    def _tell(self, name: str, step: int, number: int, measured: dict[str, Any]) -> None:
        loss = self.processes.mean(measured["loss"])
        if not math.isfinite(loss):
            raise RunError(f"stages.{name}: the loss of step {step} is {loss}; lower lr, or set mixed_precision=no")
        figures = {key: float(value) for key, value in measured.items()} | {"loss": loss}
        skipped = self.processes.total(self.dataset.skipped)
        if skipped:
            figures["skipped"] = float(skipped)
        for report in self._reports:
            report.figures(name, step, number, figures)

    def _validate(self, name: str, step: int, number: int, module: nn.Module, average: Average, out: Path) -> None:
        """By the main process, with the averaged weights, which leave the module as they found it."""
        if self.processes.main:
            assert self._held_out is not None
            kept = {key: value.detach().clone() for key, value in module.state_dict().items()}
            training = module.training
            module.load_state_dict(average.values)
            module.eval()
            path = out / FOLDER / f"step_{number + 1:06d}.png"
            held_out = self._held_out.to(self.processes.device)
            figures = validate(self.denoiser, held_out, self.options.validation, self.options.seed, path)
            module.load_state_dict(kept)
            module.train(training)
            for report in self._reports:
                report.figures(name, step, number, figures)
                report.picture(number, path)
        self.processes.wait()

    def _save(
        self, out: Path, name: str, step: int, optimizer: torch.optim.Optimizer | None, average: dict[str, Tensor]
    ) -> None:
        if self.processes.main:
            state.write(out, name, step, self.modules, optimizer, average, self.processes.scaler())
        self.processes.wait()
