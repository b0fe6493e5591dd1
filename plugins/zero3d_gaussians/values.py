"""Gaussians as plain tensors: what a file holds, and what a cloud begins from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from zero3d.errors import UserError
from zero3d.geometry import FURTHEST

FAINTEST = 0.005
"""Opacity from which a Gaussian counts in a surface (DreamGaussian's)."""


class Start(NamedTuple):
    """N Gaussians in world axes. None: as the options say; with quaternions alone, the third axis is a surface's normal.

    means (N, 3), log_scales (N, 3), quaternions (N, 4), opacity_logits (N,), sh_base (N, 1, C), sh_rest (N, K - 1, C).
    """

    means: Tensor
    log_scales: Tensor | None
    quaternions: Tensor | None
    opacity_logits: Tensor | None
    sh_base: Tensor
    sh_rest: Tensor | None = None

    def changed(self, change: Callable[[Tensor], Tensor]) -> Start:
        """Every tensor passed through `change`."""
        means, log_scales, quaternions, logits, base, rest = (None if part is None else change(part) for part in self)
        assert means is not None
        assert base is not None
        return Start(means, log_scales, quaternions, logits, base, rest)


def check_numbers(found: Start, where: str) -> None:
    """Whether every number can be worked with.

    Raises:
        UserError: one is not finite, a centre is out of reach; the line says which row.
    """
    for name, value in found._asdict().items():
        if value is None:
            continue
        bad = ~torch.isfinite(value.reshape(len(value), -1)).all(dim=1)
        if bool(bad.any()):
            raise UserError(
                f"{where}: {name} of Gaussian {int(bad.nonzero()[0])} is not finite, of {int(bad.sum()):,} in all; "
                "remove these rows"
            )
    far = (found.means.abs() > FURTHEST).any(dim=1)
    if bool(far.any()):
        raise UserError(
            f"{where}: Gaussian {int(far.nonzero()[0])} is over {FURTHEST:g} world units away; scale the cloud to size 1"
        )


def shown_bounds(found: Start) -> Tensor:
    """(2, 3): the corners of the box of what shows: two standard deviations about all but the faintest Gaussians."""
    assert found.log_scales is not None
    assert found.opacity_logits is not None
    shows = found.opacity_logits.sigmoid() >= FAINTEST
    if not bool(shows.any()):
        shows = torch.ones_like(shows)
    means, reach = found.means[shows], 2 * found.log_scales[shows].exp().amax(dim=1, keepdim=True)
    return torch.stack([(means - reach).amin(dim=0), (means + reach).amax(dim=0)])
