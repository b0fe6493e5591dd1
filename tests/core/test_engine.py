import pytest
import torch

from tests.core import toy
from zero3d.engine import Engine, input_camera_at
from zero3d.errors import RecipeError, StepError
from zero3d.interfaces import Teacher
from zero3d.parts import GuidanceTerm, Parts, RegularizerTerm, build_parts
from zero3d.recipe import OptimizerOptions, load_recipe
from zero3d.schedule import Schedule
from zero3d.testing import GaussianDenoiser
from zero3d.testing.gaussian import GaussianConfig
from zero3d.values import Picture, Subject


def make_engine(guidances=(), regularizers=(), lr=0.1, steps=10, seed=0):
    teacher = Teacher(GaussianDenoiser(GaussianConfig(resolution=toy.SIZE)))
    sampler = toy.RoundCameras(None)
    parts = Parts(
        representation=toy.Flat(toy.FlatConfig()),
        renderer=toy.FlatRenderer(None),
        cameras=sampler,
        denoisers={"denoiser": teacher.denoiser},
        teachers={"denoiser": teacher},
        guidances=[
            GuidanceTerm(label, toy.Pull(toy.PullConfig(target), teacher), Schedule.parse(weight), sampler)
            for label, target, weight in guidances
        ],
        regularizers=[
            RegularizerTerm(label, cls(None), Schedule.parse(weight), view) for label, cls, weight, view in regularizers
        ],
        observers={},
        exporters={},
        device=torch.device("cpu"),
    )
    picture = Picture(torch.rand(toy.SIZE, toy.SIZE, 3), torch.rand(toy.SIZE, toy.SIZE, 1))
    subject = Subject.of(picture, input_camera_at(20.0).resized(toy.SIZE, toy.SIZE))
    engine = Engine(parts, subject, OptimizerOptions("sgd", lr), steps, seed)
    engine.initialise()
    return engine


def test_the_guidance_gradient_reaches_theta_unchanged_and_averaged_over_views():
    engine = make_engine(guidances=[("pull", 1.0, 2.0)])
    step = engine.at(0).scoped("guidance.pull")
    noise = torch.randn(1, toy.SIZE, toy.SIZE, 3, generator=step.generator("noise"))
    engine = make_engine(guidances=[("pull", 1.0, 2.0)])
    before = engine.parts.representation.picture.detach().clone()
    figures = engine.step(0)
    gradient = 2.0 * (before - 1.0 + 0.01 * noise[0])
    assert torch.allclose(engine.parts.representation.picture, before - 0.1 * gradient, atol=1e-6)
    assert figures["guidance.pull.weight"] == 2.0
    assert figures["guidance.pull.gradient"] == pytest.approx(float(gradient.norm()), rel=1e-5)


def test_several_guidances_add_up_and_settle_between_their_targets():
    engine = make_engine(guidances=[("a", 0.0, 1.0), ("b", 1.0, 3.0)], steps=100)
    for index in range(100):
        engine.step(index)
    assert torch.allclose(engine.parts.representation.picture, torch.tensor(0.75), atol=0.05)


def test_adding_a_term_does_not_change_another_terms_random_numbers():
    alone = make_engine(guidances=[("a", 0.0, 1.0)])
    both = make_engine(guidances=[("b", 1.0, 3.0), ("a", 0.0, 1.0)])
    assert alone.step(0)["guidance.a.noise"] == both.step(0)["guidance.a.noise"]


def test_regularizers_act_with_their_weight_on_views_and_on_parameters():
    engine = make_engine(regularizers=[("bright", toy.Bright, 2.0, "novel"), ("direct", toy.Direct, 0.5, "novel")])
    before = engine.parts.representation.picture.detach().clone()
    figures = engine.step(0)
    expected = 2.0 * 2 * before / before.numel() + 0.5 * 2 * before
    assert torch.allclose(engine.parts.representation.picture, before - 0.1 * expected, atol=1e-6)
    assert figures["regularizers.bright.value"] == pytest.approx(float(before.square().mean()))
    assert figures["regularizers.direct.gradient"] == pytest.approx(float(before.norm()), rel=1e-5)


def test_a_parameter_held_fixed_is_left_alone():
    engine = make_engine(regularizers=[("direct", toy.Direct, 0.5, "novel")])
    engine.parts.representation.fixed = torch.nn.Parameter(torch.ones(2), requires_grad=False)
    before = engine.parts.representation.picture.detach().clone()
    engine.step(0, lambda terms: {"names": len(terms.on_parameters(terms.terms[0]))})
    assert torch.allclose(engine.parts.representation.picture, 0.9 * before)
    assert torch.equal(engine.parts.representation.fixed, torch.ones(2))


def test_where_nothing_is_optimised_a_penalty_may_have_no_graph(monkeypatch):
    engine = make_engine(regularizers=[("bright", toy.Bright, 1.0, "novel")])
    monkeypatch.setattr(toy.Bright, "penalty", lambda self, context: torch.tensor(0.5))
    with pytest.raises(StepError, match=r"step 0: regularizers\.bright: penalty\(\) returned 0\.5 without a graph"):
        engine.step(0)
    engine.parts.representation.requires_grad_(False)
    assert engine.step(0)["regularizers.bright.value"] == 0.5


def test_gradients_flow_into_both_the_novel_and_the_near_view():
    engine = make_engine(regularizers=[("deep", toy.Deep, 1.0, "novel")])
    before = engine.parts.representation.picture.detach().clone()
    engine.step(0)
    # |d - 2 d| = d: the gradient is -1/n through novel and +2/n through near
    change = (engine.parts.representation.picture - before)[..., 0]
    assert torch.allclose(change, torch.full_like(change, -0.1 * 1.0 / toy.SIZE**2), atol=1e-6)


def test_extra_views_are_drawn_once_and_only_when_a_term_with_weight_asks():
    engine = make_engine(
        guidances=[("a", 0.0, 1.0)],
        regularizers=[
            ("deep", toy.Deep, {"50%": {"jump": 1.0}}, "novel"),
            ("also", toy.Deep, {"50%": {"jump": 1.0}}, "novel"),
            ("bright", toy.Bright, {"50%": {"jump": 1.0}}, "input"),
        ],
    )
    engine.step(0)
    engine.step(5)
    assert engine.parts.renderer.calls == [(1, {"image"}), (3, {"image", "depth"})]


def test_drawing_for_observers_touches_no_random_stream():
    engine = make_engine(guidances=[("a", 0.0, 1.0)])
    engine.step(0)
    before = engine.generators.state_dict()
    engine.draw(engine.input_camera)
    after = engine.generators.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_an_unmet_need_is_refused_before_anything_runs(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["regularizers.normals={}"])
    with pytest.raises(RecipeError, match=r"regularizers\.normals: needs normals.*'flat' provides.*normals=null"):
        build_parts(recipe)


def test_wrong_channels_name_both_sides(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["representation.channels=4"])
    with pytest.raises(RecipeError, match=r"representation\.channels: 4.*'gaussian'.*works on 3"):
        build_parts(recipe)


def test_what_cannot_fit_in_memory_is_refused_before_it_is_allocated(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["representation.resolution=1000000"])
    with pytest.raises(RecipeError, match="GiB"):
        build_parts(recipe)
