"""Textured meshes: what a viewer reads from the picture is the field's colour there, seams included."""

import dataclasses
import math

import numpy
import pytest
import torch
import trimesh

from tests.plugins.mesh_fields import INPUT, Field, ball, ring, subject, volume
from zero3d import ExportError
from zero3d.geometry import gltf_to_world
from zero3d.interfaces import SurfaceRepresentation
from zero3d.mesh_files import load_mesh, save_mesh
from zero3d.mesh_views import MeshScene
from zero3d_mesh.cutting.decimate import decimated
from zero3d_mesh.fidelity import AROUND, fidelity
from zero3d_mesh.marching_cubes import MarchingCubes, MarchingCubesConfig
from zero3d_mesh.textured_mesh import TexturedMesh, TexturedMeshConfig
from zero3d_mesh.texturing.atlas import texels, unwrap


def bumpy(points):
    """A ball with a bump towards each of +x, +y and +z, no two alike."""
    bumps = [((0.45, 0, 0), 0.2), ((0, 0.45, 0), 0.15), ((0, 0, 0.5), 0.1)]
    return ball(points, 0.4) + sum(ball(points, radius, centre) for centre, radius in bumps)


def slope(points):
    """Colours that tell where a point is, linear in it and far from black."""
    return 0.6 + 0.45 * points


def export(path, field=None, decode=None, **options):
    config = TexturedMeshConfig(**{"threshold": 50.0, "resolution": 48, "texture": 256, "faces": 2000, **options})
    return TexturedMesh(config).export(subject(field or Field(bumpy, slope), decode), path)


def bilinear(picture, uv):
    """A viewer's look-up, from its definition: uv (N, 2), v up, clamped at the border -> (N, 3) in 0 to 255."""
    height, width = picture.shape[:2]
    x, y = uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5
    left, top = numpy.floor(x).astype(int), numpy.floor(y).astype(int)
    total = numpy.zeros((len(uv), 3))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        share = (1 - abs(x - left - i)) * (1 - abs(y - top - j))
        total += share[:, None] * picture[(top + j).clip(0, height - 1), (left + i).clip(0, width - 1), :3]
    return total


def looked_up(path, count=4000):
    """Points on the file's surface, world axes, and the colours that its texture has there; half of them on edges."""
    mesh = trimesh.load_mesh(path, process=False)
    material = mesh.visual.material
    picture = numpy.asarray(getattr(material, "baseColorTexture", None) or material.image, dtype=float)
    rng = numpy.random.default_rng(0)
    face = rng.integers(len(mesh.faces), size=count)
    weight = rng.dirichlet([1, 1, 1], size=count)
    weight[: count // 2, 0] = 0  # on an edge; charts end there
    weight /= weight.sum(axis=1, keepdims=True)
    points = numpy.einsum("nk,nkc->nc", weight, mesh.vertices[mesh.faces[face]])
    uv = numpy.einsum("nk,nkc->nc", weight, mesh.visual.uv[mesh.faces[face]])
    return gltf_to_world(torch.tensor(points)).numpy(), bilinear(picture, uv)


@pytest.mark.parametrize("kind", ["glb", "obj"])
@pytest.mark.parametrize("faces", [0, 1000])
def test_the_texture_shows_the_field_everywhere_and_across_seams(kind, faces, tmp_path):
    report = export(tmp_path / f"bumpy.{kind}", format=kind, faces=faces)
    points, found = looked_up(tmp_path / f"bumpy.{kind}")
    wrong = abs(found - 255 * slope(torch.tensor(points)).numpy())
    # colour is read up to 1.5 spacings below the surface (0.03 x 0.45 x 255 = 3.4), a texel is 0.02 wide (2.3)
    assert wrong.mean() < 3
    assert wrong.max() < 12, "black from between the charts would be 150 off"
    assert report["charts"] > 1


def test_the_core_reads_and_draws_it_like_a_mesh_with_vertex_colours(tmp_path):
    export(tmp_path / "bumpy.glb")
    drawn = MeshScene(load_mesh(tmp_path / "bumpy.glb")).draw(INPUT, light=None)
    wanted = subject(Field(bumpy, slope)).draw(INPUT)
    inside = (drawn.opacity[..., 0] > 0.99) & (wanted.opacity[..., 0] > 0.99)
    assert inside.sum() > 300
    assert float((drawn.image - wanted.image)[inside].abs().mean()) < 0.02


def test_it_is_closed_once_joined_and_within_its_budget(tmp_path):
    report = export(tmp_path / "bumpy.glb", faces=1500)
    split = trimesh.load_mesh(tmp_path / "bumpy.glb", process=False)
    assert report["faces"] == len(split.faces) <= 1500
    assert len(split.vertices) > report["vertices"], "seams split vertices"
    split.merge_vertices(merge_tex=True, merge_norm=True)
    assert split.is_watertight
    assert report["watertight"]
    assert split.volume == pytest.approx(report["volume"], rel=1e-3)


def test_obj_names_its_companions(tmp_path):
    export(tmp_path / "mesh.obj", format="obj")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mesh.mtl", "mesh.obj", "mesh.png"]
    assert "mtllib mesh.mtl" in (tmp_path / "mesh.obj").read_text(encoding="utf-8")
    assert "map_Kd mesh.png" in (tmp_path / "mesh.mtl").read_text(encoding="utf-8")


def test_the_material_is_matt(tmp_path):
    export(tmp_path / "mesh.glb")
    material = trimesh.load_mesh(tmp_path / "mesh.glb").visual.material
    assert material.metallicFactor == 0
    assert material.roughnessFactor >= 0.5


def test_a_latent_is_textured_from_decoded_views(tmp_path):
    # the latent is the colour less a half: only decoding brings it back
    field = Field(lambda p: ball(p, 0.5, density=300.0), lambda p: slope(p) - 0.5)
    decode = lambda image: torch.where(image == 1, image, image + 0.5)  # noqa: E731  the background stays
    export(tmp_path / "ball.glb", field, decode)
    points, found = looked_up(tmp_path / "ball.glb")
    wrong = abs(found - 255 * slope(torch.tensor(points)).numpy())
    assert numpy.median(wrong) < 10


def test_texels_know_what_they_show():
    mesh = trimesh.creation.icosphere(2)
    atlas = unwrap(mesh, 128, 2)
    shown = texels(atlas, 128)
    # interpolating the texture coordinates themselves gives the texels' centres back
    uv = shown.mean(atlas.uv[atlas.faces])
    numpy.testing.assert_allclose(uv * 128, numpy.stack([shown.column, shown.row], axis=1) + 0.5, atol=2e-3)
    assert len(shown.row) > 0.3 * 128 * 128
    numpy.testing.assert_array_equal(atlas.vertices[atlas.faces], mesh.faces)


@pytest.mark.parametrize("faces", [300, 2000])
def test_decimation_keeps_a_sphere_round_and_closed(faces):
    dense = trimesh.creation.icosphere(5, radius=0.5)
    few = decimated(dense, faces)
    assert 0.95 * faces < len(few.faces) <= faces
    assert few.is_watertight
    assert few.euler_number == 2
    # quadrics keep the volume: a chord of a triangle of area 4 pi r^2 / n sags by about its square over 3 sqrt(3) r
    sag = 4 * math.pi * 0.5**2 / faces / (3 * math.sqrt(3) * 0.5) * 4
    assert abs(numpy.linalg.norm(few.vertices, axis=1) - 0.5).max() < sag
    assert few.volume == pytest.approx(volume(0.5), rel=6 / faces), (
        "an inscribed polyhedron lacks a share of about 3.6 / faces"
    )


def test_decimation_keeps_a_rings_hole_and_leaves_small_meshes_alone():
    torus = trimesh.creation.torus(0.4, 0.15, 64, 64)
    few = decimated(torus, 400)
    assert few.euler_number == 0
    assert few.is_watertight
    assert decimated(torus, 0) is torus
    assert decimated(torus, len(torus.faces)) is torus


def test_fidelity_of_a_ball_of_half_the_size(tmp_path):
    field = Field(lambda p: ball(p, 0.5, density=1000.0, edge=0.01))  # grey, 0.5, on white
    small = trimesh.creation.icosphere(5, radius=0.25)
    small.visual.vertex_colors = numpy.full((len(small.vertices), 4), [128, 128, 128, 255], numpy.uint8)
    save_mesh(small, tmp_path / "small.glb")
    found = fidelity(tmp_path / "small.glb", subject(field))

    def covered(radius):  # share of a picture that a sphere's cone covers, seen from 2 away
        return math.pi * (math.tan(math.asin(radius / 2)) / (2 * math.tan(AROUND.fov / 2))) ** 2

    assert found["silhouette_iou"] == pytest.approx(covered(0.25) / covered(0.5), rel=0.06)
    assert found["render_rmse"] == pytest.approx(0.5 * math.sqrt(covered(0.5) - covered(0.25)), rel=0.06)


def test_fidelity_of_what_was_exported(tmp_path):
    report = export(tmp_path / "ring.glb", Field(ring, lambda p: p * 0 + 0.3), resolution=64, threshold="auto")
    assert report["silhouette_iou"] > 0.95
    assert report["render_rmse"] < 0.06


def test_the_same_field_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export(tmp_path / name / "mesh.glb")
    assert (tmp_path / "a" / "mesh.glb").read_bytes() == (tmp_path / "b" / "mesh.glb").read_bytes()


@pytest.mark.parametrize(
    "options", [{"format": "ply"}, {"texture": 32}, {"texture": 10_000}, {"padding": 0}, {"faces": 50}, {"faces": -1}]
)
def test_options_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        TexturedMeshConfig(**options)


class Lantern(SurfaceRepresentation):
    """A coarse box with a colour at each corner."""

    name = "lantern"

    def __init__(self):
        super().__init__(None)
        box = trimesh.creation.box([1.0, 0.6, 0.8])
        self.register_buffer("vertices", torch.tensor(numpy.array(box.vertices), dtype=torch.float32))
        self.register_buffer("faces", torch.tensor(numpy.array(box.faces)))
        self.channels = 3

    def initialise(self, step):
        pass

    def surface(self):
        return self.vertices, self.faces, slope(self.vertices)


def drawn_lantern(cameras):
    box = trimesh.Trimesh(*(part.numpy() for part in Lantern().surface()[:2]), process=False)
    box.visual.vertex_colors = numpy.round(255 * slope(torch.tensor(box.vertices)).numpy()).astype(numpy.uint8)
    return MeshScene(box).draw(cameras, 3, light=None)


def of_lantern():
    return dataclasses.replace(subject(Field(ring)), representation=Lantern(), draw=drawn_lantern)


def test_a_mesh_is_written_as_it_is_with_its_own_colours(tmp_path):
    report = MarchingCubes(MarchingCubesConfig()).export(of_lantern(), tmp_path / "lantern.glb")
    read = load_mesh(tmp_path / "lantern.glb")
    lantern = Lantern()
    numpy.testing.assert_allclose(read.vertices, lantern.vertices, atol=1e-6)
    numpy.testing.assert_array_equal(read.faces, lantern.faces)
    colours = 255 * slope(lantern.vertices).numpy()
    numpy.testing.assert_allclose(read.visual.vertex_colors[:, :3], colours, atol=0.51)
    assert report["watertight"]
    assert report["silhouette_iou"] > 0.99
    assert report["render_rmse"] < 0.01


def test_a_mesh_is_textured_with_the_colours_between_its_vertices(tmp_path):
    report = TexturedMesh(TexturedMeshConfig(texture=128)).export(of_lantern(), tmp_path / "lantern.glb")
    points, found = looked_up(tmp_path / "lantern.glb")
    assert abs(found - 255 * slope(torch.tensor(points)).numpy()).max() < 2.5, "linear over the box, so exact"
    assert report["faces"] == 12


def test_a_mesh_without_faces_or_with_broken_vertices_is_refused(tmp_path):
    for name, broken in (("faces", torch.zeros(0, 3, dtype=torch.int64)), ("vertices", torch.full((8, 3), math.nan))):
        export_of = of_lantern()
        setattr(export_of.representation, name, broken)
        with pytest.raises(ExportError, match="no surface"):
            MarchingCubes(MarchingCubesConfig()).export(export_of, tmp_path / "no.glb")
    assert not list(tmp_path.iterdir())
