"""Backgrounds: what they draw, how often, and that a run fits the learned one."""

import pytest
import torch

from tests.core import toy
from zero3d import checkpoint
from zero3d.engine import Engine
from zero3d.geometry import orbit
from zero3d.interfaces import Teacher
from zero3d.parts import GuidanceTerm, Parts
from zero3d.recipe import OptimizerOptions
from zero3d.schedule import Schedule
from zero3d.testing import GaussianDenoiser, fresh_step
from zero3d.testing.gaussian import GaussianConfig
from zero3d.values import Subject, View
from zero3d_backgrounds.checkerboard import Checkerboard
from zero3d_backgrounds.constant import Constant
from zero3d_backgrounds.learned import Learned
from zero3d_backgrounds.random import Random

WHITE = torch.ones(3)


def paint(component, views=1, size=8, step=None, **options):
    cameras = orbit(10.0, torch.zeros(views), size)
    return component(component.Config(**options)).paint(cameras, step or fresh_step(), WHITE)


def test_constant_is_its_colour():
    assert paint(Constant).tolist() == [0, 0, 0]
    assert paint(Constant, colour="white").tolist() == [1, 1, 1]
    assert torch.equal(paint(Constant, colour=[0.25, 0.5, 1]), torch.tensor([0.25, 0.5, 1.0]))


@pytest.mark.parametrize("colour", ["mauve", [0, 1], [0, 0, 2], [0, "a", 1], 3, None, [True, 0, 0]])
def test_what_is_no_colour_is_refused(colour):
    with pytest.raises(ValueError, match=r"^colour: .*; one of black, grey, white, or \[red"):
        Constant.Config(colour=colour)


def test_random_colours_are_uniform_and_each_views_own():
    drawn = paint(Random, views=4000)[:, 0, 0]
    assert torch.allclose(drawn.mean(0), torch.full((3,), 0.5), atol=0.02)
    assert torch.allclose(drawn.var(0), torch.full((3,), 1 / 12), atol=0.005)
    assert abs(float(torch.corrcoef(drawn.T)[0, 1])) < 0.05
    assert len(drawn.unique(dim=0)) == 4000


def test_random_black_comes_as_often_as_it_says_and_is_else_white():
    drawn = paint(Random, views=4000, colours="black", chance=0.3)[:, 0, 0]
    assert set(drawn.flatten().tolist()) == {0.0, 1.0}
    assert (drawn == drawn[:, :1]).all()
    assert abs(float((drawn[:, 0] == 0).float().mean()) - 0.3) < 0.03


def test_a_shared_draw_is_one_for_the_step_and_another_at_the_next():
    step = fresh_step()
    one, other = (paint(Random, views=3, shared=True, step=step) for _ in range(2))
    assert (one == one[:1]).all()
    assert not torch.equal(one, other)


def test_a_checkerboard_has_squares_of_two_colours():
    drawn = paint(Checkerboard, views=2, size=16)
    assert drawn.shape == (2, 16, 16, 3)
    cells = drawn[:, ::2, ::2]
    assert torch.equal(cells.repeat_interleave(2, 1).repeat_interleave(2, 2), drawn), "squares of two pixels"
    for view in cells:
        assert len(view.reshape(-1, 3).unique(dim=0)) == 2
        assert torch.equal(view[:-1, :-1], view[1:, 1:])
        assert not torch.equal(view[0, 0], view[0, 1])
    assert not torch.equal(cells[0], cells[1])


@pytest.mark.parametrize(
    ("component", "options"),
    [(Random, {"colours": "red"}), (Random, {"chance": 1.5}), (Checkerboard, {"squares": 1})],
)
def test_options_out_of_range_are_refused_by_name(component, options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: "):
        component.Config(**options)


class Window(toy.FlatRenderer):
    """Nothing: every camera sees the background."""

    def render(self, representation, cameras, background, needs=frozenset(), step=None):
        image = self.behind(background, cameras).expand(len(cameras), toy.SIZE, toy.SIZE, 3)
        return View(image + 0 * representation.picture, torch.zeros_like(image[..., :1]))


def engine_with(background):
    teacher, sampler = Teacher(GaussianDenoiser(GaussianConfig(resolution=toy.SIZE))), toy.RoundCameras(None)
    pull = GuidanceTerm("pull", toy.Pull(toy.PullConfig(0.3), teacher), Schedule.parse(1.0), sampler)
    parts = Parts(
        representation=toy.Flat(toy.FlatConfig()),
        renderer=Window(None),
        cameras=sampler,
        denoisers={},
        teachers={},
        guidances=[pull],
        regularizers=[],
        observers={},
        exporters={},
        device=torch.device("cpu"),
        background=background,
    )
    parts.load()
    engine = Engine(parts, Subject(), OptimizerOptions("adam", 0.1), 120, 0)
    engine.initialise()
    return engine


def colour_of(background):
    return background.paint(orbit(0.0, 0.0, toy.SIZE), fresh_step(), WHITE).detach()


def test_a_run_fits_the_learned_colour():
    background = Learned(Learned.Config())
    engine = engine_with(background)
    assert torch.allclose(colour_of(background), WHITE, atol=0.02)
    for index in range(120):
        engine.step(index)
    assert torch.allclose(colour_of(background), torch.full((3,), 0.3), atol=0.03)


def test_a_learned_colour_and_its_moments_go_on_from_a_checkpoint(tmp_path):
    whole, first, second = (engine_with(Learned(Learned.Config())) for _ in range(3))
    for index in range(8):
        whole.step(index)
    for index in range(4):
        first.step(index)
    checkpoint.save(first, 4, tmp_path)
    for index in range(checkpoint.load(second, tmp_path, states=True), 8):
        second.step(index)
    assert torch.equal(second.parts.background.logits, whole.parts.background.logits)
    assert not torch.equal(second.parts.background.logits, first.parts.background.logits)
