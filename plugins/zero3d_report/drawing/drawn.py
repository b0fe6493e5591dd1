"""A run's field, or a model in a file, drawn: colour, opacity, depth, normals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.geometry import rays
from zero3d.interfaces import RadianceField, Representation
from zero3d.mesh_files import load_mesh
from zero3d.registry import Registry
from zero3d.run import field_drawer, open_representation, renderer_for
from zero3d.values import FAR, Cameras, View

SURE = 0.5
"""The opacity above which a pixel has a surface: depth and a normal."""


@dataclass(frozen=True)
class Drawn:
    """One picture: `colour` (H, W, 3) in [0, 1], not multiplied by `opacity` (H, W, 1).

    `depth` (H, W, 1): distance along the ray, 0 where there is no surface; `normals` (H, W, 3): world axes, 0 there.
    None where the model has none.
    """

    colour: Tensor
    opacity: Tensor
    depth: Tensor | None
    normals: Tensor | None

    def over(self, background: Tensor) -> Tensor:
        """(H, W, 3) with `background` (3,) behind."""
        return self.colour * self.opacity + background * (1 - self.opacity)


Drawer = Callable[[Cameras], Drawn]
"""Draws from one camera."""


def drawer_of(target: Path, registry: Registry, normals: bool = False) -> tuple[Drawer, float | None]:
    """What draws a run (the field of its last checkpoint) or a file, and the elevation of its input camera, degrees.

    Raises:
        UserError: neither a run nor a model, or a model that nothing here draws.
    """
    if target.is_dir():
        return _run_drawer(target, registry)
    found = open_representation(target, registry)
    if found is not None:
        renderer = renderer_for(found, registry, "draw")
        needs = renderer.provides & {"depth", "normals"}

        def draw(cameras: Cameras) -> Drawn:
            with torch.no_grad():
                return drawn(renderer.render(found, cameras, torch.ones(3), needs), cameras, found)

        return draw, None
    from zero3d.mesh_views import MeshScene

    scene = MeshScene(load_mesh(target))
    return lambda cameras: drawn(scene.draw(cameras, light=None, normals=normals), cameras, None), None


def _run_drawer(target: Path, registry: Registry) -> tuple[Drawer, float]:
    field, subject = field_drawer(target, registry)
    elevation = float(torch.rad2deg(subject.input_camera.elevation[0]))
    return lambda cameras: drawn(field(cameras), cameras.to("cpu"), subject.representation), elevation


def drawn(view: View, cameras: Cameras, representation: Representation | None) -> Drawn:
    """A view of one camera on white as a picture; normals it lacks are the field's at the depth that was drawn."""
    opacity, surface = view.opacity[0], view.opacity[0] > SURE
    colour = ((view.image[0] - (1 - opacity)) / opacity.clamp(min=1e-6)).clamp(0, 1)
    depth = None
    if view.depth is not None:
        depth = torch.where(surface, (view.depth[0] - (1 - opacity) * FAR) / opacity.clamp(min=1e-6), 0.0)
    normals = view.normals[0] if view.normals is not None else None
    if normals is None and depth is not None and isinstance(representation, RadianceField):
        normals = _field_normals(representation, depth, cameras)
    if normals is not None:
        normals = torch.where(surface, functional.normalize(normals, dim=-1), 0.0)
    return Drawn(colour, opacity, depth, normals)


def _field_normals(field: RadianceField, depth: Tensor, cameras: Cameras) -> Tensor:
    origins, directions = rays(cameras)
    points = (origins[0] + directions[0] * depth).reshape(-1, 3).to(field.box.device)
    with torch.no_grad():
        parts = [field.normals(part) for part in points.split(2**17)]
    found = torch.cat(parts).reshape(*depth.shape[:2], 3).cpu()
    # in a thin wall the expected depth may lie past its middle, where density falls away from the camera
    return torch.where((found * directions[0]).sum(dim=-1, keepdim=True) > 0, -found, found)


def check_drawn(picture: Drawn, depth: bool, normals: bool) -> None:
    """Check that a picture has the depth and the normals that are wanted.

    Raises:
        UserError: the model has no depth or no normals.
    """
    for wanted, there, name in ((depth, picture.depth, "--depth"), (normals, picture.normals, "--normals")):
        if wanted and there is None:
            raise UserError(f"{name}: what draws this model has none; draw its exported mesh instead")
