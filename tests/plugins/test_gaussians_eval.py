"""`zero3d eval` of splat files: their pictures, their surface, and what is neither they nor a mesh."""

import json

import numpy
import pytest
import torch
import trimesh
from PIL import Image

from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.interfaces import ExportSubject
from zero3d.mesh_files import save_mesh
from zero3d.testing import fresh_step
from zero3d.values import PUBLISHED_FOV
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
from zero3d_gaussians.exporter import SplatFile, SplatFileConfig
from zero3d_gaussians.renderer import SplatConfig, SplatRenderer

SIZE = 48


def box():
    """No two of its axes alike, off the middle."""
    made = trimesh.creation.box(extents=[1.0, 0.6, 0.4])
    made.apply_translation([0.2, 0.1, 0.0])
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """truth.glb, its surface in Gaussians (model.ply, model.splat), and views of these by the renderer itself."""
    folder = tmp_path_factory.mktemp("splats")
    save_mesh(box(), folder / "truth.glb")
    options = GaussiansConfig(
        start=str(folder / "truth.glb"), points=8000, spread=1.5, opacity=0.95, flat=0.3, degree=1
    )
    cloud = GaussianCloud(options)
    with torch.no_grad():
        cloud.initialise(fresh_step())
        cloud.sh_base.add_(torch.linspace(-1, 1, 8000)[:, None, None])
        cloud.sh_rest.add_(0.2)
    subject = ExportSubject(cloud, lambda cameras: None, lambda image: image, True, orbit(20.0, 0.0, 32), 32)
    for kind in ("ply", "splat"):
        SplatFile(SplatFileConfig(format=kind)).export(subject, folder / f"model.{kind}")
    cameras = orbit(torch.tensor([10.0, 40.0]), torch.tensor([0.0, 100.0]), SIZE)
    with torch.no_grad():
        image = SplatRenderer(SplatConfig()).render(cloud, cameras, torch.ones(3)).image
    (folder / "views").mkdir()
    frames = []
    for index, pose in enumerate(cameras.camera_to_world.tolist()):
        Image.fromarray((255 * image[index]).round().byte().numpy()).save(folder / "views" / f"r_{index}.png")
        frames.append({"file_path": f"./r_{index}", "transform_matrix": pose})
    layout = {"camera_angle_x": PUBLISHED_FOV, "frames": frames}
    (folder / "views" / "transforms.json").write_text(json.dumps(layout), encoding="utf-8")
    return folder


def scored(folder, target, *words):
    assert main(["eval", str(folder / target), *map(str, words), "--json", str(folder / "figures.json")]) == 0
    return json.loads((folder / "figures.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("target", "least"), [("model.ply", 50), ("model.splat", 20)])
def test_pictures_are_the_files_own(folder, target, least):
    """To the rounding of 8-bit pictures; a .splat has no higher harmonics."""
    assert scored(folder, target, "--views", folder / "views")["psnr"] > least


def test_a_surface_is_where_the_gaussians_lie(folder):
    figures = scored(folder, "model.ply", "--mesh", folder / "truth.glb", "--normalise", "none")
    assert figures["chamfer_20000"] < 0.03  # of an object 1 long, in its place
    assert figures["iou"] > 0.85  # 0.91 of a whole surface, 0.33 where it has holes
    assert any("marching_cubes" in note for note in figures["notes"])


def test_neither_mesh_nor_gaussians_is_one_line(folder, tmp_path, capsys):
    head = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
    (tmp_path / "points.ply").write_bytes(head + b"end_header\n0 0 0\n")
    (tmp_path / "half.ply").write_bytes(head + b"property float f_dc_0\nend_header\n0 0 0 1\n")
    (tmp_path / "short.splat").write_bytes(b"\1" * 33)
    for name, told in (
        ("points.ply", "give a surface mesh, or a file of gaussians"),
        ("half.ply", "lacks f_dc_1"),
        ("short.splat", "no whole number of Gaussians"),
        ("none.ply", "no such run or model file"),
    ):
        assert main(["eval", str(tmp_path / name), "--views", str(folder / "views")]) == 2
        said = capsys.readouterr().err.strip()
        assert told in " ".join(said.split()), said
        assert "\n" not in said


def test_a_mesh_of_a_ply_is_a_mesh(folder, tmp_path):
    save_mesh(box(), tmp_path / "mesh.ply")
    figures = scored(folder, tmp_path / "mesh.ply", "--mesh", folder / "truth.glb", "--normalise", "none")
    assert figures["iou"] == 1
    assert figures["notes"] == []


def test_a_file_is_opened_whole(folder):
    """Of its own degree, in a box about what shows, whatever its size and place."""
    cloud = GaussianCloud.from_file(folder / "model.ply")
    assert len(cloud.means) == 8000
    assert cloud.config.degree == 1
    low, high = cloud.box.numpy()
    assert numpy.all(low < box().bounds[0] + 0.03)
    assert numpy.all(high > box().bounds[1] - 0.03)
    assert numpy.all(high - low < numpy.ptp(box().bounds, axis=0) + 0.25)
    assert cloud.spacing == pytest.approx(float((high - low).max()) / 128)
    assert GaussianCloud.from_file(folder / "truth.glb") is None
    assert bool(torch.isfinite(cloud.density(cloud.means[:5])).all())
