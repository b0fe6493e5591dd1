"""Camera moves relative to the input, as the command line gives them."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from zero3d.errors import RecipeError
from zero3d.geometry import DEFAULT_DISTANCE, check_cameras, orbit
from zero3d.values import Cameras

STEEPEST_DEG = 89.5
"""At a pole the azimuth means nothing."""


@dataclass(frozen=True)
class Pose:
    """One move: degrees to the right, degrees up, world units away."""

    azimuth_deg: float
    elevation_deg: float
    distance: float

    @property
    def name(self) -> str:
        """For file names."""
        distance = f"_di{self.distance:+.2f}" if self.distance else ""
        return f"az{_padded(self.azimuth_deg, 3)}_el{_padded(self.elevation_deg, 2)}{distance}"

    @property
    def label(self) -> str:
        """For people."""
        distance = f" dist {self.distance:+g}" if self.distance else ""
        return f"az {self.azimuth_deg:+g} el {self.elevation_deg:+g}{distance}"


def _padded(value: float, digits: int) -> str:
    """`+045`, `-22.5`: sign, `digits` before the point, and a fraction where there is one."""
    return f"{value + 0.0:+0{digits + 4}.2f}".rstrip("0").rstrip(".")


def parse_numbers(text: str, option: str) -> list[float]:
    """`0,45,90`.

    Raises:
        RecipeError: something else, or not finite.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise RecipeError(f"{option}: {text!r}; numbers with commas between, for example {option}=0,45,90")
    return numbers


def make_poses(azimuths: list[float], elevations: list[float], distances: list[float]) -> list[Pose]:
    """Every combination."""
    return [Pose(*move) for move in product(azimuths, elevations, distances)]


def read_poses(file: Path) -> list[Pose]:
    """A JSON list of [azimuth, elevation, distance] in degrees and world units, relative to the input.

    Raises:
        RecipeError: it cannot be read, or holds something else.
    """
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        poses = [Pose(*(float(number) for number in row)) for row in rows]
        if not poses or not all(math.isfinite(n) for p in poses for n in (p.azimuth_deg, p.elevation_deg, p.distance)):
            raise ValueError("no poses, or numbers that are not finite")
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"--poses: {file}: {reason}; a JSON list of [azimuth, elevation, distance]") from None
    return poses


def cameras_at(poses: list[Pose], input_elevation_deg: float, size: int) -> Cameras:
    """One camera a pose, for an input at azimuth 0, DEFAULT_DISTANCE away.

    Raises:
        RecipeError: a pose beyond a pole or too near the object.
    """
    for pose in poses:
        absolute = input_elevation_deg + pose.elevation_deg
        if abs(absolute) > STEEPEST_DEG:
            raise RecipeError(
                f"--elevation: {pose.elevation_deg:g} above an input at {input_elevation_deg:g} is {absolute:g} degrees; "
                f"-{STEEPEST_DEG:g} to {STEEPEST_DEG:g} can be drawn (--input-elevation)"
            )
        if pose.distance <= 0.5 - DEFAULT_DISTANCE:
            raise RecipeError(
                f"--distance: {pose.distance:g} from an input {DEFAULT_DISTANCE:g} away is inside the object; "
                f"above {0.5 - DEFAULT_DISTANCE:g}"
            )
    azimuth, elevation, distance = torch.tensor([[p.azimuth_deg, p.elevation_deg, p.distance] for p in poses]).T
    cameras = orbit(input_elevation_deg + elevation, azimuth, size, DEFAULT_DISTANCE + distance)
    return check_cameras(cameras, "--azimuth, --elevation, --distance")
