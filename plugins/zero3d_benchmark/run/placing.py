"""The steps by which protocols place a prediction and the truth before shapes are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from zero3d.geometry import DEFAULT_DISTANCE, orbit
from zero3d.mesh_files import normalise
from zero3d.mesh_placing import (
    box_frame,
    diagonal_frame,
    eschernet_placed,
    icp,
    placed,
    right_angled,
    surface_points,
    sv3d_placed,
    turn_about,
    turned,
    zeroshape_placed,
)
from zero3d.picture import DEMO_FRAME, DEMO_SHARE, FIT_SHARE
from zero3d.values import PUBLISHED_FOV, Cameras

ICP_POINTS = 20_000


@dataclass(frozen=True)
class Placing:
    """What steps know beside the two meshes. azimuth_deg, elevation_deg: of the input camera in the truth's world; seed:
    of samples. The prediction stands in that world already.
    """

    azimuth_deg: float
    seed: int
    elevation_deg: float = 0.0


def place(mesh: Any, truth: Any, steps: Sequence[str], about: Placing) -> tuple[Any, Any]:
    """Copies of both, placed by the named steps in order; the meshes themselves stay as they are."""
    for name in steps:
        mesh, truth = STEPS[name](mesh, truth, about)
    return mesh, truth


def staged(mesh: Any, stage: str) -> Any:
    """The true mesh as it is rendered."""
    if stage == "bbox":
        return normalise(mesh)
    return placed(mesh, diagonal_frame) if stage == "diagonal" else mesh


def _icp(mesh: Any, truth: Any, about: Placing) -> tuple[Any, Any]:
    moved = mesh.copy()
    moved.apply_transform(icp(*surface_points(mesh, truth, ICP_POINTS, about.seed)))
    return moved, truth


def _eschernet(mesh: Any, truth: Any, about: Placing) -> tuple[Any, Any]:
    """Its own turn by the input's azimuth is undone first, for the prediction stands in the world already."""
    return eschernet_placed(turned(normalise(mesh), -about.azimuth_deg), about.azimuth_deg), normalise(truth)


def _sv3d(mesh: Any, truth: Any, about: Placing, with_icp: bool = False) -> tuple[Any, Any]:
    own = turned(mesh, 90 - about.azimuth_deg)
    return sv3d_placed(own, normalise(truth), about.azimuth_deg, with_icp), normalise(truth)


def _zeroshape(mesh: Any, truth: Any, about: Placing, search: bool = False) -> tuple[Any, Any]:
    """Both seen from the input camera: x right, y down, z away."""
    axes = numpy.array([[0.0, 1, 0], [0, 0, -1], [-1, 0, 0]])
    up = turn_about(1, about.elevation_deg)  # the camera comes to lie on +x
    mesh, truth = (turned(turned(one, -about.azimuth_deg), axes @ up) for one in (mesh, truth))
    return zeroshape_placed(mesh, truth, search, about.seed)


SAMPLED = ("zeroshape", "zeroshape_search")
"""Steps that place each side by a sample of its own."""
STEPS: dict[str, Callable[[Any, Any, Placing], tuple[Any, Any]]] = {
    "bbox": lambda mesh, truth, about: (placed(mesh, box_frame), placed(truth, box_frame)),
    "bbox_prediction": lambda mesh, truth, about: (placed(mesh, box_frame), truth),
    "bbox_truth": lambda mesh, truth, about: (mesh, placed(truth, box_frame)),
    "diagonal": lambda mesh, truth, about: (placed(mesh, diagonal_frame), placed(truth, diagonal_frame)),
    "eschernet": _eschernet,
    "sv3d": _sv3d,
    "sv3d_icp": lambda mesh, truth, about: _sv3d(mesh, truth, about, with_icp=True),
    "zeroshape": _zeroshape,
    "zeroshape_search": lambda mesh, truth, about: _zeroshape(mesh, truth, about, search=True),
    "right_angles": lambda mesh, truth, about: (right_angled(mesh, normalise(truth), about.seed), normalise(truth)),
    "icp": _icp,
}


def to_world(mesh: Any, camera: Cameras, alpha: numpy.ndarray, framing: str) -> Any:
    """A copy of what a method of ours made, out of the frame that it saw, into the world of the data.

    A method sees the object framed (zero3d.picture), from DEFAULT_DISTANCE with the published field of view and azimuth 0.
    What it made is scaled and moved as framing did with the picture, to first order, and turned by the camera's azimuth.

    Args:
        camera: one, that the picture was taken with.
        alpha: (H, W) uint8 of the picture.
        framing: keep, demo or fit.
    """
    rows, columns = numpy.nonzero(alpha > 127)
    width = max(alpha.shape)
    side, middle = float(width), (alpha.shape[1] / 2, alpha.shape[0] / 2)
    if framing != "keep" and len(rows):
        longest = max(numpy.ptp(rows), numpy.ptp(columns)) + 1
        side = longest / FIT_SHARE if framing == "fit" else max(longest / DEMO_SHARE, DEMO_FRAME)
        middle = ((columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2)
    across = 2 * float(camera.distance[0]) * numpy.tan(float(camera.fovs[0]) / 2) / width  # world units a pixel
    own = 2 * DEFAULT_DISTANCE * numpy.tan(PUBLISHED_FOV / 2)
    elevation, azimuth = (numpy.degrees(float(angle[0])) for angle in (camera.elevation, camera.azimuth))
    pose = orbit(elevation, 0.0, 1).camera_to_world[0].double().numpy()
    aside = (middle[0] - alpha.shape[1] / 2) * across * pose[:3, 0]
    aside -= (middle[1] - alpha.shape[0] / 2) * across * pose[:3, 1]
    moved = mesh.copy()
    moved.vertices = numpy.asarray(mesh.vertices) * (side * across / own) + aside
    return turned(moved, azimuth)
