import math

import pytest
import torch

from zero3d.testing import check_camera_sampler
from zero3d.testing.conformance import fresh_step
from zero3d_cameras.published import PublishedCameras, PublishedConfig
from zero3d_cameras.sphere import SphereCameras, SphereConfig


@pytest.mark.parametrize("sampler", [PublishedCameras(PublishedConfig(views=2)), SphereCameras(SphereConfig(views=3))])
def test_conforms(sampler):
    check_camera_sampler(sampler)


def test_sphere_is_uniform_by_area_within_its_ranges():
    sampler = SphereCameras(SphereConfig(views=4000, elevation_deg=[-30, 60], distance=[1.5, 2.5], spread=False))
    cameras = sampler.sample(fresh_step())
    height = cameras.elevation.sin()
    low, high = math.sin(math.radians(-30)), math.sin(math.radians(60))
    assert height.min() >= low - 1e-5
    assert height.max() <= high + 1e-5
    assert abs(float(height.mean()) - (low + high) / 2) < 0.02, "by area: sin(elevation) is uniform"
    assert 1.5 <= cameras.distance.min() <= cameras.distance.max() <= 2.5
    assert abs(float(cameras.azimuth.mean())) < 0.1


def test_spread_views_share_the_circle():
    cameras = SphereCameras(SphereConfig(views=4)).sample(fresh_step())
    gaps = cameras.azimuth.sort().values.diff()
    assert torch.allclose(gaps, torch.full((3,), math.pi / 2), atol=1e-4)


def test_published_cameras_obey_the_papers_limits_and_favour_the_cubes_corners():
    cameras = PublishedCameras(PublishedConfig(views=4000)).sample(fresh_step())
    assert (cameras.position[:, 2] > -0.5).all()
    assert 1.8 <= cameras.distance.min() <= cameras.distance.max() <= 2.2
    polar = 90 - torch.rad2deg(cameras.elevation)
    assert abs(float(polar.median()) - 62) < 3
    assert 104 < float(polar.max()) < 107


def test_near_views_are_exactly_the_offset_away():
    sampler = SphereCameras(SphereConfig(views=5, near_offset=0.05))
    cameras = sampler.sample(fresh_step())
    away = (sampler.near(cameras, fresh_step()).position - cameras.position).norm(dim=-1)
    assert torch.allclose(away, torch.full((5,), 0.05), atol=1e-5)


@pytest.mark.parametrize(
    "options", [{"resolution": 1}, {"views": 0}, {"elevation_deg": [10, -10]}, {"distance": [0, 1]}]
)
def test_options_out_of_range_are_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SphereConfig(**options)
