"""The laws of a denoiser that can be trained."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import Denoiser, TrainableDenoiser, TrainingBatch
from zero3d.testing.laws.common import Laws


def training_batch(size: int = 64, targets: int = 2, grid: int = 32, extent: float = 0.6) -> TrainingBatch:
    """One object, a red cube of side 0.6 seen from around, as good as a silhouette in the middle: for a loss, no more.

    Args:
        size: pixels of a view.
        targets: how many target views.
        grid: cells a side of the occupancy.
        extent: half the side of its cube, world units.
    """
    low, high = round(0.3 * size), round(0.7 * size)
    rgba = torch.zeros(1, size, size, 4)
    rgba[:, low:high, low:high] = torch.tensor([0.9, 0.2, 0.1, 1.0])
    places = (((torch.arange(grid) + 0.5) / grid * 2 - 1) * extent).abs() < 0.3
    solid = places[:, None, None] & places[None, :, None] & places[None, None, :]
    cameras = orbit(20.0, 360 * torch.arange(targets) / targets, size)
    return TrainingBatch(
        input_rgba=rgba,
        input_cameras=orbit(10.0, 0.0, size),
        target_rgba=rgba.expand(targets, -1, -1, -1),
        target_cameras=cameras,
        occupancy=solid.float()[None],
        extent=extent,
        seeds=torch.arange(targets),
    )


def check_trainable_denoiser(
    denoiser: TrainableDenoiser,
    batch: TrainingBatch | None = None,
    reload: Callable[[Path], Denoiser] | None = None,
    suffix: str = ".safetensors",
) -> None:
    """The laws of training, beside those of a denoiser (`check_denoiser`). Call it from a test.

    - Its stages have names, each once, and `trainable` gives a module with parameters to fit.
    - A stage's loss is a finite scalar; the same generator gives the same loss, and nothing else is drawn from; the
      figures are finite floats.
    - Its gradient reaches the stage's module and no other stage's, and a small step down it lowers the loss.
    - `save` writes what `load` reads: a reloaded denoiser has the same parameters.

    Args:
        denoiser: fresh or loaded; its parameters are moved and put back.
        batch: what to fit; `training_batch` if None.
        reload: how to make one from the file that `save` wrote; None: that law is not asked.
        suffix: of that file's name.
    """
    laws = Laws(type(denoiser))
    stages = denoiser.stages
    laws("stages have names, each once", 0 < len(stages) == len(set(stages)), f"stages = {stages!r}")
    batch = batch or training_batch(denoiser.picture_resolution)
    for stage in stages:
        _stage(laws, denoiser, batch, stage)
    if reload is None:
        return
    law = "save writes what load reads"
    with tempfile.TemporaryDirectory() as folder, laws.runs(law, "save() or load() fails"):
        path = Path(folder) / f"weights{suffix}"
        denoiser.save(str(path))
        other = reload(path)
        other.load(torch.device("cpu"))
    assert isinstance(other, TrainableDenoiser), "reload makes a TrainableDenoiser"
    for stage in stages:
        pairs = zip(denoiser.trainable(stage).parameters(), other.trainable(stage).parameters(), strict=True)
        close = all(torch.allclose(a, b, rtol=1e-2, atol=1e-4) for a, b in pairs)
        laws(law, close, f"stage {stage!r} has other parameters than were saved")


def _stage(laws: Laws, denoiser: TrainableDenoiser, batch: TrainingBatch, stage: str) -> None:
    parameters = [p for p in denoiser.trainable(stage).parameters() if p.requires_grad]
    laws(
        "a stage has parameters to fit", len(parameters) > 0, f"trainable({stage!r}) has none that requires a gradient"
    )

    def loss() -> tuple[Tensor, dict[str, float]]:
        return denoiser.training_loss(batch, stage, torch.Generator().manual_seed(0))

    with laws.own_randomness("the generator"), laws.runs("a stage has a loss", f"training_loss of {stage!r} fails"):
        value, figures = loss()
    good = value.ndim == 0 and bool(torch.isfinite(value))
    laws("the loss is a finite scalar", good, f"of {stage!r}: shape {tuple(value.shape)}, {value.detach()}")
    for name, figure in figures.items():
        good = isinstance(figure, float) and math.isfinite(figure)
        laws("figures are finite floats", good, f"{name!r} of {stage!r} is {figure!r}")
    laws("the loss is differentiable", value.requires_grad, f"that of {stage!r} carries no graph")
    _reaches(laws, denoiser, stage, value, parameters)
    after, again = _moved(parameters, lambda: float(loss()[0]))
    first = float(value.detach())
    laws("same generator, same loss", math.isclose(again, first, rel_tol=1e-5), f"{again} and {first}")
    laws("a step down the gradient lowers the loss", after < again, f"of {stage!r}: {again:.6g} becomes {after:.6g}")


def _reaches(
    laws: Laws, denoiser: TrainableDenoiser, stage: str, loss: Tensor, parameters: list[torch.nn.Parameter]
) -> None:
    modules = {other: denoiser.trainable(other) for other in denoiser.stages if other != stage}
    own = {id(parameter) for parameter in parameters}
    for other in [*modules, stage]:  # the stage itself last: `trainable` may freeze the others
        for parameter in denoiser.trainable(other).parameters():
            parameter.grad = None
    loss.backward()  # type: ignore[no-untyped-call]
    told = [parameter for parameter in parameters if parameter.grad is not None]
    moving = any(float(p.grad.abs().max()) > 0 for p in told if p.grad is not None)
    laws("the gradient reaches the stage's module", moving, f"no parameter of {stage!r} has one")
    finite = all(bool(torch.isfinite(p.grad).all()) for p in told if p.grad is not None)
    laws("the gradient is finite", finite, f"that of {stage!r} holds nan or inf")
    for other, module in modules.items():
        strays = any(p.grad is not None and bool(p.grad.any()) for p in module.parameters() if id(p) not in own)
        laws("a stage fits its own module alone", not strays, f"the loss of {stage!r} reaches the module of {other!r}")


def _moved(parameters: list[torch.nn.Parameter], loss: Callable[[], float]) -> tuple[float, float]:
    """The loss after a small step down the gradient, and before it."""
    kept = [parameter.detach().clone() for parameter in parameters]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    squared = float(torch.stack([g.double().square().sum() for g in gradients]).sum())
    with torch.no_grad():
        before = loss()
        after = before
        for share in (1e-1, 1e-2, 1e-3):  # of the loss itself; where the first is too far, the next is not
            step = share * abs(before) / max(squared, 1e-20)
            for parameter, start, gradient in zip(parameters, kept, gradients, strict=True):
                parameter.copy_(start - step * gradient)
            after = loss()
            if after < before:
                break
        for parameter, start in zip(parameters, kept, strict=True):
            parameter.copy_(start)
            parameter.grad = None
    return after, before
