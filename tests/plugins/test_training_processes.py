"""`zero3d train` as a process of its own, and as several: what is killed goes on, what is shared gives the same steps."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

from tests.plugins.views_data import make_folder
from zero3d.cli import main
from zero3d.files.lock import only_writer
from zero3d_training import state

RECIPE = """
out: {out}
seed: 3
device: cpu
dataset: {{type: views_folder, root: {root}, size: 8, views: 4, workers: 0}}
denoiser: {{type: toy}}
stages: {{fit: {{steps: 12, batch: 8, targets: 2, lr: 0.05, warmup: 3, final: 1}}}}
every: 4
log_every: 1
"""


def command(folder, out, *words):
    recipe = folder / f"{out}.yaml"
    recipe.write_text(RECIPE.format(out=folder / out, root=folder / "data"), encoding="utf-8")
    plugin = ["--plugin", "tests/plugins/training_toy.py"]
    return [sys.executable, "-m", "zero3d", "train", str(recipe), *words, *plugin]


def started(words, **environment):
    return subprocess.Popen(
        words,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def finished(*processes):
    for process in processes:
        told, _ = process.communicate(timeout=180)
        assert process.returncode == 0, told


def curve(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with data and an uninterrupted run of one process."""
    folder = tmp_path_factory.mktemp("runs")
    make_folder(folder / "data", objects=20, size=8)
    finished(started(command(folder, "whole")))
    return folder


def test_a_run_that_is_killed_goes_on_to_the_byte(whole):
    process = started(command(whole, "killed", "denoiser.slow=0.2"))
    checkpoint = whole / "killed" / "training.safetensors"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() or len(curve(whole / "killed")) < 6:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(curve(whole / "killed")) < 12
    finished(started(command(whole, "killed", "--resume")))
    assert curve(whole / "killed") == curve(whole / "whole")
    for name, value in load_file(whole / "whole" / "weights.safetensors").items():
        assert torch.equal(value, load_file(whole / "killed" / "weights.safetensors")[name])


def test_two_processes_take_the_steps_of_one(whole):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "1"}
    words = command(whole, "two")
    finished(*(started(words, RANK=str(rank), LOCAL_RANK=str(rank), **together) for rank in range(2)))
    for one, both in zip(curve(whole / "whole"), curve(whole / "two"), strict=True):
        assert both["loss"] == pytest.approx(one["loss"], rel=1e-5)
        assert both["gradient_norm"] == pytest.approx(one["gradient_norm"], rel=1e-4)
    for name, value in load_file(whole / "whole" / "weights.safetensors").items():
        assert torch.allclose(value, load_file(whole / "two" / "weights.safetensors")[name], atol=1e-5)


def told_by(capsys, *words):
    code = main(["train", *words, "--plugin", "tests/plugins/training_toy.py"])
    lines = capsys.readouterr().err.splitlines()
    return code, [line for line in lines if line.startswith("zero3d: ")]


def test_a_run_killed_before_its_first_checkpoint_begins_again(whole, capsys, monkeypatch):
    """Left with a recipe and half a log, it goes on by --resume to what an uninterrupted one gives."""
    out = whole / "early"
    recipe = command(whole, "early")[4]
    with monkeypatch.context() as patch:
        patch.setattr(state, "write", dying)
        assert main(["train", recipe, "--plugin", "tests/plugins/training_toy.py"]) == 130
    assert len(curve(out)) == 4, "steps without a checkpoint"
    assert not (out / state.NAME).exists()
    (out / ".zero3d-0123456789abcdef.tmp").write_bytes(b"half")
    capsys.readouterr()
    assert told_by(capsys, recipe) == (
        2,
        [f"zero3d: out: {out} is not empty; go on with --resume, or take another folder"],
    )
    assert main(["train", recipe, "--resume", "--plugin", "tests/plugins/training_toy.py"]) == 0
    assert curve(out) == curve(whole / "whole")
    for name, value in load_file(whole / "whole" / "weights.safetensors").items():
        assert torch.equal(value, load_file(out / "weights.safetensors")[name])


def dying(*_):
    raise KeyboardInterrupt


def test_what_a_kill_left_before_anything_was_written_is_no_obstacle(whole):
    recipe, out = command(whole, "earliest")[4], whole / "earliest"
    out.mkdir()
    for name in (".zero3d-0123456789abcdef.tmp", ".zero3d.lock"):
        (out / name).touch()
    assert main(["train", recipe, "stages.fit.steps=1", "--plugin", "tests/plugins/training_toy.py"]) == 0


@pytest.mark.parametrize("content", [None, "notes.txt", "recipe.yaml"])
def test_nothing_is_resumed_or_written_where_no_training_was(whole, tmp_path, capsys, content):
    recipe, out = command(tmp_path, "out")[4], tmp_path / "out"
    if content:
        out.mkdir()
        (out / content).write_text("steps: 3\n", encoding="utf-8")
    code, lines = told_by(capsys, recipe, "--resume")
    assert (code, len(lines)) == (2, 1)
    assert "holds no training to go on with" in lines[0]
    if content:
        assert (out / content).read_text(encoding="utf-8") == "steps: 3\n"
        assert len(list(out.iterdir())) == 1


def test_two_trainings_in_one_folder_are_refused(whole, capsys):
    recipe, out = command(whole, "twice")[4], whole / "twice"
    out.mkdir()
    with only_writer(out, "out"):
        code, lines = told_by(capsys, recipe)
    assert (code, len(lines)) == (2, 1)
    assert "another zero3d is writing there" in lines[0]
