"""A run's folder: one writer, nothing of others taken, killed anywhere and gone on with, full disks, unreadable files."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.core.test_run import assert_same, final_state, interrupt_after, quiet
from tests.core.test_stages import STAGES
from zero3d import checkpoint, folder
from zero3d.cli import main
from zero3d.errors import RecipeError, RunError, UserError, WriteError
from zero3d.files import lock
from zero3d.run import export, open_session, resume, run


def test_a_second_run_resume_export_or_overwrite_is_refused(registry, toy_recipe, tmp_path):
    out = tmp_path / "out"
    run(str(toy_recipe), registry, ["steps=3"], tell=quiet)
    before = final_state(out)
    with lock.only_writer(out, "x"):
        for again in (
            lambda: run(str(toy_recipe), registry, ["overwrite=true"], tell=quiet),
            lambda: resume(str(out), registry, tell=quiet),
            lambda: export(str(out), registry, tell=quiet),
        ):
            with pytest.raises(RunError, match="another zero3d"):
                again()
    assert_same(before, final_state(out))


def test_while_a_run_writes_nobody_else_does(registry, toy_recipe, tmp_path, monkeypatch):
    out, said = tmp_path / "out", []
    real = folder.MetricsLog.write

    def write(self, step, figures):
        real(self, step, figures)
        if step in (0, 20):
            for again in (resume, export):
                with pytest.raises(RunError, match="another zero3d"):
                    again(str(out), registry, tell=quiet)
            with pytest.raises(RunError, match=r"not empty|another zero3d"):
                run(str(toy_recipe), registry, tell=quiet)
            with pytest.raises(RunError, match="another zero3d"):
                run(str(toy_recipe), registry, ["overwrite=true"], tell=quiet)
            said.append(step)

    monkeypatch.setattr(folder.MetricsLog, "write", write)
    run(str(toy_recipe), registry, tell=quiet)
    assert said == [0, 20]
    assert len((out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == 30


def test_a_file_put_into_the_empty_folder_survives(registry, toy_recipe, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    from zero3d.run.starting import start

    real = start.build_parts

    def build(recipe):
        (out / "thesis.tex").write_text("years of work", encoding="utf-8")
        return real(recipe)

    monkeypatch.setattr(start, "build_parts", build)
    run(str(toy_recipe), registry, ["steps=2"], tell=quiet)
    assert (out / "thesis.tex").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("staged", [False, True])
def test_overwrite_takes_its_own_and_leaves_the_rest(registry, toy_recipe, tmp_path, staged):
    out = tmp_path / "out"
    if staged:
        toy_recipe.write_text(toy_recipe.read_text(encoding="utf-8") + STAGES, encoding="utf-8")
    run(str(toy_recipe), registry, [] if staged else ["steps=9"], tell=quiet)
    mine = [out / "thesis.tex", out / "mesh.blend", out / "checkpoint" / "notes.md", out / "1-near" / "notes.md"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine", encoding="utf-8")
    (out / "mesh.glb").write_text("ours", encoding="utf-8")
    (out / "mesh.report.yaml").write_text(
        "faces: 3\nfiles: [mesh.glb, ../toy.yaml, /etc/passwd, 5]\n", encoding="utf-8"
    )
    (out / "eval.json").write_text("{}", encoding="utf-8")
    run(str(toy_recipe), registry, ["overwrite=true", "stages=null", "steps=2"], tell=quiet)
    assert all(path.read_text(encoding="utf-8") == "mine" for path in mine)
    assert toy_recipe.exists()
    assert not [name for name in ("mesh.glb", "mesh.report.yaml", "eval.json", "2-far") if (out / name).exists()]
    assert not (out / "1-near" / checkpoint.NAME).exists(), "a stale stage would be gone on with"
    assert final_state(out)[1] == "2"


@pytest.mark.parametrize(
    "manifest", ["{}", "[]", '{"name": "an extension", "manifest_version": 3}', "junk", "[" * 9999]
)
def test_another_programs_manifest_is_not_ours(registry, toy_recipe, tmp_path, manifest):
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(RunError, match="no run's folder"):
        run(str(toy_recipe), registry, ["overwrite=true"], tell=quiet)
    assert os.listdir(out) == ["manifest.json"]


def test_a_folder_of_before_manifests_were_marked_is_ours(registry, toy_recipe, tmp_path):
    run(str(toy_recipe), registry, ["steps=2"], tell=quiet)
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["made_by"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    run(str(toy_recipe), registry, ["steps=3", "overwrite=true"], tell=quiet)
    assert final_state(tmp_path / "out")[1] == "3"


def test_overwrite_never_takes_what_the_run_reads(registry, toy_recipe, tmp_path):
    out = tmp_path / "out"
    run(str(toy_recipe), registry, ["steps=2"], tell=quiet)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match=r"out holds .*picture\.png, which this run reads"):
        run(str(toy_recipe), registry, ["overwrite=true", f"image={out / 'picture.png'}"], tell=quiet)
    with pytest.raises(RunError, match=r"out holds .*recipe\.yaml, which this run reads"):
        run(str(out / "recipe.yaml"), registry, ["overwrite=true"], tell=quiet)
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


KILL = """
import os, sys
from tests.core import toy
from zero3d import files
from zero3d.plugins import load_plugins
from zero3d.registry import Registered
from zero3d.run import run
left, real = int(sys.argv[1]), os.replace
def replace(source, target):
    global left
    if left == 0:
        os.kill(os.getpid(), 9)
    left -= 1
    return real(source, target)
os.replace = replace
registry = load_plugins()
for component in toy.COMPONENTS:
    registry.add(Registered(component, "toy", "tests", "0"))
run(sys.argv[2], registry, sys.argv[3:], tell=lambda line: None)
"""


@pytest.mark.parametrize("writes", range(6))
def test_killed_while_its_folder_is_made_it_can_be_run_or_resumed(registry, toy_recipe, tmp_path, writes):
    """The files come in this order: manifest, recipe, picture, checkpoint, metrics, checkpoint, ..."""
    out = tmp_path / "out"
    if writes < 1:
        run(str(toy_recipe), registry, [f"out={tmp_path / 'whole'}"], tell=quiet)
    done = subprocess.run([sys.executable, "-c", KILL, str(writes), str(toy_recipe)], check=False)
    assert done.returncode == -signal.SIGKILL
    if (out / "picture.png").exists():
        resume(str(out), registry, tell=quiet)
    else:
        run(str(toy_recipe), registry, tell=quiet)
    assert not [name for name in os.listdir(out) if name.startswith(".zero3d-")], "leftovers go"
    run(str(toy_recipe), registry, [f"out={tmp_path / 'again'}"], tell=quiet)
    assert_same(final_state(out), final_state(tmp_path / "again"))


def test_a_failed_start_leaves_no_folder(registry, toy_recipe, tmp_path, monkeypatch):
    from zero3d.run.starting import start

    def fail(*arguments):
        raise RecipeError("no weights")

    monkeypatch.setattr(start, "build_parts", fail)
    with pytest.raises(RecipeError):
        run(str(toy_recipe), registry, [f"out={tmp_path / 'a' / 'b' / 'c'}"], tell=quiet)
    assert not (tmp_path / "a").exists()


def test_a_full_disk_ends_a_run_in_one_line_and_room_lets_it_go_on(registry, toy_recipe, tmp_path, monkeypatch):
    run(str(toy_recipe), registry, [f"out={tmp_path / 'whole'}"], tell=quiet)
    out, real = tmp_path / "out", os.fsync
    with monkeypatch.context() as patch:
        calls = iter(range(100))

        def full(descriptor):
            if next(calls) >= 6:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(descriptor)

        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match=r"No space left.*make room.*zero3d resume .*out") as error:
            run(str(toy_recipe), registry, tell=quiet)
    assert error.value.exit_code == 1
    assert 0 < int(final_state(out)[1]) < 30, "the last good checkpoint is there"
    assert not [path for path in out.rglob("*") if path.name.startswith(".zero3d")]
    resume(str(out), registry, tell=quiet)
    assert_same(final_state(out), final_state(tmp_path / "whole"))


def test_a_limit_on_a_files_size_is_one_line(toy_recipe, tmp_path):
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n{KILL}"
    done = subprocess.run(
        [sys.executable, "-c", limited, "-1", str(toy_recipe)],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("zero3d.errors.WriteError: "), done.stderr
    assert "cannot be written" in last
    left = [path.name for path in (tmp_path / "out").rglob("*")] if (tmp_path / "out").exists() else []
    assert not [name for name in left if name.startswith(".zero3d")]


def test_a_step_that_fails_keeps_the_last_checkpoint_and_ends_the_observers(
    registry, toy_recipe, tmp_path, monkeypatch
):
    from tests.core.toy import Bright
    from zero3d_observers.progress import Progress

    ends = []
    monkeypatch.setattr(Progress, "on_end", lambda self, run, finished: ends.append(finished))

    real = Bright.penalty

    def fail(self, context):
        if context.step.index == 17:
            raise ZeroDivisionError("a plug-in's bug")
        return real(self, context)

    monkeypatch.setattr(Bright, "penalty", fail)
    with pytest.raises(Exception, match="a plug-in's bug"):
        run(str(toy_recipe), registry, ["observers.progress={}"], tell=quiet)
    assert ends == [False]
    assert final_state(tmp_path / "out")[1] == "14", "saved every 7"
    monkeypatch.undo()
    resume(str(tmp_path / "out"), registry, tell=quiet)
    assert final_state(tmp_path / "out")[1] == "30"


def test_what_is_no_number_is_null_in_the_metrics(tmp_path):
    log = folder.MetricsLog(tmp_path, 0)
    log.write(0, {"a": float("nan"), "b": float("inf"), "c": [1.0, float("-inf")], "d": {"e": float("nan")}, "f": 2})
    log.close()
    line = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8")
    assert json.loads(line, parse_constant=pytest.fail)["c"] == [1.0, None]
    assert "NaN" not in line
    assert "Infinity" not in line


def test_garbage_in_the_metrics_is_dropped(tmp_path):
    good = ['{"step": 0, "a": 1.5}', '{"step": 1, "a": 2e-05}']
    garbage = [b"\xff\xfe", b"[1, 2]", b"7", b'{"step": "0"}', b'{"step": null}', b'{"step": 1e999}', b"[" * 9999, b""]
    garbage += [b'{"step": ' + b"9" * 5000 + b"}", b'{"no": 1}', b'{"step": -1}', b'{"step": 5}', b'{"step": 1, "a']
    lines = [good[0].encode(), *garbage, good[1].encode(), b'{"step": 1, "nan": NaN}']
    (tmp_path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    folder.MetricsLog(tmp_path, 2).close()
    kept = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert kept == [*good, '{"step": 1, "nan": null}']


def test_an_unreadable_checkpoint_is_not_called_damaged(registry, toy_recipe, tmp_path, monkeypatch):
    out = tmp_path / "out"
    run(str(toy_recipe), registry, ["steps=3"], tell=quiet)
    with monkeypatch.context() as patch:
        import builtins

        real = builtins.open

        def refused(path, *arguments, **options):
            if str(path).endswith("state.safetensors"):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return real(path, *arguments, **options)

        patch.setattr(builtins, "open", refused)
        with pytest.raises(RunError, match=r"cannot be read \(Permission denied\); allow reading") as error:
            resume(str(out), registry, tell=quiet)
    assert "damaged" not in str(error.value)
    assert "overwrite" not in str(error.value)
    (out / checkpoint.NAME).write_bytes(b"junk")
    with pytest.raises(RunError, match="damaged") as error:
        resume(str(out), registry, tell=quiet)
    assert "overwrite" not in str(error.value), "advice never destroys"


@pytest.fixture(scope="module")
def one_run(tmp_path_factory):
    from PIL import Image

    from tests.core import toy
    from tests.core.conftest import TOY_RECIPE
    from zero3d.plugins import load_plugins
    from zero3d.registry import Registered

    place = tmp_path_factory.mktemp("one")
    registry = load_plugins()
    for component in toy.COMPONENTS:
        registry.add(Registered(component, "toy", "tests", "0"))
    Image.new("RGBA", (32, 32), (200, 30, 30, 255)).save(place / "red.png")
    (place / "toy.yaml").write_text(TOY_RECIPE.format(image=place / "red.png", out=place / "out"), encoding="utf-8")
    run(str(place / "toy.yaml"), registry, ["steps=2"], tell=quiet)
    return registry, place / "out", checkpoint.read(place / "out")


DAMAGES = st.one_of(
    st.tuples(st.just("metadata"), st.sampled_from(["format", "next_step", "total_steps", "optimizer_scalars"]),
              st.one_of(st.none(), st.text(max_size=30), st.sampled_from(
                  ["-1", "1e9", "9" * 5000, "99", "true", "null", "[]", "[1]", '{"a": 1}', '{"0.x": "y"}', '{"5.step": 1}',
                   '{"0.step": NaN}', '{"0": {}}', "[" * 9999, "1.5", " 2", "\uff12"]))),
    st.tuples(st.just("tensor"), st.integers(0, 30), st.sampled_from(["gone", "float64", "int", "shape", "nan", "empty"])),
    st.tuples(st.just("name"), st.integers(0, 30), st.sampled_from(
        ["optimizer.x.y", "optimizer.", "optimizer.7.exp_avg", "generator.a", "representation.b", "", "optimizer.0"])),
)  # fmt: skip


@given(DAMAGES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_checkpoint_is_more_than_one_line(one_run, damage):
    registry, out, (tensors, metadata) = one_run
    tensors, metadata = dict(tensors), dict(metadata)
    what, where, how = damage
    if what == "metadata":
        metadata = {key: value for key, value in metadata.items() if key != where}
        metadata |= {} if how is None else {where: how}
    else:
        name = sorted(tensors)[where % len(tensors)]
        value = tensors.pop(name)
        if what == "name":
            tensors[how] = value
        elif how != "gone":
            changed = {"float64": value.double(), "int": value.long(), "shape": value.reshape(-1)[:1].repeat(3),
                       "nan": torch.full(value.shape, float("nan")), "empty": value.reshape(-1)[:0]}  # fmt: skip
            tensors[name] = changed[how].contiguous()
    save_file(tensors, out / checkpoint.NAME, metadata)
    said = None
    try:
        resume(str(out), registry, tell=quiet)
    except UserError as error:
        said = error
    assert said is None or ("\n" not in str(said) and len(str(said)) < 1000 and said.exit_code == 2)


def test_a_run_may_be_called_like_a_stage(registry, toy_recipe, tmp_path):
    toy_recipe.rename(tmp_path / "recipe.yaml")
    (tmp_path / "recipe.yaml").write_text(
        (tmp_path / "recipe.yaml").read_text(encoding="utf-8") + STAGES, encoding="utf-8"
    )
    out = tmp_path / "2-cats"
    run(str(tmp_path / "recipe.yaml"), registry, [f"out={out}", "stages=null", "steps=3"], tell=quiet)
    (tmp_path / "manifest.json").write_text((out / "manifest.json").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "picture.png").write_bytes((out / "picture.png").read_bytes())
    assert folder.whole_run(out) == out
    assert resume(str(out), registry, tell=quiet).folder == out
    (out / "1-dog").mkdir()
    assert folder.open_run(out) == out


def test_going_on_to_more_steps_is_what_the_note_says(registry, toy_recipe, tmp_path):
    out, told = tmp_path / "out", []
    run(str(toy_recipe), registry, ["steps=10"], tell=quiet)
    resume(str(out), registry, told.append, overrides=["steps=24"])
    assert final_state(out)[1] == "24"
    note = "steps: 10 -> 24 after step 10; schedules in percent follow the new total"
    assert f"note: {note}" in told
    assert yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))["steps"] == 24
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["notes"][-1] == note
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines] == list(range(24))
    weights = [line.get("regularizers.bright.weight", 0) for line in lines]
    assert weights[5:10] == pytest.approx([0.1] * 5), "the schedule's end, half-way of the run of 10"
    assert weights[10:12] == pytest.approx([0.1 * 10 / 12, 0.1 * 11 / 12]), "half-way of the run of 24 is step 12"
    for override, said in (
        ("steps=20", "has done 24"),
        ("seed=1", "takes steps=N and observers"),
        ("steps=x", "steps"),
    ):
        with pytest.raises(RecipeError, match=said):
            resume(str(out), registry, quiet, overrides=[override])
    assert yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))["steps"] == 24


@pytest.mark.parametrize("stopped", [3, None])
def test_more_steps_of_a_run_with_stages_are_its_last_stages(registry, toy_recipe, tmp_path, monkeypatch, stopped):
    toy_recipe.write_text(toy_recipe.read_text(encoding="utf-8") + STAGES, encoding="utf-8")
    out = tmp_path / "out"
    if stopped:
        with monkeypatch.context() as patch:
            interrupt_after(patch, stopped)
            with pytest.raises(KeyboardInterrupt):
                run(str(toy_recipe), registry, tell=quiet)
    else:
        run(str(toy_recipe), registry, tell=quiet)
    resume(str(out / "1-near"), registry, quiet, overrides=["steps=9"])
    assert [final_state(out / name)[1] for name in ("1-near", "2-far")] == ["8", "9"]
    assert yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))["stages"]["far"]["steps"] == 9
    assert yaml.safe_load((out / "2-far" / "recipe.yaml").read_text(encoding="utf-8"))["steps"] == 9


def test_an_exporter_cannot_lead_out_of_the_folder(registry, toy_recipe, tmp_path):
    from tests.core.toy import Flat
    from zero3d.interfaces import Exporter
    from zero3d.registry import Registered

    class Evil(Exporter):
        """Tries to."""

        name = "evil"
        accepts = Flat

        def filename(self, label):
            return f"../{label}.glb"

        def export(self, subject, path):
            path.write_text("evil", encoding="utf-8")
            return {"faces": 1}

    registry.add(Registered(Evil, "toy", "tests", "0"))
    with pytest.raises(RecipeError, match="no file of the run's folder"):
        run(str(toy_recipe), registry, ["steps=1", "export.evil={}"], tell=quiet)
    assert not (tmp_path / "evil.glb").exists()
    Evil.filename = lambda self, label: f"{label}.glb"
    export(str(tmp_path / "out"), registry, tell=quiet)
    report = yaml.safe_load((tmp_path / "out" / "evil.report.yaml").read_text(encoding="utf-8"))
    assert report == {"faces": 1, "files": ["evil.glb"]}
    assert Path(tmp_path / "out" / "evil.glb").exists()


@pytest.mark.parametrize("manifest", ["[1]", "{}", "junk", '{"made_by": "another"}'])
@pytest.mark.parametrize("words", [["resume"], ["export"], ["report"], ["view"], ["eval", "--views", "."],
                                   ["draw", "--orbit", "1", "--out", "a"]], ids=lambda words: words[0])  # fmt: skip
def test_a_foreign_manifest_is_refused_by_all_that_take_a_run(tmp_path, capsys, words, manifest):
    (tmp_path / "recipe.yaml").write_text("steps: 3\n", encoding="utf-8")
    (tmp_path / "manifest.json").write_text(manifest, encoding="utf-8")
    assert main([words[0], str(tmp_path), *words[1:]]) == 2
    told = capsys.readouterr().err
    assert "its manifest.json is none of a run; name the folder that `zero3d run` wrote" in told
    assert (tmp_path / "manifest.json").read_text(encoding="utf-8") == manifest


def test_a_run_of_another_version_says_so(registry, toy_recipe, tmp_path, capsys):
    out = tmp_path / "out"
    run(str(toy_recipe), registry, ["steps=2", "observers=null"], tell=lambda line: None)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    here = manifest["packages"]["zero3d"]
    told = []
    open_session(out, registry, tell=told.append)
    assert told == []
    (out / "manifest.json").write_text(json.dumps({**manifest, "packages": {"zero3d": "9.9.9"}}), encoding="utf-8")
    open_session(out, registry, tell=told.append)
    assert told == [f"note: {out} was made by zero3d 9.9.9, this is {here}"]
    assert main(["report", str(out)]) == 0
    assert told[0] in capsys.readouterr().err
    with open(out / "recipe.yaml", "a", encoding="utf-8") as file:
        file.write("shiny: 1\n")
    for go_on in (lambda: resume(str(out), registry), lambda: open_session(out, registry)):
        with pytest.raises(RecipeError, match=r"shiny: no such key.* The run was made by zero3d 9\.9\.9, this is "):
            go_on()
