"""A recipe's stages: checked together before the first, each begins where the former ended, resumed at the right one."""

import json
import shutil

import pytest
import torch
import yaml

from tests.core.test_run import assert_same, final_state, interrupt_after, quiet
from zero3d import RecipeError, checkpoint, folder
from zero3d.cli import main
from zero3d.recipe import load_recipe
from zero3d.recipe.stages import split_stages
from zero3d.run import export, open_session, plans, resume, run

STAGES = """
stages:
  near: {steps: 8}
  far:
    steps: 6
    guidance: {pull: {target: 0.0}}
    regularizers: {bright: null, direct: {weight: 0.01}}
"""


@pytest.fixture
def staged(toy_recipe):
    toy_recipe.write_text(toy_recipe.read_text(encoding="utf-8") + STAGES, encoding="utf-8")
    return toy_recipe


def split(text):
    return split_stages(yaml.safe_load(text), "r.yaml", {"guidance"})


def test_keys_are_laid_over_block_by_block_and_a_block_with_a_type_is_complete():
    found = split(
        "{out: o, steps: 1, cameras: {type: a, size: 2, far: 3}, guidance: {one: {x: 1}, two: {y: 2}}, stages: "
        "{first: {cameras: {size: 9}, guidance: {one: {z: {0: 1, 5: 2}}, two: null}}, second: {cameras: {type: b}}}}"
    )
    assert found == {
        "r.yaml: stages.first": {
            "out": "o/1-first",
            "steps": 1,
            "cameras": {"type": "a", "size": 9, "far": 3},
            "guidance": {"one": {"x": 1, "z": {0: 1, 5: 2}}, "two": None},
        },
        "r.yaml: stages.second": {
            "out": "o/2-second",
            "steps": 1,
            "cameras": {"type": "b"},
            "guidance": {"one": {"x": 1}, "two": {"y": 2}},
        },
    }


def test_a_schedule_is_replaced_not_mixed():
    (found,) = split("{optimizer: {lr: {0: 1, 9: 2}}, stages: {a: {optimizer: {lr: {3: 4}}}}}").values()
    assert found["optimizer"]["lr"] == {3: 4}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("stages=[1]", "stages: [1] is no map of stages"),
        ("stages={}", "no map of stages"),
        ("stages.near=5", "stages.near: 5; a stage is a word and a map"),
        ("stages.far.image=cat.png", "stages.far.image: belongs to the whole recipe"),
        ("stages.far.out=elsewhere", "stages.far.out: belongs to the whole recipe"),
        ("stages.far.stepz=3", "stages.far: stepz: no such key. Did you mean 'steps'"),
        ("stages.far.steps=many", "stages.far: steps: 'many'; write a whole number"),
        ("stages.far.guidance.pull.targit=3", "stages.far: guidance.pull.targit: guidance 'pull' has no such option"),
        ("stages.far.regularizers.normals={}", "stages.far: regularizers.normals: needs normals"),
        ("stages.far.representation.channels=4", "stages.far: representation.channels: 4, but denoiser 'gaussian'"),
        ("stages.far.representation.resolution=8", "'flat' as set cannot start from the former stage's 'flat'"),
        (
            "stages.far.representation={type: voxels, resolution: 8}",
            "stages.far: renderer: 'flat' draws Flats, but representation 'voxels' is none",
        ),
        (
            "stages.near.representation={type: mesh, start: previous}",
            "stages.near: renderer: 'flat' draws Flats",
        ),
    ],
)
def test_every_stage_is_checked_before_the_first_begins(override, said, registry, staged, tmp_path):
    with pytest.raises(RecipeError) as error:
        run(str(staged), registry, [override], tell=quiet)
    line = str(error.value)
    assert line.startswith(f"{staged}: stages")
    assert said in line
    assert "\n" not in line
    assert not (tmp_path / "out").exists()


def test_overrides_address_all_stages_or_one(registry, staged):
    first = load_recipe(staged, registry, ["seed=5", "stages.far.steps=2", "stages.far.regularizers.direct.weight=0"])
    (second,) = first.later
    assert (first.options.seed, second.options.seed) == (5, 5)
    assert (first.options.steps, second.options.steps) == (8, 2)
    assert set(first.regularizers) == {"bright"}
    assert second.regularizers["direct"].weight.extremes == (0.0, 0.0)
    assert load_recipe(staged, registry, ["stages.far=null"]).later == ()


def test_a_stage_begins_where_the_former_ended(registry, staged, tmp_path):
    session = run(str(staged), registry, tell=quiet)
    out = tmp_path / "out"
    assert session.folder == out / "2-far"
    assert sorted(path.name for path in out.iterdir()) == [
        "1-near",
        "2-far",
        "manifest.json",
        "picture.png",
        "recipe.yaml",
        "report.html",
    ]
    assert len((out / "1-near" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 8
    near = final_state(out / "1-near")[0]["representation.picture"]
    assert float(near.mean()) > 0.4, "it went from 0.25 towards 1"
    # the same second stage by hand, from the first one's checkpoint
    parts = open_session(out / "2-far", registry, tell=quiet, teach=True)
    with torch.no_grad():
        parts.parts.representation.picture.copy_(near)
    for index in range(6):
        parts.engine.step(index)
    assert torch.equal(
        parts.parts.representation.picture.detach(), final_state(out / "2-far")[0]["representation.picture"]
    )


def test_a_stages_folder_is_a_run_and_the_whole_stands_for_its_last(registry, staged, tmp_path):
    run(str(staged), registry, tell=quiet)
    out = tmp_path / "out"
    assert folder.open_run(out) == out / "2-far"
    assert folder.open_run(out / "1-near") == out / "1-near"
    assert export(str(out), registry, tell=quiet).folder == out / "2-far"
    recipe = load_recipe(out / "1-near" / "recipe.yaml", registry)
    assert (recipe.later, recipe.whole, recipe.options.steps) == ((), None, 8)
    assert len(load_recipe(out / "recipe.yaml", registry).later) == 1
    assert json.loads((out / "2-far" / "manifest.json").read_text(encoding="utf-8"))["components"][
        "regularizers.direct"
    ]


@pytest.mark.parametrize("steps", [3, 11])
def test_resume_picks_the_stage_and_is_exact(steps, registry, staged, tmp_path, monkeypatch):
    run(str(staged), registry, [f"out={tmp_path / 'whole'}"], tell=quiet)
    told = []
    with monkeypatch.context() as patch:
        interrupt_in(patch, steps)
        with pytest.raises(KeyboardInterrupt):
            run(str(staged), registry, tell=told.append)
    out = tmp_path / "moved here"
    shutil.move(tmp_path / "out", out)
    assert (out / "2-far").exists() == (steps > 8)
    stage = out / ("2-far" if steps > 8 else "1-near")
    assert f"zero3d resume {tmp_path / 'out' / stage.name}" in told[-1]
    # either folder will do
    assert resume(str(out if steps > 8 else stage), registry, tell=quiet).folder == out / "2-far"
    for name in ("1-near", "2-far"):
        assert_same(final_state(out / name), final_state(tmp_path / "whole" / name))


def interrupt_in(patch, steps):
    """Ctrl-C in the step of that number, counted over both stages."""
    if steps <= 8:
        return interrupt_after(patch, steps)
    real = folder.MetricsLog.__init__

    def opened(self, path, first_step, name=folder.METRICS):
        real(self, path, first_step, name)
        if path.name == "2-far":
            interrupt_after(patch, steps - 8)

    patch.setattr(folder.MetricsLog, "__init__", opened)


def test_a_stage_killed_before_its_first_checkpoint_begins_anew(registry, staged, tmp_path):
    run(str(staged), registry, tell=quiet)
    out = tmp_path / "out"
    known = final_state(out / "2-far")
    (out / "2-far" / checkpoint.NAME).rename(out / "2-far" / "checkpoint" / "state.tmp")
    resume(str(out), registry, tell=quiet)
    assert_same(final_state(out / "2-far"), known)
    for name in ("1-near", "2-far"):
        shutil.rmtree(out / name)
    resume(str(out), registry, tell=quiet)
    assert_same(final_state(out / "2-far"), known)


def test_check_and_plan_speak_of_every_stage(registry, staged, capsys):
    assert [plan.folder.name for plan in plans(str(staged), registry)] == ["1-near", "2-far"]
    overrides = [
        "cameras={type: sphere, resolution: 16}",
        "representation={type: voxels, resolution: 8}",
        "renderer={type: volume}",
        "guidance=null",
        "regularizers=null",
        "stages={coarse: {guidance: {sds: {}}}, fine: {representation: {type: mesh, start: previous}, "
        "renderer: {type: rasterizer}, guidance: {sds: {}}}}",
    ]
    assert main(["recipe", "check", str(staged), *overrides]) == 0
    told = capsys.readouterr().out
    assert "stages.coarse: good" in told
    assert "stages.fine: good" in told
    assert main(["plan", str(staged), *overrides]) == 0
    assert "stages.fine" in capsys.readouterr().out
    assert main(["recipe", "check", str(staged), *overrides, "stages.coarse=null"]) == 2
    assert "'mesh' as set needs a stage before it" in capsys.readouterr().err
