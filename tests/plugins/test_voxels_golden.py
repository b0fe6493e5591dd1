"""The voxel field and its renderer against numbers from the original code (3drec of Zero-1-to-3)."""

import math

import numpy
import pytest
import torch

from zero3d.values import Cameras
from zero3d_losses.views.depth_smoothness import DepthSmoothness
from zero3d_voxels.field import VoxelField
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

GOLDEN = numpy.load("tests/data/sjc_render.npz")


def tensor(name):
    return torch.from_numpy(GOLDEN[name]).float()


@pytest.fixture
def field():
    field = VoxelField(VoxelConfig(resolution=24, channels=4, density_shift=float(GOLDEN["density_shift"])))
    field.load_state_dict(
        {
            "box": field.box,
            "raw_density": tensor("density_zyx")[None, None],
            "raw_features": tensor("color_czyx")[None],
            "log_scale": tensor("d_scale"),
        }
    )
    return field


def relative_error(measured, golden):
    return float((measured.detach() - golden).abs().max() / golden.abs().max())


@pytest.mark.parametrize("pose", [0, 1])
def test_values_and_gradients_equal_the_original(field, pose):
    cameras = Cameras(tensor(f"pose{pose}_c2w")[None], 32, 32, math.radians(float(GOLDEN["fov_deg"])))
    background = tensor("background_4hw").permute(1, 2, 0)
    view = VolumeRenderer(VolumeConfig()).render(field, cameras, background, frozenset({"depth", "weights"}))
    assert relative_error(view.image[0], tensor(f"image{pose}_hwc")) < 2e-5
    assert relative_error(view.depth[0, ..., 0], tensor(f"depth{pose}_hw")) < 2e-5
    assert relative_error(view.opacity[0, ..., 0], tensor(f"opacity{pose}_hw")) < 2e-5

    loss = (view.image[0] * tensor(f"cot_image{pose}_hwc")).sum()
    loss = loss + (view.depth[0, ..., 0] * tensor(f"cot_depth{pose}_hw")).sum()
    loss = loss + tensor(f"cot_weights{pose}") * view.weights.sum()
    loss.backward()
    assert relative_error(field.raw_density.grad[0, 0], tensor(f"grad_density{pose}_zyx")) < 1e-4
    assert relative_error(field.raw_features.grad[0], tensor(f"grad_color{pose}_czyx")) < 1e-4
    assert relative_error(field.log_scale.grad, tensor(f"grad_d_scale{pose}")) < 1e-4


@pytest.mark.parametrize("pose", [0, 1])
def test_depth_smoothness_equals_the_original(pose):
    class Context:
        class view:
            depth = tensor(f"depth{pose}_hw")[None, ..., None]

    assert relative_error(DepthSmoothness(None).penalty(Context), tensor(f"depth_smooth{pose}")) < 1e-5
