"""Data sets in the published layout: poses against the original loader's formulas, pictures against closed forms."""

import math
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import numpy
import pytest
import torch
import trimesh
from PIL import Image
from trimesh.visual.material import PBRMaterial

from tests.plugins import dataset_objects as objects
from zero3d.cli import main
from zero3d.errors import UserError
from zero3d.files.lock import only_writer
from zero3d.geometry import orbit, project
from zero3d.mesh_files import srgb_to_linear
from zero3d.pose_files import read_pose
from zero3d.values import PUBLISHED_FOV, Cameras
from zero3d_dataset import layout
from zero3d_dataset.blender import Blender
from zero3d_dataset.cameras import CameraRule, draw_light, generator_of
from zero3d_dataset.check import check
from zero3d_dataset.light import filmic
from zero3d_dataset.raycast import RayCaster, SurfaceScene
from zero3d_dataset.render import Machinery, ObjectMaker, Settings, render
from zero3d_dataset.renderer import AreaLight, MeshError, Order
from zero3d_dataset.sources import Source, find_sources
from zero3d_dataset.surface import read_surface
from zero3d_dataset.texture import sample
from zero3d_dataset.workers import Workers
from zero3d_zero123.pose import relative_pose

BPY = os.environ.get("ZERO3D_BLENDER_PYTHON", "")


def make(out, mesh, settings, uid="thing"):
    """One object, in this process."""
    (out / layout.PARTIAL).mkdir(parents=True, exist_ok=True)
    assert ObjectMaker(out, settings, Machinery()).do(Source(uid, mesh)) is None
    return out / uid


# ---- poses


def test_the_published_loader_finds_our_cameras_in_the_files(tmp_path):
    cameras = CameraRule().draw(generator_of(3, "x"), 8, 16)
    matrices = layout.world_to_camera(cameras.camera_to_world)
    ours = relative_pose(cameras, cameras[:1])
    for index, matrix in enumerate(matrices):
        numpy.save(tmp_path / "m.npy", matrix)
        stored = numpy.load(tmp_path / "m.npy")
        assert stored.shape == (3, 4)
        assert stored.dtype == numpy.float64
        numpy.testing.assert_allclose(objects.published_t(stored, matrices[0]), ours[index].numpy(), atol=1e-6)
        back = read_pose((tmp_path / "m.npy").read_bytes(), "m.npy")
        torch.testing.assert_close(back, cameras.camera_to_world[index].double())


@pytest.mark.parametrize(
    ("published", "axes"), [(False, lambda x, y, z: (z, x, y)), (True, lambda x, y, z: (x, -z, y))]
)
def test_known_points_are_drawn_where_pose_and_lens_put_them(tmp_path, published, axes):
    centres = objects.markers(tmp_path / "m.glb")
    settings = Settings(views=6, size=160, published_axes=published, supersample=2)
    folder = make(tmp_path / "out", tmp_path / "m.glb", settings)
    focal, seen = 80 / math.tan(PUBLISHED_FOV / 2), 0
    for view in range(6):
        rgba = numpy.asarray(Image.open(folder / f"{view:03d}.png")).astype(float)
        matrix = numpy.load(folder / f"{view:03d}.npy")
        places = numpy.array([matrix[:, :3] @ numpy.array(axes(*centre)) + matrix[:, 3] for centre in centres])
        assert (places[:, 2] < -1).all(), "OpenGL: the camera looks along -z"
        pixels = numpy.stack([80 + focal * places[:, 0] / -places[:, 2], 80 - focal * places[:, 1] / -places[:, 2]], 1)
        for channel, (column, row) in enumerate(pixels):
            others = numpy.delete(pixels, channel, axis=0)
            if numpy.hypot(*(others - pixels[channel]).T).min() < 25:  # one may stand before the other
                continue
            weight = rgba[..., 3] * (rgba[..., :3].argmax(axis=-1) == channel)
            rows, columns = numpy.mgrid[:160, :160] + 0.5
            found = (columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()
            assert found == pytest.approx((column, row), abs=0.4)  # a ball's outline is a little off its centre
            seen += 1
    assert seen >= 9


def test_zero3d_eval_reads_the_views(tmp_path):
    from zero3d_metrics.command.views import read_views

    folder = make(tmp_path / "out", objects.box(tmp_path / "b.ply"), Settings(views=2, size=48))
    views = list(read_views(folder))
    assert [picture.shape for picture, _ in views] == [(1, 48, 48, 3)] * 2
    numpy.testing.assert_allclose(
        layout.world_to_camera(views[1][1].camera_to_world)[0], numpy.load(folder / "001.npy"), atol=1e-6
    )


def test_cameras_follow_the_published_rule():
    cameras = CameraRule().draw(numpy.random.default_rng(0), 40000, 16)
    polar = 90 - torch.rad2deg(cameras.elevation)
    share = [float(((polar > low) & (polar < high)).double().mean()) for low, high in ((0, 30), (30, 60), (120, 150))]
    # corners of the cube are nearer to 45 degrees than a sphere's even cover is: the solid angles, derived apart
    assert share == pytest.approx([0.043, 0.235, 0.235], abs=0.007)
    assert float(cameras.distance.min()) == pytest.approx(1.5, abs=0.01)
    assert float(cameras.distance.max()) == pytest.approx(2.2, abs=0.01)
    towards = -cameras.camera_to_world[:, :3, 2] * cameras.distance[:, None]
    torch.testing.assert_close(cameras.position + towards, torch.zeros_like(towards), atol=1e-6, rtol=0)


def test_a_band_of_elevations_is_covered_evenly():
    cameras = CameraRule((2.0, 2.0), (-30.0, 90.0)).draw(numpy.random.default_rng(0), 20000, 16)
    height = cameras.position[:, 2] / 2  # uniform on a sphere: the height is (Archimedes)
    assert float(height.min()) == pytest.approx(-0.5, abs=0.01)
    assert float(height.mean()) == pytest.approx(0.25, abs=0.01)
    assert float(height.var()) == pytest.approx(1.5**2 / 12, rel=0.03)


def test_an_objects_cameras_do_not_depend_on_its_company():
    first, again, other, seed = (
        CameraRule().draw(generator_of(s, uid), 3, 16).camera_to_world
        for s, uid in ((0, "a"), (0, "a"), (0, "b"), (1, "a"))
    )
    assert first.equal(again)
    assert not first.equal(other)
    assert not first.equal(seed)
    light = draw_light(numpy.random.default_rng(0))
    assert 300 <= light.energy <= 600
    assert 0.5 <= light.location[2] <= 1.5


# ---- pictures


def test_a_white_ball_looks_as_cycles_drew_it(tmp_path):
    # Blender 5.0.1, Cycles, 64 samples: the middle column of a ball of albedo 0.8, every 10th pixel, from three sides
    cycles = [
        [102, 138, 154, 164, 170, 174, 177, 174],
        [176, 176, 173, 168, 159, 147, 129, 67],
        [69, 66, 66, 65, 64, 63, 63, 62],
    ]
    ball = trimesh.creation.icosphere(5)
    ball.visual = trimesh.visual.TextureVisuals(material=PBRMaterial(baseColorFactor=[204, 204, 204, 255]))
    ball.export(tmp_path / "ball.glb")
    cameras = orbit(torch.tensor([90 - 1e-3, 20.0, -30.0]), torch.tensor([0.0, 0.0, 120.0]), 128, 1.8)
    drawn = RayCaster(1).draw(Order(tmp_path / "ball.glb", cameras, AreaLight(450, (0, 0, 1))))
    for picture, column in zip(drawn, cycles, strict=True):
        assert numpy.abs(picture[30:101:10, 64, 0].astype(int) - column).max() <= 3
        assert (picture[30:101:10, 64, 3] == 255).all()


def test_filmic_is_blenders():
    # read off Blender at other places than the table's
    linear = numpy.array([0.0, 0.00116, 0.01314, 0.10511, 0.42045, 1.18921, 4.75683])
    assert filmic(linear) == pytest.approx([0, 0.0188, 0.1214, 0.3974, 0.6635, 0.8312, 0.9598], abs=1e-3)


def test_something_between_the_lamp_and_a_surface_casts_a_shadow(tmp_path):
    floor, seen = trimesh.creation.box([2, 0.1, 2]), {}
    for width in (0.1, 1.8):  # a roof over a corner of the floor, and over all of it
        roof = trimesh.creation.box([width, 0.05, width])
        roof.vertices += [width / 2 - 0.9, 0.5, width / 2 - 0.9]
        trimesh.Scene([floor, roof]).export(tmp_path / "roof.glb")
        camera = orbit(2.0, 0.0, 65)
        middle = torch.tensor([[0.0, 0.0, (0.05 - (0.525 - 0.05) / 2) / 2]])  # of the floor's upper side
        column, row = ((project(middle, camera)[0][0, 0] + 1) / 2 * 65).int().tolist()
        scene = SurfaceScene(read_surface(tmp_path / "roof.glb"))
        seen[width] = float(scene.draw(camera, 1, AreaLight(450, (0, 0, 1)))[0][row, column, 0])
    towards = numpy.array([4.076245, 1.005454, 5.903862]) - middle[0].numpy()
    lamp = 1000 / (4 * math.pi**2 * (towards**2).sum()) * towards[2] / numpy.linalg.norm(towards)
    grey = 0.0508761 + 450 / (math.pi * 100**2)  # the world, and the area light over a level floor
    assert seen == pytest.approx(
        {0.1: 0.8 * (grey + lamp), 1.8: 0.8 * grey}, rel=0.04
    )  # the ray is nearly level: it meets a nearby place


def test_alpha_is_straight_and_the_share_of_the_pixel(tmp_path):
    trimesh.creation.icosphere(5).export(tmp_path / "ball.stl")
    scene = SurfaceScene(read_surface(tmp_path / "ball.stl"))
    colour, opacity = scene.draw(orbit(10.0, 0.0, 64), 4, None)
    edge = (opacity > 0) & (opacity < 1)
    assert edge.sum() > 50
    numpy.testing.assert_allclose(colour[edge[..., 0]], 0.8, rtol=1e-5)
    assert (colour[opacity[..., 0] == 0] == 0).all()
    half = math.tan(PUBLISHED_FOV / 2)  # a sphere from distance d covers the disc tan(asin(r / d))
    assert opacity.mean() == pytest.approx(math.pi * (math.tan(math.asin(0.25)) / (2 * half)) ** 2, rel=2e-3)


def quad(material, z=0.0, colours=None):
    corners = [[-0.5, -0.5, z], [0.5, -0.5, z], [0.5, 0.5, z], [-0.5, 0.5, z]]
    visual = trimesh.visual.TextureVisuals(uv=[[0, 0], [1, 0], [1, 1], [0, 1]], material=material)
    mesh = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)
    if colours is not None:
        mesh.visual.vertex_attributes["color"] = numpy.array(colours, numpy.float32)
    return mesh


def from_the_front(path, size=64):
    """Bare colour and opacity; glTF's x to the right, y up, as it faces the viewer."""
    return SurfaceScene(read_surface(path)).draw(orbit(0.0, -90.0, size), 1, None)


def test_texture_factor_and_vertex_colours_are_multiplied_in_linear_light(tmp_path):
    texture = numpy.zeros((8, 8, 3), numpy.uint8)
    texture[:4, :4], texture[:4, 4:], texture[4:, :4], texture[4:, 4:] = (200, 0, 0), (0, 120, 0), (0, 0, 90), (70,) * 3
    material = PBRMaterial(baseColorTexture=Image.fromarray(texture), baseColorFactor=[204, 102, 51, 255])
    quad(material).export(tmp_path / "q.glb")
    colour, _ = from_the_front(tmp_path / "q.glb")
    factor = numpy.array([204, 102, 51]) / 255
    for (row, column), value in {(24, 24): (200, 0, 0), (24, 40): (0, 120, 0), (40, 24): (0, 0, 90)}.items():
        numpy.testing.assert_allclose(colour[row, column], factor * srgb_to_linear(numpy.array(value) / 255), atol=1e-4)
    plain = PBRMaterial(baseColorFactor=[255, 128, 255, 255])
    ball = trimesh.creation.icosphere(2)
    ball.visual = trimesh.visual.TextureVisuals(material=plain)
    ball.export(tmp_path / "b.glb")
    numpy.testing.assert_allclose(from_the_front(tmp_path / "b.glb")[0][32, 32], [1, 128 / 255, 1], atol=1e-4)


def test_vertex_colours_are_linear_in_gltf_and_srgb_elsewhere(tmp_path):
    ball = trimesh.creation.icosphere(2)
    ball.visual.vertex_colors = numpy.tile(numpy.array([200, 100, 50, 255], numpy.uint8), (len(ball.vertices), 1))
    for kind in ("glb", "ply", "obj"):
        ball.export(tmp_path / f"b.{kind}")
        values = numpy.array([200, 100, 50]) / 255
        expected = values if kind == "glb" else srgb_to_linear(values)
        numpy.testing.assert_allclose(from_the_front(tmp_path / f"b.{kind}")[0][32, 32], expected, atol=3e-3)


def test_holes_and_glass_let_what_is_behind_through(tmp_path):
    texture = numpy.full((8, 8, 4), 255, numpy.uint8)
    texture[:, :4, 3] = 40
    holes = quad(PBRMaterial(baseColorTexture=Image.fromarray(texture), alphaMode="MASK", alphaCutoff=0.5))
    holes.export(tmp_path / "holes.glb")
    _, opacity = from_the_front(tmp_path / "holes.glb")
    assert opacity[32, 24] == 0
    assert opacity[32, 40] == 1
    glass = quad(PBRMaterial(baseColorFactor=[255, 0, 0, 102], alphaMode="BLEND"), z=0.2)
    wall = quad(PBRMaterial(baseColorFactor=[0, 0, 255, 255]), z=-0.2)
    trimesh.Scene([glass, wall]).export(tmp_path / "glass.glb")
    colour, opacity = from_the_front(tmp_path / "glass.glb")
    numpy.testing.assert_allclose(colour[32, 32], [0.4, 0, 0.6], atol=1e-3)
    assert opacity[32, 32] == 1
    glass.export(tmp_path / "pane.glb")
    colour, opacity = from_the_front(tmp_path / "pane.glb")
    numpy.testing.assert_allclose(colour[32, 32], [1, 0, 0], atol=1e-3)
    assert opacity[32, 32] == pytest.approx(0.4)


def test_texels_are_met_at_their_centres_and_repeat():
    texture = numpy.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=numpy.uint8)
    rows, columns = numpy.mgrid[:3, :5]
    uv = numpy.stack([(columns + 0.5) / 5 + 2, 1 - (rows + 0.5) / 3 - 1], axis=-1).reshape(-1, 2)
    expected = texture.reshape(-1, 4) / 255
    expected[:, :3] = srgb_to_linear(expected[:, :3])
    numpy.testing.assert_allclose(sample(texture, uv), expected, atol=1e-5)
    middle = sample(texture, numpy.array([[1 / 5, 1 - 1 / 6], [0.0, 1 - 1 / 6]]))  # between two; across the seam
    numpy.testing.assert_allclose(middle[0], (expected[0] + expected[1]) / 2, atol=1e-5)
    numpy.testing.assert_allclose(middle[1], (expected[0] + expected[4]) / 2, atol=1e-5)


def test_up_in_files_that_do_not_say(tmp_path):
    path = objects.box(tmp_path / "b.stl", offset=5.0)  # 1 x 2 x 3
    for y_up, extents in ((True, [1, 3, 2]), (False, [1, 2, 3])):
        corners = read_surface(path, y_up).corners.reshape(-1, 3)
        numpy.testing.assert_allclose(numpy.ptp(corners, axis=0), numpy.array(extents) / 3, atol=1e-6)
        numpy.testing.assert_allclose(corners.min(axis=0), -corners.max(axis=0), atol=1e-6)


# ---- which meshes, and their names


def test_names_are_stems_or_hashed_where_shared_and_move_with_their_folder(tmp_path):
    letter = "ü" if sys.getfilesystemencoding() == "utf-8" else "u"
    for name in ("one.obj", "a/chair.obj", "b/chair.OBJ", "c/Chair.glb", f"d e/1 {letter}.stl"):
        path = tmp_path / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
    names = {source.path.name: source.uid for source in find_sources([tmp_path / "x"])}
    uids = sorted(source.uid for source in find_sources([tmp_path / "x"]))
    assert names["one.obj"] == "one"
    assert names[f"1 {letter}.stl"] == f"1_{letter}"
    assert len({uid.lower() for uid in uids}) == 5
    assert all(uid.lower().startswith("chair-") for uid in uids if "hair" in uid)
    (tmp_path / "y").mkdir()
    (tmp_path / "x").rename(tmp_path / "y" / "x")
    assert sorted(source.uid for source in find_sources([tmp_path / "y" / "x"])) == uids
    twice = find_sources([tmp_path / "y" / "x", tmp_path / "y" / "x" / "one.obj"])
    assert sorted(source.uid for source in twice) == uids


def test_two_folders_of_one_name_do_not_collide_and_lists_are_read(tmp_path):
    for root in ("p/set", "q/set"):
        (tmp_path / root).mkdir(parents=True)
        (tmp_path / root / "m.ply").write_text("", encoding="utf-8")
    found = find_sources([tmp_path / "p" / "set", tmp_path / "q" / "set"])
    assert len({source.uid for source in found}) == 2
    (tmp_path / "list.txt").write_text("# meshes\np/set/m.ply\n\nq/gone.glb\n", encoding="utf-8")
    assert [source.uid for source in find_sources([tmp_path / "list.txt"])] == ["gone", "m"]


@pytest.mark.parametrize("name", ["nowhere", "notes.pdf", "empty", "latin.txt"])
def test_what_is_no_mesh_is_refused(tmp_path, name):
    (tmp_path / "notes.pdf").write_text("", encoding="utf-8")
    (tmp_path / "latin.txt").write_bytes("Möbel.glb".encode("latin-1"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name):
        find_sources([tmp_path / name])


# ---- a run


def odd_files(folder):
    """Files that are broken each in its own way, with what is said of them; and two that must do."""
    folder.mkdir()
    (folder / "junk.glb").write_bytes(b"glTF and then nothing of the kind")
    (folder / "empty.obj").write_text("", encoding="utf-8")
    (folder / "no_faces.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n", encoding="utf-8")
    (folder / "point.obj").write_text("v 1 1 1\nv 1 1 1\nv 1 1 1\nf 1 2 3\n", encoding="utf-8")
    trimesh.PointCloud(numpy.eye(3)).export(folder / "cloud.ply")
    nothing = trimesh.Trimesh(numpy.full((3, 3), numpy.nan), [[0, 1, 2]], process=False)
    nothing.export(folder / "nan.ply")
    whole = trimesh.creation.box()
    huge = trimesh.Trimesh(whole.vertices * 1e30 + 1e31, whole.faces, process=False)
    huge.export(folder / "huge.ply")
    partly = trimesh.Trimesh(
        numpy.vstack([whole.vertices, [[numpy.nan] * 3]]), [*whole.faces.tolist(), [0, 1, 8]], process=False
    )
    partly.export(folder / "partly.ply")
    (folder / "m.mtl").write_text("newmtl a\nKd 0.5 0.2 0.1\nmap_Kd gone.png\n", encoding="utf-8")
    (folder / "untextured.obj").write_text(
        "mtllib m.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl a\nf 1/1 2/2 3/3\n", encoding="utf-8"
    )
    return {"junk", "empty", "no_faces", "point", "cloud", "nan"}, {"huge", "partly", "untextured"}


def test_broken_meshes_are_told_and_skipped(tmp_path, capfd):
    broken, good = odd_files(tmp_path / "m")
    out = tmp_path / "out"
    words = [
        "dataset",
        "render",
        str(tmp_path / "m"),
        "--out",
        str(out),
        "--views",
        "2",
        "--size",
        "32",
        "--workers",
        "1",
    ]
    assert main(words) == 0
    shown = capfd.readouterr()
    failed = objects.read_json(out / "failed.json")
    assert set(failed) == broken
    assert "holds no triangles" in failed["no_faces"]["error"]
    assert "finite" in failed["nan"]["error"]
    assert all(f"{entry['mesh']}: {entry['error']}; skipped" in shown.err for entry in failed.values())
    assert "3 of 9 objects with 2 views (3 drawn, " in shown.out
    assert "6 failed" in shown.out
    assert "2 without a texture or some triangles: see" in shown.out
    notes = objects.read_json(out / "notes.json")
    assert notes == {
        "partly": ["partly.ply: 1 of 13 triangles have corners that are not finite or do not exist: left out"],
        "untextured": ["untextured.obj: gone.png is missing: drawn without"],
    }
    assert all(line in shown.err for lines in notes.values() for line in lines)
    assert set(objects.read_json(out / "valid_paths.json")) == good
    assert check(out).problems == []
    red = numpy.asarray(Image.open(out / "untextured" / "000.png")).reshape(-1, 4)
    red = red[red[:, 3] == 255]
    assert (red[:, 0] > red[:, 2]).all(), "its material's own colour"

    for name in good:  # what is left is broken altogether
        next((tmp_path / "m").glob(f"{name}.*")).unlink()
    alone = tmp_path / "alone"
    assert main([*words[:4], str(alone), *words[5:]]) == 1
    assert objects.read_json(alone / "valid_paths.json") == []


def test_a_killed_run_leaves_whole_objects_and_goes_on(tmp_path):
    for index in range(12):
        objects.box(tmp_path / "m" / f"b{index}.ply")
    out = tmp_path / "out"
    words = [
        "dataset",
        "render",
        str(tmp_path / "m"),
        "--out",
        str(out),
        "--views",
        "3",
        "--size",
        "160",
        "--workers",
        "1",
    ]
    process = subprocess.Popen([sys.executable, "-m", "zero3d.cli", *words], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 100
    while len(list(out.glob("b*"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    whole = {path.name: path.stat().st_mtime_ns for path in out.glob("b*")}
    assert 2 <= len(whole) < 12
    assert all(layout.complete_views(out / name) == 3 for name in whole)
    cut = sorted(whole)[0]
    (out / cut / "001.npy").write_bytes(b"")  # as if a disk had filled up
    settings = Settings(views=3, size=160)
    tally = render(find_sources([tmp_path / "m"]), out, settings, Machinery(workers=1))
    assert tally.drawn + tally.present == 12
    assert tally.present >= len(whole) - 1
    assert layout.complete_views(out / cut) == 3
    assert all((out / name).stat().st_mtime_ns == when for name, when in whole.items() if name != cut)
    assert sorted(objects.read_json(out / "valid_paths.json")) == sorted(f"b{index}" for index in range(12))
    assert not (out / layout.PARTIAL).exists()


def test_pictures_made_otherwise_are_not_mixed(tmp_path):
    sources = find_sources([objects.box(tmp_path / "b.ply")])
    out = tmp_path / "out"
    make(out, sources[0].path, Settings(views=1, size=32), "b")
    with pytest.raises(UserError, match=r"holds files"):
        render(sources, out, Settings(views=1, size=32), Machinery())
    layout.write_json(out / "render.json", Settings(views=1, size=32).to_json())
    with pytest.raises(UserError, match=r"drawn with size 32, not 64"):
        render(sources, out, Settings(views=1, size=64), Machinery())
    assert render(sources, out, Settings(views=1, size=32), Machinery()).present == 1


def test_a_full_disk_ends_the_run(tmp_path, monkeypatch):
    sources = find_sources([junk_meshes(tmp_path)])
    monkeypatch.setattr("shutil.disk_usage", lambda _: types.SimpleNamespace(free=3 * 2**20))
    with pytest.raises(UserError, match="3 MiB left"):
        render(sources, tmp_path / "out", Settings(views=1, size=16), Machinery())
    assert set(objects.read_json(tmp_path / "out" / "failed.json")) <= {"a", "b"}


def junk_meshes(tmp_path):
    (tmp_path / "m").mkdir()
    for name in ("a.glb", "b.glb"):
        (tmp_path / "m" / name).write_bytes(b"junk")
    return tmp_path / "m"


def test_two_runs_do_not_share_a_folder(tmp_path):
    sources = find_sources([objects.box(tmp_path / "b.ply")])
    out = tmp_path / "out"
    out.mkdir()
    layout.write_json(out / "render.json", Settings().to_json())
    with only_writer(out, "x"), pytest.raises(UserError, match="another"):
        render(sources, out, Settings(), Machinery())


def test_a_worker_that_dies_or_hangs_costs_its_task_alone():
    workers = Workers(objects.make_odd, 1, seconds=5)
    ended = dict(workers.run(["good", "die", "fail", "hang", "last"]))
    assert ended["good"] is ended["last"] is None
    assert ended["die"] == "the process died (code 7)"
    assert ended["fail"] == "as asked"
    assert ended["hang"] == "took longer than 5 s"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--views", "0"], "--views: 0; 1 to 1000"),
        (["--size", "8"], "--size: 8"),
        (["--distance", "2", "1"], "--distance: 2 1"),
        (["--elevation-deg", "-95", "10"], "--elevation-deg: -95 10"),
        (["--workers", "0"], "--workers: 0"),
        (["--timeout", "0"], "--timeout: 0"),
        (["--renderer", "blender"], "give --blender-python"),
        (["--renderer", "blender", "--blender-python", "/no/such"], "--blender-python /no/such: cannot be run"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, said):
    mesh = objects.box(tmp_path / "b.ply")
    assert main(["dataset", "render", str(mesh), "--out", str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


# ---- Blender


def blender_order(tmp_path, name, views=2):
    return Order(objects.box(tmp_path / name), orbit(10.0, torch.arange(views) * 30.0, 24), AreaLight(400, (0, 0, 1)))


def test_blenders_protocol_with_a_stand_in(tmp_path):
    blender = Blender(objects.stand_in(tmp_path))
    pictures = list(blender.draw(blender_order(tmp_path, "good.ply")))
    assert blender.version == "0.0 (stand-in)"
    assert [picture.shape for picture in pictures] == [(24, 24, 4)] * 2
    assert pictures[1][0, 0].tolist() == [9, 8, 7, 2]
    for name, said in {
        "broken.ply": "Blender: RuntimeError: no such luck",
        "deadly.ply": r"Blender: ended with code 11 \(Segmentation fault, as it were\)",
        "babble.ply": "which is no answer",
    }.items():
        with pytest.raises(MeshError, match=said):
            list(blender.draw(blender_order(tmp_path, name)))
    assert len(list(blender.draw(blender_order(tmp_path, "good.ply", 1)))) == 1, "a new one after one died"
    blender.close()


def test_a_whole_run_with_blender_ends_one_that_hangs(tmp_path):
    for name in ("good", "sleepy"):
        objects.box(tmp_path / "m" / f"{name}.ply")
    settings = Settings(views=2, size=16, renderer="blender")
    machinery = Machinery(seconds=6, blender_python=objects.stand_in(tmp_path))
    tally = render(find_sources([tmp_path / "m"]), tmp_path / "out", settings, machinery)
    assert (tally.drawn, tally.failed) == (1, 1)
    assert objects.read_json(tmp_path / "out" / "failed.json")["sleepy"]["error"] == "took longer than 6 s"
    assert numpy.asarray(Image.open(tmp_path / "out" / "good" / "001.png"))[0, 0].tolist() == [9, 8, 7, 2]
    with pytest.raises(ProcessLookupError):  # the worker took its Blender along
        os.kill(int((tmp_path / "m" / "sleepy.ply.pid").read_text(encoding="utf-8")), 0)


def test_an_interpreter_without_bpy_is_named(tmp_path, capsys):
    mesh = objects.box(tmp_path / "b.ply")
    words = ["--renderer", "blender", "--blender-python", sys.executable]
    assert main(["dataset", "render", str(mesh), "--out", str(tmp_path / "out"), *words]) == 2
    assert "No module named 'bpy'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not BPY, reason="ZERO3D_BLENDER_PYTHON names no interpreter with bpy")
def test_cycles_and_the_ray_caster_draw_the_same(tmp_path):
    objects.markers(tmp_path / "markers.glb")
    objects.box(tmp_path / "box.obj")
    (tmp_path / "box.mtl").write_text("newmtl brown\nKd 0.5 0.2 0.1\n", encoding="utf-8")
    (tmp_path / "box.obj").write_text(
        "mtllib box.mtl\nusemtl brown\n" + (tmp_path / "box.obj").read_text(encoding="utf-8"), encoding="utf-8"
    )
    ball = trimesh.creation.icosphere(3)
    ball.visual.vertex_colors = numpy.tile(numpy.array([200, 100, 50, 255], numpy.uint8), (len(ball.vertices), 1))
    ball.export(tmp_path / "ball.ply")
    blender = Blender(Path(BPY), samples=16)
    for name in ("markers.glb", "box.obj", "ball.ply"):
        cameras = CameraRule().draw(generator_of(0, name), 2, 96)
        order = Order(tmp_path / name, cameras, AreaLight(450, (0.5, -0.5, 1)))
        for ours, theirs in zip(RayCaster(3).draw(order), blender.draw(order), strict=True):
            apart = numpy.abs(ours.astype(float) - theirs)
            both = (ours[..., 3] > 250) & (theirs[..., 3] > 250)
            outline, colour = apart[..., 3].mean() / 255, apart[both][:, :3].mean()
            print(f"{name}: opacity differs by {outline:.4f}, colours by {colour:.1f} of 255")
            assert outline < 0.015, name  # Cycles' edges are hard (filter width 0.01)
            assert colour < 10, name  # Cycles' highlights are not in the ray caster's light
    (tmp_path / "junk.glb").write_bytes(b"glTF nothing")
    with pytest.raises(MeshError, match="Blender"):
        list(blender.draw(Order(tmp_path / "junk.glb", cameras, AreaLight(450, (0, 0, 1)))))
    blender.close()


# ---- check


@pytest.fixture
def good(tmp_path):
    """A folder as it is released: objects and valid_paths.json, nothing else."""
    root = tmp_path / "views_release"
    for uid in ("a", "b", "c"):
        make(root, objects.box(tmp_path / f"{uid}.ply"), Settings(views=2, size=48), uid)
    (root / layout.PARTIAL).rmdir()
    layout.write_valid_paths(root, ["a", "b", "c"])
    return root


def test_check_finds_nothing_wrong_with_a_good_folder(good, capsys):
    assert main(["dataset", "check", str(good), "--json", str(good.parent / "r.json")]) == 0
    shown = capsys.readouterr().out
    assert "3 listed, 3 looked into" in shown
    figures = objects.read_json(good.parent / "r.json")
    assert figures["views"] == {"2": 3}
    assert figures["sizes"] == {"48x48 RGBA": 6}
    assert 1.5 <= figures["distance"][0] <= figures["distance"][2] <= 2.2
    assert figures["problems"] == []


def damage(root, how):
    first = root / "a" / "000.npy"
    matrix = numpy.load(first)
    if how == "opencv":
        numpy.save(first, numpy.diag([1.0, -1, -1]) @ matrix)
    elif how == "shape":
        numpy.save(first, numpy.eye(4))
    elif how == "scaled":
        numpy.save(first, matrix * 2)
    elif how == "aside":
        numpy.save(first, matrix + numpy.array([[0, 0, 0, 0.3]] * 3))
    elif how == "other view":
        numpy.save(first, layout.world_to_camera(orbit(0.0, 0.0, 48, 9.0).camera_to_world)[0])
    elif how == "cut":
        (root / "a" / "001.png").write_bytes((root / "a" / "001.png").read_bytes()[:100])
    elif how == "no alpha":
        Image.new("RGB", (48, 48)).save(root / "a" / "000.png")
    elif how == "lost":
        (root / "a" / "001.npy").unlink()
    elif how == "unlisted":
        layout.write_json(root / layout.VALID, ["a", "b", "c", "gone", "b"])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("opencv", "OpenCV axes"),
        ("shape", "a 3x4 world-to-camera matrix is needed"),
        ("scaled", "no rotation"),
        ("aside", "past the origin"),
        ("other view", "unit cube's outline"),
        ("cut", "001.png cannot be read"),
        ("no alpha", "it has no alpha"),
        ("lost", "without its other half"),
        ("unlisted", "no such folder"),
    ],
)
def test_check_names_what_is_wrong(good, capsys, how, said):
    damage(good, how)
    assert main(["dataset", "check", str(good)]) == 1
    assert said in capsys.readouterr().out


def test_check_looks_into_a_sample(good):
    assert check(good, sample=2).looked_into == 2
    with pytest.raises(UserError, match=r"valid_paths\.json"):
        check(good / "a")


def test_the_validation_split_stays_as_objects_are_added(tmp_path):
    def listed(count):
        layout.write_valid_paths(tmp_path, [f"o{index}" for index in range(count)])
        return objects.read_json(tmp_path / layout.VALID)

    few, more = listed(500), listed(510)
    assert [name for name in more if name in set(few)] == few
    assert few != sorted(few)


def test_cameras_are_square_and_published():
    cameras = CameraRule().draw(numpy.random.default_rng(0), 1, 20)
    assert isinstance(cameras, Cameras)
    assert (cameras.height, cameras.width, cameras.fov) == (20, 20, PUBLISHED_FOV)
