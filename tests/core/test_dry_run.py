"""`zero3d run --dry-run`: what it says is what a run is; nothing is loaded, stepped or written."""

import json
import math
from pathlib import Path

import pytest
import torch

from tests.core import toy
from tests.plugins.zero123_tiny import save_checkpoint, save_folder, tiny_config
from zero3d import cli
from zero3d.engine import Engine
from zero3d.errors import RecipeError
from zero3d.interfaces import ImageSource
from zero3d.parts import component_size
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.registry import Registered
from zero3d.run import open_session, plan, run
from zero3d.schedule import Schedule
from zero3d.testing import GaussianDenoiser
from zero3d_diagnostics.options import changed_options, schedule_text
from zero3d_diagnostics.plan import sections
from zero3d_diagnostics.sizes import in_bytes

NANO = ["recipes/nano.yaml", "image=examples/mug.png", "device=cpu"]


def planned(file, registry, overrides=()):
    """Title -> rows, by their first cell."""
    found = plan(str(file), registry, list(overrides))
    return {section.title: {row[0]: row[1:] for row in section.rows} for section in sections(found, registry)}


def everything_in(folder):
    return {path: path.stat().st_mtime_ns for path in sorted(Path(folder).rglob("*"))}


@pytest.fixture
def forbidden(monkeypatch):
    """Whatever a dry run must not do fails the test."""

    def refuse(*arguments, **options):
        raise AssertionError("a dry run did it")

    monkeypatch.setattr(GaussianDenoiser, "load", refuse)
    monkeypatch.setattr(Engine, "step", refuse)
    monkeypatch.setattr(Engine, "initialise", refuse)


def test_nothing_is_loaded_stepped_or_written(registry, toy_recipe, tmp_path, forbidden):
    before = everything_in(tmp_path)
    planned(toy_recipe, registry)
    assert everything_in(tmp_path) == before


def test_the_command_line_prints_it_and_writes_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(["run", *NANO, f"out={out}", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    for title in ("run", "parts", "terms", "cameras", "parameters", "memory, about", f"written to {out}"):
        assert f"\n{title}" in shown
    assert cli.main(["plan", *NANO, f"out={out}"]) == 0
    # what is free may have changed in between
    same = [
        [line for line in text.splitlines() if " are free" not in line] for text in (shown, capsys.readouterr().out)
    ]
    assert same[0] == same[1]


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["image=none.png", "out=x"], "none.png"),
        (["out=x"], "image: missing"),
        (["image=examples/mug.png", "out=x", "guidance.sds.min_t=2"], "min_t"),
        (["image=examples/mug.png", "out=x", "representation.resolution=1000000"], "2 to 1024"),
        (["image=examples/mug.png", "out=x", "optimizer.lr=-1"], "lr"),
        (["image=examples/mug.png", "out=zero3d"], "not empty"),
    ],
)
def test_what_a_run_would_refuse_is_refused_in_one_line(overrides, told, capsys):
    assert cli.main(["run", "recipes/nano.yaml", "device=cpu", *overrides, "--dry-run"]) == 2
    line = capsys.readouterr().err
    assert line.startswith("zero3d: ")
    assert line.count("\n") == 1
    assert told in line


def test_parts_name_their_package_and_only_the_options_that_differ(registry, toy_recipe):
    rows = planned(toy_recipe, registry, ["representation.start=0.5", "observers={preview: {every: 100, size: 64}}"])[
        "parts"
    ]
    assert rows["representation"] == ("representation flat", "tests 0", "start: 0.5, resolution: 16")
    assert rows["cameras"] == ("camera_sampler round", "tests 0", "-")
    assert rows["guidance.pull"][0] == "guidance pull"
    assert rows["observers.preview"][2] == "size: 64", "every is at its default"
    assert rows["denoiser"][0] == "denoiser gaussian"


def test_a_plugin_that_is_not_installed_is_shown_with_its_path(registry, toy_recipe):
    class Local(toy.RoundCameras):
        """From a folder."""

        name = "local"

    registry.add(Registered(Local, "local", "mine", "1", "/home/me/mine"))
    rows = planned(toy_recipe, registry, ["cameras={type: local}"])["parts"]
    assert rows["cameras"][1] == "mine 1 (/home/me/mine)"


def test_needs_are_matched_with_who_provides_them(registry, toy_recipe):
    overrides = ["regularizers.deep={weight: {0%: 0, 50%: {jump: 2}}}", "regularizers.bright.view=input"]
    found = planned(toy_recipe, registry, overrides)
    weight, acts_on, needs = found["terms"]["regularizers.deep"]
    assert (weight, acts_on) == ("{0%: 0, 50%: {jump: 2}}", "novel view")
    assert needs == "depth (renderer flat), near_view (cameras round)"
    assert found["terms"]["regularizers.bright"][2] == "image (renderer flat), input_view (the input camera)"
    assert found["terms"]["guidance.pull"][:2] == ("1", "novel views, asks denoiser")
    assert "near: 1 a step" in found["cameras"]
    assert found["cameras"]["input: 1 a step"][0].startswith("azimuth 0, elevation 10, distance 2, field of view 49.13")
    plain = planned(toy_recipe, registry)
    assert "input: not drawn" in plain["cameras"]
    assert not any(name.startswith("near") for name in plain["cameras"])


def test_a_guidances_own_cameras_and_teacher(registry, toy_recipe):
    overrides = ["denoiser=", "denoisers={a: {type: gaussian, resolution: 16}, b: {type: gaussian, resolution: 16}}"]
    overrides += ["guidance={one: {type: pull, denoiser: b, cameras: {type: sphere, resolution: 24, views: 3}}}"]
    found = planned(toy_recipe, registry, overrides)
    assert found["terms"]["guidance.one"][1] == "its own views, asks b"
    assert found["cameras"]["guidance.one: 3 a step"] == ("sphere", "24 x 24")
    assert found["parts"]["guidance.one.cameras"][0] == "camera_sampler sphere"
    assert found["parameters"]["denoisers.a"][2] == "", "nothing to load"
    assert "denoisers.a" not in found["memory, about"], "no guidance asks it"


def size_of(text):
    number, unit = text.split()
    return float(number) * {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[unit]


@pytest.mark.parametrize(("optimizer", "moments"), [("adam", 2), ("adamw", 2), ("adamax", 2), ("adan", 4), ("sgd", 0)])
def test_the_memory_is_what_the_run_then_holds(registry, toy_recipe, tmp_path, optimizer, moments):
    overrides = [f"optimizer={{type: {optimizer}, lr: 0.05}}", "steps=2"]
    rows = planned(toy_recipe, registry, overrides)["memory, about"]
    session = run(str(toy_recipe), registry, overrides, tell=lambda line: None)
    theta = session.parts.representation.picture
    assert size_of(rows["representation"][0]) == theta.numel() * 4
    assert size_of(rows["its gradient"][0]) == theta.grad.numel() * 4
    held = [
        state
        for states in session.engine.optimizer.torch.state.values()
        for state in states.values()
        if isinstance(state, torch.Tensor) and state.shape == theta.shape
    ]
    assert len(held) == moments
    assert size_of(rows["optimizer"][0]) == sum(tensor.numel() * 4 for tensor in held)
    rays = 3 * session.parts.cameras.resolution**2
    assert size_of(rows["a step's render"][0]) == rays, "the toy renderer says one byte a ray"
    assert size_of(rows["together"][0]) == pytest.approx((2 + moments) * theta.numel() * 4 + rays, rel=0.02)


def test_the_files_are_those_that_a_run_leaves(tmp_path):
    out = tmp_path / "run"
    overrides = [
        "image=examples/mug.png",
        f"out={out}",
        "device=cpu",
        "steps=4",
        "denoiser={type: gaussian, resolution: 16}",
        "cameras={type: sphere, resolution: 16}",
        "representation.resolution=16",
        "export={mesh: {type: marching_cubes, resolution: 24, threshold: 0.01}}",
        "observers={preview: {every: 2}, turntable: {frames: 2}, gradients: {every: 2}, azimuth_loss: {}, "
        "guidance_preview: {every: 2}, tensorboard: {}}",
    ]
    registry = load_plugins()
    told = planned("recipes/nano.yaml", registry, overrides)[f"written to {out}"]
    run("recipes/nano.yaml", registry, overrides, tell=lambda line: None)
    left = {path.name + "/" * path.is_dir() for path in out.iterdir()}
    assert set(told) == left
    again = planned("recipes/nano.yaml", registry, [*overrides, "overwrite=true"])[f"written to {out}"]
    assert "removed first" in again["."][0]


def test_the_embedded_network_is_counted_before_it_is_read(registry):
    from zero3d_zero123.component import Zero123, Zero123Config

    denoiser = Zero123.build(Zero123Config())
    count, size = component_size(denoiser, torch.device("cpu"))
    denoiser.load(torch.device("cpu"))
    parts = [part for part in vars(denoiser).values() if isinstance(part, torch.nn.Module)]
    assert count == sum(tensor.numel() for part in parts for tensor in part.state_dict().values())
    assert size == 4 * count


@pytest.mark.parametrize(
    ("form", "dtype"), [("checkpoint", "float32"), ("checkpoint", "bfloat16"), ("folder", "float32")]
)
def test_published_weights_are_counted_as_they_are_once_loaded(tmp_path, form, dtype):
    """The checkpoint also holds the raw U-Net beside the averaged one: its file says more than is loaded."""
    from zero3d_zero123.component import Zero123, Zero123Config

    options = {"dtype": dtype}
    if form == "folder":
        options["weights"] = str(save_folder(tmp_path / "tiny"))
    else:
        save_checkpoint(tmp_path / "tiny.ckpt")
        options |= {"weights": str(tmp_path / "tiny.ckpt"), "config": str(tiny_config(tmp_path))}
    denoiser = Zero123.build(Zero123Config(**options))
    count, size = component_size(denoiser, torch.device("cpu"))
    denoiser.load(torch.device("cpu"))
    loaded = [p for m in vars(denoiser).values() if isinstance(m, torch.nn.Module) for p in m.parameters()]
    assert count == sum(p.numel() for p in loaded)
    held = sum(p.numel() * p.element_size() for p in loaded)
    assert size == held if form == "checkpoint" else size >= held


def test_the_papers_recipe_is_planned_without_its_weights_being_read(tmp_path, monkeypatch):
    from zero3d_zero123.published.denoiser import PublishedDenoiser

    def refuse(self, device):
        raise AssertionError("loaded")

    monkeypatch.setattr(PublishedDenoiser, "load", refuse)
    overrides = ["image=examples/mug.png", f"out={tmp_path / 'x'}", "device=cpu"]
    overrides += [f"denoiser.weights={save_folder(tmp_path / 'tiny')}"]
    found = planned("recipes/zero123-sjc.yaml", load_plugins(), overrides)
    assert "not loaded" in found["parameters"]["denoiser"][2]
    assert found["parameters"]["representation.raw_features"][:2] == ("1 x 4 x 100 x 100 x 100", "4,000,000")
    assert found["cameras"]["novel: 1 a step"] == ("zero123", "32 x 32 (latent)")
    assert "rgb (denoiser decodes)" in found["terms"]["regularizers.input_view"][2]
    assert found["terms"]["regularizers.depth_smoothness_input"][:2] == ("1000", "input view")


def test_a_picture_that_a_run_makes_is_not_made(registry, toy_recipe, tmp_path):
    class Costly(ImageSource):
        """Fails when asked."""

        name = "costly"

        def read(self, mask):
            raise AssertionError("made")

    registry.add(Registered(Costly, "toy", "tests", "0"))
    rows = planned(toy_recipe, registry, ["image={type: costly}"])["run"]
    assert rows["picture"] == ("made when the run starts",)


def test_a_resolved_recipe_has_the_same_plan(registry, toy_recipe, tmp_path):
    session = run(str(toy_recipe), registry, ["steps=2"], tell=lambda line: None)
    first = planned(toy_recipe, registry, ["steps=2", f"out={tmp_path / 'b'}"])
    again = planned(session.folder / "recipe.yaml", registry, [f"out={tmp_path / 'b'}"])
    for title in ("parts", "terms", "cameras", "parameters"):
        assert first[title] == again[title]


def test_a_session_of_a_planned_run_opens(registry, toy_recipe):
    """What plan builds is what run builds: the same representation, term by term."""
    found = plan(str(toy_recipe), registry, ["steps=2"])
    session = run(str(toy_recipe), registry, ["steps=2"], tell=lambda line: None)
    opened = open_session(session.folder, registry)
    shapes = {name: tensor.shape for name, tensor in found.parts.representation.named_parameters()}
    assert shapes == {name: tensor.shape for name, tensor in opened.parts.representation.named_parameters()}
    assert json.loads((session.folder / "manifest.json").read_text(encoding="utf-8"))["notes"] == found.notes


@pytest.mark.parametrize(
    "source", [3, 0.5, {"0%": 0, "50%": {"jump": 2}}, {"10": 1, "100%": 0.005}, {"5": {"jump": 1}}]
)
def test_a_schedules_text_is_read_back_as_the_schedule(source):
    import yaml

    schedule = Schedule.parse(source)
    assert Schedule.parse(yaml.safe_load(schedule_text(schedule))) == schedule


def test_changed_options():
    assert changed_options(toy.FlatConfig()) == {}
    assert changed_options(toy.FlatConfig(start=0.5, resolution=8)) == {"start": "0.5", "resolution": "8"}


def test_changed_options_of_a_class_that_refuses_its_own_defaults(tmp_path, capsys):
    text = "image={type: text, prompt: a red mug, model: some/folder, steps: 30}"
    assert cli.main(["plan", "recipes/nano.yaml", text, "device=cpu", f"out={tmp_path / 'run'}"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "image_source text" in line]
    assert "prompt: a red mug, model: some/folder" in row
    assert "height" not in row


def test_changed_options_takes_a_default_as_its_class_leaves_it():
    from zero3d_score.ism import IsmConfig

    assert changed_options(IsmConfig()) == {}
    assert changed_options(IsmConfig(interval=0.1)) == {"interval": "0.1"}


def test_options_without_a_default_are_always_shown(registry, toy_recipe, tmp_path):
    assert planned(toy_recipe, registry)["parts"]["image"][2] == f"path: {tmp_path / 'red.png'}"


@pytest.mark.parametrize(("count", "told"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**30, "3.0 GiB")])
def test_bytes_in_words(count, told):
    assert in_bytes(count) == told


def test_a_large_denoiser_is_part_of_the_sum_and_an_unknown_one_is_said(registry, toy_recipe, monkeypatch):
    monkeypatch.setattr(GaussianDenoiser, "size", lambda self, device: (10**9, 4 * 10**9))
    rows = planned(toy_recipe, registry)["memory, about"]
    assert size_of(rows["denoiser"][0]) == pytest.approx(4e9, rel=0.02)
    assert math.isclose(size_of(rows["together"][0]), 4e9, rel_tol=0.02)
    monkeypatch.setattr(GaussianDenoiser, "size", lambda self, device: None)
    monkeypatch.setattr(GaussianDenoiser, "weight_files", lambda self: [Path("gone.ckpt")])
    rows = planned(toy_recipe, registry)["memory, about"]
    assert rows["denoiser"][0] == "known once loaded"
    assert rows["together"][0].startswith("over ")


def test_an_unmet_need_stops_the_plan(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, [])
    assert recipe.regularizers
    with pytest.raises(RecipeError, match="needs normals"):
        plan(str(toy_recipe), registry, ["regularizers.normals={}"])


def test_overrides_may_stand_before_and_after_an_option(capsys):
    assert cli.main(["run", NANO[0], NANO[1], "--dry-run", "steps=-1"]) == 2
    assert "steps" in capsys.readouterr().err


def test_an_unknown_option_is_still_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["run", NANO[0], "--dry-run", NANO[1], "--fast"])
    assert stopped.value.code == 2
    assert "--fast" in capsys.readouterr().err
