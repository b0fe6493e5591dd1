"""Whatever a mesh file holds: a mesh that can be normalised and drawn, or one line that names it."""

import json
import os
import struct
from pathlib import Path

import numpy
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.gltf_files import quad
from zero3d.errors import UserError
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh, normalise
from zero3d.mesh_views import MeshScene
from zero3d.meshes.glb import packed

EXAMPLES = int(os.environ.get("ZERO3D_MESH_EXAMPLES", "120"))
"""Of each test; raise it for a longer search."""

SEARCH = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES == 120
)
KINDS = ("glb", "obj", "ply", "stl")
NUMBERS = st.one_of(
    st.floats(-2, 2, width=32), st.sampled_from([0.0, 1e30, -1e38, 1e-30, float("nan"), float("inf"), -float("inf")])
)


def used(path):
    """The mesh does what everybody does with one; or the refusal, one line that begins with the file."""
    try:
        mesh = load_mesh(path)
    except UserError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.startswith(f"{path}: ")
        assert len(said.splitlines()) == 1
        assert len(said) < 600
        return None
    assert len(mesh.faces) > 0
    assert all(len(line.splitlines()) == 1 for line in mesh.metadata["notes"])
    unit = normalise(mesh)
    assert numpy.isfinite(unit.vertices[unit.faces]).all()
    assert abs(unit.bounds).max() <= 0.5 + 1e-6
    view = MeshScene(unit).draw(orbit(20.0, 30.0, 8), 1)
    assert bool(view.image.isfinite().all())
    assert 0 <= float(view.image.min()) <= float(view.image.max()) <= 1
    return mesh


def text_of(kind, vertices, faces):
    """OBJ or ASCII PLY, whatever the numbers."""
    if kind == "obj":
        return "".join(
            [f"v {x} {y} {z}\n" for x, y, z in vertices] + [f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in faces]
        )
    head = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}", *(f"property float {a}" for a in "xyz")]
    head += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header"]
    return (
        "\n".join([*head, *(f"{x} {y} {z}" for x, y, z in vertices), *(f"3 {a} {b} {c}" for a, b, c in faces)]) + "\n"
    )


@SEARCH
@given(
    kind=st.sampled_from(["obj", "ply", "stl"]),
    vertices=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), max_size=8),
    faces=st.lists(st.tuples(*[st.integers(-3, 9)] * 3), max_size=8),
)
def test_any_points_and_triangles(tmp_path_factory, kind, vertices, faces):
    path = tmp_path_factory.getbasetemp() / f"any.{kind}"
    if kind == "stl":
        corners = [[vertices[i] for i in f] for f in faces if all(0 <= i < len(vertices) for i in f)]
        body = b"".join(struct.pack("<12fH", 0, 0, 0, *numpy.ravel(c), 0) for c in corners)
        path.write_bytes(bytes(80) + struct.pack("<I", len(corners)) + body)
    else:
        path.write_text(text_of(kind, vertices, faces), encoding="utf-8")
    used(path)


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """A good file of each kind, and glTF files that are rewritten."""
    folder = tmp_path_factory.mktemp("seeds")
    box = trimesh.creation.box()
    box.visual.vertex_colors = numpy.random.default_rng(0).integers(0, 256, (8, 4)).astype(numpy.uint8)
    for kind in KINDS:
        box.export(folder / f"box.{kind}")
    glb = quad(uv=numpy.array([[0, 1], [1, 1], [1, 0], [0, 0]]) * 255, kind="u1", normalized=True)
    glb.picture(numpy.random.default_rng(0).integers(0, 256, (4, 4, 3)).astype(numpy.uint8))
    (part,) = glb.tree["meshes"][0]["primitives"]
    part["attributes"] |= {
        "JOINTS_0": glb.array([[0, 1, 0, 0]] * 4, "u1"),
        "WEIGHTS_0": glb.array([[0.5, 0.5, 0, 0]] * 4),
    }
    glb.tree["skins"] = [{"joints": [0, 1], "inverseBindMatrices": glb.array([numpy.eye(4)] * 2)}]
    glb.tree["nodes"] = [{"mesh": 0, "skin": 0, "children": [1]}, {"translation": [0, 0, 0.1]}]
    base = glb.tree["materials"][0]["pbrMetallicRoughness"]["baseColorTexture"]
    base["extensions"] = {"KHR_texture_transform": {"rotation": 0.3, "scale": [2, 2]}}
    glb.write(folder / "odd.glb")
    assert all(used(path) for path in folder.iterdir())
    draco = Path("tests/data/meshes/draco.glb").read_bytes()
    (folder / "draco.glb").write_bytes(draco)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


NAMES = [*(f"box.{kind}" for kind in KINDS), "odd.glb", "odd.glb", "odd.glb", "draco.glb"]
BITS = [
    b"0",
    b"9",
    b"-",
    b"null",
    b"[]",
    b"{}",
    b"1e999",
    b"NaN",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\0",
    b'"',
    b"\n",
    b"99999999",
]


@SEARCH
@given(
    name=st.sampled_from(NAMES),
    changes=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 12), st.one_of(st.binary(max_size=4), st.sampled_from(BITS))),
        min_size=1,
        max_size=6,
    ),
    kept=st.one_of(st.just(1.0), st.floats(0, 1)),
    head=st.booleans(),
)
def test_any_damage_to_a_file(seeds, tmp_path_factory, name, changes, kept, head):
    data = seeds[name]
    reach = min(len(data), 3000) if head else len(data)  # JSON and headers come first
    for place, length, written in changes:
        start = int(place * reach)
        data = data[:start] + written + data[start + length :]
    path = tmp_path_factory.getbasetemp() / f"damaged.{name.rpartition('.')[2]}"
    path.write_bytes(data[: int(kept * len(data))])
    used(path)


def places(value, path=()):
    """Every place in a JSON tree."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*path, key)
        yield from places(below, (*path, key))


VALUES = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 1, 2, 3, 7, 255, 2**31, 10**12, 0.5, 1e300, "", "MAT4", "x", [], {}, [0], [1, 2, 3]]
    ),
    st.sampled_from([5120, 5121, 5122, 5123, 5125, 5126]),
)


@SEARCH
@given(data=st.data(), name=st.sampled_from(["odd.glb", "odd.glb", "draco.glb", "box.glb"]))
def test_any_value_in_a_gltf_document(seeds, tmp_path_factory, data, name):
    content = seeds[name]
    length = struct.unpack_from("<I", content, 12)[0]
    tree = json.loads(content[20 : 20 + length])
    for _ in range(data.draw(st.integers(1, 3))):
        *above, key = data.draw(st.sampled_from(list(places(tree))))
        holder = tree
        for step in above:
            holder = holder[step]
        holder[key] = data.draw(VALUES)
        if not list(places(tree)):
            break
    path = tmp_path_factory.getbasetemp() / "document.glb"
    path.write_bytes(packed(tree, content[28 + length :]))
    used(path)
