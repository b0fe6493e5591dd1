"""The script that trains nano on a rented GPU: two slices on a CPU, the second going on where the first stopped."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from zero3d_zero123.nano import weights
from zero3d_zero123.nano.lift import Lift
from zero3d_zero123.nano.unet import UNet

ROOT = Path(__file__).parent.parent


def slice_of(folder: Path, lift_minutes: float, denoiser_minutes: float) -> list[dict]:
    """Train on some 50 objects for that long, all slices together; the lines it printed."""
    sizes = {"--least": 50, "--targets": 1, "--minutes": 4, "--held-out": 4}
    spans = {"--lift": lift_minutes, "--denoiser": denoiser_minutes}
    options = [str(part) for pair in (sizes | spans).items() for part in pair]
    command = [sys.executable, "tools/train_nano_gpu.py", "slice", "--device", "cpu", "--batch", "2", "2", *options]
    places = ["--disk", str(folder / "disk"), "--to", str(folder / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *places],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def losses(lines):
    """The held-out ones at the slice's start and end."""
    return {line["held_out"]: line["loss"] for line in lines if "held_out" in line}


@pytest.mark.slow
def test_slices_go_on_where_the_last_one_stopped(tmp_path):
    lines = slice_of(tmp_path, 0.05, 0.0)
    first = lines[-1]
    assert losses(lines).keys() == {"start", "end"}
    assert first["steps"]["lift"] > 0
    assert first["steps"]["denoiser"] == 0
    lifted = {k: v for k, v in load_file(tmp_path / "out" / "nano.safetensors").items() if k.startswith("lift.")}
    before, lines = losses(lines)["end"], slice_of(tmp_path, 0.05, 0.05)
    second = lines[-1]
    assert losses(lines)["start"] == losses(lines)["end"] == before, "it is the lift of the first slice"
    assert second["steps"]["lift"] == first["steps"]["lift"], "its time was over"
    assert second["steps"]["denoiser"] > 0
    found = load_file(tmp_path / "out" / "nano.safetensors")
    assert all(found[name].equal(value) for name, value in lifted.items()), "the second slice begins with the first's"
    weights.read(tmp_path / "out" / "nano.safetensors", Lift(), UNet())
