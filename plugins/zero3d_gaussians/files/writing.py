"""PLY in 3DGS's layout and .splat, as bytes."""

from __future__ import annotations

import numpy
import torch

from zero3d_gaussians.drawing.projection import C0
from zero3d_gaussians.values import Start


def ply_names(rest: int) -> list[str]:
    """The properties in their order; `rest`: coefficients of higher degrees for each colour."""
    names = ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    names += [f"f_rest_{k}" for k in range(3 * rest)] + ["opacity"]
    return names + [f"scale_{k}" for k in range(3)] + [f"rot_{k}" for k in range(4)]


def ply_bytes(found: Start) -> bytes:
    """The layout of graphdeco-inria/gaussian-splatting: logit of the opacity, log scales, w first, colours by channel."""
    log_scales, quaternions, logits = found.log_scales, found.quaternions, found.opacity_logits
    assert log_scales is not None
    assert quaternions is not None
    assert logits is not None
    count = len(found.means)
    rest = found.means.new_zeros(count, 0, 3) if found.sh_rest is None else found.sh_rest
    parts = [
        found.means,
        torch.zeros_like(found.means),
        found.sh_base[:, 0],
        rest.transpose(1, 2).reshape(count, -1),
        logits[:, None],
        log_scales,
        torch.nn.functional.normalize(quaternions, dim=-1),
    ]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"]
    header += [f"property float {name}" for name in ply_names(rest.shape[1])] + ["end_header", ""]
    rows = torch.cat([part.float() for part in parts], dim=1).numpy().astype("<f4")
    return "\n".join(header).encode("ascii") + rows.tobytes()


def splat_bytes(found: Start) -> bytes:
    """antimatter15's: 32 bytes each, largest and most opaque first; without higher harmonics."""
    log_scales, quaternions, logits = found.log_scales, found.quaternions, found.opacity_logits
    assert log_scales is not None
    assert quaternions is not None
    assert logits is not None
    rows = numpy.zeros(len(found.means), ROW)
    rows["means"], rows["scales"] = found.means.numpy(), log_scales.exp().numpy()
    colours = torch.cat([0.5 + C0 * found.sh_base[:, 0], logits.sigmoid()[:, None]], dim=1).clamp(0, 1)
    rows["rgba"] = (255 * colours).round().numpy()
    unit = torch.nn.functional.normalize(quaternions, dim=-1)
    rows["rotation"] = (128 * unit + 128).round().clamp(0, 255).numpy()
    importance = log_scales.sum(dim=1) + torch.nn.functional.logsigmoid(logits)
    return rows[importance.argsort(descending=True, stable=True).numpy()].tobytes()


ROW = numpy.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("rotation", "u1", 4)])
"""A Gaussian in a .splat file."""
