"""A mesh with a texture: what is seen, optimised, kept and exported is the picture's, not the vertices'."""

import copy

import pytest
import torch

from zero3d.geometry import orbit
from zero3d.interfaces import ExportSubject
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.testing import SphereField, fresh_step
from zero3d.testing.sphere import SphereConfig
from zero3d_mesh.textured_mesh import TexturedMesh, TexturedMeshConfig
from zero3d_surface.mesh import Mesh, MeshConfig
from zero3d_surface.rasterizer import Rasterizer, RasterizerConfig
from zero3d_surface.start import Start, sphere
from zero3d_surface.unwrapped import layout, looked_up, painted

WHITE = torch.ones(3)
CAMERA = orbit(20.0, 30.0, 32)
RENDERER = Rasterizer(RasterizerConfig(backend="torch"))


def textured(size=128, subdivisions=2, **options):
    made = Mesh(MeshConfig(texture=size, subdivisions=subdivisions, **options))
    with torch.no_grad():
        made.initialise(fresh_step())
    return made


def slope(points):
    """Linear in place, so that it is the same between vertices and between texels."""
    return 0.5 + 0.6 * points


def test_painting_and_looking_up_give_a_linear_colour_back():
    vertices, faces, _ = sphere(2, 0.5)
    places = layout(vertices, faces, 128)
    assert places.abs().max() <= 1
    texture = painted(places, slope(vertices)[faces], 128)
    weights = torch.distributions.Dirichlet(torch.ones(3)).sample((len(faces),))
    found = looked_up(texture, (places * weights[..., None]).sum(1))
    wanted = slope((vertices[faces] * weights[..., None]).sum(1))
    # a texel is about 0.02 wide, and beside a chart it has its nearest texel's colour
    assert float((found - wanted).abs().mean()) < 2e-3
    assert float((found - wanted).abs().max()) < 0.02


def test_it_looks_as_the_same_mesh_with_vertex_colours():
    plain, made = Mesh(MeshConfig(subdivisions=2)), textured()
    vertices, faces, _ = sphere(2, 0.4)
    with torch.no_grad():
        for mesh in (plain, made):
            mesh._take(Start(vertices, faces, slope(vertices)))
    views = [RENDERER.render(mesh, CAMERA, WHITE) for mesh in (plain, made)]
    torch.testing.assert_close(views[0].opacity, views[1].opacity)
    assert float((views[0].image - views[1].image).detach().abs().max()) < 0.02
    torch.testing.assert_close(plain.surface()[2], made.surface()[2], atol=0.02, rtol=0)


def test_it_learns_a_pattern_finer_than_its_faces():
    # stripes 0.1 wide on a sphere of 80 faces, each about 0.2 across: vertex colours cannot tell them
    target = (torch.linspace(-1, 1, 32)[None, :, None].expand(32, 32, 3) * 12).sin() * 0.4 + 0.5
    left = []
    for made in (textured(64, 1), Mesh(MeshConfig(subdivisions=1))):
        with torch.no_grad():
            made.initialise(fresh_step())
        made.vertices.requires_grad_(False)
        optimizer = torch.optim.Adam([made.colours], lr=0.1)
        for _ in range(60):
            view = RENDERER.render(made, CAMERA, WHITE)
            inside = view.opacity.detach() > 0.99
            loss = ((view.image - target) * inside).square().sum() / inside.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        left.append(float(loss.detach()))
    assert left[0] < 0.2 * left[1]


def test_gradients_reach_the_texture_and_the_vertices():
    made = textured(32)
    view = RENDERER.render(made, CAMERA, WHITE)
    (view.image.square().sum() + view.opacity.sum()).backward()
    assert made.colours.grad.abs().sum() > 0
    assert made.vertices.grad.abs().sum() > 0


def test_the_state_brings_size_and_layout():
    made = textured(32, 3)
    with torch.no_grad():
        made.colours.normal_(generator=torch.Generator().manual_seed(0))
    other = Mesh(MeshConfig(texture=32))
    other.load_state_dict(copy.deepcopy(made.state_dict()))
    same = RENDERER.render(made, CAMERA, WHITE).image, RENDERER.render(other, CAMERA, WHITE).image
    torch.testing.assert_close(*same, rtol=0, atol=0)


def test_it_follows_a_field_with_its_colours():
    made, field = textured(64, start="previous", resolution=24), SphereField(SphereConfig(radius=0.5, density=200.0))
    assert made.can_follow(field)
    with torch.no_grad():
        made.follow(field)
    torch.testing.assert_close(made.surface()[2].mean(0), torch.tensor([0.8, 0.3, 0.2]), atol=0.01, rtol=0)
    assert made.colours.shape == (64 * 64, 3)


def test_export_keeps_what_is_finer_than_the_faces(tmp_path):
    made = textured(64, 2)
    with torch.no_grad():
        made.colours.copy_(
            torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(1)).mul(6).sub(3).reshape(-1, 3)
        )
    draw = lambda cameras: RENDERER.render(made, cameras, WHITE)  # noqa: E731
    subject = ExportSubject(made, draw, lambda image: image, True, CAMERA, 64)
    report = TexturedMesh(TexturedMeshConfig(texture=512, faces=0)).export(subject, tmp_path / "noisy.glb")
    drawn = MeshScene(load_mesh(tmp_path / "noisy.glb")).draw(CAMERA.resized(64, 64), 3, light=None).image
    with torch.no_grad():
        wanted = draw(CAMERA.resized(64, 64)).image
    inside = (wanted - 1).abs().amax(-1) > 0.05
    both = torch.stack([drawn[inside].flatten(), wanted[inside].flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.9
    assert report["watertight"]


@pytest.mark.parametrize("size", [8, 5000, -1])
def test_a_texture_out_of_range_is_named(size):
    with pytest.raises(ValueError, match="texture"):
        MeshConfig(texture=size)
