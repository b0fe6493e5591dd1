"""Each set reads a copy in its published layout: cameras against closed forms, meshes against the pictures."""

import json
import math
import sys

import numpy
import pytest
import torch

from tests.plugins import evaluation_sets_data as data
from zero3d import UserError
from zero3d.geometry import look_at, orbit
from zero3d.mesh_views import MeshScene
from zero3d.values import Cameras
from zero3d_evaluation_sets.folder import MeshFolder
from zero3d_evaluation_sets.gso.component import Gso
from zero3d_evaluation_sets.objaverse import ObjaverseLvis
from zero3d_evaluation_sets.omniobject3d import OmniObject3D
from zero3d_evaluation_sets.rtmv.component import Rtmv


def opened(component, root, **options):
    return component(component.Config(path=str(root), **options)).objects()


def fits(one, index=0):
    """The mesh, drawn from the view's camera, covers what the picture shows, within the pixels of the outline."""
    view = one.view(index)
    shown = view.rgba[..., 3] > 0.5
    assert shown.any()
    seen = MeshScene(one.mesh()).draw(view.camera, 1).opacity[0, ..., 0] > 0.5
    union = (shown | seen).sum()
    assert (shown & seen).sum() / union > 0.97
    return view


# -- Google Scanned Objects


@pytest.fixture(scope="module")
def chicken(tmp_path_factory):
    root = tmp_path_factory.mktemp("gso")
    data.fuel(root / "CHICKEN_NESTING")
    return root


def test_fuels_model_stands_as_in_its_file_with_its_texture_the_right_way_up(chicken):
    (one,) = opened(Gso, chicken)
    mesh = one.mesh()
    assert (one.name, one.category, one.view_names) == ("CHICKEN_NESTING", "Toys", ())
    assert mesh.metadata["notes"] == []
    assert len(mesh.vertices) == 24  # split by normals and texture coordinates
    assert mesh.metadata["closed"]
    numpy.testing.assert_allclose(numpy.unique(mesh.vertices, axis=0), numpy.unique(data.SOLID, axis=0), atol=1e-6)
    camera = Cameras(look_at(torch.tensor([[0.05, -0.6, 0.15]]), torch.tensor([[0.05, 0.0, 0.15]])), 64, 64)
    image = MeshScene(mesh).draw(camera, 1, light=None).image[0]
    found = {
        "top left": image[20, 26],
        "top right": image[20, 33],
        "low left": image[44, 26],
        "low right": image[44, 38],
    }
    assert {place: tuple((255 * colour).round().int().tolist()) for place, colour in found.items()} == data.QUARTERS


def test_of_the_versions_that_fuels_tool_keeps_the_last_is_read(tmp_path):
    for version in ("2", "10"):
        data.fuel(tmp_path / "hat" / version)
    (one,) = opened(Gso, tmp_path)
    assert (one.name, one.category, one.root.name) == ("hat", "Toys", "10")


def test_an_open_or_split_mesh_is_told_apart_and_points_inside_are_found(chicken, tmp_path):
    import igl

    mesh = opened(Gso, chicken)[0].mesh()
    points = numpy.array([[0.05, 0.03, 0.1], [0.15, 0.08, 0.25]])
    winding = igl.fast_winding_number(numpy.array(mesh.vertices), numpy.array(mesh.faces, dtype=numpy.int64), points)
    assert winding == pytest.approx([1, 0], abs=1e-2)
    data.fuel(tmp_path / "OPEN")
    file = tmp_path / "OPEN/meshes/model.obj"
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(lines[:-2]), encoding="utf-8")  # without its bottom
    assert not opened(Gso, tmp_path)[0].mesh().metadata["closed"]


def test_syncdreamers_views_are_the_published_ones(tmp_path):
    data.syncdreamer(tmp_path)
    (one,) = opened(Gso, tmp_path)
    assert one.view_names == tuple(f"{k:03d}" for k in range(16))
    for index in (0, 3):
        view = fits(one, index)
        a = math.radians(22.5 * index)
        eye = [1.5 * math.cos(math.pi / 6) * math.cos(a), 1.5 * math.cos(math.pi / 6) * math.sin(a), 0.75]
        assert view.camera.position[0].tolist() == pytest.approx(eye, abs=1e-6)
        assert 256 / 2 / math.tan(view.camera.fov / 2) == pytest.approx(280)
        expected = MeshScene(one.mesh()).draw(view.camera, 1)
        distance, hit = one.depth(index), expected.opacity[0, ..., 0] > 0.5
        known = torch.isfinite(distance)
        assert (known == (view.rgba[..., 3] > 0.5)).all()
        both = known & hit
        torch.testing.assert_close(distance[both], expected.depth[0, ..., 0][both], atol=2e-4, rtol=0)
    with pytest.raises(IndexError):
        one.view(16)


def test_syncdreamers_turns_go_by_its_own_names_wherever_the_meshes_lie(tmp_path, chicken):
    data.syncdreamer(tmp_path / "views", "train", 225, meshes=tmp_path / "meshes")
    (one,) = opened(Gso, tmp_path / "views", meshes=str(tmp_path / "meshes"))
    fits(one, 5)
    assert opened(Gso, tmp_path / "views")[0].mesh() is None
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"chicken": "CHICKEN_NESTING"}), encoding="utf-8")
    (named,) = opened(Gso, chicken, names=str(names), yaw="syncdreamer")
    expected = data.about_z(data.normalised(data.SOLID), -270)
    mesh = named.mesh()
    numpy.testing.assert_allclose(numpy.unique(mesh.vertices.round(5), axis=0), numpy.unique(expected.round(5), axis=0))
    assert named.digest() != opened(Gso, chicken)[0].digest()
    with pytest.raises(UserError, match=r"'CHICKEN_NESTING' .* no turn is known"):
        opened(Gso, chicken, yaw="syncdreamer")


def test_the_turns_are_those_of_the_thirty_objects():
    from zero3d_evaluation_sets.gso.layouts import syncdreamer

    turns = syncdreamer()["yaw_deg"]
    by_turn = {}
    for name, turn in turns.items():
        by_turn.setdefault(turn, set()).add(name)
    assert {turn: len(names) for turn, names in by_turn.items()} == {270: 11, 0: 11, 180: 2, 225: 4, -90: 1, 112.5: 1}
    assert (by_turn[-90], by_turn[112.5], by_turn[180]) == ({"sofa"}, {"sorter"}, {"elephant", "school_bus1"})


def test_eschernets_and_zero123s_renders_show_their_meshes(tmp_path):
    data.eschernet(tmp_path / "eschernet")
    data.zero123(tmp_path / "zero123")
    data.zero123(tmp_path / "folders", cameras=False)
    for root in ("eschernet", "zero123", "folders"):
        (one,) = opened(Gso, tmp_path / root)
        assert one.view_names == ("000", "001", "002"), root
        for index in (0, 2):
            assert fits(one, index).camera.distance.item() == pytest.approx(1.7)


# -- RTMV


def test_rtmvs_exrs_become_srgb_and_its_matrices_are_turned(tmp_path):
    folder = data.rtmv(tmp_path)
    (one,) = opened(Rtmv, tmp_path)
    assert (one.name, one.category, one.view_names) == ("google_scanned_00003", "google_scanned", ("00000", "00001"))
    assert one.mesh() is None
    view = one.view(1)
    (_, eye) = data.eyes(2)
    assert view.camera.position[0].tolist() == pytest.approx(eye.tolist(), abs=1e-6)
    inside = view.rgba[..., 3] == 1
    colour = torch.tensor([1.055 * 0.5 ** (1 / 2.4) - 0.055, 1.0, 0.0])
    torch.testing.assert_close(view.rgba[inside][:, :3], colour.expand(int(inside.sum()), 3))
    mask, _ = data.drawn(data.normalised(data.SOLID), data.world_to_camera(eye), 32)
    assert numpy.array_equal(inside.numpy(), mask)
    distance = one.depth(1)
    assert torch.equal(torch.isfinite(distance), inside)
    assert 0.9 < distance[inside].min() < 1.7
    data.rtmv_json(folder / "00001.json", data.world_to_camera(eye), transposed=False)
    with pytest.raises(UserError, match=r"00001.json: camera_look_at.eye is not the place"):
        one.view(1)


def test_rtmvs_opacity_is_the_depths_where_the_pictures_tells_nothing(tmp_path):
    data.rtmv(tmp_path, alpha=False)
    for alpha, empty in (("auto", True), ("depth", True), ("picture", False)):
        rgba = opened(Rtmv, tmp_path, alpha=alpha)[0].view(0).rgba
        assert bool((rgba[..., 3] == 0).any()) == empty


def test_zero123s_scenes_have_a_mesh(tmp_path):
    data.rtmv_zero123(tmp_path)
    (one,) = opened(Rtmv, tmp_path)
    for index in (0, 1):
        fits(one, index)


def test_a_compression_that_needs_openexr_says_so(tmp_path, monkeypatch):
    data.rtmv(tmp_path, compression="PIZ")
    (one,) = opened(Rtmv, tmp_path)
    assert one.view(0).rgba.amax() == 1
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(UserError, match=r"00000.exr: an EXR picture with PIZ .* pip install 'zero3d\[exr\]'"):
        one.view(0)


# -- others


def test_omniobjects_scan_lies_where_its_renders_show_it(tmp_path):
    data.omniobject3d(tmp_path)
    (one,) = opened(OmniObject3D, tmp_path)
    assert (one.name, one.category, one.view_names) == ("anise_001", "anise", ("r_0", "r_1"))
    for index in (0, 1):
        fits(one, index)
    numpy.testing.assert_allclose(one.mesh().extents, 3 * numpy.ptp(data.SOLID, axis=0), rtol=1e-5)
    with pytest.raises(UserError, match="categories: 'apple' is none"):
        opened(OmniObject3D, tmp_path, categories=["apple"])


def test_objaverses_objects_are_those_that_the_copy_has(tmp_path):
    data.objaverse(tmp_path)
    first, second = opened(ObjaverseLvis, tmp_path)
    assert [(one.name, one.category) for one in (first, second)] == [("a0", "mug"), ("b1", "vase")]
    low, high = first.mesh().bounds
    assert (high - low).tolist() == pytest.approx([0.1, 0.2, 0.3])  # its front, -y before glTF, faces +x
    assert [one.name for one in opened(ObjaverseLvis, tmp_path, categories=["vase"])] == ["b1"]
    (tmp_path / "lvis-annotations.json.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match="no list"):
        opened(ObjaverseLvis, tmp_path)


def test_a_folder_of_meshes_is_turned_as_asked(tmp_path):
    data.obj(tmp_path / "toys/block.obj", library="block.mtl")
    data.texture(tmp_path / "toys/texture.png")
    (one,) = opened(MeshFolder, tmp_path, up="z", yaw_deg=-90.0)
    assert (one.name, one.category) == ("toys_block", "toys")
    numpy.testing.assert_allclose(
        numpy.unique(one.mesh().vertices.round(6), axis=0), numpy.unique(data.SOLID.round(6), axis=0), atol=1e-6
    )
    front = opened(MeshFolder, tmp_path, up="z")[0].mesh()
    shown = MeshScene(front).draw(orbit(0.0, 0.0, 64, 0.9), 1, light=None).image[0]
    assert (shown == torch.tensor([1.0, 0.0, 0.0])).all(-1).any()  # -y's side, with the print, faces azimuth 0
    data.obj(tmp_path / "toys/block.ply.obj", library="block.mtl")
    (tmp_path / "toys/block.ply.obj").rename(tmp_path / "toys/block.stl")
    with pytest.raises(UserError, match="two meshes are called toys_block"):
        opened(MeshFolder, tmp_path)
    assert len(opened(MeshFolder, tmp_path, glob="*.obj")) == 1
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"brick": "toys/block.obj"}), encoding="utf-8")
    assert [one.name for one in opened(MeshFolder, tmp_path, names=str(names))] == ["brick"]


def test_a_digest_tells_textures_and_not_places(tmp_path):
    for place in ("one", "two"):
        data.fuel(tmp_path / place / "HAT")
    first, second = (opened(Gso, tmp_path / place)[0] for place in ("one", "two"))
    before = first.digest()
    assert before == second.digest()
    data.picture(tmp_path / "one/HAT/materials/textures/texture.png", numpy.ones((4, 4), bool))
    assert first.digest() != before


# -- mistakes


def test_objects_are_chosen_by_name_list_and_number(tmp_path):
    for name in ("hat", "lion", "shoe"):
        data.fuel(tmp_path / name)
    (tmp_path / "list.txt").write_text("# two\nshoe\nhat\n", encoding="utf-8")
    assert [one.name for one in opened(Gso, tmp_path, objects=[str(tmp_path / "list.txt")])] == ["hat", "shoe"]
    assert [one.name for one in opened(Gso, tmp_path, limit=2)] == ["hat", "lion"]
    with pytest.raises(UserError, match=r"'shoo' is not among the 3 .*Did you mean 'shoe'\?"):
        opened(Gso, tmp_path, objects=["shoo"])


@pytest.mark.parametrize("component", [Gso, Rtmv, OmniObject3D, ObjaverseLvis, MeshFolder])
def test_an_unknown_layout_is_told_with_what_was_found_and_expected(component, tmp_path):
    (tmp_path / "HAT.zip").write_bytes(b"")
    with pytest.raises(UserError, match=r"it holds 1: HAT.zip; 1 of them packed: unpack them; expected "):
        opened(component, tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        opened(component, tmp_path / "gone")
    with pytest.raises(ValueError, match="path: none given"):
        component.Config()
    with pytest.raises(ValueError, match="limit: 0"):
        component.Config(path="x", limit=0)


def test_one_objects_folder_is_not_a_set(chicken, tmp_path):
    with pytest.raises(UserError, match=r"one object's folder; name the folder above, objects=\[CHICKEN_NESTING\]"):
        opened(Gso, chicken / "CHICKEN_NESTING")
    folder = data.rtmv(tmp_path)
    with pytest.raises(UserError, match="one scene's folder"):
        opened(Rtmv, folder)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"layout": "fule"}, "Did you mean 'fuel'"),
        ({"yaw": "left"}, "yaw: 'left'"),
        ({"yaw": "syncdreamer", "layout": "zero123"}, "only of layouts fuel and syncdreamer"),
    ],
)
def test_options_of_gso_are_checked(options, line):
    with pytest.raises(ValueError, match=line):
        Gso.Config(path="x", **options)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"cam2world": [[1, 2], [3, 4]]}, "cam2world: .*4x4 finite numbers"),
        ({"width": None}, "width: None; 1 finite numbers"),
        ({"intrinsics": {"fx": 1750, "fy": 1000, "cx": 800, "cy": 800}}, "square pixels are needed"),
        ({"intrinsics": {"fx": 1750, "fy": 1750, "cx": 900, "cy": 800}}, r"principal point is at \(0.562, 0.500\)"),
    ],
)
def test_odd_cameras_of_rtmv_are_refused(change, line, tmp_path):
    file = data.rtmv(tmp_path) / "00000.json"
    said = json.loads(file.read_text(encoding="utf-8"))
    said["camera_data"].update(change)
    file.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(UserError, match=f"00000.json: .*{line}"):
        opened(Rtmv, tmp_path)[0].view(0)


def test_a_scene_without_a_picture_names_it(tmp_path):
    folder = data.rtmv(tmp_path)
    (folder / "00001.exr").unlink()
    (folder / "00000.json").write_text("{}", encoding="utf-8")
    (one,) = opened(Rtmv, tmp_path)
    for index, line in enumerate(("00000.json: no camera_data", "00001.exr: no such picture, nor a PNG")):
        with pytest.raises(UserError, match=line):
            one.view(index)
    (folder / "00001.depth.exr").unlink()
    assert one.depth(1) is None


def test_what_is_missing_or_damaged_is_named(tmp_path):
    data.syncdreamer(tmp_path / "sync")
    (one,) = opened(Gso, tmp_path / "sync")
    (tmp_path / "sync/chicken/004.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"004.png: cannot be read as a picture"):
        one.view(4)
    data.eschernet(tmp_path / "escher")
    (tmp_path / "escher/hat/render_mvs_25/model/001.npy").write_bytes(b"no pose")
    (other,) = opened(Gso, tmp_path / "escher")
    with pytest.raises(UserError, match=r"001.npy: no .npy file"):
        other.view(1)
    data.zero123(tmp_path / "zero")
    (tmp_path / "zero/val.json").write_text('["bell", "gone"]', encoding="utf-8")
    with pytest.raises(UserError, match=r"val.json: 'gone' has no folder here \(1 of 2\)"):
        opened(Gso, tmp_path / "zero")
