"""Each convention of space once: look-at poses, orbits, rays, the pose between two cameras, glTF axes.

World: right-handed, z up, object at the origin, longest side 1. Cameras: OpenGL axes, camera-to-world.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from zero3d.errors import UserError
from zero3d.values import PUBLISHED_FOV, Cameras

DEFAULT_DISTANCE = 2.0
"""Distance of the input camera from the object's centre, world units."""
FURTHEST = 1e4
"""World units from the origin at which a camera can see nothing of an object whose longest side is 1."""
LARGEST_SIDE = 2**15
"""Pixels along a picture's side."""


def look_at(eye: Tensor, target: Tensor | None = None) -> Tensor:
    """Camera-to-world matrices (B, 4, 4) of cameras at `eye` (B, 3) that look at `target` (default: the origin), z up.

    Straight above or below the target, where "up" says nothing, the picture's top points away from +x.
    """
    target = torch.zeros_like(eye) if target is None else target
    back = torch.nn.functional.normalize(eye - target, dim=-1)
    up = torch.tensor([0.0, 0.0, 1.0], dtype=eye.dtype, device=eye.device).expand_as(eye)
    right = torch.linalg.cross(up, back)
    vertical = right.norm(dim=-1, keepdim=True) < 1e-6
    fallback = torch.tensor([0.0, 1.0, 0.0], dtype=eye.dtype, device=eye.device).expand_as(eye)
    right = torch.nn.functional.normalize(torch.where(vertical, fallback, right), dim=-1)
    true_up = torch.linalg.cross(back, right)
    pose = torch.zeros(*eye.shape[:-1], 4, 4, dtype=eye.dtype, device=eye.device)
    pose[..., :3, :] = torch.stack([right, true_up, back, eye], dim=-1)
    pose[..., 3, 3] = 1
    return pose


def spherical(elevation: Tensor, azimuth: Tensor, distance: Tensor) -> Tensor:
    """Positions (B, 3) from elevation (up from the horizon) and azimuth (counter-clockwise from +x), radians."""
    flat = distance * torch.cos(elevation)
    return torch.stack([flat * torch.cos(azimuth), flat * torch.sin(azimuth), distance * torch.sin(elevation)], dim=-1)


def orbit(
    elevation_deg: Tensor | float,
    azimuth_deg: Tensor | float,
    size: int,
    distance: Tensor | float = DEFAULT_DISTANCE,
    fov: Tensor | float = PUBLISHED_FOV,
) -> Cameras:
    """Cameras with `size` x `size` pixels that look at the origin; angles in degrees, scalars or (B,); `fov` in radians."""
    given = (elevation_deg, azimuth_deg, distance)
    parts = [torch.as_tensor(value, dtype=torch.float32).reshape(-1) for value in given]
    views = max(len(part) for part in parts)
    elevation, azimuth, radius = (part.expand(views) for part in parts)
    eye = spherical(torch.deg2rad(elevation), torch.deg2rad(azimuth), radius)
    return Cameras(look_at(eye), size, size, fov)


def check_cameras(cameras: Cameras, who: str) -> Cameras:
    """The cameras as they are, if they can be drawn. Those from a file or a plug-in pass here before any renderer.

    Args:
        who: who gave them; the error begins with it.

    Raises:
        UserError: poses that are not (B, 4, 4), not finite, no rotation (singular, scaled, mirrored) or out of reach; no
            field of view; no pixels.
    """
    if _drawable(cameras):
        return cameras
    pose, sides = cameras.camera_to_world.detach().cpu().double(), (cameras.height, cameras.width)
    fov = torch.as_tensor(cameras.fov)
    if pose.ndim != 3 or pose.shape[1:] != (4, 4) or not len(pose):
        raise UserError(f"{who}: poses of shape {tuple(pose.shape)}; camera-to-world matrices (B, 4, 4) are needed")
    if fov.ndim > 1 or (fov.ndim == 1 and len(fov) != len(pose)):
        raise UserError(
            f"{who}: fields of view of shape {tuple(fov.shape)} for {len(pose)} poses; a number, or one for each"
        )
    if not bool(((fov > 0) & (fov < math.pi)).all()):
        raise UserError(f"{who}: a field of view of {cameras.fov} radians; above 0, below pi")
    if not all(1 <= side <= LARGEST_SIDE for side in sides):
        raise UserError(f"{who}: {sides[1]}x{sides[0]} pixels; 1 to {LARGEST_SIDE} a side")
    axes, finite = pose[:, :3, :3], pose.isfinite().all(dim=(1, 2))
    askew = (axes.mT @ axes - torch.eye(3, dtype=pose.dtype)).abs().amax(dim=(1, 2)) > 1e-2
    bottom = (pose[:, 3] != torch.tensor([0, 0, 0, 1], dtype=pose.dtype)).any(dim=1)
    faults = {
        "holds nan or inf": ~finite,
        "does not end in the row 0, 0, 0, 1": bottom,
        "is no rotation: its axes are not of length 1 or not at right angles": askew,
        "mirrors the world: its axes are left-handed": torch.linalg.det(axes.nan_to_num(0, 0, 0)) < 0,
        f"is over {FURTHEST:g} world units from the object, which is 1 long": pose[:, :3, 3].norm(dim=1) > FURTHEST,
    }
    for fault, bad in faults.items():
        if bool(bad.any()):
            which = f"pose {int(bad.nonzero()[0])}" if len(pose) > 1 else "the pose"
            raise UserError(f"{who}: {which} {fault}")
    return cameras


def _drawable(cameras: Cameras) -> bool:
    """What `check_cameras` asks of a few poses, in plain arithmetic: each step passes here, and torch would take ten times
    as long over so few numbers. False where it finds fault or does not look.
    """
    pose, fov = cameras.camera_to_world, cameras.fov
    plain = pose.ndim == 3 and pose.shape[1:] == (4, 4) and 0 < len(pose) <= 16 and not isinstance(fov, Tensor)
    if not plain or not 0 < float(fov) < math.pi or min(cameras.height, cameras.width) < 1:
        return False
    return max(cameras.height, cameras.width) <= LARGEST_SIDE and all(map(_rigid, pose.tolist()))


def _rigid(rows: list[list[float]]) -> bool:
    """Whether a camera-to-world matrix is a rotation and a place within reach; nan compares false."""
    (a, b, c, x), (d, e, f, y), (g, h, i, z), last = rows
    lengths = (a * a + d * d + g * g, b * b + e * e + h * h, c * c + f * f + i * i)
    angles = (a * b + d * e + g * h, a * c + d * f + g * i, b * c + e * f + h * i)
    straight = all(abs(n - 1) <= 1e-2 for n in lengths) and all(abs(n) <= 1e-2 for n in angles)
    right_handed = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) >= 0
    return straight and right_handed and x * x + y * y + z * z <= FURTHEST**2 and last == [0, 0, 0, 1]


def check_surface(vertices: Tensor, faces: Tensor, who: str) -> None:
    """Whether a triangle mesh, vertices (V, 3) and faces (F, 3), can be given to compiled code, which checks nothing.

    Raises:
        UserError: no faces, a vertex that is not finite or out of reach, a face of vertices that are not there.
    """
    if not len(faces):
        raise UserError(f"{who}: the mesh has no faces")
    if not bool((vertices.abs() <= FURTHEST).all()):  # not so for NaN either
        raise UserError(
            f"{who}: some vertices are not finite, or over {FURTHEST:g} world units away; lower optimizer.lr"
        )
    if int(faces.min()) < 0 or int(faces.max()) >= len(vertices):
        raise UserError(f"{who}: some faces are of vertices that are not there ({len(vertices)} are)")


def rays(cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Origins and unit directions, both (B, H, W, 3), through the pixel centres (+0.5), row 0 at the top."""
    pose, size = cameras.camera_to_world, (cameras.height, cameras.width)
    local = [_local_directions(*size, fov, pose.dtype, pose.device) for fov in _distinct_fovs(cameras)]
    turned = (local[0] if len(local) == 1 else torch.stack(local)) @ pose[:, :3, :3].mT
    return cameras.position[:, None, None, :].expand(-1, *size, -1), turned.reshape(-1, *size, 3)


def _distinct_fovs(cameras: Cameras) -> list[float]:
    """One number for all cameras, or one for each."""
    return cameras.fovs.tolist() if isinstance(cameras.fov, Tensor) else [cameras.fov]


@lru_cache(16)
def _local_directions(height: int, width: int, fov: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Unit directions (H W, 3) of all pixels in the camera's own axes; a run asks for the same ones at every step."""
    columns = torch.arange(width, dtype=dtype, device=device) + 0.5 - width / 2
    rows = torch.arange(height, dtype=dtype, device=device) + 0.5 - height / 2
    y, x = torch.meshgrid(-rows, columns, indexing="ij")
    towards = torch.stack([x, y, torch.full_like(x, -0.5 * width / math.tan(0.5 * fov))], dim=-1)
    return torch.nn.functional.normalize(towards, dim=-1).reshape(-1, 3)


def project(points: Tensor, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """World points (N, 3) in B cameras: places (B, N, 2) in the picture, and distances (B, N) from the camera.

    Places are in [-1, 1] from left to right and from top to bottom across the picture, as grid_sample wants them.
    """
    pose = cameras.camera_to_world.to(points)
    local = torch.einsum("bij,bni->bnj", pose[:, :3, :3], points[None] - pose[:, None, :3, 3])
    fov = cameras.fov
    half = torch.tan(0.5 * cameras.fovs.to(points))[:, None] if isinstance(fov, Tensor) else math.tan(0.5 * fov)
    ahead = (-local[..., 2]).clamp(min=1e-6)
    vertical = half * cameras.height / cameras.width
    places = torch.stack([local[..., 0] / (ahead * half), -local[..., 1] / (ahead * vertical)], dim=-1)
    return places, torch.linalg.vector_norm(local, dim=-1)


def world_to_gltf(points: Tensor) -> Tensor:
    """(..., 3) world (z up) -> glTF (y up, the input camera on +z): (x, y, z) becomes (y, z, x)."""
    return points[..., [1, 2, 0]]


def world_to_blender(points: Tensor) -> Tensor:
    """(..., 3) world -> where Blender puts glTF's places (z up, the input camera on -y): (x, y, z) becomes (y, -x, z)."""
    return points[..., [1, 0, 2]] * points.new_tensor([1, -1, 1])


def gltf_to_world(points: Tensor) -> Tensor:
    """The inverse of `world_to_gltf`."""
    return points[..., [2, 0, 1]]
