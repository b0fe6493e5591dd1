"""What the wider seam promises: growing representations, state of every part, branches, groups, words, several pictures."""

import json
import re

import numpy
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.core import seam_toys, toy
from tests.core.test_run import assert_same, final_state, interrupt_after, quiet
from zero3d.checkpoint import NAME
from zero3d.errors import RecipeError, RunError, StepError
from zero3d.parts import build_stages
from zero3d.recipe import load_recipe
from zero3d.registry import Registered
from zero3d.run import plan, resume, run
from zero3d.values import ImageGradient

GROWING = [
    "representation={type: cloud}",
    "renderer={type: cloud}",
    "denoiser=null",
    "guidance={fits: {}}",
    "regularizers={colours: {}}",
    "background={type: shade}",
]
WORDS = [
    "image=null",
    "prompt=a red ball",
    "denoiser={type: counted}",
    "guidance={classifier: {}}",
    "regularizers=null",
]


@pytest.fixture
def registry(registry):
    for component in seam_toys.COMPONENTS:
        registry.add(Registered(component, "seam", "tests", "0"))
    return registry


def make(recipe, registry, *overrides):
    return build_stages(load_recipe(recipe, registry, overrides))[0]


class TestGrowth:
    @pytest.mark.parametrize("optimizer", ["adam", "adamw", "adan", "sgd"])
    @pytest.mark.parametrize("after", [2, 4, 9])
    def test_it_trains_and_resumes_to_the_byte(self, registry, toy_recipe, tmp_path, monkeypatch, after, optimizer):
        chosen = [*GROWING, f"optimizer={{type: {optimizer}, lr: 0.05}}", "steps=13", "checkpoint.every=3"]
        whole = run(str(toy_recipe), registry, [*chosen, f"out={tmp_path / 'whole'}"], tell=quiet)
        assert len(whole.parts.representation.values) == 3 + 3
        with monkeypatch.context() as patch:
            interrupt_after(patch, after)
            with pytest.raises(KeyboardInterrupt):
                run(str(toy_recipe), registry, [*chosen, f"out={tmp_path / 'cut'}"], tell=quiet)
        resume(str(tmp_path / "cut"), registry, tell=quiet)
        assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))

    def test_moments_follow_their_rows_and_new_rows_start_at_zero(self, registry, toy_recipe, tmp_path):
        session = run(str(toy_recipe), registry, [*GROWING, "steps=3"], tell=quiet)
        optimizer, values = session.engine.optimizer, session.parts.representation.values
        before, moments = values.detach().clone(), optimizer.torch.state[values]["exp_avg"].clone()
        optimizer.rearrange("values", torch.tensor([2, 0, 0]), new=torch.tensor([False, False, True]))
        assert torch.equal(values, before[[2, 0, 0]])
        expected = torch.stack([moments[2], moments[0], torch.zeros(3)])
        assert torch.equal(optimizer.torch.state[values]["exp_avg"], expected)
        assert optimizer.torch.param_groups[0]["params"][0] is values
        optimizer.reset("values", torch.tensor([0]))
        assert torch.equal(optimizer.torch.state[values]["exp_avg"][0], torch.zeros(3))
        assert torch.equal(optimizer.torch.state[values]["exp_avg"][1], moments[0])

    @pytest.mark.parametrize(
        ("careless", "told"), [("data", "became (4, 3), its moments are (3, 3)"), ("parameter", "was replaced")]
    )
    def test_a_size_that_the_optimizer_does_not_know_is_one_line(self, registry, toy_recipe, careless, told):
        chosen = [*GROWING, f"representation.careless={careless}", "regularizers=null"]
        with pytest.raises(StepError, match=r"step 3: representation 'cloud': parameter 'values'.*rearrange") as caught:
            run(str(toy_recipe), registry, chosen, tell=quiet)
        assert told in str(caught.value)

    def test_the_memory_plan_counts_its_largest(self, registry, toy_recipe):
        from zero3d.parts import estimate_memory
        from zero3d.recipe import OptimizerOptions

        parts = make(toy_recipe, registry, *GROWING)
        assert (
            estimate_memory(parts.representation, parts.renderer, parts.cameras, OptimizerOptions()).parameters == 1200
        )

    def test_rows_that_are_not_there_change_nothing(self, registry, toy_recipe):
        session = run(str(toy_recipe), registry, [*GROWING, "steps=2"], tell=quiet)
        optimizer, values = session.engine.optimizer, session.parts.representation.values
        before = optimizer.torch.state[values]["exp_avg"].clone(), values.detach().clone()
        with pytest.raises(IndexError, match=r"rearrange\('values'\): rows must lie in 0 to 2"):
            optimizer.rearrange("values", torch.tensor([0, 3]))
        assert torch.equal(optimizer.torch.state[values]["exp_avg"], before[0])
        assert torch.equal(values, before[1])

    def test_a_rate_of_its_own_is_refused(self, registry, toy_recipe, monkeypatch):
        monkeypatch.setattr(seam_toys.Cloud, "param_groups", lambda self: [{"params": [self.values], "lr": 1.0}])
        with pytest.raises(RecipeError, match=r"'lr' is the recipe's; give 'lr_scale'"):
            run(str(toy_recipe), registry, GROWING, tell=quiet)

    def test_a_checkpoint_of_other_columns_is_refused(self, registry, toy_recipe, tmp_path, monkeypatch):
        run(str(toy_recipe), registry, [*GROWING, "steps=2"], tell=quiet)
        state = load_file(tmp_path / "out" / NAME)
        assert state["representation.values"].shape == (3, 3)
        monkeypatch.setattr(seam_toys.Cloud, "channels", 3)

        def wider(self, config):
            seam_toys.Representation.__init__(self, config)
            self.values = torch.nn.Parameter(torch.zeros(config.points, 4))
            self.register_buffer("age", torch.zeros(config.points))

        monkeypatch.setattr(seam_toys.Cloud, "__init__", wider)
        with pytest.raises(RunError, match="another representation"):
            resume(str(tmp_path / "out"), registry, tell=quiet)


class TestState:
    def test_what_parts_remember_lies_under_their_keys(self, registry, toy_recipe, tmp_path):
        run(str(toy_recipe), registry, [*GROWING, "steps=7"], tell=quiet)
        state = load_file(tmp_path / "out" / NAME)
        assert {name for name in state if name.startswith("state.")} == {
            "state.background/level",
            "state.guidance.fits/pose",
            "state.guidance.fits/target",
        }
        assert float(state["state.background/level"]) != 0.5, "the optimizer fits a background's parameters"

    def test_a_background_made_anew_by_load_is_fitted(self, registry, toy_recipe, tmp_path, monkeypatch):
        """As on a GPU, where what `load` moves may be another object."""

        def load(self, device):
            self.level = torch.nn.Parameter(self.level.detach().clone())

        monkeypatch.setattr(seam_toys.Shade, "load", load)
        session = run(str(toy_recipe), registry, [*GROWING, "steps=3"], tell=quiet)
        assert float(session.parts.background.level.detach()) != 0.5

    def test_state_that_the_recipe_has_no_place_for_is_named(self, registry, toy_recipe, tmp_path):
        run(str(toy_recipe), registry, [*GROWING, "steps=2"], tell=quiet)
        file = tmp_path / "out" / "recipe.yaml"
        file.write_text(
            file.read_text(encoding="utf-8")
            .replace("fits: {}", "fitz: {type: fits}")
            .replace("fits:", "fitz:\n    type: fits"),
            encoding="utf-8",
        )
        with pytest.raises((RunError, RecipeError), match=r"guidance\.fits|fitz"):
            resume(str(tmp_path / "out"), registry, tell=quiet)


class TestTeachers:
    def test_a_branch_that_nobody_asks_is_not_computed(self, registry, toy_recipe):
        session = run(str(toy_recipe), registry, [*WORDS, "steps=3"], tell=quiet)
        denoiser = session.parts.denoisers["denoiser"]
        assert denoiser.asked == [("cond", "null")] * 3
        assert denoiser.words.text == "a red ball"
        teacher = session.parts.teachers["denoiser"]
        for scale, expected in ((1.0, ("cond",)), (0.0, ("null",)), (7.5, ("null", "cond"))):
            teacher.denoise(torch.zeros(1, 4, 4, 3), torch.ones(1), session.engine.input_camera, scale)
            assert denoiser.asked[-1] == expected

    def test_views_come_in_the_groups_that_a_teacher_wants(self, registry, toy_recipe):
        grouped = [*WORDS, "denoiser.group=2"]
        with pytest.raises(RecipeError, match=r"denoises 2 views jointly, but 'round' draws 1 views.*cameras\.group=2"):
            make(toy_recipe, registry, *grouped)
        make(toy_recipe, registry, *grouped, "cameras={type: ring, group: 2}")
        with pytest.raises(RecipeError, match="jointly"):
            make(toy_recipe, registry, *grouped, "cameras={type: ring, group: 4}")

    def test_a_prediction_that_a_teacher_cannot_make_is_named(self, registry, toy_recipe, monkeypatch):
        monkeypatch.setattr(seam_toys.Classifier, "branches", ("cond", "side view"))
        with pytest.raises(RecipeError, match=r"guidance\.classifier: 'classifier' needs the prediction side view"):
            make(toy_recipe, registry, *WORDS)

    @pytest.mark.parametrize(("kind", "told"), [("Classifier", "branches"), ("Counted", "uses")])
    def test_a_negative_prompt_that_is_read_is_none(self, registry, toy_recipe, monkeypatch, kind, told):
        told_by = getattr(seam_toys, kind)
        monkeypatch.setattr(told_by, told, (*getattr(told_by, told), "negative"))
        monkeypatch.setattr(seam_toys.Counted, "branches", (*seam_toys.Counted.branches, "negative"))
        make(toy_recipe, registry, *WORDS, "negative=ugly")

    def test_an_encoder_is_a_teacher(self, registry, toy_recipe):
        chosen = ["image=null", "prompt=red", "denoiser=null", "encoder={type: words}", "regularizers=null"]
        session = run(str(toy_recipe), registry, [*chosen, "guidance={alike: {}}", "optimizer.lr=0.1"], tell=quiet)
        red, green, _ = session.parts.representation.picture.mean(dim=(0, 1)).tolist()
        assert red > 2 * green

    def test_a_term_is_asked_in_every_so_many_steps(self, registry, toy_recipe, tmp_path):
        run(str(toy_recipe), registry, ["steps=7", "regularizers.bright={every: 3, weight: 0.1}"], tell=quiet)
        lines = (tmp_path / "out" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        asked = ["regularizers.bright.value" in json.loads(line) for line in lines]
        assert asked == [True, False, False, True, False, False, True]
        for wrong in ("0", "true", "1.5"):
            with pytest.raises(RecipeError, match=r"bright\.every: .*; a number of steps, at least 1"):
                make(toy_recipe, registry, f"regularizers.bright.every={wrong}")

    def test_a_guidance_may_see_what_is_painted_behind(self, registry, toy_recipe, monkeypatch):
        """The cloud's renderer shows half of what is behind; the shade's is a grey of one pixel for each view."""
        seen = []

        def gradient(self, view, cameras, step):
            seen.append(view.extra["background"])
            fog = view.image - (1 - view.opacity) * view.extra["background"]
            assert float((fog - fog[:1, :1, :1]).abs().max()) < 1e-6, "one colour, whatever is behind"
            return ImageGradient(torch.zeros_like(view.image))

        monkeypatch.setattr(seam_toys.Alike, "gradient", gradient)
        monkeypatch.setattr(seam_toys.Alike, "needs", frozenset({"image", "background"}))
        chosen = ["image=null", "prompt=red", "denoiser=null", "encoder={type: words}", "regularizers=null"]
        cloud = ["representation={type: cloud}", "renderer={type: cloud}", "background={type: shade}"]
        run(str(toy_recipe), registry, [*chosen, *cloud, "guidance={alike: {}}", "steps=3"], tell=quiet)
        assert len({float(behind.mean()) for behind in seen}) == 3
        assert {tuple(behind.shape[1:]) for behind in seen} == {(toy.SIZE, toy.SIZE, 3)}

    def test_an_encoder_is_shown_pictures_at_its_own_size(self, registry, toy_recipe, monkeypatch):
        monkeypatch.setattr(seam_toys.Words, "picture_resolution", 40)
        chosen = ["encoder={type: words}", "guidance={alike: {}}", "denoiser=null", "prompt=red", "steps=1"]
        session = run(str(toy_recipe), registry, chosen, tell=quiet)
        (posed,) = session.parts.encoder_teachers["encoder"].subject.pictures
        assert posed.picture.rgb.shape == (40, 40, 3)

    @pytest.mark.parametrize(
        ("overrides", "told"),
        [
            (["guidance={alike: {}}"], r"guidance\.alike: 'alike' asks an encoder; add encoder"),
            (
                ["encoder={type: words}", "guidance={alike: {}}", "representation.channels=4"],
                r"representation\.channels: 4, but guidance\.alike shows its views to an encoder",
            ),
            (["guidance.pull.encoder=a"], r"guidance\.pull\.encoder: 'pull' asks no encoder; remove it"),
            (
                ["denoiser={type: counted}"],
                r"denoiser: needs a prompt, and the recipe gives none; add for example prompt=",
            ),
            (["prompt=a cat"], r"prompt: nothing in this recipe reads a prompt; remove it with prompt=null"),
            (["image=null", "prompt=a cat"], r"prompt: nothing in this recipe reads a prompt"),
            (
                ["prompt=a cat", "denoiser={type: counted}", "guidance={classifier: {}}", "regularizers=null"],
                r"image: nothing in this recipe reads a picture; remove it with image=null",
            ),
            (["encoder={type: words}"], r"encoder: nothing in this recipe asks this encoder; remove it"),
            (
                [*WORDS, "negative=ugly"],
                r"negative: nothing in this recipe reads a negative prompt; .*unconditional.*remove it with negative=''",
            ),
            (["negative=ugly"], r"negative: 'ugly'; it stands beside a prompt"),
            (["background={type: shade}", "representation.channels=4"], r"channels"),
            (["regularizers.bright.view=input.back"], r"bright\.view: 'input\.back'"),
            (["images={a: b.png}"], r"image: given beside images"),
        ],
    )
    def test_what_does_not_fit_is_one_line(self, registry, toy_recipe, overrides, told):
        with pytest.raises(RecipeError, match=told) as caught:
            make(toy_recipe, registry, *overrides)
        assert len(str(caught.value).splitlines()) == 1


class TestSubject:
    @pytest.fixture
    def images(self, tmp_path):
        for name, colour in (("front", (255, 0, 0)), ("back", (0, 255, 0))):
            rgba = numpy.zeros((32, 32, 4), numpy.uint8)
            rgba[8:24, 8:24] = (*colour, 255)
            Image.fromarray(rgba, "RGBA").save(tmp_path / f"{name}.png")
        front, back = f"front: {tmp_path / 'front.png'}", f"back: {{path: {tmp_path / 'back.png'}, azimuth_deg: 180}}"
        return [
            "image=null",
            f"images={{{front}, {back}}}",
            "regularizers={input_view: {weight: 100}}",
            "guidance=null",
        ]

    def test_several_pictures_are_framed_placed_kept_and_fitted(self, registry, toy_recipe, tmp_path, images):
        chosen = [*images, "denoiser=null", "input.resolution=16"]
        planned = plan(str(toy_recipe), registry, chosen)
        assert list(planned.input_cameras) == ["front", "back"]
        session = run(str(toy_recipe), registry, chosen, tell=quiet)
        front, back = session.engine.subject.pictures
        assert float(back.camera.azimuth.abs()) == pytest.approx(torch.pi)
        assert (front.camera.height, back.picture.rgb.shape[0] >= 16) == (16, True)
        assert sorted(p.name for p in (tmp_path / "out" / "pictures").iterdir()) == ["back.png", "front.png"]
        assert set(json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))["image"]) == {
            "front",
            "back",
        }
        figures = json.loads((tmp_path / "out" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        assert figures["regularizers.input_view.value"] > 0
        red, green, _ = session.parts.representation.picture[8, 8].tolist()
        assert red == pytest.approx(green, abs=0.1), "half of each picture"
        resume(str(tmp_path / "out"), registry, tell=quiet)

    def test_a_term_may_act_on_one_of_them(self, registry, toy_recipe, images):
        chosen = [*images[:2], images[3], "denoiser=null", "optimizer={type: sgd, lr: 0.5}", "steps=200"]
        back = ["regularizers={input_view: {weight: 100, view: input.back, mask: 0}}"]
        session = run(str(toy_recipe), registry, [*chosen, *back], tell=quiet)
        red, green, _ = session.parts.representation.picture[8, 8].tolist()
        assert (green - red) > 0.5, "the back's picture alone"

    def test_pictures_are_the_whole_recipes(self, registry, toy_recipe, images):
        with pytest.raises(RecipeError, match=r"stages\.a\.images: belongs to the whole recipe"):
            load_recipe(toy_recipe, registry, [*images, "stages={a: {images: {front: b.png}}}"])

    def test_the_first_picture_is_the_front(self, registry, toy_recipe, images):
        front = images[1].replace("front: ", "front: {azimuth_deg: 20, path: ").replace(", back", "}, back")
        turned = [images[0], front, *images[2:]]
        with pytest.raises(RecipeError, match=r"images\.front\.azimuth_deg: 20; the first picture is the front"):
            make(toy_recipe, registry, *turned)

    def test_a_run_without_a_picture_resumes(self, registry, toy_recipe, tmp_path):
        session = run(str(toy_recipe), registry, [*WORDS, "steps=4"], tell=quiet)
        assert session.engine.picture is None
        assert not (tmp_path / "out" / "picture.png").exists()
        resume(str(tmp_path / "out"), registry, tell=quiet)

    def test_a_recipe_begins_from_what_a_reconstructor_makes(self, registry, toy_recipe):
        chosen = ["start={type: guess}", "optimizer={type: sgd, lr: 0}", "steps=1"]
        session = run(str(toy_recipe), registry, chosen, tell=quiet)
        grey = float(session.parts.representation.picture.detach().mean())
        assert grey == pytest.approx(float(session.engine.picture.rgb.mean()), abs=0.05)
        with pytest.raises(RecipeError, match=r"start: representation 'cloud' cannot begin from the Flat"):
            run(str(toy_recipe), registry, [*GROWING, *chosen, "overwrite=true"], tell=quiet)


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (lambda c: 3, "penalty() returned int; return a tensor of one number"),
            (lambda c: None, "penalty() returned NoneType"),
            (lambda c: c.view.image, "penalty() returned shape (1, 16, 16, 3)"),
            (lambda c: c.view.image.mean() / 0, "regularizers.bright.value is inf"),
            (lambda c: 1 / 0, "ZeroDivisionError: division by zero (" + __file__ + ", line "),
            (lambda c: 0.5 + 0 * c.view.image.detach().mean(), "penalty() returned 0.5 without a graph"),
            (lambda c: torch.tensor(-0.5), "penalty() returned -0.5 without a graph, so that it moves nothing"),
            (lambda c: torch.tensor(torch.nan), "regularizers.bright.value is nan"),
        ],
    )
    def test_a_term_that_fails_is_named_with_its_step(self, registry, toy_recipe, tmp_path, monkeypatch, answer, told):
        kept = toy.Bright.penalty

        def penalty(self, context):
            return kept(self, context) if context.step.index < 20 else answer(context)

        monkeypatch.setattr(toy.Bright, "penalty", penalty)
        with pytest.raises(StepError) as caught:
            run(str(toy_recipe), registry, [], tell=quiet)
        line = str(caught.value)
        assert line.startswith("step 20: regularizers.bright")
        assert told in line
        assert len(line.splitlines()) == 1
        state = load_file(tmp_path / "out" / NAME)
        assert all(bool(value.double().isfinite().all()) for value in state.values())

    def test_a_penalty_without_a_graph_may_be_0_and_any_may_be_negative(self, registry, toy_recipe, monkeypatch):
        for answer in (lambda self, c: torch.zeros(()), lambda self, c: -c.view.image.mean()):
            monkeypatch.setattr(toy.Bright, "penalty", answer)
            run(str(toy_recipe), registry, ["steps=2", "overwrite=true"], tell=quiet)

    def test_the_command_line_says_it_in_one_line(self, toy_recipe, registry, tmp_path, monkeypatch, capsys):
        from zero3d import cli, plugins

        def leaves(self, context):
            raise SystemExit(0)

        monkeypatch.setattr(cli, "load_plugins", lambda local=(): registry, raising=False)
        monkeypatch.setattr(plugins, "load_plugins", lambda local=(): registry)
        monkeypatch.setattr(toy.Bright, "penalty", leaves)
        assert cli.main(["run", str(toy_recipe)]) == 1
        (line,) = [told for told in capsys.readouterr().err.splitlines() if told.startswith("zero3d: ")]
        assert re.fullmatch(r"zero3d: step 1: regularizers\.bright: SystemExit: 0 \(.*test_seam\.py, line \d+\)", line)

    def test_what_torch_refuses_is_told_with_the_plugins_own_line(self, registry, toy_recipe, monkeypatch):
        """Of which torch.nn.functional's file, several calls further down, says nothing."""

        def wrong(self, context):
            return torch.nn.functional.grid_sample(context.view.image, context.view.image, align_corners=False)

        monkeypatch.setattr(toy.Bright, "penalty", wrong)
        with pytest.raises(StepError, match=r"regularizers\.bright: \w+Error: .*\(.*test_seam\.py, line \d+\)"):
            run(str(toy_recipe), registry, ["steps=2", "overwrite=true"], tell=quiet)

    def test_an_update_that_is_not_finite_is_the_optimizers(self, registry, toy_recipe, monkeypatch):
        """Adam without eps where the gradient is 0: 0 / 0."""
        monkeypatch.setattr(toy.Pull, "gradient", lambda self, view, *rest: toy.ImageGradient(0 * view.image))
        chosen = ["optimizer.eps=0", "regularizers=null"]
        with pytest.raises(StepError, match=r"step 0: the optimizer's update made picture .* nan or inf"):
            run(str(toy_recipe), registry, chosen, tell=quiet)

    @pytest.mark.parametrize("every", [2, 50])
    def test_such_an_update_is_found_before_it_is_saved_and_blamed_on_no_term(
        self, registry, toy_recipe, tmp_path, monkeypatch, every
    ):
        """Not every step reads every parameter: the checkpoint shows it, or the next step's views."""

        def spoil(self, step, optimizer):
            if step.index == 1:
                with torch.no_grad():
                    self.picture[0, 0, 0] = torch.nan

        monkeypatch.setattr(toy.Flat, "after_step", spoil)
        with pytest.raises(StepError, match=r"step 1: the optimizer's update made picture .* nan or inf"):
            run(str(toy_recipe), registry, ["regularizers=null", f"checkpoint.every={every}", "steps=6"], tell=quiet)
        state = load_file(tmp_path / "out" / NAME)
        assert all(bool(value.double().isfinite().all()) for value in state.values())

    def test_a_rate_of_its_own_is_refused_before_anything_loads(self, registry, toy_recipe, monkeypatch):
        monkeypatch.setattr(seam_toys.Cloud, "param_groups", lambda self: [{"params": [self.values], "lr": 1.0}])
        with pytest.raises(RecipeError, match=r"'lr' is the recipe's; give 'lr_scale'"):
            make(toy_recipe, registry, *GROWING)

    def test_a_reconstructor_that_makes_nothing_is_told(self, registry, toy_recipe, monkeypatch):
        monkeypatch.setattr(seam_toys.Guess, "reconstruct", lambda self, subject, step: None)
        with pytest.raises(RecipeError, match=r"start: 'guess' made a NoneType; reconstruct\(\) must return a Repr"):
            run(str(toy_recipe), registry, ["start={type: guess}"], tell=quiet)

    def test_a_state_that_no_file_can_hold_is_named(self, registry, toy_recipe, monkeypatch):
        monkeypatch.setattr(toy.Pull, "state_dict", lambda self: {"seen": {1, 2}})
        with pytest.raises(RunError, match=r"guidance\.pull: its state cannot be kept \(.*set.*\)"):
            run(str(toy_recipe), registry, [], tell=quiet)

    @pytest.mark.parametrize(
        ("kind", "method", "answer", "told"),
        [
            ("Pull", "cameras", lambda *given: 3, "step 0: guidance.pull: cameras() returned int"),
            ("Pull", "cameras", lambda *given: 1 / 0, "step 0: guidance.pull: ZeroDivisionError"),
            ("Pull", "after_step", lambda *given: 1 / 0, "step 0: guidance.pull: after_step: ZeroDivisionError"),
            ("RoundCameras", "sample", lambda *given: 1 / 0, "step 0: cameras: ZeroDivisionError"),
            ("Flat", "after_step", lambda *given: 1 / 0, "step 0: representation: after_step: ZeroDivisionError"),
        ],
    )
    def test_every_part_that_fails_is_named(self, registry, toy_recipe, monkeypatch, kind, method, answer, told):
        monkeypatch.setattr(getattr(toy, kind), method, answer)
        with pytest.raises(StepError) as caught:
            run(str(toy_recipe), registry, [], tell=quiet)
        assert str(caught.value).startswith(told)

    def test_a_background_that_is_not_finite_is_the_backgrounds(self, registry, toy_recipe, monkeypatch):
        monkeypatch.setattr(seam_toys.Shade, "paint", lambda self, cameras, step, white: white * torch.nan)
        with pytest.raises(StepError, match=r"step 0: background 'shade': paint\(\) made nan or inf"):
            run(str(toy_recipe), registry, ["background={type: shade}"], tell=quiet)
