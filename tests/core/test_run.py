"""A run's folder, its interruption and its resumption, with toy parts."""

import json
import os
import shutil
import signal

import pytest
import torch

from zero3d import checkpoint, folder
from zero3d.errors import RunError
from zero3d.run import export, open_session, resume, run


def quiet(line):
    pass


def final_state(path):
    tensors, metadata = checkpoint.read(path)
    return tensors, metadata["next_step"]


def assert_same(a, b):
    assert a[1] == b[1]
    assert a[0].keys() == b[0].keys()
    for name in a[0]:
        assert torch.equal(a[0][name], b[0][name]), name


def interrupt_after(monkeypatch, steps):
    """Ctrl-C while the given number of steps have been done."""
    real = folder.MetricsLog.write

    def write(self, step, figures):
        real(self, step, figures)
        if step + 1 == steps:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(folder.MetricsLog, "write", write)


def test_the_folder_holds_what_the_design_promises(registry, toy_recipe, tmp_path):
    run(str(toy_recipe), registry, tell=quiet)
    out = tmp_path / "out"
    assert {"recipe.yaml", "manifest.json", "picture.png", "metrics.jsonl", "checkpoint"} <= set(os.listdir(out))
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(30))
    assert {"guidance.pull.gradient", "guidance.pull.weight", "seconds"} <= lines[0].keys()
    assert "regularizers.bright.value" in lines[20], "from half-way the second term has weight"
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["packages"]["torch"].startswith("2.")
    assert manifest["input_elevation_deg"] == 10
    assert manifest["precision"] == {"denoiser": "float32"}
    assert manifest["input_pixels_per_source_pixel"] == pytest.approx(16 / 64)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(registry, toy_recipe, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(str(toy_recipe), registry, [f"out={tmp_path / name}", f"seed={seed}"], tell=quiet)
    assert_same(final_state(tmp_path / "a"), final_state(tmp_path / "b"))
    picture = "representation.picture"
    assert not torch.equal(final_state(tmp_path / "a")[0][picture], final_state(tmp_path / "c")[0][picture])


@pytest.mark.parametrize("steps", [1, 7, 16, 29])
def test_interrupted_anywhere_moved_and_resumed_it_ends_in_the_same_state(
    registry, toy_recipe, tmp_path, monkeypatch, steps
):
    run(str(toy_recipe), registry, [f"out={tmp_path / 'whole'}"], tell=quiet)
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps)
        with pytest.raises(KeyboardInterrupt):
            run(str(toy_recipe), registry, [f"out={tmp_path / 'cut'}"], tell=quiet)
    assert final_state(tmp_path / "cut")[1] == str(steps), "Ctrl-C saves what is done"
    shutil.move(tmp_path / "cut", tmp_path / "moved")
    (tmp_path / "red.png").unlink()
    resume(str(tmp_path / "moved"), registry, tell=quiet)
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "moved"))


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("zero3d.run.starting.start._checked", "stopped before the first step; nothing was kept"),
        ("zero3d.run.starting.start.load_pictures", "stopped before the first step; nothing was kept"),
        ("zero3d.run.starting.start.load_parts", "stopped before the first step; nothing was kept"),
        ("zero3d.run.optimise._steps", "stopped; go on with: zero3d resume {out}"),
    ],
)
def test_ctrl_c_before_the_first_checkpoint_says_what_is_kept(registry, toy_recipe, tmp_path, monkeypatch, where, line):
    def stopped(*rest, **more):
        raise KeyboardInterrupt

    out, told = tmp_path / "out", []
    with monkeypatch.context() as patch:
        patch.setattr(where, stopped)
        with pytest.raises(KeyboardInterrupt):
            run(str(toy_recipe), registry, tell=told.append)
        assert told[-1] == line.format(out=out)
        assert out.exists() is ("resume" in line)
        if out.exists():
            with pytest.raises(KeyboardInterrupt):
                resume(str(out), registry, tell=told.append)
            assert told[-1] == line.format(out=out)
            assert told.count(told[-1]) == 2, "once each"
    if out.exists():
        assert resume(str(out), registry, tell=quiet).engine.total_steps


def test_resuming_from_an_older_checkpoint_repeats_the_steps_and_their_lines(registry, toy_recipe, tmp_path):
    out = tmp_path / "out"
    run(str(toy_recipe), registry, tell=quiet)
    whole, log = final_state(out), (out / "metrics.jsonl").read_text(encoding="utf-8")
    session = open_session(out, registry, tell=quiet, teach=True)
    session.engine.initialise()
    for index in range(14):
        session.engine.step(index)
    checkpoint.save(session.engine, 14, out)
    with open(out / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 30, "half a li')
    resume(str(out), registry, tell=quiet)
    assert_same(whole, final_state(out))
    without_time = [
        [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text.splitlines()]
        for text in (log, (out / "metrics.jsonl").read_text(encoding="utf-8"))
    ]
    assert without_time[0] == without_time[1]


def test_a_non_empty_folder_is_not_touched_unless_it_is_a_run(registry, toy_recipe, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("years of work", encoding="utf-8")
    for overrides in ([], ["overwrite=true"]):
        with pytest.raises(RunError, match="out"):
            run(str(toy_recipe), registry, overrides, tell=quiet)
    assert os.listdir(out) == ["thesis.tex"]


def test_overwrite_replaces_a_former_run(registry, toy_recipe, tmp_path):
    run(str(toy_recipe), registry, ["steps=3"], tell=quiet)
    with pytest.raises(RunError, match="not empty"):
        run(str(toy_recipe), registry, ["steps=4"], tell=quiet)
    run(str(toy_recipe), registry, ["steps=4", "overwrite=true"], tell=quiet)
    assert final_state(tmp_path / "out")[1] == "4"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_checkpoint_is_named_and_kept(registry, toy_recipe, tmp_path, share):
    run(str(toy_recipe), registry, ["steps=3"], tell=quiet)
    path = tmp_path / "out" / checkpoint.NAME
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    for again in (resume, export):
        with pytest.raises(RunError, match=r"state\.safetensors: damaged or truncated"):
            again(str(tmp_path / "out"), registry, tell=quiet)
    assert path.read_bytes() == content[: int(len(content) * share)]


def test_a_checkpoint_of_another_recipe_is_refused(registry, toy_recipe, tmp_path):
    run(str(toy_recipe), registry, ["steps=3"], tell=quiet)
    recipe = tmp_path / "out" / "recipe.yaml"
    recipe.write_text(
        recipe.read_text(encoding="utf-8")
        .replace("resolution: 16}", "resolution: 8}")
        .replace("  resolution: 16", "  resolution: 8"),
        encoding="utf-8",
    )
    with pytest.raises(RunError, match="another representation"):
        resume(str(tmp_path / "out"), registry, tell=quiet)


def test_a_folder_that_is_no_run_is_named(registry, tmp_path):
    with pytest.raises(RunError, match="no run's folder"):
        resume(str(tmp_path), registry, tell=quiet)
