"""The metrics against the figures of the libraries in use, on inputs that are formulas (tests/data/metrics.json)."""

import json
from pathlib import Path

import numpy
import pytest
import torch
import trimesh

from tests.plugins.zero123_tiny import synthetic
from zero3d_metrics.fid import frechet_distance
from zero3d_metrics.image import psnr, ssim
from zero3d_metrics.lpips import Lpips
from zero3d_metrics.shape import POINTS, Sample, chamfer, compare, framed, surface_figures, volume_iou

GOLDEN = json.loads(Path("tests/data/metrics.json").read_text(encoding="utf-8"))
y, x = numpy.mgrid[0:64, 0:64].astype(float)


def disc(centre):
    inside = (x - centre) ** 2 + (y - 31.5) ** 2 <= 400
    return numpy.where(inside[..., None], (0.8, 0.3, 0.1), 1.0)


RAMP = numpy.stack([x / 63, y / 63, numpy.full_like(x, 0.5)], axis=-1)
PICTURES = {
    "const_0.25": numpy.full((64, 64, 3), 0.25),
    "const_0.5": numpy.full((64, 64, 3), 0.5),
    "noise": numpy.random.default_rng(0).random((64, 64, 3)),
    "noise_other": numpy.random.default_rng(1).random((64, 64, 3)),
    "ramp": RAMP,
    "ramp_noisy": numpy.clip(RAMP + 0.1 * numpy.random.default_rng(2).standard_normal((64, 64, 3)), 0, 1),
    "disc": disc(31.5),
    "disc_moved": disc(35.5),
}


def pictures(pair):
    return [torch.from_numpy(PICTURES[name])[None] for name in pair.split("|")]


@pytest.mark.parametrize("pair", list(GOLDEN["pictures"]))
def test_psnr_and_every_form_of_ssim(pair):
    a, b = pictures(pair)
    golden = GOLDEN["pictures"][pair]
    assert float(psnr(a, b)) == pytest.approx(golden["psnr_float_range1"], abs=1e-5)
    assert float(ssim(a, b)) == pytest.approx(golden["ssim_wang_skimage_gaussian_range1"], abs=1e-6)
    assert float(ssim(a, b, "skimage")) == pytest.approx(golden["ssim_skimage_default_win7_range1"], abs=1e-6)
    if "const_0.25" not in pair:  # between two flat pictures its figure is rounding divided by rounding
        assert float(ssim(a, b, "torchmetrics")) == pytest.approx(golden["ssim_torchmetrics_range_none"], abs=2e-5)


def sphere(n, radius=0.5, shift=0.0):
    i = numpy.arange(n) + 0.5
    z, t = 1 - 2 * i / n, numpy.pi * (1 + 5**0.5) * i
    normals = numpy.stack([numpy.sqrt(1 - z**2) * numpy.cos(t), numpy.sqrt(1 - z**2) * numpy.sin(t), z], axis=1)
    return Sample(radius * normals + (shift, 0, 0), normals)


def cube():
    axis = (numpy.arange(18) + 0.5) / 18 - 0.5
    u, v = (part.ravel() for part in numpy.meshgrid(axis, axis))
    points, normals = [], []
    for side in range(3):
        for sign in (-1.0, 1.0):
            points.append(numpy.insert(numpy.stack([u, v], axis=1), side, sign / 2, axis=1))
            normals.append(numpy.tile(sign * numpy.eye(3)[side], (len(u), 1)))
    return Sample(numpy.concatenate(points), numpy.concatenate(normals))


POINT_SETS = {
    "sphere": sphere(2000),
    "cube": cube(),
    "sphere_moved": sphere(2000, shift=0.1),
    "sphere_r0.25": sphere(2000, 0.25),
    "sphere_500": sphere(500),
}


@pytest.mark.parametrize("pair", list(GOLDEN["point_sets"]))
def test_chamfer_fscore_and_normals_of_point_sets(pair):
    golden = GOLDEN["point_sets"][pair]
    limits = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    found = compare(*(POINT_SETS[name] for name in pair.split("|")), limits)
    half_sum = golden["cd_l2_half_sum (SyncDreamer, EscherNet, ZeroShape, zero3d)"]
    assert found["chamfer"] == pytest.approx(half_sum, abs=1e-8)
    assert found["normal_consistency"] == pytest.approx(
        golden["normal_consistency_abs (mean of both directions)"], abs=1e-3
    )
    for limit in limits:
        for name in ("fscore", "precision", "recall"):
            assert found[f"{name}@{limit:g}"] == pytest.approx(golden[f"{name}@{limit:g}"], abs=1e-3)


def meshes():
    ball = trimesh.creation.icosphere(subdivisions=4, radius=0.5)
    moved, ellipsoid = ball.copy(), ball.copy()
    moved.apply_translation((0.1, 0, 0))
    ellipsoid.apply_scale((1, 0.6, 0.4))
    return {
        "sphere": ball,
        "box": trimesh.creation.box((1, 1, 1)),
        "sphere_moved": moved,
        "sphere_r0.25": trimesh.creation.icosphere(subdivisions=4, radius=0.25),
        "box_1_0.5_0.25": trimesh.creation.box((1, 0.5, 0.25)),
        "ellipsoid_1_0.6_0.4": ellipsoid,
        "torus": trimesh.creation.torus(0.35, 0.15, major_sections=64, minor_sections=32),
    }


MESHES = meshes()


@pytest.mark.parametrize("pair", list(GOLDEN["meshes"]))
@pytest.mark.parametrize("frame", ["as_given", "each_normalised"])
def test_chamfer_and_iou_of_meshes(pair, frame):
    a, b = (MESHES[name] for name in pair.split("|"))
    golden, normalised = GOLDEN["meshes"][pair][frame], "none" if frame == "as_given" else "both"
    slack = 4 * golden["cd_half_2000_points_std"] + 2e-4
    found, _ = surface_figures(*framed(a, b, normalised), POINTS, thresholds=())
    assert found["chamfer"] == pytest.approx(golden["cd_half_2000_points_mean_of_4_seeds"], abs=slack)
    assert volume_iou(a, b, normalised=normalised) == pytest.approx(
        golden["iou_winding_64_cells_of_unit_cube"], abs=5e-3
    )


def test_inverted_faces_enclose_what_they_enclose():
    ball = MESHES["sphere"].copy()
    inverted = ball.copy()
    inverted.invert()
    assert volume_iou(inverted, ball) == 1
    beside = ball.copy()
    beside.apply_translation((1.5, 0, 0))
    assert volume_iou(trimesh.util.concatenate([beside, inverted]), trimesh.util.concatenate([beside, ball])) == 1


def test_the_floor_is_what_a_shape_scores_against_itself():
    """The mean distance to the nearest of N random points on an area A is (A / N)^(1/2) / 2; a unit sphere's A is pi."""
    ball = trimesh.creation.icosphere(5)
    for points in (2000, 20_000):
        figures, floors = surface_figures(*framed(ball, ball), points, thresholds=())
        expected = (numpy.pi / points) ** 0.5 / 2
        assert floors["chamfer"] == pytest.approx(expected, rel=0.03)
        assert figures["chamfer"] == pytest.approx(floors["chamfer"], rel=0.05)
    assert chamfer(ball, ball) == pytest.approx(
        GOLDEN["meshes"]["sphere|sphere_r0.25"]["each_normalised"]["cd_half_2000_points_mean_of_4_seeds"], rel=0.03
    )


def test_frechet_distance():
    rng = numpy.random.default_rng(0)
    one, two = rng.standard_normal((64, 16)), 1.2 * rng.standard_normal((80, 16)) + 0.3
    few = rng.standard_normal((8, 16)) + 0.5
    sets = {"X|Y": (one, two), "X|X": (one, one), "X|Z (fewer pictures than dimensions)": (one, few)}
    sets["Z|Z[:5] (both singular)"] = (few, few[:5])
    for name, pair in sets.items():
        found = frechet_distance(*map(torch.from_numpy, pair))
        assert found == pytest.approx(GOLDEN["frechet"][name]["exact_40_digits"], abs=1e-11)


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_over_either_trunk(net, tmp_path):
    golden = GOLDEN["lpips_synthetic_weights"][net]
    state = {}
    for name, shape in golden["shapes"].items():
        tensor = synthetic(f"{net}.{name}", shape)
        if name.startswith("lin"):
            tensor = tensor.abs()
        elif name.endswith("weight"):
            tensor = tensor * 2**0.5
        state[name] = tensor
    torch.save(state, tmp_path / "weights.pth")
    metric = Lpips(tmp_path / "weights.pth")
    assert metric.net == net
    for pair in GOLDEN["pictures"]:
        if pair in golden:
            found = metric(*(picture.float() for picture in pictures(pair)))
            assert float(found) == pytest.approx(golden[pair]["lpips"], abs=1e-5), pair


def test_heads_come_from_an_installed_package(tmp_path, monkeypatch):
    shapes = GOLDEN["lpips_synthetic_weights"]["alex"]["shapes"]
    state = {name: synthetic(f"alex.{name}", shape) for name, shape in shapes.items()}
    torch.save(state, tmp_path / "whole.pth")
    torch.save({name: value for name, value in state.items() if name.startswith("f")}, tmp_path / "trunk.pth")
    folder = tmp_path / "lpips" / "weights" / "v0.1"
    folder.mkdir(parents=True)
    (tmp_path / "lpips" / "__init__.py").write_text("raise ImportError('not to be imported')\n", encoding="utf-8")
    torch.save({name: value for name, value in state.items() if name.startswith("lin")}, folder / "alex.pth")
    monkeypatch.syspath_prepend(tmp_path)
    pair = [picture.float() for picture in pictures("noise|noise_other")]
    assert float(Lpips(tmp_path / "trunk.pth")(*pair)) == float(Lpips(tmp_path / "whole.pth")(*pair))


def test_means_are_of_decibels_not_of_errors():
    pairs = list(GOLDEN["pictures"])[:3]
    values = [float(psnr(*pictures(pair))) for pair in pairs]
    assert sum(values) / 3 == pytest.approx(GOLDEN["psnr_of_three_first_pairs"]["mean_of_psnr"], abs=1e-5)
