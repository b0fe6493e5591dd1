"""The mesh, what it starts from, and the rasterizer against closed forms."""

import math
import sys
import types

import numpy
import pytest
import torch
import trimesh

from tests.plugins.mesh_fields import Field
from zero3d import RecipeError
from zero3d.geometry import orbit
from zero3d.mesh_files import save_mesh
from zero3d.mesh_views import MeshScene
from zero3d.testing import fresh_step
from zero3d.values import FAR
from zero3d_surface import fragments
from zero3d_surface.mesh import Mesh, MeshConfig
from zero3d_surface.rasterizer import Rasterizer, RasterizerConfig, in_view
from zero3d_surface.start import from_field, from_file, sphere
from zero3d_surface.topology import edges, face_pairs

WHITE = torch.ones(3)


def mesh(**options):
    made = Mesh(MeshConfig(**options))
    with torch.no_grad():
        made.initialise(fresh_step())
    return made


def ball(points, radius=0.5):
    return 200.0 * (points.norm(dim=-1) < radius)


# -- what a mesh starts from


def test_a_sphere():
    vertices, faces, _ = sphere(3, 0.4)
    assert (len(vertices), len(faces)) == (642, 1280)
    torch.testing.assert_close(vertices.norm(dim=-1), torch.full((642,), 0.4))
    assert trimesh.Trimesh(vertices, faces, process=False).volume > 0, "faces look outwards"


def test_a_file_comes_back_where_it_lies_with_its_colours(tmp_path):
    box = trimesh.creation.box((0.2, 0.4, 0.6))
    box.visual.vertex_colors = numpy.column_stack([numpy.arange(8) * 30, numpy.full((8, 2), 128), numpy.full(8, 255)])
    save_mesh(box, tmp_path / "box.ply")
    start = from_file(str(tmp_path / "box.ply"))
    order = numpy.lexsort(start.vertices.numpy().T)
    known = numpy.lexsort(box.vertices.T)
    numpy.testing.assert_allclose(start.vertices.numpy()[order], box.vertices[known], atol=1e-6)
    numpy.testing.assert_allclose(
        255 * start.features.numpy()[order], numpy.asarray(box.visual.vertex_colors)[known, :3], atol=1e-3
    )


def test_vertices_that_a_file_keeps_twice_become_one(tmp_path):
    soup = trimesh.creation.box((1, 1, 1))
    soup = trimesh.Trimesh(soup.vertices[soup.faces].reshape(-1, 3), numpy.arange(36).reshape(-1, 3), process=False)
    save_mesh(soup, tmp_path / "soup.ply")
    start = from_file(str(tmp_path / "soup.ply"))
    closed = trimesh.Trimesh(start.vertices, start.faces, process=False)
    assert len(closed.vertices) == 8
    assert closed.is_watertight


def test_a_fields_surface_is_where_it_is_dense():
    field = Field(ball, lambda p: p + 0.5)
    vertices, faces, colours = from_field(field, 48, "auto", 0.02)
    made = trimesh.Trimesh(vertices, faces, process=False)
    assert made.is_watertight
    assert made.volume == pytest.approx(4 / 3 * math.pi * 0.5**3, rel=0.03)
    torch.testing.assert_close(colours, vertices + 0.5)


def test_floaters_and_cavities_are_left_out():
    def density(points):
        shell = (points.norm(dim=-1) < 0.5) & (points.norm(dim=-1) > 0.2)
        return 200.0 * (shell | ((points - 0.6).norm(dim=-1) < 0.08))

    vertices, faces, _ = from_field(Field(density), 48, 10.0, 0.05)
    made = trimesh.Trimesh(vertices, faces, process=False)
    assert made.body_count == 1
    assert made.volume == pytest.approx(4 / 3 * math.pi * 0.5**3, rel=0.03)
    assert trimesh.Trimesh(*from_field(Field(density), 48, 10.0, 0.0)[:2], process=False).body_count == 2


def test_auto_casts_the_fields_own_silhouette():
    """A soft ball of density k (R - r): its silhouette ends where the light along a chord is halved."""
    steepness, radius = 30.0, 0.7

    def depth(impact):  # optical, by quadrature
        half = math.sqrt(radius**2 - impact**2)
        along = numpy.linspace(-half, half, 2001)
        return numpy.trapezoid(steepness * (radius - numpy.hypot(along, impact)), along)

    impacts = numpy.linspace(0.01, radius - 0.01, 500)
    edge = impacts[numpy.argmin([abs(depth(impact) - math.log(2)) for impact in impacts])]
    assert 0.5 < edge < 0.65
    field = Field(lambda p: steepness * (radius - p.norm(dim=-1)).clamp(min=0))
    vertices = from_field(field, 96, "auto", 0.0).vertices
    assert float(vertices.norm(dim=-1).mean()) == pytest.approx(edge, abs=2 / 96 / 2)


def test_fog_and_a_threshold_too_high_are_refused():
    for density, threshold in ((0.2, "auto"), (8.0, 9.0)):
        with pytest.raises(RecipeError, match=rf"threshold: {threshold}, but .*highest density {density:g}\)"):
            from_field(Field(lambda p, d=density: d * (p.norm(dim=-1) < 0.5)), 24, threshold, 0.0)


def test_a_mesh_follows_a_field_or_a_mesh_of_its_channels():
    field, other, own = Field(ball), mesh(subdivisions=2), mesh(start="previous", resolution=24)
    for former in (field, other):
        assert own.can_follow(former)
    assert not own.can_follow(None)
    assert not mesh(start="previous", channels=4).can_follow(field)
    assert mesh().can_follow(None)
    own.follow(other)
    for mine, theirs in zip(own.surface(), other.surface(), strict=True):
        torch.testing.assert_close(mine, theirs)
    own.follow(field)
    assert float(own.surface()[0].detach().norm(dim=-1).max()) == pytest.approx(0.5, abs=0.05)
    kept = mesh(subdivisions=1)
    kept.follow(field)
    assert len(kept.vertices) == 42, "it starts from its sphere, and was not asked to follow"


def test_the_state_brings_its_size_and_the_optimizer_keeps_its_parameters():
    large, small = mesh(subdivisions=3), mesh(subdivisions=0)
    optimizer = torch.optim.Adam(small.param_groups(), lr=0.1)
    small.load_state_dict(large.state_dict())
    for name, value in large.state_dict().items():
        assert torch.equal(small.state_dict()[name], value), name
    (small.surface()[0].sum() + small.surface()[2].sum()).backward()
    optimizer.step()
    assert not torch.equal(small.vertices, large.vertices)
    assert not torch.equal(small.colours, large.colours)
    with pytest.raises(RuntimeError):
        mesh(channels=4).load_state_dict(large.state_dict())


# -- topology


def test_a_tetrahedrons_edges_and_pairs():
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]])
    pairs, of_faces = edges(faces)
    assert pairs.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    for face, numbers in zip(faces.tolist(), of_faces.tolist(), strict=True):
        for corner, number in zip(face, numbers, strict=True):
            assert set(pairs[number].tolist()) == set(face) - {corner}
    assert {frozenset(pair) for pair in face_pairs(of_faces).tolist()} == {
        frozenset(pair) for pair in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    }


def test_three_faces_on_one_edge_make_three_pairs():
    fan = torch.tensor([[0, 1, 2], [0, 1, 3], [0, 1, 4]])
    assert sorted(map(sorted, face_pairs(edges(fan)[1]).tolist())) == [[0, 1], [0, 2], [1, 2]]


# -- the rasterizer


def test_a_sphere_looks_as_ray_casting_sees_it():
    made = mesh(subdivisions=4, radius=0.6)
    with torch.no_grad():
        made.colours.copy_((made.vertices + 0.5).clamp(0.05, 0.95).logit())
    vertices, faces, colours = (part.detach().numpy() for part in made.surface())
    solid = trimesh.Trimesh(vertices, faces, process=False)
    rgba = numpy.column_stack([numpy.round(255 * colours), numpy.full(len(colours), 255)])
    solid.visual.vertex_colors = rgba.astype(numpy.uint8)
    cameras = orbit(20.0, torch.tensor([0.0, 130.0]), 48)
    known = MeshScene(solid).draw(cameras, supersample=1, light=None)
    with torch.no_grad():
        view = Rasterizer(RasterizerConfig(blur=1e-7)).render(made, cameras, WHITE)
    sure = (view.opacity - known.opacity).abs()[..., 0] < 1e-3  # all but a few pixels on the outline
    assert sure.float().mean() > 0.98
    assert (view.image - known.image)[sure].abs().max() < 0.01
    apart = (view.depth - known.depth)[sure].abs()
    assert (apart < 1e-3).float().mean() > 0.998, "at the outline a face seen edge on may come in from beside the pixel"
    assert apart.max() < 0.02


def test_the_outline_is_a_sigmoid_of_the_squared_distance():
    """A wall's straight edge, seen head on: opacity 1 / (1 + exp(+-d^2 / blur)), d in half-widths of the picture."""
    made, camera, blur = mesh(), orbit(0.0, 0.0, 32), 1e-2
    # the camera is on +x: y runs to the right and z up; the wall covers all to the left of y = 0
    wall = torch.tensor([[0.0, -40, -40], [0.0, 0, -40], [0.0, 0, 40], [0.0, -40, 40]])
    made.vertices.data, made.colours.data = wall, torch.zeros(4, 3)
    made.faces = torch.tensor([[0, 1, 2], [0, 2, 3]], dtype=torch.int32)
    with torch.no_grad():
        view = Rasterizer(RasterizerConfig(blur=blur)).render(made, camera, WHITE)
    x = (2 * torch.arange(32) + 1) / 32 - 1
    known = torch.sigmoid(-x * x.abs() / blur)
    near = x.abs() < 0.25
    torch.testing.assert_close(view.opacity[0, 16, near, 0], known[near], atol=1e-3, rtol=0)
    torch.testing.assert_close(
        view.image[0, 16, near], (0.5 * known + (1 - known))[near, None].expand(-1, 3), atol=1e-3, rtol=0
    )


def test_gamma_says_how_sharply_the_nearer_face_hides_the_other():
    """Two walls, 0.2 apart in depth: their shares are as 1 to exp(-0.2 / far / gamma)."""
    camera, gap = orbit(0.0, 0.0, 4), 0.2
    made = mesh()
    square = torch.tensor([[0.0, -9, -9], [0.0, 9, -9], [0.0, 0, 18]])
    made.vertices.data = torch.cat([square, square - torch.tensor([gap, 0, 0])])
    made.colours.data = torch.tensor([[6.0, -6, -6]] * 3 + [[-6.0, 6, -6]] * 3)
    made.faces = torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.int32)
    for gamma in (1e-3, 0.05):
        with torch.no_grad():
            view = Rasterizer(RasterizerConfig(blur=1e-6, gamma=gamma)).render(made, camera, WHITE)
        behind = math.exp(-gap / FAR / gamma)
        low, high = float(torch.tensor(-6.0).sigmoid()), float(torch.tensor(6.0).sigmoid())
        red = (high + behind * low) / (1 + behind)
        assert float(view.image[0, 2, 2, 0]) == pytest.approx(red, abs=1e-4)


def test_chunks_of_faces_change_nothing(monkeypatch):
    made, camera = mesh(subdivisions=3), orbit(20.0, 0.0, 24)
    drawer = Rasterizer(RasterizerConfig(faces_per_pixel=3, blur=1e-3))
    whole = drawer.render(made, camera, WHITE)
    monkeypatch.setattr(fragments, "PAIRS", 500)
    again = drawer.render(made, camera, WHITE)
    for name in ("image", "opacity", "depth"):
        torch.testing.assert_close(getattr(again, name), getattr(whole, name), rtol=0, atol=0)


def test_a_mesh_finer_than_the_pixels_is_not_seen_through():
    made, camera = mesh(subdivisions=5, radius=0.6), orbit(20.0, 0.0, 32)
    with torch.no_grad():
        view = Rasterizer(RasterizerConfig(faces_per_pixel=2)).render(made, camera, WHITE)
    solid = trimesh.Trimesh(*(part.detach().numpy() for part in made.surface()[:2]), process=False)
    covered = MeshScene(solid).draw(camera, supersample=1, light=None).opacity == 1
    assert float(view.opacity[covered].min()) > 0.5


def test_what_is_behind_the_camera_is_not_drawn():
    made = mesh(subdivisions=1)
    made.vertices.data = made.vertices.data + torch.tensor([4.0, 0, 0])
    view = Rasterizer(RasterizerConfig()).render(made, orbit(0.0, 0.0, 8), WHITE)
    assert float(view.opacity.detach().max()) == 0
    assert torch.equal(view.image.detach(), torch.ones(1, 8, 8, 3))
    assert torch.equal(view.depth.detach(), torch.full((1, 8, 8, 1), FAR))


def test_pytorch3d_is_asked_as_its_documentation_says(monkeypatch):
    """A stand-in with PyTorch3D's signature, axes and order, that draws with our rasterizer: the pictures must agree."""
    asked = {}

    class Meshes:
        def __init__(self, verts, faces):
            self.verts, self.faces = verts[0], faces[0]

    def rasterize_meshes(meshes, image_size, blur_radius, faces_per_pixel, **options):
        asked.update(options)
        own = meshes.verts * torch.tensor([-1.0, -1.0, 1.0])  # x to the left and y up there
        found = fragments.rasterize(own, meshes.faces, *image_size, blur_radius, faces_per_pixel)
        shape = (1, *image_size, faces_per_pixel)
        distance = torch.where(found.face < 0, -1.0, found.distance)  # its filler
        return (
            found.face.reshape(shape),
            found.depth.reshape(shape),
            found.corners.reshape(*shape, 3),
            distance.reshape(shape),
        )

    for name, members in {
        "pytorch3d": {},
        "pytorch3d.renderer": {},
        "pytorch3d.renderer.mesh": {"rasterize_meshes": rasterize_meshes},
        "pytorch3d.structures": {"Meshes": Meshes},
    }.items():
        module = types.ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("zero3d_surface.rasterizer.has_pytorch3d", lambda: True)
    made, camera = mesh(subdivisions=2), orbit(20.0, 30.0, 16)
    views = [
        Rasterizer(RasterizerConfig(backend=backend)).render(made, camera, WHITE) for backend in ("pytorch3d", "torch")
    ]
    assert asked == {"perspective_correct": True, "clip_barycentric_coords": True, "cull_backfaces": False}
    for name in ("image", "opacity", "depth"):
        torch.testing.assert_close(getattr(views[0], name), getattr(views[1], name))


def test_pytorch3d_is_missed_before_the_run(monkeypatch):
    monkeypatch.setattr("zero3d_surface.rasterizer.has_pytorch3d", lambda: False)
    with pytest.raises(ValueError, match="backend: pytorch3d is not installed"):
        RasterizerConfig(backend="pytorch3d")


def test_places_are_those_of_the_rays():
    camera = orbit(20.0, 70.0, 16)
    made = in_view(torch.tensor([[0.0, 0, 0]]), camera)
    torch.testing.assert_close(made, torch.tensor([[0.0, 0.0, 2.0]]), atol=1e-5, rtol=0)


# -- normals


def test_the_normals_of_a_sphere_point_away_from_its_middle():
    """Along the ray to each pixel, where it meets the sphere of radius 0.4 by the quadratic formula."""
    from zero3d.geometry import rays

    cameras = orbit(20.0, torch.tensor([0.0, 130.0]), 32)
    view = Rasterizer(RasterizerConfig()).render(mesh(), cameras, WHITE, frozenset({"normals"}))
    origins, directions = (x.double() for x in rays(cameras))
    along, off = (origins * directions).sum(-1), origins.square().sum(-1) - 0.4**2
    inside = along**2 - off
    hit = inside > 0.03  # well within the outline
    distance = -along - inside.clamp(min=0).sqrt()
    expected = torch.nn.functional.normalize(origins + distance[..., None] * directions, dim=-1)
    cosine = (view.normals / view.opacity * expected).sum(-1)[hit]
    assert hit.sum() > 200
    assert cosine.min() > 0.999
    torch.testing.assert_close(view.normals.norm(dim=-1)[hit], view.opacity[..., 0][hit], atol=5e-3, rtol=0)
    assert view.normals[view.opacity[..., 0] == 0].abs().max() == 0
    assert Rasterizer(RasterizerConfig()).render(mesh(), cameras, WHITE).normals is None


def test_a_normals_gradient_reaches_the_vertices():
    """Against finite differences along one direction."""
    made = mesh(subdivisions=1).double()
    renderer, camera = Rasterizer(RasterizerConfig(blur=1e-2, gamma=1e-2)), orbit(20.0, 10.0, 12)
    way = torch.randn(12, 12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    aside = torch.randn(made.vertices.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def seen():
        view = renderer.render(made, camera, WHITE.double(), frozenset({"normals"}))
        return (view.normals[0] * way).sum()

    seen().backward()
    slope, start, h = float((made.vertices.grad * aside).sum()), made.vertices.detach().clone(), 1e-6
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            made.vertices.copy_(start + sign * h * aside)
            ends.append(float(seen()))
    assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-4)
