"""The laws of a camera sampler."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from zero3d.interfaces import CameraSampler
from zero3d.testing.laws.common import Laws
from zero3d.testing.laws.state import check_state
from zero3d.testing.samples import fresh_step
from zero3d.values import Cameras, Step

STEPS = 20


def check_camera_sampler(sampler: CameraSampler) -> None:
    """The laws of a camera sampler. Call it from a test; the first broken one is an AssertionError of one line.

    - `sample` gives square cameras that look at the origin from outside the object, with right-handed orthonormal axes
      and fields of view between 0 and 180 degrees; `views` and `resolution` are the most of any step of a run.
    - They come in whole groups of `group`: one elevation, distance and field of view, azimuths in equal steps.
    - The same seed gives a fresh instance the same cameras; random numbers come from `step.generator(name)` alone. What it
      remembers from step to step is in `state_dict`.
    - The cameras change over the steps of a run.
    - Options named `elevation_deg`, `azimuth_deg`, `distance` or `fov_deg` (a number, or [low, high]) mean what they say.
    - `near` gives one camera beside each: moved, but by less than half the distance, of the same size and field of view.

    Args:
        sampler: made with the options to try; others of the same options are made of its class.
    """
    laws = Laws(type(sampler))
    laws.refuses(sampler.config)

    def fresh() -> CameraSampler:
        made = type(sampler)(sampler.config)
        made.load(torch.device("cpu"))
        return made

    with laws.own_randomness(), laws.runs("it gives cameras", "sample() fails"):
        first, again = fresh().sample(fresh_step()), fresh().sample(fresh_step())
    same = torch.equal(first.camera_to_world, again.camera_to_world)
    laws("same seed, same cameras", same, "two fresh ones differ; draw from step.generator(name) alone")
    generators = fresh_step().generators
    steps = [sampler.sample(Step(index, STEPS, generators, "test")) for index in range(STEPS)]
    for cameras in steps:
        _poses(laws, cameras)
        _groups(laws, cameras, sampler.group)
        _options(laws, sampler.config, cameras)
    places = torch.cat([cameras.position for cameras in steps])
    most = max(len(cameras) for cameras in steps)
    laws("it gives as many cameras as it says", most == sampler.views, f"at most {most}, views = {sampler.views}")
    largest = max(cameras.width for cameras in steps)
    law = "the largest views have `resolution` pixels"
    laws(law, largest == sampler.resolution, f"{largest}, resolution = {sampler.resolution}")
    spread = float((places - places[0]).norm(dim=-1).max())
    laws("cameras change over the steps", spread > 1e-3, f"{STEPS} steps all look from {places[0].tolist()}")
    _near(laws, fresh, first)
    check_state(laws, fresh, _one_step)


def _one_step(sampler: CameraSampler, index: int) -> dict[str, Tensor]:
    step = fresh_step(index, total=4, seed=index)
    cameras = sampler.sample(step)
    return {"novel": cameras.camera_to_world, "near": sampler.near(cameras, step).camera_to_world, "fov": cameras.fovs}


def _groups(laws: Laws, cameras: Cameras, group: int) -> None:
    law = "groups share all but azimuth, in equal steps"
    whole = len(cameras) % group == 0
    laws(law, whole, f"{len(cameras)} views, group = {group}")
    for start in range(0, len(cameras) if group > 1 else 0, group):
        own = cameras[torch.arange(start, start + group)]
        shared = torch.stack([own.elevation, own.distance, own.fovs])
        alike = (shared - shared[:, :1]).abs().max()
        turns = own.azimuth.diff() % (2 * math.pi)
        even = (turns - turns[0]).abs().max()
        laws(law, alike < 1e-4 and even < 1e-3, f"off by {float(alike):.3g}, steps of azimuth by {float(even):.3g}")


def _poses(laws: Laws, cameras: Cameras) -> None:
    laws("views are square", cameras.height == cameras.width, f"{cameras.height} x {cameras.width} pixels")
    angles = cameras.fovs
    laws("the field of view is an angle", ((angles > 0) & (angles < math.pi)).all(), f"fov = {cameras.fov} radians")
    laws("poses are finite", torch.isfinite(cameras.camera_to_world).all(), "a pose holds nan or inf")
    rotation = cameras.camera_to_world[:, :3, :3]
    identity = torch.eye(3).expand_as(rotation)
    good = torch.allclose(rotation @ rotation.mT, identity, atol=1e-5)
    laws("camera axes are orthonormal", good, "they are not of length 1, or not at right angles")
    laws("camera axes are right-handed", (torch.linalg.det(rotation) > 0).all(), "a pose mirrors the world")
    nearest = float(cameras.distance.min())
    laws(
        "cameras stand outside the object", nearest > 0.5, f"one is {nearest:.3g} from the origin; the object is 1 long"
    )
    straight = torch.allclose(-rotation[:, :, 2], -cameras.position / cameras.distance[:, None], atol=1e-4)
    laws("cameras look at the origin", straight, "one looks past it; they look along their -z")


def _options(laws: Laws, config: Any, cameras: Cameras) -> None:
    found: dict[str, Tensor] = {
        "elevation_deg": torch.rad2deg(cameras.elevation),
        "azimuth_deg": torch.rad2deg(cameras.azimuth),
        "distance": cameras.distance,
        "fov_deg": torch.rad2deg(cameras.fovs),
    }
    for name, values in found.items():
        said = getattr(config, name, None)
        if isinstance(said, (int, float)):
            said = [said, said]
        if not (isinstance(said, (list, tuple)) and len(said) == 2):
            continue
        low, high = map(float, said)
        turns = torch.tensor([-720.0, -360.0, 0.0, 360.0, 720.0]) if name == "azimuth_deg" else torch.zeros(1)
        seen = values.cpu()[:, None] + turns
        inside = ((seen >= low - 0.05) & (seen <= high + 0.05)).any(dim=-1)
        outside = [round(float(value), 3) for value in values.cpu()[~inside]]
        laws("options mean what they say", bool(inside.all()), f"{name} = [{low:g}, {high:g}], but {outside} was drawn")


def _near(laws: Laws, fresh: Callable[[], CameraSampler], cameras: Cameras) -> None:
    with laws.own_randomness(), laws.runs("it gives near cameras", "near() fails"):
        near, again = fresh().near(cameras, fresh_step()), fresh().near(cameras, fresh_step())
    same = torch.equal(near.camera_to_world, again.camera_to_world)
    laws("same seed, same near cameras", same, "two fresh ones differ; draw from step.generator(name) alone")
    laws("one near camera beside each", len(near) == len(cameras), f"{len(near)} for {len(cameras)}")
    _poses(laws, near)
    alike = near.width == cameras.width and torch.equal(near.fovs, cameras.fovs)
    laws("near cameras have the same size and field of view", alike, f"{near.fov}, not {cameras.fov}")
    moved = (near.position - cameras.position).norm(dim=-1)
    law = "near cameras are near, but not the same"
    good = bool((moved > 0).all()) and bool((moved < 0.5 * cameras.distance).all())
    laws(law, good, f"moved by {[round(float(m), 4) for m in moved]} world units")
