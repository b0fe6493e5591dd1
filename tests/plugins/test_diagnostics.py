"""The diagnostics against what they must say of parts small enough to differentiate by hand."""

import json
import math

import numpy
import pytest
import torch
from PIL import Image

from tests.core import toy
from tests.core.conftest import registry, toy_recipe  # noqa: F401 (fixtures)
from tests.core.test_engine import make_engine
from zero3d import checkpoint
from zero3d.engine import Engine, Optimizer
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.interfaces import Observer, Regularizer, RunView
from zero3d.random import Generators
from zero3d.recipe import OptimizerOptions
from zero3d.run import resume, run
from zero3d.values import Picture, Step, StepTerms, TermGradient, View
from zero3d_diagnostics.azimuth_loss import AzimuthLoss, AzimuthLossConfig, direction_maps
from zero3d_diagnostics.charts import colour_of
from zero3d_diagnostics.gradients import Gradients, GradientsConfig
from zero3d_diagnostics.guidance_preview import GuidancePreview, GuidancePreviewConfig, panels
from zero3d_diagnostics.logs.sending import tag
from zero3d_diagnostics.logs.tensorboard import TensorBoard, TensorBoardConfig


def quiet(line):
    pass


def run_view(folder, steps=10, first_step=0):
    picture = Picture(torch.rand(toy.SIZE, toy.SIZE, 3), torch.ones(toy.SIZE, toy.SIZE, 1))
    camera = orbit(10.0, 0.0, toy.SIZE)
    return RunView(folder, steps, first_step, picture, camera, lambda c: None, lambda image: image, toy.SIZE)


def figures_of(engine, tmp_path, index=0, every=1):
    observer = Gradients(GradientsConfig(every=every))
    view = run_view(tmp_path, engine.total_steps)
    return engine.step(index, lambda terms: observer.on_terms(view, terms))


class Red(Regularizer):
    """Mean of the red channel."""

    name = "red"
    needs = frozenset({"image"})
    default_weight = 1.0

    def penalty(self, context):
        return context.view.image[..., 0].mean()


class Green(Regularizer):
    """Mean of the green channel: its gradient is orthogonal to red's."""

    name = "green"
    needs = frozenset({"image"})
    default_weight = 1.0

    def penalty(self, context):
        return context.view.image[..., 1].mean()


class TestGradients:
    def test_each_norm_is_that_of_the_term_alone_by_autograd(self, tmp_path):
        terms = {
            "bright": (toy.Bright, 2.0, "near"),
            "deep": (toy.Deep, 3.0, "novel"),
            "direct": (toy.Direct, 0.5, "novel"),
        }
        engine = make_engine(regularizers=[(label, *rest) for label, rest in terms.items()])
        theta = engine.parts.representation.picture.detach().clone().requires_grad_()
        figures = figures_of(engine, tmp_path)
        alone = {
            "bright": 2.0 * theta.square().mean(),
            "deep": 3.0 * (theta[..., 0] - 2 * theta[..., 0]).abs().mean(),  # novel and near are one picture
            "direct": 0.5 * theta.square().sum(),
        }
        for label, loss in alone.items():
            expected = float(torch.autograd.grad(loss, theta)[0].norm())
            assert figures[f"regularizers.{label}.parameter_gradient"] == pytest.approx(expected, rel=1e-5)

    def test_the_norm_is_that_on_the_representation_not_on_the_picture(self, tmp_path):
        """A picture 2 theta + c: its gradient g is one of 2 g on theta."""
        engine = make_engine(guidances=[("pull", 1.0, 2.0)])
        engine.parts.renderer = Doubled(None)
        figures = figures_of(engine, tmp_path)
        on_picture, on_theta = figures["guidance.pull.gradient"], figures["guidance.pull.parameter_gradient"]
        assert on_theta == pytest.approx(2 * on_picture, rel=1e-5)

    def test_parallel_opposite_and_orthogonal_terms(self, tmp_path):
        # theta is 0.25 everywhere: `pull` to 1 wants it brighter, to -1 darker; `bright` wants it darker
        engine = make_engine(
            guidances=[("up", 1.0, 1.0), ("down", -1.0, 1.0)], regularizers=[("bright", toy.Bright, 2.0, "novel")]
        )
        figures = figures_of(engine, tmp_path)
        assert figures["regularizers.bright.cosine.up"] == pytest.approx(-1, abs=1e-3)
        assert figures["regularizers.bright.cosine.down"] == pytest.approx(1, abs=1e-3)

    def test_cosine_of_orthogonal_and_of_partly_aligned_terms(self, tmp_path):
        engine = make_engine(
            guidances=[("pull", -1.0, 1.0)], regularizers=[("red", Red, 1.0, "novel"), ("green", Green, 1.0, "novel")]
        )
        engine.parts.guidances[0].guidance.gradient = red_only
        figures = figures_of(engine, tmp_path)
        assert figures["regularizers.red.cosine.pull"] == pytest.approx(1, abs=1e-6)
        assert figures["regularizers.green.cosine.pull"] == pytest.approx(0, abs=1e-6)
        engine = make_engine(guidances=[("pull", -1.0, 1.0)], regularizers=[("red", Red, 1.0, "novel")])
        figures = figures_of(engine, tmp_path)
        assert figures["regularizers.red.cosine.pull"] == pytest.approx(1 / math.sqrt(3), abs=1e-2), (
            "one channel of three"
        )

    def test_a_term_without_gradient_has_norm_zero_and_no_cosine(self, tmp_path):
        engine = make_engine(guidances=[("pull", 1.0, 1.0)], regularizers=[("bright", toy.Bright, 1.0, "novel")])
        engine.parts.representation.picture.data.zero_()
        figures = figures_of(engine, tmp_path)
        assert figures["regularizers.bright.parameter_gradient"] == 0
        assert not any(".cosine." in key for key in figures)

    def test_by_parameter_and_without_the_single_numbers(self, tmp_path):
        """A shared scale has a huge gradient of the same sign; the cosine over all is that of the pictures."""
        engine = make_engine(guidances=[("pull", -1.0, 1.0)], regularizers=[("green", Green, 1.0, "novel")])
        field = engine.parts.representation
        field.scale = torch.nn.Parameter(torch.tensor(1000.0))
        engine.optimizer = Optimizer(OptimizerOptions("sgd", 0.1), field)
        engine.parts.renderer = Scaled(None)
        engine.parts.guidances[0].guidance.gradient = red_only
        figures = figures_of(engine, tmp_path)
        assert figures["regularizers.green.cosine.pull"] == pytest.approx(0, abs=1e-6)
        assert "regularizers.green.cosine.pull.scale" not in figures
        whole = figures["guidance.pull.parameter_gradient"]
        parts = [figures[f"guidance.pull.parameter_gradient.{name}"] for name in ("picture", "scale")]
        assert whole == pytest.approx(math.hypot(*parts), rel=1e-6)

    def test_when(self, tmp_path):
        engine = make_engine(guidances=[("a", 0.0, 1.0)], steps=7)
        due = [i for i in range(7) if "guidance.a.parameter_gradient" in figures_of(engine, tmp_path, i, every=3)]
        assert due == [2, 5, 6]

    def test_the_last_step_of_a_run_has_a_picture_of_all(self, registry, toy_recipe, tmp_path):  # noqa: F811
        run(str(toy_recipe), registry, ["observers={gradients: {every: 10}}"], tell=quiet)
        lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [line["step"] for line in lines if "guidance.pull.parameter_gradient" in line] == [9, 19, 29]
        sheet = numpy.asarray(Image.open(tmp_path / "out/gradients.png"))
        blue = (sheet == (31, 119, 180)).all(-1)  # the first line's colour
        assert blue[:300].any()
        assert blue[300:].any(), "both charts have a line"


class Doubled(toy.FlatRenderer):
    """Every pixel shows 2 theta - 0.25, which is theta at the start."""

    def render(self, representation, cameras, background, needs=frozenset(), step=None):
        image = 2 * representation.picture.expand(len(cameras), -1, -1, -1) - 0.25
        return View(image, image[..., :1])


class Scaled(toy.FlatRenderer):
    """Shows scale * theta."""

    def render(self, representation, cameras, background, needs=frozenset(), step=None):
        image = (representation.scale * representation.picture).expand(len(cameras), -1, -1, -1)
        return View(image, image[..., :1])


def red_only(view, cameras, step):
    from zero3d.values import ImageGradient

    return ImageGradient(torch.ones_like(view.image) * torch.tensor([1.0, 0.0, 0.0]), {})


def one_term(label, azimuths, elevations, gradient, value=None, pictures=None, decode=None):
    """A step whose only term acts on cameras at these places, degrees."""
    poses = [orbit(e, a, 2).camera_to_world for a, e in zip(azimuths, elevations, strict=True)]
    cameras = orbit(0.0, 0.0, 2)
    cameras = type(cameras)(torch.cat(poses), 2, 2)
    image = torch.zeros(len(poses), 2, 2, 3)
    term = TermGradient(
        label, "novel", 1.0, {"novel": {"image": gradient}}, value=value, pictures=pictures or {}, decode=decode
    )
    return lambda index, steps: StepTerms(
        Step(index, steps, Generators(0)),
        {"novel": cameras},
        {"novel": View(image, image[..., :1])},
        (term,),
        lambda t: {},
    )


class TestAzimuthLoss:
    def observe(self, folder, batches, steps=None, first_step=0, **options):
        steps = steps or len(batches)
        observer = AzimuthLoss(AzimuthLossConfig(**options))
        view = run_view(folder, steps, first_step)
        observer.on_start(view)
        for index, batch in enumerate(batches, start=first_step):
            observer.on_terms(view, batch(index, steps))
        observer.on_end(view, True)
        return json.loads((folder / "azimuth_loss.json").read_text(encoding="utf-8"))

    def test_hand_placed_cameras_fall_into_their_bins(self, tmp_path):
        gradient = torch.stack([torch.full((2, 2, 3), g) for g in (1.0, 2.0)])
        value = torch.tensor(5.0)
        batches = [
            one_term("regularizers.r", [10.0, -170.0], [20.0, -40.0], gradient, value),
            one_term("regularizers.r", [15.0, 100.0], [25.0, 80.0], 3 * gradient, 3 * value),
        ]
        found = self.observe(tmp_path, batches, azimuth_bins=4, elevation_bins=2)
        assert found["azimuth_edges_deg"] == [-180, -90, 0, 90, 180]
        assert found["elevation_edges_deg"] == [-90, 0, 90]
        told = found["terms"]["regularizers.r"]
        assert told["count"] == [[1, 0, 0, 0], [0, 0, 2, 1]]
        assert told["value"] == [[5, None, None, None], [None, None, 10, 15]]
        norm = math.sqrt(12) * 2  # of twelve ones, times B
        flat = [x for row in told["gradient"] for x in row]
        assert flat[1:6] == [None] * 5
        assert [flat[0], *flat[6:]] == pytest.approx([2 * norm, 2 * norm, 6 * norm], rel=1e-6)

    def test_a_guidances_value_is_the_distance_of_each_view(self, tmp_path):
        seen = torch.zeros(2, 3, 3, 3)
        denoised = torch.stack([torch.full((3, 3, 3), 0.1), torch.full((3, 3, 3), -0.4)])
        batch = one_term(
            "guidance.g", [-45.0, 45.0], [5.0, 5.0], torch.ones(2, 2, 2, 3), None, {"view": seen, "denoised": denoised}
        )
        told = self.observe(tmp_path, [batch], azimuth_bins=2, elevation_bins=1)["terms"]["guidance.g"]
        assert told["value"][0] == pytest.approx([0.1, 0.4], rel=1e-6)

    def test_a_silent_guidance_has_no_value_but_a_gradient(self, tmp_path):
        batch = one_term("guidance.g", [0.0], [0.0], torch.ones(1, 2, 2, 3))
        told = self.observe(tmp_path, [batch], azimuth_bins=1, elevation_bins=1)["terms"]["guidance.g"]
        assert told["value"] == [[None]]
        assert told["gradient"] == [[pytest.approx(math.sqrt(12))]]

    def test_the_ends_of_the_axes(self):
        where = {"azimuth_deg": [180.0, -180.0, 179.9], "elevation_deg": [90.0, -90.0, 0.0]}
        record = {"terms": {"t": {**where, "value": [1, 2, 4], "gradient": [0, 0, 0]}}}
        told = direction_maps([record], 4, 2)["terms"]["t"]
        assert told["value"] == [[2, None, None, None], [1, None, None, 4]]

    def test_a_resumed_run_counts_every_step_once(self, tmp_path):
        batch = one_term("regularizers.r", [0.0], [0.0], torch.ones(1, 2, 2, 3), torch.tensor(1.0))
        self.observe(tmp_path, [batch] * 6, steps=10)
        again = self.observe(tmp_path, [batch] * 6, steps=10, first_step=4, azimuth_bins=1, elevation_bins=1)
        assert again["terms"]["regularizers.r"]["count"] == [[10]]

    def test_the_picture_shows_the_brightest_bin_brightest(self, tmp_path):
        gradient = torch.ones(1, 2, 2, 3)
        batches = [
            one_term("regularizers.r", [a], [1.0], gradient, torch.tensor(v)) for a, v in ((-90.0, 1.0), (90.0, 2.0))
        ]
        self.observe(tmp_path, batches, azimuth_bins=2, elevation_bins=1)
        sheet = numpy.asarray(Image.open(tmp_path / "azimuth_loss.png"))
        dark, bright = sheet[54, 94], sheet[54, 122]  # cells of 28 pixels from (80, 40)
        assert tuple(dark) == colour_of(0.0)
        assert tuple(bright) == colour_of(1.0)


SEEN = {
    "view": torch.full((1, 2, 2, 3), 0.25),
    "noised": torch.full((1, 2, 2, 3), 0.75),
    "denoised": torch.full((1, 2, 2, 3), 0.5),
}


class TestGuidancePreview:
    def test_the_panels_are_what_was_handed_out_decoded(self, tmp_path):
        batch = one_term("guidance.g", [30.0], [10.0], torch.ones(1, 2, 2, 3), None, SEEN, lambda x: x / 2)
        terms = batch(0, 1)
        found = panels(run_view(tmp_path), terms.terms[0], terms, 0)
        expected = {"view": 0.0, "noised": 0.375, "denoised": 0.25, "difference": 0.5 + (0.25 - 0.125) / 2}
        assert {name: float(panel.mean()) for name, panel in found.items()} == pytest.approx(expected)

    def test_the_sheet(self, tmp_path):
        observer = GuidancePreview(GuidancePreviewConfig(every=3, size=32))
        batch = one_term("guidance.g", [30.0], [10.0], torch.ones(1, 2, 2, 3), None, SEEN, lambda x: x)
        for index in range(7):
            observer.on_terms(run_view(tmp_path, 7), batch(index, 7))
        names = sorted(path.name for path in (tmp_path / "guidance").iterdir())
        assert names == ["step_000003.png", "step_000006.png", "step_000007.png"]
        sheet = numpy.asarray(Image.open(tmp_path / "guidance" / names[0]))
        assert sheet.shape == (16 + 32, 4 * 32, 3)
        shades = [tuple(sheet[32, 16 + 32 * column]) for column in range(4)]
        assert shades == [(0,) * 3, (191,) * 3, (128,) * 3, (159,) * 3]

    def test_a_guidance_that_hands_out_nothing_shows_its_view(self, tmp_path):
        terms = one_term("guidance.g", [0.0], [0.0], torch.ones(1, 2, 2, 3))(0, 1)
        assert list(panels(run_view(tmp_path), terms.terms[0], terms, 0)) == ["view"]

    @pytest.mark.parametrize("name", ["sds", "sjc"])
    def test_the_score_guidances_hand_theirs_out(self, name):
        from zero3d.interfaces import Teacher
        from zero3d.testing import GaussianDenoiser
        from zero3d.testing.gaussian import GaussianConfig
        from zero3d_score.sds import ScoreDistillation
        from zero3d_score.sjc import ScoreJacobianChaining

        kind = {"sds": ScoreDistillation, "sjc": ScoreJacobianChaining}[name]
        denoiser = GaussianDenoiser(GaussianConfig(resolution=4))
        guidance = kind(kind.Config(), Teacher(denoiser))
        image = torch.rand(1, 4, 4, 3)
        said = guidance.gradient(View(image, image[..., :1]), orbit(0.0, 0.0, 4), Step(0, 1, Generators(0)))
        assert torch.equal(said.pictures["view"], image)
        sigma = torch.tensor([said.metrics["sigma"]])
        again = denoiser.denoise(said.pictures["noised"], sigma, None, None, guidance.config.guidance_scale.at(0, 1))
        assert torch.allclose(said.pictures["denoised"], again, atol=1e-5)


class TestTensorBoard:
    def read(self, folder):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        found = EventAccumulator(str(folder / "tensorboard"), {"scalars": 0, "images": 0})
        return found.Reload()

    def test_figures_and_pictures_are_read_back(self, registry, toy_recipe, tmp_path):  # noqa: F811
        overrides = ["observers={tensorboard: {}, guidance_preview: {every: 10, size: 16}}"]
        run(str(toy_recipe), registry, overrides, tell=quiet)
        found = self.read(tmp_path / "out")
        lines = [json.loads(line) for line in (tmp_path / "out/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        names = {name for line in lines for name in line} - {"step"}
        assert {tag(name) for name in names} == set(found.Tags()["scalars"])
        for name in names:
            logged = [(line["step"], line[name]) for line in lines if name in line]
            events = [(event.step, event.value) for event in found.Scalars(tag(name))]
            assert [step for step, _ in events] == [step for step, _ in logged]
            assert [value for _, value in events] == pytest.approx([value for _, value in logged], rel=1e-6)
        assert [event.step for event in found.Images("guidance")] == [10, 20, 30]

    def test_a_resumed_run_has_one_value_a_step(self, registry, toy_recipe, tmp_path, monkeypatch):  # noqa: F811
        from tests.core.test_run import interrupt_after

        with monkeypatch.context() as patch:
            interrupt_after(patch, 11)
            with pytest.raises(KeyboardInterrupt):
                run(str(toy_recipe), registry, ["observers={tensorboard: {}}"], tell=quiet)
        resume(str(tmp_path / "out"), registry, tell=quiet)
        steps = [event.step for event in self.read(tmp_path / "out").Scalars("guidance.pull/weight")]
        assert steps == list(range(30))

    def test_only_every_so_many(self, tmp_path):
        observer = TensorBoard(TensorBoardConfig(every=4, pictures=False))
        view = run_view(tmp_path, 10)
        observer.on_start(view)
        for index in range(10):
            observer.on_step(view, Step(index, 10, Generators(0)), {"a.b.c": float(index)})
        observer.on_end(view, True)
        assert [(e.step, e.value) for e in self.read(tmp_path).Scalars("a.b/c")] == [(3, 3), (7, 7), (9, 9)]

    def test_where_the_package_is_missing_one_line_says_what_to_install(self, monkeypatch):
        monkeypatch.setattr("zero3d_diagnostics.logs.sending.find_spec", lambda name: None)
        with pytest.raises(RecipeError, match=r"observers\.tensorboard: .*pip install 'zero3d\[tensorboard\]'"):
            TensorBoard(TensorBoardConfig())


ALL = "gradients: {every: 2}, azimuth_loss: {}, guidance_preview: {every: 5, size: 16}, tensorboard: {}"


def state(folder):
    return checkpoint.read(folder)


def assert_same_state(a, b):
    assert a[1] == b[1]
    assert a[0].keys() == b[0].keys()
    for name, tensor in a[0].items():
        assert tensor.numpy().tobytes() == b[0][name].numpy().tobytes(), name


def test_the_run_is_the_same_to_the_byte_with_and_without_them(registry, toy_recipe, tmp_path):  # noqa: F811
    for name, observers in (("without", "{}"), ("with", f"{{{ALL}}}")):
        overrides = [f"out={tmp_path / name}", f"observers={observers}", "regularizers.deep={weight: 0.3}"]
        run(str(toy_recipe), registry, overrides, tell=quiet)
    assert_same_state(state(tmp_path / "without"), state(tmp_path / "with"))
    assert len(list((tmp_path / "with").iterdir())) > len(list((tmp_path / "without").iterdir()))


@pytest.mark.parametrize("renderer", ["volume", "fused"])
def test_a_reconstruction_is_the_same_to_the_byte_with_and_without_them(registry, tmp_path, renderer):  # noqa: F811
    for name, observers in (("without", "{}"), ("with", f"{{{ALL}}}")):
        overrides = [
            "image=examples/mug.png",
            f"out={tmp_path / name}",
            "device=cpu",
            "steps=4",
            "denoiser={type: gaussian, resolution: 16}",
            "cameras={type: sphere, resolution: 16, views: 2}",
            "representation.resolution=12",
            f"renderer={{type: {renderer}, jitter: true}}",
            "regularizers.near_view_consistency.weight=1",
            "regularizers.density_sparsity.weight=1",
            "export={}",
            f"observers={observers}",
        ]
        run("recipes/nano.yaml", registry, overrides, tell=quiet)
    assert_same_state(state(tmp_path / "without"), state(tmp_path / "with"))


def test_observers_of_others_see_terms_without_a_graph(tmp_path):
    seen = []

    class Curious(Observer):
        def on_terms(self, run, terms):
            seen.append(terms)
            return {"curious.figure": 4.0}

    engine: Engine = make_engine(guidances=[("a", 0.0, 2.0)], regularizers=[("bright", toy.Bright, 3.0, "input")])
    figures = engine.step(0, lambda terms: Curious(None).on_terms(None, terms))
    assert figures["curious.figure"] == 4.0
    (terms,) = seen
    assert [(t.label, t.acts_on, t.weight) for t in terms.terms] == [
        ("guidance.a", "novel", 2.0),
        ("regularizers.bright", "input", 3.0),
    ]
    tensors = [view.image for view in terms.views.values()] + [
        gradient for term in terms.terms for told in term.views.values() for gradient in told.values()
    ]
    assert not any(tensor.requires_grad for tensor in tensors)
    assert terms.cameras.keys() == {"novel", "input"}
