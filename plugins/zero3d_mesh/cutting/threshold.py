"""Which density is the surface: found from the field, or by the paper's rule."""

from __future__ import annotations

import math

import numpy
import scipy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import orbit, rays
from zero3d.interfaces import ExportSubject
from zero3d.values import Cameras
from zero3d_mesh.cutting.grid import DensityGrid
from zero3d_mesh.cutting.topology import Silhouette, pictured, silhouette, solids

CANDIDATES = 256
TOLERANCE = 0.003
"""Thresholds whose silhouettes are within this of the best are taken to be as good; the middle one is chosen."""
SLACK = 0.03
"""Silhouettes may be worse by this much for a surface that is as whole as the picture."""
MARGIN = 1.25
"""A part that tears at this many times the density hangs by a thread."""
STRIDE = 4
"""Of the candidates, every so many-th is looked at for its pieces and holes."""
VIEWS = ((15.0, 0.0), (-20.0, 60.0), (30.0, 120.0), (0.0, 180.0), (50.0, 240.0), (15.0, 300.0))
"""Elevation and azimuth, degrees, from which silhouettes are compared."""
PAPER_MULTIPLE = 8.0
"""3drec's threshold over the mean density (threshold_mult)."""


def by_silhouette(grid: DensityGrid, subject: ExportSubject, smallest_share: float = 0.0) -> float | None:
    """The density whose surface casts the field's own silhouettes best (IoU over VIEWS), or None if none does.

    The silhouette is where rendered opacity passes one half. A surface at density T covers a pixel where the largest
    density along its ray is at least T, so one pass over the grid judges every T. Candidates span the range
    geometrically; where the field has hard edges many do equally well, and the (geometric) middle of them is taken.

    A thin part is few pixels and may be torn at little cost. So of the thresholds within SLACK of the best, those are
    taken whose surface, and that of MARGIN times the density, shows from the input camera the pieces and holes of the
    picture. Then the pieces in space are counted, without those below `smallest_share` of the largest: as long as they
    are more than the picture's, or leave out what the picture shows, lower thresholds are tried.
    """
    top = float(grid.values.max())
    if not 0 < top < math.inf:
        return None
    candidates = torch.from_numpy(numpy.geomspace(max(1e-3 * top, 0.5), 0.9 * top, CANDIDATES)).float()
    scores = _scores(grid, subject, candidates)
    if scores.max() == 0:
        return None
    close = scores >= scores.max() - SLACK
    densest = densest_along_rays(grid, whole_view(subject))[0]
    wanted = pictured(subject, whole_view(subject).height)[1]
    faults = _faults(densest, candidates, wanted)
    first, last = _best(scores, torch.ones_like(close))
    fewest = faults == faults[close].min()
    if not fewest[(first + last) // 2]:
        first, last = _best(scores, close & fewest)
    threshold, lowest = float((candidates[first] * candidates[last]).sqrt()), float(candidates[close].min())
    return _in_one(grid, subject, wanted, smallest_share, threshold, lowest)


def _scores(grid: DensityGrid, subject: ExportSubject, candidates: Tensor) -> Tensor:
    """IoU of the surface's and the field's silhouettes over VIEWS, for each candidate."""
    elevation, azimuth = torch.tensor(VIEWS).T
    cameras = orbit(elevation, azimuth, max(64, subject.resolution))
    single = [cameras[i : i + 1] for i in range(len(cameras))]
    wanted = torch.stack([subject.draw(camera).opacity[0, ..., 0].cpu() > 0.5 for camera in single]).flatten()
    densest = torch.cat([densest_along_rays(grid, camera).flatten() for camera in single])
    # pixels covered at T: those with densest >= T, counted for all T at once from the sorted values
    covered = _reaching(densest, candidates)
    both = _reaching(densest[wanted], candidates)
    return both / (covered + int(wanted.sum()) - both).clamp(min=1)


def _best(scores: Tensor, allowed: Tensor) -> tuple[int, int]:
    """The first and the last of those around the best of the allowed that do as well."""
    scores = torch.where(allowed, scores, -1.0)
    best = int(scores.argmax())
    good = scores >= scores[best] - TOLERANCE
    first = last = best
    while first > 0 and good[first - 1]:
        first -= 1
    while last + 1 < len(scores) and good[last + 1]:
        last += 1
    return first, last


def whole_view(subject: ExportSubject) -> Cameras:
    """The input camera, at twice the pixels of the run's views: a gap narrower than theirs is a gap."""
    size = 2 * max(64, subject.resolution)
    return subject.input_camera.to("cpu").resized(size, size)


def _faults(densest: Tensor, candidates: Tensor, wanted: Silhouette) -> Tensor:
    """Pieces and holes amiss at each candidate and at MARGIN times it, added; every STRIDE-th is looked at."""
    looked = [silhouette((densest >= threshold).numpy()).apart(wanted) for threshold in candidates[::STRIDE]]
    each = torch.tensor(looked).repeat_interleave(STRIDE)[: len(candidates)]
    ahead = torch.searchsorted(candidates, MARGIN * candidates).clamp(max=len(candidates) - 1)
    return each + each[ahead]


def _in_one(
    grid: DensityGrid,
    subject: ExportSubject,
    wanted: Silhouette,
    smallest_share: float,
    threshold: float,
    lowest: float,
) -> float:
    """The first from `threshold` down to `lowest`, in factors of MARGIN, with the fewest faults in space."""
    camera = whole_view(subject)
    found: list[tuple[int, float]] = []
    while not found or threshold >= lowest:
        pieces, sizes = solids(grid.values >= threshold)
        kept = sizes >= smallest_share * sizes.max(initial=0)
        values = grid.values * numpy.concatenate([[False], kept])[pieces]
        densest = densest_along_rays(DensityGrid(values, grid.origin, grid.spacing), camera)[0]
        seen = silhouette((densest >= threshold).numpy())
        found.append((seen.apart(wanted) + max(0, int(kept.sum()) - wanted.pieces), threshold))
        if found[-1][0] == 0:
            break
        threshold /= MARGIN
    return min(found, key=lambda pair: pair[0])[1]


def densest_along_rays(grid: DensityGrid, cameras: Cameras) -> Tensor:
    """(B, H, W): the largest density, interpolated, along each pixel's ray, sampled at every grid spacing."""
    origins, directions = rays(cameras.to("cpu"))
    size = torch.tensor(grid.values.shape) - 1
    start = torch.from_numpy(grid.origin).float()
    end = start + size * grid.spacing
    inverse = 1 / torch.where(directions.abs() < 1e-9, 1e-9, directions)
    walls = torch.stack([(start - origins) * inverse, (end - origins) * inverse])
    near = walls.amin(dim=0).amax(dim=-1).clamp(min=0)
    far = walls.amax(dim=0).amin(dim=-1)
    result = torch.zeros(near.shape)
    hit = far > near
    near, far, origins, directions = near[hit], far[hit], origins[hit], directions[hit]
    if not len(near):
        return result
    volume = torch.from_numpy(grid.values)[None, None]
    densest = torch.zeros(len(near))
    for step in range(int((far - near).max() / grid.spacing) + 1):
        distance = torch.minimum(near + (step + 0.5) * grid.spacing, far)[:, None]
        places = 2 * (origins + distance * directions - start) / (size * grid.spacing) - 1
        # grid_sample wants x for the last axis
        sample = functional.grid_sample(volume, places.flip(-1)[None, :, None, None], align_corners=True)
        densest = torch.maximum(densest, sample.flatten())
    result[hit] = densest
    return result


def _reaching(values: Tensor, thresholds: Tensor) -> Tensor:
    """How many of `values` are at least each threshold."""
    ordered = values.sort().values
    return len(values) - torch.searchsorted(ordered, thresholds)


def paper_grid(grid: DensityGrid, multiple: float = PAPER_MULTIPLE) -> tuple[DensityGrid, float]:
    """3drec's rule: mean filter 7^3 (zeros outside count), threshold `multiple` times its mean, grey erosion 5^3.

    `VoxRF.export_mesh` of cvlab-columbia/zero123; 8 on Google Scanned Objects, the paper says 4 on RTMV. The threshold
    is that of the smoothed density, before erosion, and erosion sees no border: only the mesh is closed there.
    """
    smooth = scipy.ndimage.uniform_filter(grid.inner, 7, mode="constant")
    threshold = multiple * float(smooth.mean(dtype=numpy.float64))
    eroded = numpy.pad(scipy.ndimage.grey_erosion(smooth, size=(5, 5, 5)), 1)
    return DensityGrid(eroded, grid.origin, grid.spacing), threshold
