"""glTF files that trimesh alone misreads: drawn as they are meant, or refused with the reason."""

import json
import sys
from pathlib import Path

import numpy
import pytest

from tests.core.gltf_files import Glb, quad, read_glb
from zero3d.errors import UserError
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene

FILES = Path("tests/data/meshes")
QUARTERS = numpy.zeros((32, 32, 3), numpy.uint8)
"""Red, green over blue, white."""
QUARTERS[:16, :16], QUARTERS[:16, 16:], QUARTERS[16:, :16], QUARTERS[16:, 16:] = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255),
)  # fmt: skip


def drawn(path, size=48, elevation_deg=15.0, azimuth_deg=30.0):
    return MeshScene(load_mesh(path)).draw(orbit(elevation_deg, azimuth_deg, size), light=None).image[0].numpy()


def seen(path):
    """The colours of a quad's quarters, (2, 2, 3) in thirds of full light, from the top left."""
    picture = drawn(path, 64, 0.0, 0.0)
    centre, off = 32, 8
    return [[(3 * picture[centre + y, centre + x]).round().tolist() for x in (-off, off)] for y in (-off, off)]


@pytest.fixture(scope="module")
def source():
    return drawn(FILES / "src.glb")


@pytest.mark.parametrize("name", ["quantized", "draco"])
def test_other_ways_to_store_an_object_show_the_same(name, source):
    found = drawn(FILES / f"{name}.glb")
    assert abs(found - source).mean() < 5e-4
    assert load_mesh(FILES / f"{name}.glb").metadata["notes"] == []


def test_meshopt_shows_the_same(source, tmp_path):
    meshoptimizer = pytest.importorskip("meshoptimizer")
    tree, body = read_glb(FILES / "quantized.glb")
    glb = Glb()
    glb.tree = tree
    old, tree["bufferViews"] = tree["bufferViews"], []
    for index, said in enumerate(old):
        data = body[said["byteOffset"] : said["byteOffset"] + said["byteLength"]]
        if index == 0:  # the picture
            glb.view(data)
            continue
        stride = said.get("byteStride", 2)
        count = len(data) // stride
        if index == 1:
            packed, mode = meshoptimizer.encode_index_buffer(numpy.frombuffer(data, "<u2"), count), "TRIANGLES"
        else:
            rows = numpy.frombuffer(data, numpy.uint8).reshape(count, stride)
            packed, mode = meshoptimizer.encode_vertex_buffer(rows, count, stride), "ATTRIBUTES"
        place = glb.view(packed)
        how = {"buffer": 0, "byteOffset": tree["bufferViews"][place]["byteOffset"], "byteLength": len(packed)}
        how |= {"byteStride": stride, "count": count, "mode": mode}
        tree["bufferViews"][place] = {"buffer": 1, "byteLength": len(data)} | (
            {"byteStride": stride} if "byteStride" in said else {}
        )
        tree["bufferViews"][place]["extensions"] = {"EXT_meshopt_compression": how}
    tree["extensionsRequired"] = tree["extensionsUsed"] = ["KHR_mesh_quantization", "EXT_meshopt_compression"]
    assert abs(drawn(glb.write(tmp_path / "meshopt.glb")) - source).mean() < 5e-4


@pytest.mark.parametrize(
    ("package", "extra", "name"),
    [("DracoPy", "draco", "KHR_draco_mesh_compression"), ("meshoptimizer", "meshopt", "EXT_meshopt_compression")],
)
def test_without_the_package_the_extension_is_named(package, extra, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    path = FILES / "draco.glb"
    if extra == "meshopt":
        glb = quad()
        glb.picture(QUARTERS)
        how = {"buffer": 0, "byteOffset": 0, "byteLength": 8, "byteStride": 12, "count": 4, "mode": "ATTRIBUTES"}
        glb.tree["bufferViews"][0]["extensions"] = {name: how}
        path = glb.write(tmp_path / "meshopt.glb")
    with pytest.raises(
        UserError, match=rf"{path.name}: .*{name}\); pip install 'zero3d\[{extra}\]', or .*gltf-transform"
    ):
        load_mesh(path)


def test_a_texture_nobody_here_decodes_is_left_out_and_told():
    mesh = load_mesh(FILES / "ktx2.glb")
    (note,) = mesh.metadata["notes"]
    assert "KHR_texture_basisu" in note
    assert "ktxdecompress" in note
    assert (mesh.visual.vertex_colors == 255).all()


def test_a_picture_that_is_none_is_left_out_and_told(tmp_path):
    glb = quad()
    glb.picture(QUARTERS)
    place = glb.tree["images"][0]["bufferView"]
    start = glb.tree["bufferViews"][place]["byteOffset"]
    glb.body = glb.body[:start] + b"no picture at all" + glb.body[start + 17 :]
    mesh = load_mesh(glb.write(tmp_path / "quad.glb"))
    assert "cannot be decoded" in mesh.metadata["notes"][0]
    assert mesh.visual.kind == "vertex"


def test_texture_transform_moves_to_the_blue_part():
    picture = drawn(FILES / "textransform.glb")
    inside = picture[(picture != 1).any(axis=-1)]
    assert (inside[:, 2] > inside[:, 0] + 0.05).all()
    numpy.testing.assert_allclose(picture[24, 24], numpy.array([30, 30, 220]) / 255, atol=1e-6)


RED, GREEN, BLUE, WHITE = [3, 0, 0], [0, 3, 0], [0, 0, 3], [3, 3, 3]


def test_an_upright_texture(tmp_path):
    glb = quad()
    glb.picture(QUARTERS)
    assert seen(glb.write(tmp_path / "quad.glb")) == [[RED, GREEN], [BLUE, WHITE]]


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_integers_that_stand_for_fractions(kind, tmp_path):
    most = numpy.iinfo(kind).max
    glb = quad(uv=numpy.array([[0, 1], [1, 1], [1, 0], [0, 0]]) * most, kind=kind, normalized=True)
    glb.picture(QUARTERS)
    assert seen(glb.write(tmp_path / "quad.glb")) == [[RED, GREEN], [BLUE, WHITE]]


def test_turning_texture_coordinates_turns_the_picture_clockwise(tmp_path):
    """The extension's words: counter-clockwise by so many radians, which is a like turn of the image clockwise."""
    glb = quad()
    glb.picture(QUARTERS)
    base = glb.tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    base["extensions"] = {"KHR_texture_transform": {"rotation": numpy.pi / 2, "offset": [0, 1]}}
    assert seen(glb.write(tmp_path / "quad.glb")) == [[BLUE, RED], [WHITE, GREEN]]


@pytest.mark.parametrize("where", ["texture", "transform"])
def test_the_set_of_coordinates_that_a_texture_names(where, tmp_path):
    glb = quad(uv=[[0.1, 0.1]] * 4)
    (part,) = glb.tree["meshes"][0]["primitives"]
    part["attributes"]["TEXCOORD_1"] = glb.array([[0, 1], [1, 1], [1, 0], [0, 0]])
    glb.picture(QUARTERS)
    base = glb.tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    if where == "texture":
        base["texCoord"] = 1
    else:
        base["extensions"] = {"KHR_texture_transform": {"texCoord": 1}}
    assert seen(glb.write(tmp_path / "quad.glb")) == [[RED, GREEN], [BLUE, WHITE]]


def bar():
    """Two squares, one on the other along y, with a joint at the foot and one at the middle of a bar of length 2."""
    glb = Glb()
    corners = [[0, 0, 0], [0.5, 0, 0], [0, 1, 0], [0.5, 1, 0], [0, 2, 0], [0.5, 2, 0]]
    faces = [0, 1, 2, 1, 3, 2, 2, 3, 4, 3, 5, 4]
    attributes = {"POSITION": glb.array(corners)}
    glb.tree["meshes"] = [{"primitives": [{"attributes": attributes, "indices": glb.array(faces, "u1")}]}]
    return glb, numpy.array(corners, dtype=float), attributes


def in_the_file(mesh):
    """World to glTF's axes."""
    return numpy.asarray(mesh.vertices)[:, [1, 2, 0]]


def test_joints_carry_their_vertices_as_the_file_poses_them(tmp_path):
    glb, corners, attributes = bar()
    attributes["JOINTS_0"] = glb.array([[0, 1, 0, 0]] * 6, "u1")
    weights = numpy.array([[1, 0]] * 2 + [[0.5, 0.5]] * 2 + [[0, 1]] * 2)
    attributes["WEIGHTS_0"] = glb.array(numpy.pad(weights, ((0, 0), (0, 2))) * 255, "u1", normalized=True)
    inverse = numpy.stack([numpy.eye(4), numpy.eye(4)])
    inverse[1, 1, 3] = -1  # the second joint was bound at y = 1
    half = numpy.sqrt(0.5)
    glb.tree["skins"] = [{"joints": [1, 2], "inverseBindMatrices": glb.array(inverse.transpose(0, 2, 1))}]
    glb.tree["nodes"] = [
        {"mesh": 0, "skin": 0, "translation": [100, 0, 0]},  # of a skinned mesh, its own place does not count
        {"children": [2], "translation": [0, 0, 3]},
        {"translation": [0, 1, 0], "rotation": [0, 0, half, half]},  # a quarter turn about z, at y = 1
    ]
    glb.tree["scenes"] = [{"nodes": [0, 1]}]
    found = in_the_file(load_mesh(glb.write(tmp_path / "bar.glb")))
    about = corners - [0, 1, 0]
    second = numpy.stack([-about[:, 1], about[:, 0] + 1, about[:, 2]], axis=1)
    w = numpy.array([1, 1, 0.5, 0.5, 0, 0])[:, None]
    numpy.testing.assert_allclose(found, w * corners + (1 - w) * second + [0, 0, 3], atol=3e-3)  # weights in bytes


@pytest.mark.parametrize("where", ["mesh", "node"])
def test_morph_targets_at_their_weights(where, tmp_path):
    glb, corners, _ = bar()
    shift = numpy.arange(18).reshape(6, 3) / 10
    glb.tree["meshes"][0]["primitives"][0]["targets"] = [
        {"POSITION": glb.array(shift)},
        {"POSITION": glb.array(-shift)},
    ]
    glb.tree["meshes"][0]["weights"] = [0.5, 0.25] if where == "mesh" else [1, 1]
    if where == "node":
        glb.tree["nodes"][0]["weights"] = [0.5, 0.25]
    found = in_the_file(load_mesh(glb.write(tmp_path / "bar.glb")))
    numpy.testing.assert_allclose(found, corners + 0.25 * shift, atol=1e-6)


def test_sparse_accessors(tmp_path):
    glb, corners, attributes = bar()
    rows, values = (
        glb.view(numpy.array([1, 4], "<u2").tobytes()),
        glb.view(numpy.array([[9, 9, 9], [8, 8, 8]], "<f4").tobytes()),
    )
    sparse = {"count": 2, "indices": {"bufferView": rows, "componentType": 5123}, "values": {"bufferView": values}}
    glb.tree["accessors"][attributes["POSITION"]]["sparse"] = sparse
    corners[[1, 4]] = [[9, 9, 9], [8, 8, 8]]
    numpy.testing.assert_allclose(in_the_file(load_mesh(glb.write(tmp_path / "bar.glb"))), corners)


@pytest.mark.parametrize(("mode", "order"), [(5, [0, 1, 2, 3, 4, 5]), (6, [2, 0, 1, 3, 5, 4])])
def test_strips_and_fans(mode, order, tmp_path):
    """Both cover the bar's area of 1, each triangle counter-clockwise seen from +z."""
    glb, _, attributes = bar()
    part = {"attributes": attributes, "indices": glb.array(order, "u1"), "mode": mode}
    glb.tree["meshes"] = [{"primitives": [part]}]
    mesh = load_mesh(glb.write(tmp_path / "bar.glb"))
    assert len(mesh.faces) == 4
    assert mesh.area == pytest.approx(1)
    numpy.testing.assert_allclose(mesh.face_normals, [[1, 0, 0]] * 4)  # +z of the file is the world's +x


def test_a_required_extension_that_nobody_knows_is_named(tmp_path):
    for key, name in (("extensionsRequired", "ACME_tessellation"), ("extensionsUsed", "EXT_mesh_gpu_instancing")):
        glb, _, _ = bar()
        glb.tree[key] = [name]
        with pytest.raises(UserError, match=rf"bar\.glb: .*{name}, which cannot be read"):
            load_mesh(glb.write(tmp_path / "bar.glb"))
    glb, _, _ = bar()
    glb.tree["extensionsRequired"] = ["KHR_materials_unlit"]
    assert len(load_mesh(glb.write(tmp_path / "bar.glb")).faces) == 4


def test_buffers_and_pictures_beside_the_file(tmp_path):
    """A .gltf with percent-encoded names; then one whose picture is gone."""
    glb = quad()
    glb.picture(QUARTERS)
    glb.write(tmp_path / "whole.glb")
    tree, body = read_glb(tmp_path / "whole.glb")
    (tmp_path / "all of it.bin").write_bytes(body)
    tree["buffers"][0]["uri"] = "all%20of%20it.bin"
    said = tree["bufferViews"][tree["images"][0].pop("bufferView")]
    (tmp_path / "a picture.png").write_bytes(body[said["byteOffset"] :][: said["byteLength"]])
    tree["images"][0]["uri"] = "a%20picture.png"
    (tmp_path / "quad.gltf").write_text(json.dumps(tree), encoding="utf-8")
    assert seen(tmp_path / "quad.gltf") == [[RED, GREEN], [BLUE, WHITE]]
    (tmp_path / "a picture.png").unlink()
    (note,) = load_mesh(tmp_path / "quad.gltf").metadata["notes"]
    assert "picture.png is missing: drawn without" in note
    (tmp_path / "all of it.bin").unlink()
    with pytest.raises(UserError, match=r"quad\.gltf: "):
        load_mesh(tmp_path / "quad.gltf")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            lambda tree: (
                tree["accessors"][0].update(count=10**12, normalized=False),
                tree["accessors"][0].pop("bufferView"),
            ),
            "claims",
        ),
        (lambda tree: tree["accessors"][0].update(count=10**12, normalized=False), "reaches out of its buffer"),
        (lambda tree: tree["accessors"][0].update(count=500, normalized=False), "reaches out of its buffer"),
        (lambda tree: tree["accessors"][0].update(normalized=False, type="VEC9"), "cannot be read"),
        (lambda tree: tree["bufferViews"][0].update(byteLength=10**9, x="normalized"), "cut off"),
        (lambda tree: tree["asset"].update(version="1.0"), "glTF 1.0"),
        (lambda tree: tree.update(meshes=[], x="normalized"), "cannot be read"),
    ],
)
def test_damaged_documents_are_one_line(damage, said, tmp_path):
    glb, _, _ = bar()
    damage(glb.tree)
    with pytest.raises(UserError, match=rf"bar\.glb: .*{said}") as caught:
        load_mesh(glb.write(tmp_path / "bar.glb"))
    assert "\n" not in str(caught.value)
