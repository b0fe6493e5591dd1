"""`zero3d eval` on meshes, on a run, and on what it cannot use."""

import json

import numpy
import pytest
import torch
import trimesh
from PIL import Image

from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.mesh_files import save_mesh
from zero3d.mesh_views import MeshScene
from zero3d.values import PUBLISHED_FOV
from zero3d_metrics.command.views import read_views

SIZE = 48
RECIPE = """
steps: 2
device: cpu
image: {folder}/picture.png
out: {folder}/run
input: {{elevation_deg: 20, framing: keep, mask: alpha}}
cameras: {{type: sphere, resolution: 16}}
denoiser: {{type: oracle, mesh: {folder}/truth.glb, resolution: 16}}
representation: {{type: voxels, resolution: 16, box: 0.75}}
renderer: {{type: volume}}
guidance: {{sds: {{guidance_scale: 1}}}}
export: {{mesh: {{type: marching_cubes, resolution: 16, threshold: 0.001}}}}
"""


def truth():
    """A lopsided coloured box."""
    box = trimesh.creation.box(extents=[1.0, 0.6, 0.4])
    colours = numpy.random.default_rng(0).integers(0, 256, (8, 3)).astype(numpy.uint8)
    return trimesh.Trimesh(box.vertices, box.faces, vertex_colors=colours, process=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """truth.glb, its views in both layouts, and a picture."""
    folder = tmp_path_factory.mktemp("eval")
    save_mesh(truth(), folder / "truth.glb")
    cameras = orbit(torch.tensor([10.0, 40.0, -20.0]), torch.tensor([0.0, 100.0, 220.0]), SIZE)
    view = MeshScene(truth()).draw(cameras, light=None)
    pictures = (255 * view.image).round().byte().numpy()
    (folder / "nerf").mkdir()
    (folder / "objaverse").mkdir()
    frames = []
    for index, pose in enumerate(cameras.camera_to_world.double().numpy()):
        Image.fromarray(pictures[index]).save(folder / "nerf" / f"r_{index}.png")
        Image.fromarray(pictures[index]).save(folder / "objaverse" / f"{index:03d}.png")
        numpy.save(folder / "objaverse" / f"{index:03d}.npy", numpy.linalg.inv(pose)[:3])
        frames.append({"file_path": f"./r_{index}", "transform_matrix": pose.tolist()})
    layout = {"camera_angle_x": PUBLISHED_FOV, "frames": frames}
    (folder / "nerf" / "transforms.json").write_text(json.dumps(layout), encoding="utf-8")
    rgba = numpy.concatenate([pictures[0], (255 * view.opacity[0]).round().byte().numpy()], axis=-1)
    Image.fromarray(rgba, "RGBA").resize((128, 128)).save(folder / "picture.png")
    return folder


@pytest.fixture(scope="module")
def run(folder):
    (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder), encoding="utf-8")
    assert main(["run", str(folder / "recipe.yaml")]) == 0
    return folder / "run"


@pytest.mark.parametrize("layout", ["nerf", "objaverse"])
def test_a_mesh_against_itself_and_its_own_views(folder, layout, tmp_path, capsys):
    out = tmp_path / "figures.json"
    arguments = [str(folder / "truth.glb"), "--mesh", str(folder / "truth.glb"), "--views", str(folder / layout)]
    assert main(["eval", *arguments, "--json", str(out)]) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["views"] == 3
    assert figures["iou"] == 1
    for name in ("chamfer", "chamfer_20000"):  # against itself, a shape scores the floor and no less
        assert figures[name] == pytest.approx(figures[f"{name}_floor"], rel=0.05)
    assert figures["chamfer"] > 2.5 * figures["chamfer_20000"] > 0
    assert figures["fscore@0.05"] == 1
    assert figures["normal_consistency"] > 0.95
    assert set(figures["variants"]) == {"chamfer", "fscore", "normal_consistency", "iou", "psnr", "ssim"}
    assert figures["notes"] == []
    assert figures["psnr"] > 50  # what rounding to bytes leaves
    assert figures["ssim"] > 0.999
    printed = capsys.readouterr().out
    assert "psnr" in printed
    assert str(out.name) in printed.replace("\n", "")


def test_a_turned_mesh_scores_worse(folder, tmp_path):
    turned = truth()
    turned.apply_transform(trimesh.transformations.rotation_matrix(numpy.pi / 2, [0, 0, 1]))
    save_mesh(turned, tmp_path / "turned.glb")
    arguments = [
        "--mesh",
        str(folder / "truth.glb"),
        "--views",
        str(folder / "nerf"),
        "--json",
        str(tmp_path / "f.json"),
    ]
    assert main(["eval", str(tmp_path / "turned.glb"), *arguments]) == 0
    figures = json.loads((tmp_path / "f.json").read_text(encoding="utf-8"))
    # 1 x 0.6 x 0.4 crossed with itself: 0.6 * 0.6 of 2 * 0.6 - 0.36, on cells of 1/64
    assert figures["iou"] == pytest.approx(0.36 / 0.84, abs=0.02)
    assert figures["psnr"] < 20
    assert figures["ssim"] < 0.95


def test_a_run(folder, run):
    assert main(["eval", str(run), "--mesh", str(folder / "truth.glb"), "--views", str(folder / "nerf")]) == 0
    figures = json.loads((run / "eval.json").read_text(encoding="utf-8"))
    assert {"chamfer", "chamfer_floor", "iou", "psnr", "ssim", "views", "variants", "notes"} <= set(figures)
    assert 0 < figures["chamfer"] < 1
    assert 0 < figures["iou"] < 1
    assert 0 < figures["psnr"] < 40


def test_a_run_of_stages_is_its_last_one_with_a_result(folder, tmp_path):
    """The folder of all stages, and that of one by its own name."""
    recipe = RECIPE.format(folder=folder).replace(f"{folder}/run", f"{tmp_path}/staged")
    stages = (
        "stages: {rough: {steps: 1}, fine: {steps: 1, representation: {type: voxels, resolution: 20, box: 0.75}}}\n"
    )
    (tmp_path / "recipe.yaml").write_text(recipe + stages, encoding="utf-8")
    assert main(["run", str(tmp_path / "recipe.yaml")]) == 0
    staged, truth_file = tmp_path / "staged", folder / "truth.glb"
    figures = [
        evaluated(tmp_path, place, "--mesh", truth_file, "--views", folder / "nerf")
        for place in (staged, staged / "2-fine", staged / "1-rough")
    ]
    assert figures[0] == figures[1]
    assert figures[0]["psnr"] != figures[2]["psnr"]


def test_equal_pictures_stay_json(folder, tmp_path, monkeypatch):
    values = iter([torch.inf, 20.0, 30.0, torch.inf, torch.inf, torch.inf])
    monkeypatch.setattr("zero3d_metrics.components.pictures.psnr", lambda *_: torch.tensor([next(values)]))
    out = tmp_path / "f.json"
    command = ["eval", str(folder / "truth.glb"), "--views", str(folder / "nerf"), "--json", str(out)]
    assert main(command) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["psnr"] == 25
    assert "1 of 3 views are equal" in figures["notes"][0]
    assert main(command) == 0
    assert json.loads(out.read_text(encoding="utf-8"), parse_constant=pytest.fail)["psnr"] is None


def test_means_of_views_have_deviations_and_masked_figures(folder, tmp_path, capsys):
    """Half of each true picture is transparent, and what stands there is wrong."""
    layout = json.loads((folder / "nerf" / "transforms.json").read_text(encoding="utf-8"))
    for index in range(3):
        rgba = numpy.asarray(Image.open(folder / "nerf" / f"r_{index}.png").convert("RGBA")).copy()
        rgba[:, : SIZE // 2, 3] = 0
        Image.fromarray(rgba).save(tmp_path / f"r_{index}.png")
    write(tmp_path / "transforms.json", json.dumps(layout))
    found = evaluated(
        tmp_path, folder / "truth.glb", "--views", tmp_path, "--masks", "--metrics", "psnr:quantise=round"
    )
    assert found["psnr_masked"] > 50 > found["psnr"]
    assert found["ssim_masked"] > 0.9 > found["ssim"]  # windows at the mask's edge look beyond it
    assert found["psnr_8bit_masked"] is None  # equal in 8 bits
    assert found["psnr_8bit"] == pytest.approx(found["psnr"], abs=0.1)
    assert 0 < found["psnr_std"] < found["psnr"]
    assert found["views"] == 3
    assert f"{found['psnr']:.4f} ± {found['psnr_std']:.4f}" in capsys.readouterr().out
    assert main(["eval", str(folder / "truth.glb"), "--views", str(folder / "nerf"), "--masks"]) == 2
    assert "has no transparent pixel" in capsys.readouterr().err


def test_further_metrics_by_name(folder, tmp_path, capsys):
    mesh = folder / "truth.glb"
    found = evaluated(
        tmp_path, mesh, "--mesh", mesh, "--metrics", "iou:grid=mesh2sdf,voxels=32", "chamfer:sample=vertices"
    )
    assert found["iou_mesh2sdf"] == 1
    assert found["chamfer_vertices"] == pytest.approx(0, abs=1e-9)
    assert main(["eval", str(mesh), "--mesh", str(mesh), "--metrics", "psnr"]) == 2
    assert "compares pictures; give --views" in capsys.readouterr().err


def evaluated(tmp_path, *arguments):
    out = tmp_path / "figures.json"
    assert main(["eval", *map(str, arguments), "--json", str(out)]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory):
    """A shape that no turn brings onto itself: in y-up and z-up files, and turned by 40 degrees about the vertical."""
    folder = tmp_path_factory.mktemp("lopsided")
    parts = [trimesh.creation.box(extents=size) for size in ((1.0, 0.3, 0.2), (0.2, 0.5, 0.3), (0.3, 0.2, 0.7))]
    parts[1].apply_translation((0.4, 0.3, 0))
    parts[2].apply_translation((-0.3, 0.1, 0.3))
    shape = trimesh.util.concatenate(parts)  # in glTF axes
    shape.export(folder / "y_up.obj")
    turned = shape.copy()
    turned.apply_transform(trimesh.transformations.rotation_matrix(numpy.radians(40), [0, 1, 0]))
    turned.export(folder / "turned.obj")
    shape.vertices = shape.vertices[:, [0, 2, 1]] * (1, -1, 1)  # as Blender imports and exports it
    shape.export(folder / "z_up.obj")
    return folder


def test_axes_are_given_or_pointed_out(lopsided, tmp_path, capsys):
    y_up, z_up = lopsided / "y_up.obj", lopsided / "z_up.obj"
    good = evaluated(tmp_path, y_up, "--mesh", z_up, "--up", "z")
    assert good["iou"] == 1
    assert good["notes"] == []
    bad = evaluated(tmp_path, y_up, "--mesh", z_up)
    assert bad["iou"] < 0.5
    assert "--up z --yaw 0 brings the Chamfer distance" in bad["notes"][0]
    assert "--up z" in capsys.readouterr().out
    assert "--up y --yaw 0" in evaluated(tmp_path, y_up, "--mesh", y_up, "--up", "z")["notes"][0]
    assert "scored seems to have z up" in evaluated(tmp_path, z_up, "--mesh", y_up)["notes"][0]


def test_a_yaw_is_given_pointed_out_or_found(lopsided, tmp_path):
    y_up, turned = lopsided / "y_up.obj", lopsided / "turned.obj"
    assert evaluated(tmp_path, turned, "--mesh", y_up, "--yaw", "40")["iou"] > 0.99
    quarter = evaluated(tmp_path, y_up, "--mesh", y_up, "--yaw", "90")
    assert "--yaw 0 brings" in quarter["notes"][0]
    for how in ("yaw", "icp"):
        found = evaluated(tmp_path, turned, "--mesh", y_up, "--align", how)
        assert found["align_yaw_deg"] == pytest.approx(320, abs=1)
        assert found["chamfer"] == pytest.approx(found["chamfer_floor"], rel=0.1)
        assert found["iou"] > 0.9


def test_place_and_size_count_where_they_are_not_normalised(tmp_path):
    """A ball of radius 0.25 in one of 0.5: each of its points is 0.25 away, and it fills an eighth."""
    for radius in (0.25, 0.5):
        trimesh.creation.icosphere(4, radius).export(tmp_path / f"{radius}.ply")
    pair = (tmp_path / "0.25.ply", "--mesh", tmp_path / "0.5.ply")
    for how in ("none", "truth"):
        figures = evaluated(tmp_path, *pair, "--normalise", how)
        assert figures["chamfer"] == pytest.approx(0.25, abs=1e-3)
        assert figures["iou"] == pytest.approx(0.125, abs=3e-3)
    assert evaluated(tmp_path, *pair)["iou"] == 1


def test_views_are_compared_at_256_pixels():
    from zero3d_metrics.command.pictures import compared_size

    assert compared_size(800, 800) == (256, 256)
    assert compared_size(1200, 1600) == (192, 256)
    assert compared_size(100, 80) == (100, 80)
    assert compared_size(4000, 40) == (3200, 32)  # SSIM's window and LPIPS' network need as much


def test_views_are_read_on_white_with_their_cameras(folder):
    views = list(read_views(folder / "objaverse"))
    for (rgb, camera), azimuth in zip(views, (0.0, 100.0, 220.0), strict=True):
        assert rgb.shape == (1, SIZE, SIZE, 3)
        assert rgb[0, 0, 0].tolist() == [1, 1, 1]
        assert float(torch.rad2deg(camera.azimuth)) % 360 == pytest.approx(azimuth, abs=1e-3)
        assert float(camera.distance) == pytest.approx(2.0, abs=1e-5)


def test_transparent_views_are_laid_on_white(folder, tmp_path):
    rgba = numpy.zeros((40, 40, 4), numpy.uint8)
    rgba[..., 3] = 51
    Image.fromarray(rgba, "RGBA").save(tmp_path / "000.png")
    numpy.save(tmp_path / "000.npy", numpy.eye(4)[:3])
    ((rgb, _),) = read_views(tmp_path)
    torch.testing.assert_close(rgb, torch.full((1, 40, 40, 3), 0.8))


def write(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf, 0.0])
def test_a_pose_that_is_none_is_named_before_the_runs_kernel_sees_it(folder, run, tmp_path, capfd, value):
    Image.new("RGB", (64, 64)).save(tmp_path / "000.png")
    numpy.save(tmp_path / "000.npy", numpy.full((3, 4), value))
    assert main(["eval", str(run), "--views", str(tmp_path), "--json", str(tmp_path / "f.json")]) == 2
    assert "000.npy: the pose" in capfd.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "f.json").exists()


def test_mistakes_are_one_line_and_exit_code_2(folder, tmp_path, capfd):
    mesh, views = str(folder / "truth.glb"), str(folder / "nerf")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "bad" / "transforms.json", "{}")
    write(tmp_path / "lost" / "transforms.json", (folder / "nerf" / "transforms.json").read_text(encoding="utf-8"))
    (tmp_path / "tiny").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "tiny" / "0.png")
    numpy.save(tmp_path / "tiny" / "0.npy", numpy.eye(4)[:3])
    (tmp_path / "square").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "square" / "0.png")
    numpy.save(tmp_path / "square" / "0.npy", numpy.eye(4))
    write(tmp_path / "broken.glb", "no mesh")
    cases = {
        (mesh,): "nothing to compare with",
        (mesh, "--mesh", "none.glb"): "none.glb: no such mesh",
        ("none", "--mesh", mesh): "none: no such run or model file",
        (str(tmp_path / "broken.glb"), "--mesh", mesh): "no glTF document",
        (str(tmp_path / "empty"), "--mesh", mesh): "no exported mesh",
        (str(tmp_path / "empty"), "--views", views): "no run's folder",
        (mesh, "--views", str(tmp_path / "none")): "no such folder",
        (mesh, "--views", str(tmp_path / "empty")): "holds no transforms.json",
        (mesh, "--views", str(tmp_path / "bad")): "no list of frames",
        (mesh, "--views", str(tmp_path / "lost")): "r_0.png",
        (mesh, "--views", str(tmp_path / "tiny")): "8x8 pixels",
        (mesh, "--views", str(tmp_path / "square")): "3x4",
        (mesh, "--mesh", mesh, "--lpips", "w.pth"): "give --views",
        (mesh, "--mesh", mesh, "--points", "100"): "--points 100",
        (mesh, "--mesh", mesh, "--yaw", "nan"): "--yaw nan",
        (mesh, "--mesh", mesh, "--align", "yaw", "--normalise", "none"): "give one of them",
        (mesh, "--views", views, "--lpips", "w.pth"): "w.pth: no such file",
        (mesh, "--mesh", mesh, "--json", str(tmp_path / "nowhere" / "f.json")): "cannot be written",
    }
    for arguments, said in cases.items():
        assert main(["eval", *arguments]) == 2, arguments
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith("zero3d: ")
        assert said in line
