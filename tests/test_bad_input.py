"""Every mistake a user can make: one line on stderr with place, value and remedy, exit code 2, nothing left behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy
import pytest
from PIL import Image

from zero3d.cli import main

RECIPE = """
steps: 3
device: cpu
image: good.png
out: out
input: {elevation_deg: 20, framing: fit}
cameras: {type: sphere, resolution: 16}
denoiser: {type: gaussian, resolution: 16}
representation: {type: voxels, resolution: 8, box: 0.75}
renderer: {type: volume, step_ratio: 1.0}
guidance: {sds: {guidance_scale: 1}}
export: {mesh: {type: marching_cubes, resolution: 16, threshold: 0.2}}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a good recipe and picture, and the working directory there."""
    monkeypatch.chdir(tmp_path)
    rgba = numpy.zeros((64, 64, 4), numpy.uint8)
    rgba[16:48, 20:44] = (180, 60, 40, 255)
    Image.fromarray(rgba, "RGBA").save("good.png")
    Path("r.yaml").write_text(RECIPE, encoding="utf-8")
    Path("garbage.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"not a picture at all" * 20)
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:80])
    Image.new("RGBA", (64, 64), (9, 9, 9, 0)).save("clear.png")
    Image.new("RGB", (1, 1)).save("dot.png")
    Image.new("1", (20_000, 20_000)).save("huge.png")
    Image.new("L", (32, 32), 255).save("mask32.png")
    noise = numpy.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=numpy.uint8)
    Image.fromarray(noise).save("busy.png")
    Path("full").mkdir()
    Path("full/work.txt").write_text("mine", encoding="utf-8")
    return tmp_path


def told(capsys, *arguments):
    """The one line on stderr of a refused command."""
    before = sorted(os.listdir())
    started = time.process_time()
    code = main(list(arguments))
    assert time.process_time() - started < 5, "seconds of this process, whatever else the machine does"
    line = capsys.readouterr().err
    assert code == 2, line
    assert line.startswith("zero3d: ")
    assert line.count("\n") == 1, line
    assert sorted(os.listdir()) == before, "something was left behind"
    return line


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["image=cat.png"], ["cat.png", "no such file"]),
        (["image=full"], ["full", "folder"]),
        (["image=huge.png"], ["huge.png", "megapixels"]),
        (["image=garbage.png"], ["garbage.png", "PNG"]),
        (["image=cut.png"], ["cut.png"]),
        (["image=clear.png"], ["clear.png", "transparent", "input.mask"]),
        (["image=dot.png"], ["dot.png", "1x1"]),
        (["image=busy.png", "input.mask=background"], ["busy.png", "input.mask"]),
        (["input.mask=mask32.png"], ["mask32.png", "32x32", "64x64"]),
        (["input.mask=nowhere.png"], ["input.mask", "nowhere.png"]),
        (["image=null"], ["image", "missing"]),
        (["representation.rezolution=9"], ["representation.rezolution", "'resolution'"]),
        (["representation.type=voxel"], ["representation.type", "'voxels'"]),
        (["regularizers.sparsety={}"], ["regularizers.sparsety", "'sparsity'"]),
        (["guidence={}"], ["guidence", "'guidance'"]),
        (["representation.channels=4"], ["representation.channels", "4", "3"]),
        (
            ["representation.resolution=1000", "representation.channels=60", "denoiser.resolution=16"],
            ["channels", "60"],
        ),
        (["representation.resolution=1024", "cameras.resolution=4096"], ["GiB", "resolution"]),
        (["representation.resolution=5000"], ["representation.resolution", "5000", "1024"]),
        (["device=quantum"], ["device", "quantum", "cpu"]),
        (["device=cuda:99"], ["device", "cuda:99"]),
        (["out=full"], ["full", "not empty"]),
        (["out=full", "overwrite=true"], ["full", "manifest.json"]),
        (["out=good.png"], ["good.png", "file"]),
        (["out=/proc/nowhere/run"], ["/proc"]),
        (["steps"], ["key.path=value"]),
        (["denoiser={type: oracle, mesh: lost.glb}"], ["lost.glb", "no such file"]),
        (["denoiser={type: zero123, weights: lost}"], ["lost", "folder"]),
    ],
    ids=lambda value: value[0][:40] if isinstance(value, list) else None,
)
def test_a_mistake_is_told_before_anything_happens(here, capsys, overrides, parts):
    line = told(capsys, "run", "r.yaml", *overrides)
    for part in parts:
        assert part in line


def test_a_need_that_no_renderer_provides(here, capsys, monkeypatch):
    from zero3d_voxels.volume import VolumeRenderer

    monkeypatch.setattr(VolumeRenderer, "provides", frozenset({"image", "opacity"}))
    line = told(capsys, "run", "r.yaml", "regularizers.depth_smoothness={}")
    assert "regularizers.depth_smoothness: needs depth" in line
    assert "depth_smoothness=null" in line


def test_a_missing_recipe_names_the_near_one(here, capsys):
    assert "r.yaml" in told(capsys, "run", "rr.yaml")


def test_recipe_check_says_the_same_without_a_picture(here, capsys):
    assert "'resolution'" in told(capsys, "recipe", "check", "r.yaml", "representation.resolutoin=9")
    assert main(["recipe", "check", "r.yaml"]) == 0


def test_a_truncated_checkpoint_and_a_folder_that_is_no_run(here, capsys):
    assert main(["run", "r.yaml"]) == 0
    capsys.readouterr()
    state = Path("out/checkpoint/state.safetensors")
    state.write_bytes(state.read_bytes()[:1000])
    for command in ("resume", "export"):
        line = told(capsys, command, "out")
        assert "state.safetensors" in line
        assert "truncated" in line
    assert "no run's folder" in told(capsys, "resume", "full")


def test_a_field_without_a_surface_names_the_density_range(here, capsys):
    main(["run", "r.yaml"])
    capsys.readouterr()
    line = told(capsys, "export", "out", "export.mesh.threshold=100000")
    assert "density runs from" in line
    assert "threshold=" in line


def test_the_real_command_exits_with_2_in_time(here):
    done = subprocess.run(
        [sys.executable, "-m", "zero3d.cli", "run", "r.yaml", "stepz=3"],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert done.stderr == f"zero3d: r.yaml: stepz: no such key.{done.stderr.split('no such key.')[1]}"
    assert "Did you mean 'steps'?" in done.stderr
    assert not Path("out").exists()
