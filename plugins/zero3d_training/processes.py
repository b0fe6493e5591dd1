"""One process or many: Hugging Face accelerate behind the few words that the trainer needs."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.errors import RecipeError, RunError
from zero3d.interfaces import TrainableDenoiser, TrainingBatch
from zero3d_training.options import StageOptions, TrainOptions


class Objective(nn.Module):
    """A stage's loss as a module's forward pass, which is where DistributedDataParallel and autocast take hold."""

    def __init__(self, denoiser: TrainableDenoiser, stage: str, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self._denoiser, self._stage = denoiser, stage

    def forward(self, batch: TrainingBatch, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        return self._denoiser.training_loss(batch, self._stage, generator)


class Processes:
    """This process among those that accelerate's launcher started, or alone."""

    def __init__(self, options: TrainOptions) -> None:
        """Raises RecipeError where the machine cannot do the precision that is asked for."""
        from accelerate import Accelerator, DistributedDataParallelKwargs

        # a stage may leave parts of its network unused in a step
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        try:
            self._accelerator: Any = Accelerator(
                cpu=options.device == "cpu", mixed_precision=options.mixed_precision, kwargs_handlers=[unused]
            )
        except ValueError as error:
            reason = str(error).splitlines()[0]
            raise RecipeError(f"mixed_precision: {options.mixed_precision}: {reason}; set mixed_precision=no") from None
        self.rank: int = self._accelerator.process_index
        self.world: int = self._accelerator.num_processes
        self.main = self.rank == 0
        self.device: torch.device = self._accelerator.device

    def share(self, stage: StageOptions, name: str) -> int:
        """Objects of a micro-batch, over all processes.

        Raises:
            RunError: the batch cannot be shared out evenly.
        """
        parts = self.world * stage.accumulate
        if stage.batch % parts:
            raise RunError(
                f"stages.{name}.batch: {stage.batch} objects cannot be shared evenly by {self.world} process(es) with "
                f"{stage.accumulate} micro-batch(es) each; give a multiple of {parts}"
            )
        return stage.batch // stage.accumulate

    def prepare(self, objective: Objective, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Both on this process's device; the module averages gradients over processes."""
        model, prepared = self._accelerator.prepare(objective, optimizer)
        return model, prepared

    def last(self, model: nn.Module, is_last: bool) -> AbstractContextManager[Any]:
        """Around a micro-batch: gradients travel with the last one alone."""
        quiet: AbstractContextManager[Any] = nullcontext() if is_last else self._accelerator.no_sync(model)
        return quiet

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def clip(self, parameters: list[nn.Parameter], largest: float) -> Tensor:
        """The gradient's norm before it is cut to `largest` (0: it is not cut)."""
        norm: Tensor = self._accelerator.clip_grad_norm_(parameters, largest or float("inf"))
        return norm

    def mean(self, value: Tensor) -> float:
        """Over processes."""
        reduced: Tensor = self._accelerator.reduce(value.detach(), "mean")
        return float(reduced)

    def total(self, value: int) -> int:
        """The sum over processes."""
        return round(self.mean(torch.tensor(float(value), device=self.device)) * self.world)

    def wait(self) -> None:
        """For all others."""
        self._accelerator.wait_for_everyone()

    def scaler(self) -> dict[str, float]:
        """The state of fp16's gradient scaler that changes; nothing without one."""
        scaler = self._accelerator.scaler
        state = scaler.state_dict() if scaler is not None else {}
        return {name: float(state[name]) for name in ("scale", "_growth_tracker") if name in state}

    def restore_scaler(self, state: dict[str, Tensor]) -> None:
        """Set it back."""
        scaler = self._accelerator.scaler
        if scaler is not None and state:
            kept = scaler.state_dict()
            scaler.load_state_dict(
                {**kept, "scale": float(state["scale"]), "_growth_tracker": int(state["_growth_tracker"])}
            )
