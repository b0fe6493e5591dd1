"""Meshes in files: axes, colours, bytes."""

import json
import struct

import numpy
import pytest
import trimesh

from zero3d.errors import UserError
from zero3d.mesh_files import linear_to_srgb, load_mesh, normalise, save_mesh, srgb_to_linear


@pytest.fixture
def ball():
    """A lopsided ball, each vertex of a colour of its own."""
    shape = trimesh.creation.icosphere(3, radius=0.4)
    colours = numpy.random.default_rng(0).integers(0, 256, (len(shape.vertices), 3)).astype(numpy.uint8)
    vertices = shape.vertices * [1.0, 0.5, 0.8] + [0.1, 0.0, -0.05]
    return trimesh.Trimesh(vertices, shape.faces, vertex_colors=colours, process=False)


def glb_parts(path):
    """The JSON tree and the accessors' arrays of a GLB that uses what ours use, read without any library."""
    data = path.read_bytes()
    magic, version, total, length = struct.unpack("<4sIII", data[:16])
    assert (magic, version, total) == (b"glTF", 2, len(data))
    tree = json.loads(data[20 : 20 + length])
    binary = data[28 + length :]
    arrays = []
    for accessor in tree["accessors"]:
        view = tree["bufferViews"][accessor["bufferView"]]
        kind = {5126: "<f4", 5125: "<u4"}[accessor["componentType"]]
        raw = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        arrays.append(numpy.frombuffer(raw, kind).reshape(-1, {"VEC3": 3, "SCALAR": 1}[accessor["type"]]))
    return tree, arrays


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_round_trip(ball, kind, tmp_path):
    path = tmp_path / f"ball.{kind}"
    save_mesh(ball, path)
    read = load_mesh(path)
    numpy.testing.assert_allclose(read.vertices, ball.vertices, atol=1e-6)
    numpy.testing.assert_array_equal(read.faces, ball.faces)
    numpy.testing.assert_array_equal(read.visual.vertex_colors[:, :3], ball.visual.vertex_colors[:, :3])
    assert read.is_watertight
    assert list(tmp_path.iterdir()) == [path]


def test_stl_keeps_the_surface(ball, tmp_path):
    save_mesh(ball, tmp_path / "ball.stl")
    read = load_mesh(tmp_path / "ball.stl")
    assert read.volume == pytest.approx(ball.volume, rel=1e-5)
    numpy.testing.assert_allclose(read.bounds, ball.bounds, atol=1e-6)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
def test_same_mesh_same_bytes(ball, kind, tmp_path):
    paths = [tmp_path / f"{name}.{kind}" for name in ("a", "b")]
    for path in paths:
        save_mesh(ball.copy(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_glb_is_y_up_with_linear_colours_and_a_matt_material(tmp_path):
    # a tetrahedron whose corners lie on the world's axes, the one on z (up) in sRGB 188: half of full light
    vertices = numpy.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]])
    faces = numpy.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    colours = numpy.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [188, 188, 188]], numpy.uint8)
    path = tmp_path / "tetrahedron.glb"
    save_mesh(trimesh.Trimesh(vertices, faces, vertex_colors=colours, process=False), path)
    tree, arrays = glb_parts(path)
    (primitive,) = tree["meshes"][0]["primitives"]
    position, normal, colour = (arrays[primitive["attributes"][key]] for key in ("POSITION", "NORMAL", "COLOR_0"))
    numpy.testing.assert_allclose(
        position, [[0, 0, 0], [0, 0, 1], [2, 0, 0], [0, 3, 0]]
    )  # x to the viewer, y right, z up
    assert colour[3] == pytest.approx([0.5] * 3, abs=0.005)
    numpy.testing.assert_allclose(numpy.linalg.norm(normal, axis=1), 1, atol=1e-6)
    numpy.testing.assert_array_equal(arrays[primitive["indices"]].reshape(-1, 3), faces)
    assert ((position - position.mean(axis=0)) * normal).sum(axis=1).min() > 0
    assert tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["metallicFactor"] == 0
    accessor = tree["accessors"][primitive["attributes"]["POSITION"]]
    assert (accessor["min"], accessor["max"]) == ([0, 0, 0], [2, 3, 1])


def test_every_srgb_byte_survives_linear_light():
    srgb = numpy.arange(256) / 255
    numpy.testing.assert_allclose(linear_to_srgb(srgb_to_linear(srgb)), srgb, atol=1e-6)
    assert srgb_to_linear(numpy.array(0.5)) == pytest.approx(0.21404, abs=1e-5)


def test_foreign_files_keep_their_colours(tmp_path):
    plain = trimesh.visual.TextureVisuals(
        material=trimesh.visual.material.PBRMaterial(baseColorFactor=[128, 0, 255, 255])
    )
    box = trimesh.creation.box()
    box.visual = plain
    box.export(tmp_path / "material.glb")
    assert load_mesh(tmp_path / "material.glb").visual.vertex_colors[0].tolist() == [188, 0, 255, 255]
    trimesh.creation.box().export(tmp_path / "bare.glb")
    assert len(load_mesh(tmp_path / "bare.glb").faces) == 12


def test_a_glb_without_any_colour_is_white(tmp_path):
    save_mesh(trimesh.creation.box((0.4, 0.5, 0.6)), tmp_path / "plain.glb")
    assert (load_mesh(tmp_path / "plain.glb").visual.vertex_colors == 255).all()


def test_texture_coordinates_without_a_texture_take_the_materials_colour(tmp_path):
    from trimesh.visual.material import PBRMaterial

    box = trimesh.creation.box()
    material = PBRMaterial(baseColorFactor=[51, 102, 204, 255])  # linear light
    box.visual = trimesh.visual.TextureVisuals(uv=numpy.zeros((len(box.vertices), 2)), material=material)
    box.export(tmp_path / "box.glb")
    colours = load_mesh(tmp_path / "box.glb").visual.vertex_colors
    expected = numpy.round(255 * linear_to_srgb(numpy.array([51, 102, 204]) / 255))
    numpy.testing.assert_allclose(colours[:, :3], numpy.broadcast_to(expected, (len(colours), 3)), atol=1)


def test_joins_a_scene_with_its_placements(tmp_path):
    left, right = trimesh.creation.box(extents=[1, 1, 1]), trimesh.creation.box(extents=[1, 1, 1])
    scene = trimesh.Scene()
    scene.add_geometry(left)
    scene.add_geometry(right, transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.export(tmp_path / "two.glb")
    read = load_mesh(tmp_path / "two.glb")
    assert len(read.faces) == 24
    numpy.testing.assert_allclose(read.extents, [1, 6, 1])  # glTF's x is the world's y


def test_normalise():
    box = trimesh.creation.box(extents=[4, 2, 1])
    box.apply_translation([7, 8, 9])
    numpy.testing.assert_allclose(normalise(box).bounds, [[-0.5, -0.25, -0.125], [0.5, 0.25, 0.125]])
    numpy.testing.assert_allclose(box.bounds.mean(axis=0), [7, 8, 9])


@pytest.mark.parametrize(
    ("name", "content"),
    [("none.glb", None), ("text.glb", b"not a mesh"), ("cut.glb", b"glTF\2\0\0\0"), ("empty.obj", b"v 0 0 0\n")],
)
def test_a_file_that_holds_no_mesh_is_named(name, content, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        load_mesh(tmp_path / name)


@pytest.mark.parametrize(
    ("face", "refused"), [("f 0 1 2", True), ("f 1/1 2/0 3/0", False), ("f 1 2 0//1", True), ("f 10 2 3", False)]
)
def test_the_corner_0_of_an_obj_is_no_corner(tmp_path, face, refused):
    corners = [f"v {i} {i % 3} {i % 2}" for i in range(10)]
    (tmp_path / "a.obj").write_text("\n".join([*corners, "f 1 2 3", face]), encoding="utf-8")
    if refused:
        with pytest.raises(UserError, match="names the corner 0, but OBJ counts from 1"):
            load_mesh(tmp_path / "a.obj")
    else:
        load_mesh(tmp_path / "a.obj")
