"""The elevation that is estimated from a picture: the embedded network, and what a run, a plan and `views` make of it."""

import json
import os
import signal

import numpy
import pytest
import torch
import yaml
from PIL import Image

from tests.core.test_run import assert_same, final_state
from zero3d import folder
from zero3d.cli import main
from zero3d.errors import RunError
from zero3d.geometry import orbit
from zero3d.mesh_views import MeshScene
from zero3d.picture import frame
from zero3d.plugins import load_plugins
from zero3d.run import plan, resume, run
from zero3d.values import Picture
from zero3d_procedural.evaluation import HeldOut
from zero3d_procedural.rendering import random_light, straight_rgba
from zero3d_procedural.texture import random_texture
from zero3d_zero123.nano.elevation import (
    BINS_DEG,
    CHANNELS,
    SIDE,
    TRAINED_DEG,
    ElevationHeads,
    estimate,
    read,
    write,
)

SMALL = [
    "renderer={type: volume}",
    "representation.resolution=16",
    "export=null",
    "observers=null",
    "optimizer.lr=0.01",
]


def quiet(line):
    pass


def picture_of(seed, elevation_deg, size=128):
    """A held-out object as the run frames it."""
    rng = numpy.random.default_rng([5, seed])
    look = {"light": random_light(rng), "texture": random_texture(rng)}
    view = MeshScene(HeldOut(seed, size).mesh()).draw(orbit(elevation_deg, 0.0, size), **look)
    rgba = straight_rgba(view.image.numpy(), view.opacity.numpy())[0]
    return frame(rgba, "fit", 64).picture


def errors(seeds):
    found = []
    for seed in seeds:
        truth = float(numpy.random.default_rng([6, seed]).uniform(-10, 60))
        said = estimate(picture_of(seed, truth))
        found.append((abs(said.mean_deg - truth), said.std_deg))
    return numpy.array(found)


def test_the_examples_are_seen_from_twenty_degrees():
    for name in ("car", "chair", "dinosaur", "mug"):
        rgba = numpy.asarray(Image.open(f"examples/{name}.png").convert("RGBA"))
        said = estimate(frame(rgba, "fit", 64).picture)
        assert abs(said.mean_deg - 20) < 15, name
        assert 1 < said.std_deg < 25, name


def test_higher_cameras_are_told_from_lower_ones():
    low, high = ([estimate(picture_of(seed, up)).mean_deg for seed in range(1_000_100, 1_000_104)] for up in (-5, 55))
    assert numpy.mean(high) - numpy.mean(low) > 12


@pytest.mark.slow
def test_held_out_objects_are_within_the_bound():
    off, std = errors(range(1_000_000, 1_000_200)).T
    assert off.mean() < 8.5  # 7.6 was measured (at other elevations), the goal is 8; always saying 20 has 17.7
    assert 0.5 < (off < std).mean() < 0.85, "the uncertainty that is said is about a standard deviation"


def test_an_estimate_is_the_same_each_time_and_of_the_mirror_image_and_within_bounds():
    picture = picture_of(1_000_000, 30)
    state = torch.get_rng_state()
    said = estimate(picture)
    assert torch.equal(torch.get_rng_state(), state), "nobody's random numbers move"
    assert said == estimate(picture)
    mirrored = estimate(Picture(picture.rgb.flip(1), picture.mask.flip(1)))
    assert mirrored.mean_deg == pytest.approx(said.mean_deg, abs=1e-3)
    noise = Picture(torch.rand(32, 32, 3), torch.ones(32, 32, 1))
    assert TRAINED_DEG[0] <= estimate(noise).mean_deg <= TRAINED_DEG[1]


def test_weights_are_kept_in_half_precision_and_damaged_ones_are_told(tmp_path):
    torch.manual_seed(0)
    heads = ElevationHeads().eval()
    heads.spread.fill_(1.5)
    write(tmp_path / "a.safetensors", heads)
    x, kept = torch.rand(2, CHANNELS, SIDE, SIDE), read(tmp_path / "a.safetensors")
    for found, wanted in zip(kept.degrees(kept.likelihoods(x)), heads.degrees(heads.likelihoods(x)), strict=True):
        assert torch.allclose(found, wanted, atol=0.1)
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    for name in ("b", "missing"):
        with pytest.raises(RunError, match=rf"{name}\.safetensors: missing or damaged .* install zero3d again"):
            read(tmp_path / f"{name}.safetensors")


def test_what_is_said_is_the_mean_and_the_scaled_deviation_of_the_likelihoods():
    heads = ElevationHeads(2).eval()
    heads.spread.fill_(0.5)
    likely = torch.zeros(2, len(BINS_DEG))
    likely[0, BINS_DEG.index(5)], likely[0, BINS_DEG.index(25)] = 0.5, 0.5
    likely[1, BINS_DEG.index(41)] = 1
    mean, std = heads.degrees(likely)
    assert mean.tolist() == pytest.approx([15, 41])
    assert std.tolist() == pytest.approx([5, 1]), "never surer than a degree"
    x = torch.rand(3, CHANNELS, SIDE, SIDE)
    each = torch.stack([member(x).softmax(-1) for member in heads.members])
    assert torch.allclose(heads.likelihoods(x), each.mean(0), atol=1e-6)


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


@pytest.fixture(scope="module")
def whole(registry, tmp_path_factory):
    """A tiny run of nano that was told no elevation: its folder and what it said."""
    out, said = tmp_path_factory.mktemp("elevation") / "whole", []
    run("nano", registry, [*SMALL, "image=examples/mug.png", "steps=3", f"out={out}"], tell=said.append)
    return out, said


def test_a_run_says_its_estimate_in_one_line_and_keeps_it(whole):
    out, said = whole
    notes = [line for line in said if "note: elevation" in line]
    mug = estimate(frame(numpy.asarray(Image.open("examples/mug.png").convert("RGBA")), "fit", 64).picture)
    told = f"elevation: {mug.mean_deg:.0f} degrees, give or take {mug.std_deg:.0f} (estimated)"
    assert notes == [f"note: {told}; input.elevation_deg=… overrides"]
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["input_elevation_deg"] == pytest.approx(mug.mean_deg, abs=0.051)
    assert manifest["input_elevation_std_deg"] == pytest.approx(mug.std_deg, abs=0.051)
    kept = yaml.safe_load((out / "recipe.yaml").read_text(encoding="utf-8"))
    assert "elevation_deg" not in kept["input"], "run anew with another picture, it is estimated anew"


def test_a_plan_shows_what_the_run_would_take_and_a_given_elevation_wins(registry, whole):
    kept = json.loads((whole[0] / "manifest.json").read_text(encoding="utf-8"))["input_elevation_deg"]
    asked = [*SMALL, "image=examples/mug.png"]
    for given, wanted in (([], kept), (["input.elevation_deg=auto"], kept), (["input.elevation_deg=35"], 35)):
        planned = plan("nano", registry, [*asked, *given])
        assert float(torch.rad2deg(planned.input_cameras["front"].elevation)) == pytest.approx(wanted, abs=1e-3)
        assert sum("(estimated)" in note for note in planned.notes) == (wanted == kept)
    planned = plan("nano", registry, ["representation.resolution=16", "images={front: {path: examples/mug.png}}"])
    assert float(torch.rad2deg(planned.input_cameras["front"].elevation)) == pytest.approx(20, abs=1e-3), (
        "placed ones are not"
    )


def test_a_resumed_run_keeps_its_estimate_whatever_is_estimated_then(registry, whole, tmp_path, monkeypatch):
    real = folder.MetricsLog.write

    def write(self, step, figures):
        real(self, step, figures)
        if step == 0:
            os.kill(os.getpid(), signal.SIGINT)

    out, picture = tmp_path / "cut", "image=examples/mug.png"
    monkeypatch.setattr(folder.MetricsLog, "write", write)
    with pytest.raises(KeyboardInterrupt):
        run("nano", registry, [*SMALL, picture, "steps=3", f"out={out}"], tell=quiet)
    monkeypatch.setattr(folder.MetricsLog, "write", real)
    monkeypatch.setattr("zero3d_zero123.nano.denoiser.estimate", None)
    monkeypatch.setattr("zero3d_zero123.nano.reconstructor.estimate", None)
    resume(str(out), registry, tell=quiet)
    assert_same(final_state(out), final_state(whole[0]))


def test_views_estimates_too(tmp_path, capsys):
    ask = ["views", "examples/mug.png", "--steps", "3", "--azimuth", "0", "--device", "cpu"]
    assert main([*ask, "--out", str(tmp_path / "a")]) == 0
    assert "(estimated); --input-elevation overrides" in capsys.readouterr().err
    assert main([*ask, "--input-elevation", "20", "--out", str(tmp_path / "b")]) == 0
    assert "elevation" not in capsys.readouterr().err
