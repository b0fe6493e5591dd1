"""Mesh files as they lie about: textures elsewhere, points that are none, other things in their place."""

import numpy
import pytest
import trimesh
from PIL import Image

from zero3d.errors import UserError
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh, normalise
from zero3d.mesh_views import MeshScene

QUAD = """mtllib {library}
v -0.5 -0.5 0
v 0.5 -0.5 0
v 0.5 0.5 0
v -0.5 0.5 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl m
f 1/1 2/2 3/3
f 1/1 3/3 4/4
"""


def quad(folder, said, library="m.mtl", kd="0.2 0.4 0.6"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "quad.obj").write_text(QUAD.format(library=library), encoding="utf-8")
    (folder / "m.mtl").write_text(f"newmtl m\nKd {kd}\nmap_Kd {said}\n", encoding="utf-8")
    return folder / "quad.obj"


def picture(path, colour=(255, 0, 0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), colour).save(path)


def colour(path):
    return MeshScene(load_mesh(path)).draw(orbit(0.0, 0.0, 32), light=None).image[0, 16, 16].tolist()


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ("red.png", "meshes/red.png"),
        ("two words.png", "meshes/two words.png"),
        ("red.png", "materials/textures/red.png"),  # Google Scanned Objects
        ("red.png", "textures/red.png"),
        ("red.png", "meshes/textures/red.png"),
        ("..\\textures\\red.png", "textures/red.png"),
        ("C:\\art\\work\\red.png", "meshes/red.png"),
        ("/home/somebody/red.png", "meshes/red.png"),
        ("-s 1 1 1 -bm 0.2 red.png", "meshes/red.png"),
        ("Red.PNG", "meshes/red.png"),
        ('"red.png"', "meshes/red.png"),
    ],
)
def test_a_texture_is_found_where_it_lies(said, place, tmp_path):
    path = quad(tmp_path / "meshes", said)
    picture(tmp_path / place)
    assert load_mesh(path).metadata["notes"] == []
    assert colour(path) == [1, 0, 0]


def test_a_missing_texture_is_named_and_the_materials_colour_stands_in(tmp_path):
    path = quad(tmp_path, "gone.png")
    assert load_mesh(path).metadata["notes"] == ["quad.obj: gone.png is missing: drawn without"]
    assert colour(path) == pytest.approx([0.2, 0.4, 0.6], abs=1e-6)
    (tmp_path / "gone.png").write_bytes(b"no picture")
    assert "gone.png cannot be decoded" in load_mesh(path).metadata["notes"][0]


def test_a_missing_mtl_is_named(tmp_path):
    path = quad(tmp_path, "red.png", library="other.mtl")
    (note,) = load_mesh(path).metadata["notes"]
    assert "other.mtl is missing" in note
    assert len(set(colour(path))) == 1  # grey


def test_no_file_far_away_is_read(tmp_path):
    picture(tmp_path / "secret" / "red.png")
    for said in ("../../secret/red.png", str(tmp_path / "secret" / "red.png")):
        path = quad(tmp_path / "a" / "meshes", said)
        assert "is missing" in load_mesh(path).metadata["notes"][0]


def box():
    return trimesh.creation.box(extents=(1, 2, 3))


def written(path, vertices, faces):
    """As OBJ (counts from 1) or ASCII PLY, whatever the numbers."""
    rows = ["{} {} {}".format(*v) for v in vertices]
    if path.suffix == ".obj":
        rows = [f"v {row}" for row in rows] + ["f {} {} {}".format(*(numpy.array(f) + 1)) for f in faces]
    else:
        head = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}"]
        head += [f"property float {axis}" for axis in "xyz"]
        head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
        rows = [*head, *rows, *("3 {} {} {}".format(*f) for f in faces)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["obj", "ply"])
@pytest.mark.parametrize("bad", [numpy.nan, numpy.inf, -numpy.inf])
def test_triangles_at_points_that_are_none_are_left_out(kind, bad, tmp_path):
    shape = box()
    vertices = numpy.concatenate([shape.vertices, [[bad, 0, 0]]])
    faces = numpy.concatenate([shape.faces, [[0, 1, 8], [8, 8, 8]]])
    mesh = load_mesh(written(tmp_path / f"box.{kind}", vertices, faces))
    assert len(mesh.faces) == 12
    assert mesh.volume == pytest.approx(6)
    numpy.testing.assert_allclose(normalise(mesh).extents, [1, 1 / 3, 2 / 3], atol=1e-6)
    assert mesh.metadata["notes"] == [
        f"box.{kind}: 2 of 14 triangles have corners that are not finite or do not exist: left out"
    ]
    assert MeshScene(mesh).draw(orbit(0.0, 0.0, 16)).opacity.max() == 1


def test_triangles_with_corners_that_do_not_exist_are_left_out(tmp_path):
    shape = box()
    faces = numpy.concatenate([shape.faces, [[0, 1, 800], [0, 1, -5]]])
    mesh = load_mesh(written(tmp_path / "box.ply", shape.vertices, faces))
    assert len(mesh.faces) == 12
    assert "2 of 14 triangles" in mesh.metadata["notes"][0]


def test_face_colours_stay_with_their_faces(tmp_path):
    shape = box()
    lines = ["ply", "format ascii 1.0", "element vertex 9", *(f"property float {axis}" for axis in "xyz")]
    lines += ["element face 13", "property list uchar int vertex_indices"]
    lines += [*(f"property uchar {channel}" for channel in ("red", "green", "blue")), "end_header"]
    lines += ["{} {} {}".format(*v) for v in [*shape.vertices, (numpy.nan,) * 3]]
    lines += ["3 0 1 8 9 9 9", *("3 {} {} {} {} 0 7".format(*f, 10 * i) for i, f in enumerate(shape.faces))]
    (tmp_path / "box.ply").write_text("\n".join(lines) + "\n", encoding="utf-8")
    mesh = load_mesh(tmp_path / "box.ply")
    assert len(mesh.faces) == 12
    assert MeshScene(mesh).draw(orbit(0.0, 0.0, 16), light=None).image[0, 8, 8, 2] == pytest.approx(7 / 255)


def pointed(path):
    trimesh.PointCloud(numpy.random.default_rng(0).random((9, 3))).export(path)


def empty_scene(path):
    trimesh.Scene().export(path)


CASES = {
    "coincide.obj": (lambda path: written(path, [[1, 1, 1]] * 3, [[0, 1, 2]]), "longest side is 0"),
    "huge.obj": (
        lambda path: written(path, [[0, 0, 0], [1e30, 0, 0], [0, 1e30, 0]], [[0, 1, 2]]),
        r"longest side is 1e\+30",
    ),
    "all_nan.obj": (
        lambda path: written(path, [[numpy.nan] * 3] * 3, [[0, 1, 2]]),
        "1 with corners that are not finite or do not exist",
    ),
    "no_faces.obj": (lambda path: path.write_text("v 0 0 0\nv 1 0 0\n", encoding="utf-8"), "holds no triangles"),
    "points.ply": (pointed, "holds no triangles but 9 points"),
    "points.glb": (pointed, "holds no triangles"),
    "lfs.glb": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:aa\n", encoding="utf-8"),
        "git lfs pull",
    ),
    "page.obj": (
        lambda path: path.write_text("\n<!DOCTYPE html><html>Access denied</html>", encoding="utf-8"),
        "a web page",
    ),
    "nothing.stl": (lambda path: path.write_bytes(b""), "empty; download"),
    "packed.glb": (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(99)), "archive"),
    "model.fbx": (lambda path: path.write_bytes(b"Kaydara FBX"), "no kind of mesh"),
    "cut.glb": (lambda path: box().export(path) and path.write_bytes(path.read_bytes()[:-50]), "cut off"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_no_mesh_is_named_for_what_it_is(name, tmp_path):
    make, said = CASES[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=f"{name}: .*({said})") as caught:
        load_mesh(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_with_z_up(tmp_path):
    """Its front (-y) comes to lie where glTF's (+z) does, towards the input camera on +x."""
    vertices = [[0, -1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]
    path = written(tmp_path / "z.obj", vertices, [[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])
    numpy.testing.assert_allclose(load_mesh(path, up="z").vertices, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    numpy.testing.assert_allclose(load_mesh(path).vertices, [[0, 0, -1], [0, 1, 0], [1, 0, 0], [0, 0, 0]])
