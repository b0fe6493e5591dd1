"""Marching Cubes on fields whose surface is known."""

import math

import numpy
import pytest
import torch
import trimesh

from tests.plugins.mesh_fields import Field, ball, export, march, ring, subject, volume
from zero3d import ExportError
from zero3d.geometry import orbit, rays
from zero3d.mesh_files import load_mesh
from zero3d.testing import SphereField
from zero3d.testing.sphere import SphereConfig
from zero3d_mesh.colour import from_views
from zero3d_mesh.cutting.grid import DensityGrid, sample_density
from zero3d_mesh.cutting.surface import extract
from zero3d_mesh.cutting.threshold import by_silhouette, densest_along_rays, paper_grid
from zero3d_mesh.marching_cubes import MarchingCubes, MarchingCubesConfig

RESOLUTION = 48


def outward(mesh, centre=(0, 0, 0)):
    """The least cosine between a face's normal and its direction from `centre`."""
    away = mesh.triangles_center - numpy.asarray(centre)
    return ((mesh.face_normals * away).sum(axis=1) / numpy.linalg.norm(away, axis=1)).min()


@pytest.mark.parametrize("density", [40.0, 1000.0])
@pytest.mark.parametrize("threshold", ["auto", 20.0])
def test_a_ball_of_uniform_density(density, threshold, tmp_path):
    field = SphereField(SphereConfig(radius=0.5, density=density, box=0.75))
    mesh, report = export(field, tmp_path / "ball.glb", threshold=threshold, resolution=RESOLUTION)
    voxel = 1.5 / RESOLUTION
    radii = numpy.linalg.norm(mesh.vertices, axis=1)
    assert abs(radii.mean() - 0.5) < 0.25 * voxel
    assert abs(radii - 0.5).max() < 0.6 * voxel
    assert mesh.volume == pytest.approx(volume(0.5), rel=0.03 if threshold == "auto" else 0.01)
    assert outward(mesh) > 0.5
    assert mesh.euler_number == 2
    assert report["watertight"]
    assert report["vertices"] == len(mesh.vertices)
    assert report["volume"] == pytest.approx(mesh.volume, abs=1e-4)


def test_a_soft_edge_is_cut_at_its_threshold(tmp_path):
    # density falls from 100 at r = 0.3 to 0 at 0.6: 70 is reached at 0.39
    field = Field(lambda p: ball(p, 0.45, edge=0.3))
    mesh, _ = export(field, tmp_path / "ball.glb", threshold=70.0, resolution=64)
    assert numpy.linalg.norm(mesh.vertices, axis=1).mean() == pytest.approx(0.39, abs=0.002)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply"])
def test_a_torus_in_every_format(kind, tmp_path):
    mesh, report = export(Field(ring), tmp_path / f"torus.{kind}", format=kind, resolution=64, threshold=50.0)
    assert mesh.euler_number == 0
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(2 * math.pi**2 * 0.5 * 0.2**2, rel=0.01)
    assert report["components"] == 1


def test_a_box_that_is_not_a_cube_and_a_solid_that_fills_it(tmp_path):
    field = Field(lambda p: 100.0 * (p[:, 0] > -2))
    field.box = torch.tensor([[-0.5, -0.25, -0.1], [0.5, 0.25, 0.3]])
    field.shape = lambda p: 100.0 + p[:, 0]
    mesh, _ = export(field, tmp_path / "box.glb", threshold=50.0, resolution=40)
    assert mesh.is_watertight
    numpy.testing.assert_allclose(mesh.bounds, field.box, atol=0.5 / 40)


def test_cavities_are_filled(tmp_path):
    field = Field(lambda p: ball(p, 0.6) - ball(p, 0.4))
    mesh, report = export(field, tmp_path / "shell.glb", threshold=50.0, resolution=RESOLUTION)
    assert mesh.volume == pytest.approx(volume(0.6), rel=0.01)
    assert (mesh.body_count, report["components"], report["dropped"]) == (1, 1, 0)


def test_floaters_are_dropped_and_parts_are_kept(tmp_path):
    def density(points):
        big, part = ball(points, 0.4, (-0.3, 0, 0)), ball(points, 0.2, (0.6, 0, 0))
        return big + part + ball(points, 0.08, (0.6, 0.6, 0.6)) + ball(points, 0.08, (-0.6, -0.7, 0.7))

    mesh, report = export(Field(density), tmp_path / "parts.glb", threshold=50.0, resolution=64)
    assert (report["components"], report["dropped"]) == (2, 2)
    assert mesh.volume == pytest.approx(volume(0.4) + volume(0.2), rel=0.02)
    _, everything = export(Field(density), tmp_path / "all.glb", threshold=50.0, resolution=64, smallest_share=0.0)
    assert (everything["components"], everything["dropped"]) == (4, 0)
    _, largest = export(Field(density), tmp_path / "one.glb", threshold=50.0, resolution=64, smallest_share=1.0)
    assert (largest["components"], largest["dropped"]) == (1, 3)


@pytest.mark.parametrize("smoothing", [0, 1])
def test_noise_gives_closed_surfaces_without_degenerate_faces(smoothing):
    values = numpy.zeros((20, 20, 20), numpy.float32)
    values[1:-1, 1:-1, 1:-1] = numpy.random.default_rng(1).uniform(0, 100, (18, 18, 18))
    mesh = extract(DensityGrid(values, numpy.zeros(3), 1.0), 50.0, 0.0, smoothing).mesh
    _, uses = numpy.unique(numpy.sort(mesh.edges, axis=1), axis=0, return_counts=True)
    assert (uses == 2).all()
    assert mesh.is_winding_consistent
    assert mesh.area_faces.min() > 0
    assert min(body.volume for body in mesh.split(only_watertight=False)) > 0


def test_a_sample_at_exactly_the_threshold():
    values = numpy.zeros((5, 5, 5), numpy.float32)
    values[2, 2, 2], values[2, 2, 3] = 10.0, 7.0
    mesh = extract(DensityGrid(values, numpy.zeros(3), 1.0), 7.0, 0.0).mesh
    assert mesh.is_watertight
    assert mesh.contains([[2.0, 2.0, 2.0]]).all()


def test_smoothing_takes_the_steps_off_a_hard_edge(tmp_path):
    field = SphereField(SphereConfig(radius=0.5, density=300.0))
    spread = []
    for smoothing in (0, 1):
        mesh, _ = export(field, tmp_path / "ball.glb", resolution=RESOLUTION, smoothing=smoothing, threshold=50.0)
        spread.append(numpy.linalg.norm(mesh.vertices, axis=1).std())
    assert spread[1] < 0.6 * spread[0]


def test_a_coloured_blob_lands_where_gltf_wants_it(tmp_path):
    # a green bump on the side that faces the input camera (+x), a blue one on its right (+y), a red one on top (+z)
    places = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]])
    colours = torch.tensor([[0.0, 0.6, 0.0], [0.0, 0.0, 0.6], [0.6, 0.0, 0.0]])

    def density(points):
        return ball(points, 0.4) + sum(ball(points, 0.15, place.tolist()) for place in places)

    def paint(points):
        return colours[torch.cdist(points, places).argmin(dim=1)]

    path = tmp_path / "blob.glb"
    export(Field(density, paint), path, threshold=50.0, resolution=64)
    raw = trimesh.load_mesh(path, process=False)  # glTF axes, linear colours
    vertices = numpy.asarray(raw.vertices)
    colour = numpy.asarray(trimesh.load_scene(path).geometry.popitem()[1].visual.vertex_attributes["color"])
    for axis, channel in ((2, 1), (0, 2), (1, 0)):  # input camera on +z, its right on +x, up on +y
        tip = vertices[:, axis].argmax()
        assert vertices[tip, axis] == pytest.approx(0.65, abs=0.02)
        assert colour[tip].argmax() == channel
        assert colour[tip, channel] == pytest.approx(((0.6 + 0.055) / 1.055) ** 2.4, abs=0.005)
    read = load_mesh(path)
    assert read.visual.vertex_colors[read.vertices[:, 0].argmax(), :3].tolist() == [0, 153, 0]


def test_colour_comes_from_below_the_surface(tmp_path):
    # paint only where there is matter (r < 0.51): outside, the field's colour is garbage
    field = Field(
        lambda p: ball(p, 0.5, edge=0.02),
        lambda p: torch.where(p.norm(dim=-1, keepdim=True) < 0.511, 0.8, -3.0).expand(-1, 3),
    )
    mesh, _ = export(field, tmp_path / "ball.glb", threshold=50.0, resolution=RESOLUTION)
    assert mesh.visual.vertex_colors[:, :3].mean() == pytest.approx(204, abs=2)


def test_same_field_same_bytes(tmp_path):
    for name in ("a.glb", "b.glb"):
        export(Field(ring), tmp_path / name, resolution=32)
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.glb", "b.glb"]


@pytest.mark.parametrize(
    ("density", "options", "said"),
    [
        (0.0, {}, "density is 0 everywhere"),
        (0.0, {"threshold": "paper"}, "density is 0 everywhere"),
        (7.5, {}, "density is 7.5 everywhere"),
        (math.nan, {}, "not finite"),
    ],
)
def test_a_field_without_a_surface_is_refused(density, options, said, tmp_path):
    with pytest.raises(ExportError, match=said):
        export(Field(lambda p: torch.full((len(p),), density)), tmp_path / "no.glb", resolution=16, **options)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_mesh_names_the_densities_and_the_remedy(tmp_path):
    with pytest.raises(
        ExportError, match=r"nothing reaches 500; density runs from 0 \(median 0\) to 100; threshold=auto finds \d\d"
    ):
        export(Field(lambda p: ball(p, 0.5)), tmp_path / "no.glb", resolution=32, threshold=500.0)


def test_fog_too_thin_to_cast_a_silhouette_is_refused(tmp_path):
    with pytest.raises(ExportError, match="no density casts the field's silhouette"):
        export(Field(lambda p: ball(p, 0.5, density=0.3)), tmp_path / "no.glb", resolution=32)


@pytest.mark.parametrize(
    "options",
    [{"resolution": 4}, {"resolution": 4096}, {"threshold": -1.0}, {"threshold": True}, {"threshold": "otsu"},
     {"format": "fbx"}, {"smallest_share": 2.0}, {"smoothing": -1}],
)  # fmt: skip
def test_options_out_of_range_are_named(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}: "):
        MarchingCubesConfig(**options)


def test_a_grid_too_large_for_memory_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 2**20})())
    with pytest.raises(ExportError, match="lower it"):
        MarchingCubes(MarchingCubesConfig()).export(subject(Field(ring)), tmp_path / "no.glb")


def test_the_grid_samples_cell_centres():
    field = Field(lambda p: 1 + p[:, 0] + 10 * p[:, 1] + 100 * p[:, 2], box=0.5)
    grid = sample_density(field, 10)
    assert grid.values.shape == (12, 12, 12)
    assert grid.values[0].max() == grid.values[:, -1].max() == grid.values[..., 0].max() == 0
    place = grid.origin + grid.spacing * numpy.array([3, 7, 9])
    numpy.testing.assert_allclose(place, [-0.25, 0.15, 0.35])
    assert grid.values[3, 7, 9] == pytest.approx(1 - 0.25 + 1.5 + 35, rel=1e-5)


def test_densest_along_rays_is_the_maximum_projection():
    field = Field(
        lambda p: ball(p, 0.5, edge=1.0)
    )  # density 100 * (1 - r): the largest on a ray is at its nearest point
    cameras = orbit(torch.tensor([20.0, -60.0]), torch.tensor([30.0, 200.0]), 24)
    march_view = densest_along_rays(sample_density(field, 64), cameras)
    origins, directions = rays(cameras)
    nearest = torch.linalg.cross(origins, directions).norm(dim=-1)
    expected = 100 * (1 - nearest).clamp(0, 1)
    inside = nearest < 0.9
    torch.testing.assert_close(march_view[inside], expected[inside], atol=2.0, rtol=0)


def test_auto_finds_the_surface_inside_haze():
    # a solid ball of 200 in a fog of 0.5 that blocks no view (opacity about 0.3 across the box)
    def density(points):
        return ball(points, 0.4, density=200.0) + 0.3 * (points.norm(dim=-1) < 0.9)

    field = Field(density)
    threshold = by_silhouette(sample_density(field, RESOLUTION), subject(field))
    assert 5 < threshold < 199


def test_the_papers_rule():
    # by hand: a cube of density 1 and side 20 in a grid of 40^3; the box filter's mean is the grid's mean
    values = numpy.zeros((42, 42, 42), numpy.float32)
    values[11:31, 11:31, 11:31] = 1
    grid, threshold = paper_grid(DensityGrid(values, numpy.zeros(3), 1.0))
    assert threshold == pytest.approx(8 * (20 / 40) ** 3, rel=1e-5)
    # mean filter then erosion by 2: on the middle line the 7-wide ramp is (k + 1) / 7, taken 2 samples further out
    numpy.testing.assert_allclose(grid.values[8:18, 20, 20] * 7, [0, 0, 1, 2, 3, 4, 5, 6, 7, 7], atol=1e-4)


def test_a_latent_is_coloured_from_decoded_views(tmp_path):
    # the "latent" holds 1 - colour; decoding point by point is forbidden, so any use of features shows
    def colour(points):
        return torch.stack([(points[:, 0] > 0).float(), (points[:, 1] > 0).float(), (points[:, 2] > 0).float()], dim=-1)

    def decode(image):
        planes = (1 - image).permute(0, 3, 1, 2)
        return torch.nn.functional.interpolate(planes, scale_factor=2, mode="bilinear").permute(0, 2, 3, 1)

    field = Field(lambda p: ball(p, 0.5, density=300.0), lambda p: 1 - colour(p))
    mesh, _ = export(field, tmp_path / "ball.glb", decode=decode, threshold=100.0, resolution=32)
    found = mesh.visual.vertex_colors[:, :3] / 255.0
    wanted = colour(torch.from_numpy(numpy.array(mesh.vertices)).float()).numpy()
    clear = (abs(mesh.vertices) > 0.12).all(axis=1)
    assert clear.sum() > 300
    assert abs(found - wanted)[clear].max() < 0.15


def test_what_is_hidden_from_a_camera_takes_no_colour_from_it():
    # a small ball behind a large one, as seen from +x: from there only the large one's colour may be taken
    def density(points):
        return ball(points, 0.3, (0.3, 0, 0), 400.0) + ball(points, 0.15, (-0.5, 0, 0), 400.0)

    def paint(points):
        return torch.where(points[:, :1] > -0.2, torch.tensor([1.0, 0, 0]), torch.tensor([0, 0, 1.0]))

    field = Field(density, paint)
    grid = sample_density(field, 40)
    mesh = extract(grid, 200.0, 0.0).mesh
    places, normals = (torch.tensor(numpy.array(a), dtype=torch.float32) for a in (mesh.vertices, mesh.vertex_normals))
    colour = from_views(places, normals, subject(field, decode=lambda image: image))
    behind = mesh.vertices[:, 0] < -0.2
    assert behind.any()
    assert colour[behind, 0].max() < 0.35
    assert colour[behind, 2].mean() > 0.95
    assert colour[~behind, 0].mean() > 0.95


def test_the_reference_renderer_agrees_with_the_closed_form():
    field = SphereField(SphereConfig(radius=0.5, density=2.0)).requires_grad_(False)
    view = march(field, orbit(0.0, 0.0, 33))
    assert float(view.opacity[0, 16, 16, 0]) == pytest.approx(1 - math.exp(-2.0), abs=0.02)
