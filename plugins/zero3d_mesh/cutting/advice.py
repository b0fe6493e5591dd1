"""What to say where no surface is found: only what was tried."""

from __future__ import annotations

import numpy

from zero3d.interfaces import ExportSubject
from zero3d_mesh.cutting.grid import DensityGrid
from zero3d_mesh.cutting.threshold import by_silhouette, densest_along_rays, whole_view
from zero3d_mesh.cutting.topology import pictured, solids

TRIED = 8
"""Thresholds, from a hundredth of the largest density to 0.9 times it."""
ENOUGH = 0.5
"""IoU of a surface's silhouette with the picture's object from which it is worth a try."""
THIN = 0.5
"""Mean opacity of a picture's object, where it has any: below, most of it covers less than half a pixel."""


def another_threshold(grid: DensityGrid, subject: ExportSubject, smallest_share: float) -> str:
    """After a threshold that nothing reaches: `auto`, where that finds one; else as `no_threshold`."""
    found = by_silhouette(grid, subject, smallest_share)
    return f"threshold=auto finds {found:.4g}" if found else no_threshold(grid, subject, smallest_share)


def no_threshold(grid: DensityGrid, subject: ExportSubject, smallest_share: float) -> str:
    """After `auto` found none: the best of TRIED thresholds if it shows the object, else why none can."""
    camera, top = whole_view(subject), float(grid.values.max())
    wanted = pictured(subject, camera.height)[0]
    rows = []
    for threshold in numpy.geomspace(0.01 * top, 0.9 * top, TRIED):
        pieces, sizes = solids(grid.values >= threshold)
        kept = sizes >= smallest_share * sizes.max(initial=0)
        values = grid.values * numpy.concatenate([[False], kept])[pieces]
        seen = (densest_along_rays(DensityGrid(values, grid.origin, grid.spacing), camera)[0] >= threshold).numpy()
        rows.append(((seen & wanted).sum() / max(1, (seen | wanted).sum()), threshold, int(kept.sum())))
    share, threshold, count = max(rows)
    thin = _thin(subject)
    if share >= ENOUGH and not thin:
        kept_ = "1 piece" if count == 1 else f"{count} pieces"
        return f"threshold={threshold:.4g} was tried: {kept_}, {share:.0%} IoU with the picture's object"
    opaque = float(subject.draw(subject.input_camera).opacity.max())
    side = subject.resolution
    why = (
        f"most of it is thinner than a pixel of the run's {side} x {side} views; lines of two such pixels gave a mesh"
        if thin
        else f"the field is nearly transparent, its picture's opacity reaches {opaque:.2f}"
    )
    tried = f"{TRIED} thresholds from {rows[0][1]:.3g} to {rows[-1][1]:.3g} were tried"
    return f"{tried} and none shows the object: {why}"


def _thin(subject: ExportSubject) -> bool:
    if subject.picture is None:
        return False
    mask = subject.picture.resized(subject.resolution, subject.resolution).mask
    some = mask[mask > 0.05]
    return bool(len(some)) and float(some.mean()) < THIN
