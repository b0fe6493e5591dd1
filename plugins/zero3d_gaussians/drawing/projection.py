"""From Gaussians in the world to ellipses in a picture (EWA splatting), in PyTorch: all ways of compositing share it.

Formulas: Kerbl et al. 2023 (arXiv 2308.04079), with gsplat 1.5's rules (world-to-camera in OpenCV axes, pixel centres
at +0.5, the Jacobian's place held within the frame and 0.15 of its width about it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zero3d.values import Cameras

C0 = 0.28209479177387814
"""The spherical harmonic of degree 0."""
RADII = 3.33
"""Standard deviations to where an opaque Gaussian falls below `LEAST_ALPHA`: where its ellipse ends."""
MARGIN = 0.3
"""How far beyond the frame, in its half-widths, a Gaussian's place may lie for the Jacobian."""


@dataclass(frozen=True)
class Ellipses:
    """N Gaussians in B pictures.

    means (B, N, 2): centres, pixels. conics (B, N, 3): xx, xy, yy of the inverse covariance. opacities (B, N) in [0, 1].
    z (B, N): along the camera's axis, world units. visible (B, N): in front of the camera, and its ellipse in the frame.
    radii (B, N, 2): of the ellipse's bounding box, whole pixels; 0 where not visible.
    """

    means: Tensor
    conics: Tensor
    opacities: Tensor
    z: Tensor
    visible: Tensor
    radii: Tensor


def rotations(quaternions: Tensor) -> Tensor:
    """(N, 4), w first, of any length but 0 -> (N, 3, 3)."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=-1).unbind(-1)
    rows = (
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack(rows, dim=-1).reshape(-1, 3, 3)


def project(
    means: Tensor,
    axes: Tensor,
    opacities: Tensor,
    cameras: Cameras,
    blur: float,
    near: float,
    antialiased: bool,
    shift: Tensor | None = None,
) -> Ellipses:
    """Every Gaussian as each camera sees it.

    Args:
        means: (N, 3), world units.
        axes: (N, 3, 3), columns are the principal axes, each as long as its standard deviation: R diag(s).
        opacities: (N,) in [0, 1].
        blur: variance added to both sides of an ellipse, pixels squared (gsplat's eps2d).
        antialiased: weaken each by what `blur` added to its area, as Mip-Splatting.
        shift: (B, N, 2), pixels, added to the centres: a leaf of zeros whose gradient is the centres' own.
    """
    pose = cameras.camera_to_world.to(means)
    turn = pose[:, :3, :3] * means.new_tensor([1.0, -1.0, -1.0])  # OpenGL to OpenCV axes
    local = (means[None] - pose[:, None, :3, 3]) @ turn
    x, y, z = local.unbind(-1)
    ahead = z > near
    z_ = torch.where(ahead, z, torch.ones_like(z))
    width, height, fov = cameras.width, cameras.height, cameras.fov
    # a plain number in double precision, as it was given
    fovs = fov.to(means) if isinstance(fov, Tensor) else means.new_tensor([fov])
    half = torch.tan(0.5 * fovs)[:, None]
    focal, up = 0.5 * width / half, half * height / width
    over_x, over_y = x / z_, y / z_
    held_x = torch.minimum(torch.maximum(over_x, -(1 + MARGIN) * half), (1 + MARGIN) * half)
    held_y = torch.minimum(torch.maximum(over_y, -(1 + MARGIN) * up), (1 + MARGIN) * up)
    slope = focal / z_
    seen = turn.mT[:, None] @ axes[None]  # (B, N, 3, 3): the axes in the camera's own
    rows = slope[..., None, None] * (seen[..., :2, :] - torch.stack([held_x, held_y], -1)[..., None] * seen[..., 2:, :])
    xx, yy = rows.square().sum(dim=-1).unbind(-1)
    xy = (rows[..., 0, :] * rows[..., 1, :]).sum(dim=-1)
    wide_x, wide_y = xx + blur, yy + blur
    area = wide_x * wide_y - xy * xy
    good = ahead & (area > 0) & area.isfinite()
    area = torch.where(good, area, torch.ones_like(area))
    conics = torch.stack([wide_y / area, -xy / area, wide_x / area], dim=-1)
    centres = torch.stack([focal * over_x + 0.5 * width, focal * over_y + 0.5 * height], dim=-1)
    strength = opacities[None].expand_as(z)
    if antialiased:
        strength = strength * ((xx * yy - xy * xy).clamp(min=0) / area).clamp(min=1e-12).sqrt()
    with torch.no_grad():
        radii = (RADII * torch.stack([wide_x, wide_y], dim=-1).sqrt()).ceil()
        frame = centres.new_tensor([width, height])
        good = good & ((centres + radii > 0) & (centres - radii < frame)).all(dim=-1)
        radii = torch.where(good[..., None], radii, torch.zeros_like(radii))
    keep = good[..., None]
    return Ellipses(
        means=torch.where(keep, centres if shift is None else centres + shift, torch.zeros_like(centres)),
        conics=torch.where(keep, conics, torch.ones_like(conics)),
        opacities=torch.where(good, strength, torch.zeros_like(strength)),
        z=torch.where(good, z, torch.zeros_like(z)),
        visible=good,
        radii=radii,
    )


def harmonics(coefficients: Tensor, directions: Tensor) -> Tensor:
    """Real spherical harmonics as in 3DGS's files.

    coefficients (N, K, C), K = 1, 4, 9 or 16 of degree 0 to 3; directions (..., N, 3), unit vectors from the camera.
    Returns (..., N, C).
    """
    values = basis(directions, math.isqrt(coefficients.shape[1]) - 1)
    return (values[..., None] * coefficients).sum(dim=-2)


def basis(directions: Tensor, degree: int) -> Tensor:
    """The harmonics themselves: (..., 3) -> (..., (degree + 1)^2)."""
    x, y, z = directions.unbind(-1)
    found = [torch.full_like(x, C0)]
    if degree > 0:
        c = 0.4886025119029199
        found += [-c * y, c * z, -c * x]
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        c, e = 1.0925484305920792, 0.5462742152960396
        found += [c * x * y, -c * y * z, 0.31539156525252005 * (2 * zz - xx - yy), -c * x * z, e * (xx - yy)]
    if degree > 2:
        a, b, c = 0.5900435899266435, 2.890611442640554, 0.4570457994644658
        found += [
            -a * y * (3 * xx - yy),
            b * x * y * z,
            -c * y * (4 * zz - xx - yy),
            0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy),
            -c * x * (4 * zz - xx - yy),
            1.445305721320277 * z * (xx - yy),
            -a * x * (xx - 3 * yy),
        ]
    return torch.stack(found, dim=-1)
