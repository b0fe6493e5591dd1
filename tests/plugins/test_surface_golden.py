"""The rasterizer and the mesh regularizers against PyTorch3D's own values and gradients."""

import numpy
import pytest
import torch

from zero3d.testing import loss_context, random_view
from zero3d.values import Cameras
from zero3d_surface.edge_length import MeshEdgeLength
from zero3d_surface.fragments import rasterize
from zero3d_surface.laplacian import MeshLaplacian
from zero3d_surface.mesh import Mesh, MeshConfig
from zero3d_surface.normal_consistency import MeshNormalConsistency
from zero3d_surface.rasterizer import Rasterizer, RasterizerConfig, in_view

GOLDEN = numpy.load("tests/data/pytorch3d.npz")
SIZE = 64


@pytest.fixture
def mesh():
    made = Mesh(MeshConfig(subdivisions=2))
    made.load_state_dict(
        {
            "vertices": torch.from_numpy(GOLDEN["verts_world_zup"]),
            "colours": torch.zeros(len(GOLDEN["verts_world_zup"]), 3),
            "faces": torch.from_numpy(GOLDEN["faces"]),
        }
    )
    return made


@pytest.fixture
def camera():
    pose = torch.from_numpy(GOLDEN["camera_to_world_opengl"])[None]
    return Cameras(pose, SIZE, SIZE, float(numpy.deg2rad(GOLDEN["fov_deg"])))


@pytest.mark.parametrize(
    ("component", "name"),
    [
        (MeshLaplacian, "laplacian_uniform"),
        (MeshEdgeLength, "edge_length_target0"),
        (MeshNormalConsistency, "normal_consistency"),
    ],
)
def test_regularizers_are_pytorch3ds(component, name, mesh):
    penalty = component(component.Config()).penalty(loss_context(random_view(1, 4), representation=mesh))
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(float(GOLDEN[name]), rel=1e-6)
    torch.testing.assert_close(mesh.vertices.grad, torch.from_numpy(GOLDEN[f"grad_{name}"]), atol=1e-6, rtol=1e-5)


def test_the_nearest_face_its_depth_and_the_place_on_it(mesh, camera):
    found = rasterize(in_view(mesh.vertices.detach(), camera), mesh.faces.long(), SIZE, SIZE, 0.0, 1)
    assert numpy.array_equal(found.face.reshape(SIZE, SIZE).numpy(), GOLDEN["pix_to_face"])
    hit = GOLDEN["pix_to_face"] >= 0
    assert 0.1 < hit.mean() < 0.9
    for values, known in ((found.depth, GOLDEN["zbuf"]), (found.corners, GOLDEN["bary"])):
        numpy.testing.assert_allclose(values.reshape(known.shape).numpy()[hit], known[hit], atol=3e-5)


@pytest.mark.parametrize("blur", ["0.0001", "0.001"])
def test_soft_silhouettes_and_their_gradients(blur, mesh, camera):
    renderer = Rasterizer(RasterizerConfig(blur=float(blur), faces_per_pixel=50))
    opacity = renderer.render(mesh, camera, torch.ones(3)).opacity[0, ..., 0]
    (opacity * torch.from_numpy(GOLDEN["cotangent"])).sum().backward()
    numpy.testing.assert_allclose(opacity.detach().numpy(), GOLDEN[f"soft_alpha_sigma{blur}"], atol=2e-5)
    known = GOLDEN[f"grad_soft_sigma{blur}"]
    numpy.testing.assert_allclose(mesh.vertices.grad.numpy(), known, atol=1e-4 * abs(known).max())
