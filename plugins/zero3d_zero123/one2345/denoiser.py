"""The published Zero-1-to-3 that tells a picture's elevation by drawing."""

from __future__ import annotations

from typing import Any

import torch

from zero3d.errors import RecipeError
from zero3d.values import ElevationEstimate, Picture
from zero3d_zero123.one2345.drawing import COST, estimate
from zero3d_zero123.one2345.matches import check_opencv
from zero3d_zero123.published.denoiser import PublishedDenoiser
from zero3d_zero123.published.source import Source


class EstimatingDenoiser(PublishedDenoiser):
    """`zero123` with `elevation: one2345`."""

    elevation_waits = "elevation: estimated when the run starts, from four views that the denoiser draws (one2345)"

    def __init__(self, config: Any, source: Source | None = None) -> None:
        """As PublishedDenoiser.

        Raises:
            RecipeError: also if the weights must be told the elevation, or OpenCV is not installed.
        """
        super().__init__(config, source)
        if self.knows_elevation:
            raise RecipeError(
                "denoiser.elevation: one2345, but Stable Zero123 must be told the elevation: input.elevation_deg=…"
            )
        check_opencv()

    def elevation_of(self, picture: Picture, device: torch.device | None = None) -> ElevationEstimate | None:
        """Loads the weights and draws; says so first, and in the end if the views do not decide."""
        if device is None:
            return None
        self.tell(f"elevation: {COST}; input.elevation_deg=… saves it")
        self.load(device)
        found = estimate(self, picture, device)
        if found is None:
            self.tell("elevation: one2345 found too few points that its views have in common, and cannot decide")
        return found
