import dataclasses
import math

import pytest
import torch

from zero3d.testing import check_camera_sampler, fresh_step
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


def at(index, total=10):
    return fresh_step(index, total)


def steps(total):
    """One after the other, of one run."""
    first = fresh_step(0, total)
    return (dataclasses.replace(first, index=index) for index in range(total))


@pytest.mark.parametrize("component", [SphereCameras, PublishedCameras])
def test_size_and_number_follow_their_schedules(component):
    options = {"resolution": {"0%": 16, "50%": {"jump": 32}}, "views": {0: 4, 5: {"jump": 2}}}
    sampler = component(component.Config(**options))
    assert (sampler.resolution, sampler.views) == (32, 4)
    seen = [sampler.sample(at(index)) for index in (0, 4, 5, 9)]
    assert [(len(c), c.height, c.width) for c in seen] == [(4, 16, 16), (4, 16, 16), (2, 32, 32), (2, 32, 32)]
    assert sampler.near(seen[2], at(5)).width == 32


@pytest.mark.parametrize(
    ("options", "total", "most"),
    [
        ({"resolution": 16, "views": 3}, 10, 3 * 16**2),
        ({"resolution": {"0%": 64, "50%": {"jump": 256}}, "views": {"0%": 8, "50%": {"jump": 4}}}, 10_000, 4 * 256**2),
        ({"resolution": {0: 64, 5000: {"jump": 128}}, "views": {0: 12, 5001: {"jump": 2}}}, 10_000, 12 * 128**2),
        ({"resolution": {0: 64, 5000: {"jump": 256}}, "views": 2}, 4000, 2 * 64**2),  # a run that ends before
    ],
)
def test_the_most_pixels_of_a_step(options, total, most):
    sampler = SphereCameras(SphereConfig(**options))
    assert sampler.pixels(total) == most
    drawn = (sampler.sample(at(i, total)) for i in {0, total // 2 - 1, total // 2, total - 1})
    assert max(len(c) * c.width**2 for c in drawn) == most


def test_a_ramp_of_sizes_is_rounded():
    sampler = SphereCameras(SphereConfig(resolution={0: 16, 10: 23}))
    assert [sampler.sample(at(index)).width for index in (0, 1, 5, 10)] == [16, 17, 20, 23]


def test_fields_of_view_are_drawn_for_each_camera_and_change_nothing_else():
    plain = SphereCameras(SphereConfig(views=2000)).sample(fresh_step())
    drawn = SphereCameras(SphereConfig(views=2000, fov_deg=[20, 60])).sample(fresh_step())
    assert isinstance(plain.fov, float)
    assert torch.equal(plain.camera_to_world, drawn.camera_to_world)
    degrees = torch.rad2deg(drawn.fovs)
    assert 20 <= degrees.min() < 21
    assert 59 < degrees.max() <= 60.001
    assert abs(float(degrees.mean()) - 40) < 1
    assert len(degrees.unique()) > 1900


def test_groups_share_all_but_azimuth_and_go_round_in_equal_steps():
    options = {"views": 8, "group": 4, "distance": [1.5, 2.5], "fov_deg": [30, 60]}
    sampler = SphereCameras(SphereConfig(**options))
    cameras = sampler.sample(fresh_step())
    assert sampler.group == 4
    for own in (cameras[:4], cameras[4:]):
        assert torch.allclose(own.elevation, own.elevation[:1], atol=1e-5)
        assert torch.allclose(own.distance, own.distance[:1], atol=1e-5)
        assert (own.fovs == own.fovs[0]).all()
        assert torch.allclose(own.azimuth.diff() % (2 * math.pi), torch.full((3,), math.pi / 2), atol=1e-4)
    assert abs(float(cameras.elevation[0] - cameras.elevation[4])) > 1e-3


def test_relative_distances_show_the_same_width_at_the_origin_for_any_field_of_view():
    options = {"distance": [0.8, 1.0], "fov_deg": [15, 60], "relative_distance": True, "spread": False}
    cameras = SphereCameras(SphereConfig(views=4000, **options)).sample(fresh_step())
    half = cameras.distance * torch.tan(cameras.fovs / 2)
    assert 0.8 - 1e-5 < half.min() < 0.801
    assert 0.999 < half.max() < 1.0 + 1e-5
    assert abs(float(half.mean()) - 0.9) < 0.005
    assert abs(float(torch.corrcoef(torch.stack([half, cameras.fovs]))[0, 1])) < 0.05
    plain = SphereCameras(SphereConfig(views=4, distance=[0.8, 0.8], relative_distance=True)).sample(fresh_step())
    assert torch.allclose(plain.distance, torch.tensor(0.8 * 35 / 16), atol=1e-5)  # the published field of view


def test_mvdreams_cameras_come_in_groups_from_one_random_start():
    options = {"elevation_deg": [0, 30], "distance": [0.8, 1.0], "fov_deg": [15, 60], "relative_distance": True}
    sampler = SphereCameras(SphereConfig(views=8, group=4, spread=False, elevation_law="mixed", **options))
    starts, heights = [], []
    for step in steps(400):
        cameras = sampler.sample(step)
        for own in (cameras[:4], cameras[4:]):
            for shared in (own.elevation, own.distance, own.fovs):
                assert torch.allclose(shared, shared[:1], atol=1e-4)
            assert torch.allclose(own.azimuth.diff() % (2 * math.pi), torch.full((3,), math.pi / 2), atol=1e-3)
            starts.append(float(own.azimuth[0]) % (math.pi / 2))
            heights.append(math.degrees(float(own.elevation[0])))
    starts = torch.tensor(starts)
    assert abs(float(starts.mean()) - math.pi / 4) < 0.06
    assert abs(float(torch.corrcoef(starts.reshape(-1, 2).T)[0, 1])) < 0.15, "each group starts by itself"
    assert min(heights) < 0.5
    assert max(heights) > 29.5


def test_elevations_are_uniform_by_area_by_angle_or_by_a_coin_of_the_step():
    def means(law):
        sampler = SphereCameras(SphereConfig(views=500, elevation_deg=[0, 80], elevation_law=law))
        return [float(torch.rad2deg(sampler.sample(step).elevation).mean()) for step in steps(40)]

    u = torch.linspace(0, 1, 10001, dtype=torch.float64)
    area = float(torch.rad2deg(torch.asin(u * math.sin(math.radians(80)))).mean())
    assert all(abs(mean - 40) < 5 for mean in means("angle"))
    assert all(abs(mean - area) < 5 for mean in means("area"))
    assert abs(area - 40) > 7
    mixed = means("mixed")
    by_angle = [mean for mean in mixed if abs(mean - 40) < abs(mean - area)]
    assert 10 < len(by_angle) < 30
    assert all(min(abs(mean - 40), abs(mean - area)) < 5 for mean in mixed)


@pytest.mark.parametrize("views", [2, 4, 6])
def test_antithetic_views_look_from_opposite_at_their_own_distance(views):
    options = {"views": views, "antithetic": True, "distance": [1.5, 2.5], "fov_deg": [30, 60]}
    cameras = SphereCameras(SphereConfig(**options)).sample(fresh_step())
    half = views // 2
    one, other = cameras[:half], cameras[half:]
    turned = (other.azimuth - one.azimuth) % (2 * math.pi)
    assert torch.allclose(turned, torch.full((half,), math.pi), atol=1e-4)
    assert torch.allclose(one.elevation, other.elevation, atol=1e-5)
    assert ((one.distance - other.distance).abs() > 1e-4).all()
    assert len(cameras.fovs.unique()) == views
    gaps = (cameras.azimuth % (2 * math.pi)).sort().values.diff()
    assert torch.allclose(gaps, torch.full((views - 1,), 2 * math.pi / views), atol=1e-4), "spread all the same"


@pytest.mark.parametrize(
    "options",
    [
        {"resolution": 1},
        {"resolution": 32.5},
        {"resolution": {0: 16, 5: 5000}},
        {"resolution": {5: {"jump": 16}}},
        {"views": 0},
        {"views": {}},
        {"elevation_deg": [10, -10]},
        {"elevation_law": "sphere"},
        {"distance": [0, 1]},
        {"fov_deg": [0, 40]},
        {"group": 0},
        {"group": 4, "views": 6},
        {"antithetic": True, "views": 3},
        {"antithetic": True, "views": 4, "group": 2},
        {"antithetic": True, "views": 2, "azimuth_deg": [-90, 90]},
    ],
)
def test_options_out_of_range_are_refused_by_name(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SphereConfig(**options)


@pytest.mark.parametrize("options", [{"group": 4}, {"antithetic": True}])
def test_of_a_schedule_of_views_the_first_wrong_number_is_told(options):
    with pytest.raises(ValueError, match=r"not 7$"):
        SphereConfig(views={"0%": 8, "50%": {"jump": 7}, "80%": {"jump": 9}}, **options)
