"""The points of a picture's pixels, from whatever the recipe names."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from zero3d import RecipeError, UserError
from zero3d.map_files import read_map
from zero3d.values import PosedPicture, Window
from zero3d_mcc.depth.model import DepthModel
from zero3d_mcc.depth.unproject import AXES, from_relative, in_frame, misfit, unprojected
from zero3d_mcc.depth.vertices import SUFFIXES, as_map, read_vertices
from zero3d_mcc.options import PLACES, MccConfig

NEARER, FURTHER = 0.5, 0.1
"""Where relative depths are put by themselves: from half a side before the camera's distance to just behind it."""


class Depths:
    """`told`: how the points were made, in words."""

    def __init__(self, config: MccConfig) -> None:
        """Reads the file, or the model's configuration.

        Raises:
            RecipeError: nothing is named, or what is named cannot be used.
        """
        self._config, self.told = config, ""
        self._map: Tensor | None = None
        """(h, w, C) of the source picture, or vertices (N, 3)."""
        self._model: DepthModel | None = None
        if config.depth_model:
            self._model = DepthModel(config.depth_model, config.depth_kind)
        elif config.points:
            if Path(config.points).suffix.lower() == ".png":
                raise RecipeError(
                    f"start.points: {config.points}: no picture, but a .npy (H, W, 3), .exr, .obj or .ply of points"
                )
            own = Path(config.points).suffix.lower() in SUFFIXES
            read = read_vertices(config.points, "start.points") if own else self._read(config.points, 3, "points")
            self._map = read * torch.tensor(AXES[config.points_axes])
        elif config.depth:
            found = self._read(config.depth, 1, "depth")
            self._map = found if self.kind == "relative" else torch.where(found > 0, found, torch.inf)
        else:
            raise RecipeError(
                f"start.depth: missing; MCC needs the pixels' places: one of start.{', start.'.join(PLACES)}, for example "
                "start.depth=depth.npy or start.depth_model=Intel/dpt-large"
            )

    def _read(self, path: str, channels: int, name: str) -> Tensor:
        try:
            return read_map(path, channels, name, square=False, holes=True, full=1 / self._config.depth_scale)
        except ValueError as error:
            raise RecipeError(f"start.{error}") from None

    @property
    def kind(self) -> str:
        """relative or metric."""
        if self._model is not None:
            return self._model.kind
        return "metric" if self._config.depth_kind == "auto" else self._config.depth_kind

    @property
    def by_model(self) -> bool:
        return self._model is not None

    @property
    def files(self) -> list[Path]:
        return self._model.files if self._model else []

    @property
    def parameters(self) -> int:
        return self._model.parameters if self._model else 0

    def load(self, device: torch.device) -> None:
        if self._model is not None:
            self._model.load(device)

    def check(self, posed: PosedPicture) -> None:
        """Raises: UserError, the file's shape is not that of the picture."""
        if self._map is not None:
            self._whole(self._map, _window(posed))

    def _whole(self, values: Tensor, window: Window) -> Tensor:
        """(h, w, C) of the source picture."""
        name = "points" if self._config.points else "depth"
        place = f"start.{name}: {getattr(self._config, name)}"
        if values.ndim == 2:
            return as_map(values, window, place)
        found = misfit(len(values), values.shape[1], window)
        if found:
            raise UserError(f"{place}: {found}")
        return values

    def points(self, posed: PosedPicture, mask: Tensor) -> Tensor:
        """(H, W, 3) of the picture's pixels in its camera's axes, OpenGL's; inf where unknown. mask (H, W) bool."""
        config, rgb = self._config, posed.picture.rgb
        if self._map is not None:
            window = _window(posed)
            seen = in_frame(self._whole(self._map, window).to(rgb.device), window, len(rgb))
            if config.points:
                self.told = f"points of a file, axes of {config.points_axes}"
                return seen
            depth = seen[..., 0]
        else:
            assert self._model is not None
            depth = self._model(rgb)
        self.told = f"{self.kind}, of {'a file' if self._model is None else self._model.folder.name}"
        if self.kind == "relative":
            near, far = self._span(posed)
            self.told += f", 1/depth from {far:g} to {near:g} over the mask's 2nd to 98th percentile"
            depth = from_relative(depth, mask, near, far)
        along = "axis" if self._model else config.depth_along
        return unprojected(depth, posed.camera, along)

    def _span(self, posed: PosedPicture) -> tuple[float, float]:
        distance, config = float(posed.camera.distance[0]), self._config
        far = distance + FURTHER if config.far == "auto" else float(config.far)
        near = max(distance - NEARER, 0.1 * distance) if config.near == "auto" else float(config.near)
        if near >= far:
            raise UserError(f"start.near: {near:g} is not less than start.far, {far:g}; set both")
        return near, far


def _window(posed: PosedPicture) -> Window:
    side = len(posed.picture.rgb)
    return posed.window or Window(0.0, 0.0, side, side, side)
