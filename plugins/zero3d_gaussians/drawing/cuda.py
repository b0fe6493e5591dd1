"""Compositing by gsplat's CUDA kernels (Apache 2.0; 1.5 and 1.6). The projection is ours, as on a CPU.

gsplat reads float32. Up to 1.5 it ends a Gaussian's alpha at 0.999, as we do; 1.6 at 0.99.
"""

from __future__ import annotations

from torch import Tensor

from zero3d_gaussians.drawing.projection import Ellipses

TILE = 16


def composite(
    ellipses: Ellipses, features: Tensor, height: int, width: int, absolute: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`dense.composite` on CUDA."""
    from gsplat import isect_offset_encode, isect_tiles, rasterize_to_pixels

    views, real = len(features), features.dtype
    means, conics, colours, opacities = (
        part.float().contiguous() for part in (ellipses.means, ellipses.conics, features, ellipses.opacities)
    )
    if absolute is not None:
        absolute.centres = means  # type: ignore[attr-defined]  # gsplat leaves the sums there, in `absgrad`
    across, down = -(-width // TILE), -(-height // TILE)
    radii, depths = ellipses.radii.int().contiguous(), ellipses.z.detach().float().contiguous()
    _, crossings, order = isect_tiles(means.detach(), radii, depths, TILE, across, down)
    offsets = isect_offset_encode(crossings, views, across, down)
    sums, opacity = rasterize_to_pixels(
        means,
        conics,
        colours,
        opacities,
        width,
        height,
        TILE,
        offsets.reshape(views, down, across),
        order,
        absgrad=absolute is not None,
    )
    return sums.to(real), opacity.to(real)
