"""Few cameras are checked in plain arithmetic, many by tensors: both find the same faults."""

import math
from dataclasses import replace

import pytest
import torch

from zero3d import geometry
from zero3d.errors import UserError
from zero3d.geometry import FURTHEST, LARGEST_SIDE, check_cameras, orbit


def faults(cameras, monkeypatch, quick):
    with monkeypatch.context() as patch:
        if not quick:
            patch.setattr(geometry, "_drawable", lambda cameras: False)
        try:
            check_cameras(cameras, "a test")
        except UserError as error:
            return str(error)
    return ""


def test_sound_cameras_take_the_quick_way(monkeypatch):
    cameras = orbit(torch.tensor([-90.0, -30.0, 0.0, 70.0, 90.0]), torch.tensor([0.0, 33.0, -170.0, 180.0, 5.0]), 64)
    assert geometry._drawable(cameras)
    assert check_cameras(cameras, "a test") is cameras
    assert not geometry._drawable(orbit(torch.linspace(0, 60, 17), 0.0, 64))  # left to tensors
    monkeypatch.setattr(geometry, "_drawable", lambda cameras: False)
    assert check_cameras(cameras, "a test") is cameras


@pytest.mark.parametrize("seed", range(5))
def test_bent_poses_fail_alike(seed, monkeypatch):
    """Around the tolerance of 0.01 either way, and far beyond it."""
    generator = torch.Generator().manual_seed(seed)
    found = set()
    for size in (0.001, 0.004, 0.006, 0.05, 1.0):
        cameras = orbit(10.0, 40.0, 64)
        bent = cameras.camera_to_world.clone()
        bent[:, :3, :3] += size * torch.randn(3, 3, generator=generator)
        told = [faults(replace(cameras, camera_to_world=bent), monkeypatch, quick) for quick in (True, False)]
        assert told[0] == told[1]
        found.add(told[0])
    assert "" in found
    assert len(found) > 1


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"width": LARGEST_SIDE + 1},
        {"fov": math.pi},
        {"fov": -0.1},
        {"fov": math.nan},
        {"camera_to_world": torch.eye(4)},
        {"camera_to_world": torch.zeros(0, 4, 4)},
        {"camera_to_world": torch.full((1, 4, 4), math.nan)},
        {"camera_to_world": torch.diag(torch.tensor([1.0, 1.0, -1.0, 1.0]))[None]},
        {"camera_to_world": torch.eye(4)[None] + torch.tensor([0, 0, 0, 2 * FURTHEST]) * torch.eye(4)[0][:, None]},
        {"camera_to_world": torch.eye(4)[None] * 2},
    ],
)
def test_every_other_fault_is_told_by_the_long_way(change, monkeypatch):
    cameras = replace(orbit(10.0, 40.0, 64), **change)
    quick, long = (faults(cameras, monkeypatch, way) for way in (True, False))
    assert quick == long != ""
