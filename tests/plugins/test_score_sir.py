"""What `sir` holds between its steps: cameras, target pictures, a counter."""

import pytest
import torch
from safetensors.torch import load_file

from tests.core.test_run import assert_same, final_state, interrupt_after, quiet
from zero3d.checkpoint import NAME
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.interfaces import CameraSampler, Teacher
from zero3d.plugins import load_plugins
from zero3d.recipe.schema import typed
from zero3d.run import resume, run
from zero3d.testing import GaussianDenoiser, fresh_step, random_view
from zero3d.testing.gaussian import GaussianConfig
from zero3d.values import Step
from zero3d_score.sir import ScoreBasedIterativeReconstruction, SirConfig


def test_an_option_that_takes_a_schedule_says_so(tmp_path):
    for name in ("level", "guidance_scale"):
        with pytest.raises(RecipeError, match=rf"r.yaml: sir\.{name}: \[1\] .*; write a number or a (schedule|map)"):
            typed(SirConfig, {name: [1]}, "r.yaml: sir")


class Around(CameraSampler):
    """Two views from a random azimuth."""

    name = "around"
    resolution, views = 8, 2

    def sample(self, step):
        start = 360 * torch.rand((), generator=step.generator("azimuth"))
        return orbit(10.0, start + torch.tensor([0.0, 90.0]), 8)


class Counting(GaussianDenoiser):
    """Counts its calls."""

    calls = 0

    def predict(self, *arguments):
        self.calls += 1
        return super().predict(*arguments)


def made():
    teacher = Teacher(Counting(GaussianConfig(resolution=8)))
    return ScoreBasedIterativeReconstruction(SirConfig(guidance_scale=1, every=3, samples=5), teacher)


def go(guidance, steps, generators):
    """The gradients and cameras of these steps, of a view that changes with them."""
    told = []
    for index in steps:
        step = Step(index, 12, generators, "guidance.sir")
        cameras = guidance.cameras(step.scoped("cameras"), Around(None))
        answer = guidance.gradient(random_view(2, 8, seed=index).detach(), cameras, step)
        guidance.after_step(step)
        told.append((cameras.camera_to_world, answer.value))
    return told


def test_cameras_and_targets_are_held_for_so_many_steps():
    guidance, generators = made(), fresh_step().generators
    told, calls = [], []
    for index in range(7):
        told += go(guidance, [index], generators)
        calls.append(guidance.teacher.denoiser.calls)
    held = [torch.equal(told[k][0], told[k + 1][0]) for k in range(6)]
    assert held == [True, True, False, True, True, False]
    assert [k for k in range(7) if calls[k] != (calls[k - 1] if k else 0)] == [0, 3, 6]


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_it_resumes_to_the_bit(stop):
    whole = go(made(), range(9), fresh_step().generators)
    first, generators = made(), fresh_step().generators
    go(first, range(stop), generators)
    again = made()
    again.load_state_dict(first.state_dict())
    for (camera, value), (other, expected) in zip(go(again, range(stop, 9), generators), whole[stop:], strict=True):
        assert torch.equal(camera, other)
        assert torch.equal(value, expected)


def test_what_is_no_state_of_its_is_refused():
    with pytest.raises(ValueError, match="counters"):
        made().load_state_dict({})


def test_an_untouched_one_has_a_state_too():
    again = made()
    again.load_state_dict(made().state_dict())
    assert torch.equal(go(again, [0], fresh_step().generators)[0][1], go(made(), [0], fresh_step().generators)[0][1])


RECIPE = """
steps: 8
seed: 3
denoiser: {type: gaussian, resolution: 8}
cameras: {type: sphere, resolution: 8, views: 2}
representation: {type: voxels, resolution: 6}
renderer: {type: volume, step_ratio: 2.0}
guidance: {sir: {every: 3, samples: 5, guidance_scale: 1}}
checkpoint: {every: 1}
"""


def test_an_interrupted_run_goes_on_with_its_targets(tmp_path, monkeypatch):
    registry, recipe = load_plugins(), tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    options = ["image=examples/mug.png", "input.elevation_deg=20"]
    run(str(recipe), registry, [*options, f"out={tmp_path / 'whole'}"], tell=quiet)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run(str(recipe), registry, [*options, f"out={tmp_path / 'cut'}"], tell=quiet)
    assert "state.guidance.sir/targets" in load_file(tmp_path / "cut" / NAME)
    resume(str(tmp_path / "cut"), registry, tell=quiet)
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))
