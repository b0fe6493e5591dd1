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
    recipe.write_text(RECIPE.format(out=folder / out, root=folder / "data"))
    plugin = ["--plugin", "tests/plugins/training_toy.py"]
    return [sys.executable, "-m", "zero3d", "train", str(recipe), *words, *plugin]


def started(words, **environment):
    return subprocess.Popen(
        words, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def finished(*processes):
    for process in processes:
        told, _ = process.communicate(timeout=180)
        assert process.returncode == 0, told


def curve(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


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
