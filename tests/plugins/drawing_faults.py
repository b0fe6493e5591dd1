"""Run as a program, for what it does may kill the interpreter: NaN, infinite and huge numbers wherever they reach a kernel.

Prints one line of JSON a case: [what, value, dtype, "drawn" or the error's class, whether picture and gradient are finite].
"""

import faulthandler
import itertools
import json

import torch

from tests.plugins.test_fused import voxels
from zero3d.geometry import orbit
from zero3d.values import Cameras
from zero3d_voxels.fused import FusedConfig, FusedRenderer

PLACES = ("pose", "position", "axis", "fov", "box", "raw_density", "one voxel", "raw_features", "log_scale")
VALUES = {"nan": torch.nan, "inf": torch.inf, "-inf": -torch.inf, "huge": 1e30, "zero": 0.0}


def spoilt(place, value, dtype):
    """A field and two cameras, one number (or some) of which is `value`."""
    field = voxels(resolution=[7, 12, 9], channels=4).to(dtype)
    cameras = orbit(torch.tensor([20.0, -40.0]), torch.tensor([30.0, 200.0]), 12)
    pose, fov = cameras.camera_to_world.to(dtype), cameras.fov
    with torch.no_grad():
        if place == "pose":
            pose[:] = value
        elif place == "position":
            pose[0, :3, 3] = value
        elif place == "axis":
            pose[1, 1, :3] = value
        elif place == "fov":
            fov = value
        elif place == "one voxel":
            field.raw_density[0, 0, 2, 3, 4] = value
        else:
            getattr(field, place).fill_(value)
    return field, Cameras(pose, 12, 12, fov)


def main():
    faulthandler.enable()
    for place, name, dtype in itertools.product(PLACES, VALUES, (torch.float32, torch.float64)):
        for needs in (frozenset(), frozenset({"weights"})):
            field, cameras = spoilt(place, VALUES[name], dtype)
            finite = None
            try:
                view = FusedRenderer(FusedConfig()).render(field, cameras, torch.ones(4, dtype=dtype), needs)
                (view.image.sum() + view.opacity.sum() + view.depth.sum()).backward()
                finite = [bool(view.image.isfinite().all()), bool(field.raw_density.grad.isfinite().all())]
                how = "drawn"
            except Exception as error:
                how = type(error).__name__
            print(json.dumps([place, name, str(dtype), how, finite]), flush=True)


if __name__ == "__main__":
    main()
