"""A word before what takes long: the compiled steps of an export hold Python, so that nothing can be said during them."""

from __future__ import annotations

from collections.abc import Callable

PATIENCE = 5.0
"""Seconds that may pass without a word."""
CUTTING = 1.5e-6
"""Seconds a sample of the grid: reading the field, finding the threshold, Marching Cubes. As all here, one core's."""
COLLAPSING = 1.5e-5
"""Seconds a face of the uncut mesh (qslim)."""
UNWRAPPING = 8e-9
"""Seconds a face squared (xatlas): 1 s for 10,000 faces, 90 s for 105,000."""
BAKING = 6e-7
"""Seconds a texel."""


def announce(tell: Callable[[str], None], what: str, seconds: float) -> None:
    """Say what begins and about how long it takes, if that is longer than PATIENCE."""
    if seconds > PATIENCE:
        tell(f"{what}: some {seconds:.0f} s")
