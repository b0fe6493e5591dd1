"""The trainer on a tiny denoiser and dataset: it learns, writes weights, and resumes exactly."""

import json

import numpy
import pytest
import torch
from PIL import Image
from torch import nn

from tests.plugins import training_toy
from tests.plugins.test_training_processes import RECIPE
from tests.plugins.views_data import make_folder
from zero3d.errors import RecipeError, RunError
from zero3d.geometry import orbit
from zero3d.interfaces import Dataset, PixelDenoiser, TrainableDenoiser, TrainingBatch
from zero3d.plugins import load_plugins
from zero3d.values import Subject
from zero3d_training import muon, state
from zero3d_training.average import Average
from zero3d_training.options import OptimizerOptions, StageOptions, TrainOptions, ValidationOptions, load_train_recipe
from zero3d_training.trainer import Trainer, learning_rate
from zero3d_training.validation import sample, score


class Plane(PixelDenoiser, TrainableDenoiser):
    """Learns the mean colour, then a scale of it."""

    name = "plane"
    stages = ("shift", "scale")
    resolution = picture_resolution = 4

    def __init__(self):
        super().__init__(None)
        self.shift, self.scale = nn.Linear(3, 3), nn.Linear(3, 3)

    def condition(self, subject):
        return None

    def predict(self, noised, sigma, condition, cameras, branches):
        return dict.fromkeys(branches, self.scale(self.shift(noised)))

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


def trainer(seed=0, optimizer="adamw"):
    stages = {"shift": StageOptions(30, 2, 2, 0.01, 3), "scale": StageOptions(20, 2, 2, 0.01, 3)}
    return Trainer(
        Plane(),
        Colours(None),
        stages,
        TrainOptions("x", seed, 0.9, every=7, log_every=5, optimizer=OptimizerOptions(optimizer)),
    )


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "weights.safetensors")


@pytest.mark.parametrize(
    ("killed_at", "optimizer"), [(3, "adamw"), (9, "adamw"), (30, "adamw"), (44, "adamw"), (9, "muon")]
)
def test_a_killed_run_ends_as_the_whole_one(tmp_path, monkeypatch, killed_at, optimizer):
    monkeypatch.setattr(muon, "LEAST", 2)  # the toy's matrices are small
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    trainer(0, optimizer).run(whole)
    victim = trainer(0, optimizer)
    calls = iter(range(10**6))
    loss = victim.denoiser.training_loss

    def dying(*arguments):
        if next(calls) == killed_at:
            raise KeyboardInterrupt
        return loss(*arguments)

    monkeypatch.setattr(victim.denoiser, "training_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        victim.run(broken)
    trainer(0, optimizer).run(broken, resume=True)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(broken)[name]), name
    lines = [
        [json.loads(line) for line in (f / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        for f in (whole, broken)
    ]
    assert lines[0] == lines[1]


def losses(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def test_it_learns(tmp_path):
    trainer().run(tmp_path)
    seen = losses(tmp_path)
    assert seen[-1] < 0.7 * seen[0]


def test_a_damaged_checkpoint_is_one_line(tmp_path):
    (tmp_path / state.NAME).write_bytes(b"no")
    with pytest.raises(RunError, match="damaged"):
        trainer().run(tmp_path, resume=True)


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
        OptimizerOptions(betas=[0.9])
    with pytest.raises(ValueError, match="muon"):
        OptimizerOptions("moun")
    with pytest.raises(ValueError, match="ema"):
        TrainOptions(ema=1.0)


@pytest.fixture(scope="module")
def registry():
    from zero3d.plugins import register_plugin

    registry = load_plugins()
    register_plugin(registry, training_toy, "training_toy")
    return registry


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("views") / "data", objects=20, size=8)


def fitted(registry, folder, views, name, *overrides):
    """A run of the toy, from its recipe; its folder."""
    recipe = folder / f"{name}.yaml"
    recipe.write_text(RECIPE.format(out=folder / name, root=views), encoding="utf-8")
    recipe = load_train_recipe(str(recipe), registry, overrides)
    dataset = recipe.dataset.build()
    dataset.prepare()
    (folder / name).mkdir()
    Trainer(recipe.denoiser.build(), dataset, recipe.stages, recipe.options).run(folder / name)
    return folder / name


def test_micro_batches_add_up_to_the_batch(registry, tmp_path, views):
    one = fitted(registry, tmp_path, views, "one")
    four = fitted(registry, tmp_path, views, "four", "stages.fit.accumulate=4")
    assert losses(four) == pytest.approx(losses(one), rel=1e-5)
    for name, value in weights(one).items():
        assert torch.allclose(value, weights(four)[name], atol=1e-6)


def test_validation_draws_held_out_objects_and_disturbs_nothing(registry, tmp_path, views):
    plain = fitted(registry, tmp_path, views, "plain")
    watched = fitted(
        registry,
        tmp_path,
        views,
        "watched",
        "validation={every: 6, objects: 3, targets: 2, steps: 4}",
        "tensorboard=true",
    )
    assert losses(plain) == losses(watched)
    lines = [json.loads(line) for line in (watched / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = [line for line in lines if "psnr" in line]
    assert [line["step"] for line in scores] == [5, 11]
    assert {"psnr", "ssim", "copy_psnr", "copy_ssim"} <= set(scores[0])
    assert sorted(path.name for path in (watched / "validation").iterdir()) == ["step_000006.png", "step_000012.png"]
    picture = numpy.asarray(Image.open(watched / "validation" / "step_000006.png"))
    assert picture.shape == (
        8 * 1,
        8 * 5,
        3,
    )  # one object of twenty is held out; its input, and truth and drawing twice
    assert list((watched / "tensorboard").glob("events*"))


def test_scores():
    truth = torch.zeros(16, 16, 3)
    truth[:8] = 1
    assert score(truth, truth) == (100.0, pytest.approx(1.0))
    off = (truth * 0.8 + 0.1).clamp(0, 1)
    assert score(off, truth)[0] == pytest.approx(20.0)  # an error of 0.1 everywhere
    assert score(1 - truth, truth)[1] < 0


def test_the_samplers_drawing_of_a_known_answer():
    from zero3d.testing import GaussianDenoiser

    denoiser = GaussianDenoiser(GaussianDenoiser.Config(resolution=8))
    condition = denoiser.condition(Subject.of(None, orbit(0.0, 0.0, 8)))
    options = ValidationOptions(steps=40, guidance_scale=1.0)
    drawn = sample(denoiser, condition, orbit(0.0, torch.zeros(200), 8), options, torch.Generator())
    mean, spread = float(drawn.mean()), float(drawn.std())
    assert mean == pytest.approx(0.5, abs=0.05)
    # of N(mean, s^2), D is linear: a step from a to b multiplies the deviation by (s^2 + a b) / (s^2 + a^2)
    levels = denoiser.sigmas[torch.linspace(len(denoiser.sigmas) - 1, 0, 41).round().long()].double()
    shrunk = (0.01 + levels[:-2] * levels[1:-1]) / (0.01 + levels[:-2] ** 2)
    wanted = levels[0] * shrunk.prod() * 0.01 / (0.01 + levels[-2] ** 2)
    assert spread == pytest.approx(float(wanted), rel=0.03)


def test_a_batch_that_cannot_be_shared_is_refused(registry, tmp_path, views):
    with pytest.raises(RunError, match=r"stages\.fit\.batch: 8 .* multiple of 3"):
        fitted(registry, tmp_path, views, "odd", "stages.fit.accumulate=3")


def test_a_loss_that_is_no_number_ends_the_run(registry, tmp_path, views):
    with pytest.raises(RunError, match="the loss of step"):
        fitted(registry, tmp_path, views, "nan", "stages.fit.lr=1.0e+38")


def test_validation_wants_held_out_objects(tmp_path):
    options = TrainOptions("x", validation=ValidationOptions(every=1))
    with pytest.raises(RecipeError, match="holds no objects out"):
        Trainer(Plane(), Colours(None), {"shift": StageOptions(2, 2, 2)}, options)


def test_tensorboard_that_is_missing_is_one_line(monkeypatch, tmp_path, capsys, views):
    from zero3d.cli import main

    (tmp_path / "r.yaml").write_text(RECIPE.format(out=tmp_path / "out", root=views), encoding="utf-8")
    monkeypatch.setattr("zero3d_training.report.find_spec", lambda name: None)
    words = ["train", str(tmp_path / "r.yaml"), "tensorboard=true", "--plugin", training_toy.__file__]
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_missing_root_is_one_line(tmp_path, capsys):
    from zero3d.cli import main

    (tmp_path / "r.yaml").write_text(RECIPE.format(out=tmp_path / "out", root=tmp_path / "nowhere"), encoding="utf-8")
    assert main(["train", str(tmp_path / "r.yaml"), "--plugin", training_toy.__file__]) == 2
    told = capsys.readouterr().err
    assert "no such folder" in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_average_leaves_what_it_does_not_cover():
    module = nn.Linear(1, 1)
    average = Average(module, 0.9999, lambda name: name == "weight")
    values = [3.0, -1.0, 7.0]
    expected = float(module.weight.detach())
    for step, value in enumerate(values, start=1):
        with torch.no_grad():
            module.weight.fill_(value)
            module.bias.fill_(value)
        average.update(module, step)
        decay = (1 + step) / (10 + step)  # as the published code's while it is young
        expected = decay * expected + (1 - decay) * value
    assert float(average.values["weight"]) == pytest.approx(expected)
    assert float(average.values["bias"]) == 7.0


def test_learning_rates_by_parameter():
    class Fast(Plane):
        def learning_rate_factor(self, stage, parameter):
            return 10.0 if parameter == "bias" else 1.0

    own = Trainer(Fast(), Colours(None), {"shift": StageOptions(2, 2, 2)}, TrainOptions("x"))
    module = own.modules["shift"]
    groups = {group["factor"]: group["params"] for group in own._optimizer("shift", module).param_groups}
    assert groups[10.0][0] is module.bias
    assert groups[1.0][0] is module.weight


def test_mixed_precision_is_close_to_full(registry, tmp_path, views):
    from accelerate.state import AcceleratorState

    full = fitted(registry, tmp_path, views, "full")
    AcceleratorState._reset_state(reset_partial_state=True)  # accelerate knows one precision a process
    try:
        half = fitted(registry, tmp_path, views, "half", "mixed_precision=bf16")
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert losses(half) == pytest.approx(losses(full), rel=0.05)
    assert losses(half) != losses(full)
