"""The trainer on a tiny denoiser and dataset: it learns, writes weights, and resumes exactly."""

import json

import pytest
import torch
from torch import nn

from zero3d.errors import RecipeError, RunError
from zero3d.geometry import orbit
from zero3d.interfaces import Dataset, PixelDenoiser, TrainableDenoiser, TrainingBatch
from zero3d.plugins import load_plugins
from zero3d_training import state
from zero3d_training.options import AdamWOptions, StageOptions, TrainOptions, load_train_recipe
from zero3d_training.trainer import WEIGHTS, Trainer, learning_rate


class Plane(PixelDenoiser, TrainableDenoiser):
    """Learns the mean colour, then a scale of it."""

    name = "plane"
    stages = ("shift", "scale")
    resolution = picture_resolution = 4

    def __init__(self):
        super().__init__(None)
        self.shift, self.scale = nn.Linear(3, 3), nn.Linear(3, 3)

    def condition(self, picture, input_camera):
        return None

    def denoise(self, noised, sigma, condition, cameras, guidance_scale):
        return self.scale(self.shift(noised))

    def trainable(self, stage):
        torch.nn.init.normal_(getattr(self, stage).weight, std=0.3)
        torch.nn.init.zeros_(getattr(self, stage).bias)
        return getattr(self, stage)

    def training_loss(self, batch, stage, generator):
        noise = torch.randn(batch.target_rgba[..., :3].shape, generator=generator)
        guess = self.denoise(batch.target_rgba[..., :3] + 0.1 * noise, None, None, None, 1.0)
        return (guess - batch.target_rgba[..., :3]).square().mean(), {}

    def save(self, path):
        from safetensors.torch import save_file

        save_file({"shift": self.shift.weight.detach().clone(), "scale": self.scale.weight.detach().clone()}, path)


class Colours(Dataset):
    """Plain colours."""

    name = "colours"

    def prepare(self, progress=True):
        pass

    def batch(self, size, targets, generator):
        views = size * targets
        rgba = torch.rand(views, 1, 1, 4, generator=generator).expand(-1, 4, 4, -1)
        return TrainingBatch(rgba[:size], orbit(0.0, 0.0, 4), rgba, orbit(0.0, torch.zeros(views), 4))


def trainer(seed=0):
    stages = {"shift": StageOptions(30, 2, 2, 0.01, 3), "scale": StageOptions(20, 2, 2, 0.01, 3)}
    return Trainer(Plane(), Colours(None), stages, TrainOptions("x", seed, 0.9, every=7, log_every=5))


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / WEIGHTS)


@pytest.mark.parametrize("killed_at", [9, 30, 44])
def test_a_killed_run_ends_as_the_whole_one(tmp_path, monkeypatch, killed_at):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    trainer().run(whole)
    victim = trainer()
    calls = iter(range(10**6))
    loss = victim.denoiser.training_loss

    def dying(*arguments):
        if next(calls) == killed_at:
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(victim.denoiser, "training_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        victim.run(broken)
    trainer(seed=0).run(broken, resume=True)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(broken)[name]), name
    lines = [[json.loads(line) for line in (f / "metrics.jsonl").read_text().splitlines()] for f in (whole, broken)]
    assert lines[0] == lines[1]


def test_it_learns(tmp_path):
    seen = []
    trainer().run(tmp_path, tell=lambda stage, step, figures: seen.append(figures["loss"]))
    assert seen[-1] < 0.7 * seen[0]


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    (tmp_path / state.NAME).write_bytes(b"no")
    with pytest.raises(RunError, match="damaged"):
        trainer().run(tmp_path, resume=True)
    with pytest.raises(RunError, match="no checkpoint"):
        state.read(tmp_path / "elsewhere")


def test_learning_rate():
    stage = StageOptions(steps=100, lr=1.0, warmup=10, final=0.1)
    assert learning_rate(0, stage) == 0
    assert learning_rate(100, stage) == pytest.approx(0.1)
    assert max(learning_rate(step, stage) for step in range(100)) < 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.lift.stepz=3", "steps"),
        ("stages.lift.steps=0", "at least 1"),
        ("dataset.type=procedurel", "procedural"),
        ("optimizr={}", "optimizer"),
    ],
)
def test_mistakes_are_named(override, message):
    with pytest.raises(RecipeError, match=message):
        load_train_recipe("recipes/train-nano.yaml", load_plugins(), [override])


def test_options_refuse_nonsense():
    with pytest.raises(ValueError, match="betas"):
        AdamWOptions(betas=[0.9])
    with pytest.raises(ValueError, match="ema"):
        TrainOptions(ema=1.0)
