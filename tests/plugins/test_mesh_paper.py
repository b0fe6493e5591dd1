"""3drec's export rule on a latent voxel field, against torch's and scipy's own filters over the whole chain."""

import numpy
import pytest
import scipy
import torch
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes
from torch.nn import functional

from tests.plugins.mesh_fields import export
from zero3d_mesh.marching_cubes import MarchingCubesConfig
from zero3d_voxels.field import VoxelField
from zero3d_voxels.options import VoxelConfig

SIDE = 24
OPTIONS = {"threshold": "paper", "resolution": 2 * SIDE, "smallest_share": 0.0}


@pytest.fixture(scope="module")
def field():
    """Two lumpy balls, one of them small, in an empty box: raw density 0 far out, as at the start of a run."""
    field = VoxelField(VoxelConfig(resolution=SIDE, box=1.0, density_shift=-1.0))
    axis = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    place = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)  # z, y, x
    bumps = 1 + 0.5 * torch.rand(SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    large = (place - torch.tensor([0.1, 0.0, -0.1])).norm(dim=-1) < 0.5
    small = (place - torch.tensor([0.7, 0.6, 0.6])).norm(dim=-1) < 0.24
    with torch.no_grad():
        field.raw_density.copy_(200 * bumps * (large | small))
        field.log_scale.fill_(0.3)
    return field.requires_grad_(False)


def independent(field, multiple):
    """Vertices (world) and threshold, step by step as the published `export_mesh` describes itself."""
    density = functional.interpolate(field.raw_density, scale_factor=2, mode="trilinear", align_corners=False)
    density = functional.softplus(density * field.log_scale.exp() - 1)
    density = functional.avg_pool3d(density, 7, stride=1, padding=3, count_include_pad=True)[0, 0]
    threshold = multiple * float(density.double().mean())
    eroded = scipy.ndimage.grey_erosion(density.numpy(), size=(5, 5, 5))
    vertices, faces, _, _ = marching_cubes(eroded, threshold, gradient_direction="ascent")
    return (vertices[:, ::-1] + 0.5) / SIDE - 1, faces, threshold


@pytest.mark.parametrize("multiple", [8.0, 4.0])
def test_the_surface_is_that_of_the_published_chain(field, multiple, tmp_path):
    expected, faces, threshold = independent(field, multiple)
    mesh, report = export(field, tmp_path / "a.ply", format="ply", paper_multiple=multiple, **OPTIONS)
    assert report["threshold"] == pytest.approx(threshold, rel=1e-4)
    assert len(mesh.faces) == len(faces)
    for one, other in ((expected, mesh.vertices), (mesh.vertices, expected)):
        apart = cKDTree(one).query(other)[0] * SIDE  # in samples; those too near to the level are moved a little
        assert numpy.quantile(apart, 0.9) < 1e-3
        assert apart.max() < 0.2


def test_a_lower_multiple_cuts_further_out(field, tmp_path):
    volumes = [
        export(field, tmp_path / "a.ply", format="ply", paper_multiple=multiple, **OPTIONS)[1]["volume"]
        for multiple in (8.0, 4.0)
    ]
    assert volumes[0] < volumes[1]


def test_matter_at_the_boxs_face_is_eroded_from_inside_alone_and_closed(tmp_path):
    """Beyond the grid erosion sees what lies within; the mesh ends at the box."""
    field = VoxelField(VoxelConfig(resolution=SIDE, box=1.0))
    with torch.no_grad():
        field.raw_density[:, :, 8:16, 8:16, : SIDE // 2] = 500.0
    mesh, report = export(field.requires_grad_(False), tmp_path / "a.ply", format="ply", **OPTIONS)
    assert report["watertight"]
    assert numpy.isclose(mesh.bounds[0, 0], -1.0, atol=1 / SIDE)


def test_a_multiple_of_zero_is_refused():
    with pytest.raises(ValueError, match=r"^paper_multiple: "):
        MarchingCubesConfig(paper_multiple=0.0)
