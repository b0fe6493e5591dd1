"""A model in a file that is no mesh, opened by whichever representation knows it: its pictures and its surface."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d import ExportError, UserError
from zero3d.engine import input_camera_at
from zero3d.interfaces import Component, Exporter, ExportSubject, Renderer, Representation
from zero3d.mesh_files import load_mesh
from zero3d.recipe import make_block
from zero3d.registry import Registry
from zero3d.run import open_representation, renderer_for
from zero3d.values import Cameras, View

SURFACE = "marching_cubes"
"""The exporter that gives the surface."""
SIDE = 256
"""Pixels of the views that it looks at."""


@dataclass(frozen=True)
class OpenedModel:
    """A representation that a file holds, with what draws it. `path`: the file."""

    path: Path
    representation: Representation
    renderer: Renderer
    registry: Registry

    def view(self, cameras: Cameras) -> View:
        """On white, without a graph."""
        with torch.no_grad():
            return self.renderer.render(self.representation, cameras, torch.ones(3))

    def draw(self, cameras: Cameras) -> Tensor:
        """RGB (B, H, W, 3) in [0, 1]."""
        return self.view(cameras).image.clamp(0, 1)

    def mesh(self) -> Any:
        """Its surface, a trimesh.Trimesh in world axes; `metadata["notes"]` says where it was cut.

        Raises:
            UserError: it has no surface.
        """
        exporter: Exporter = _build(self.registry, "exporter", SURFACE)
        if not isinstance(self.representation, exporter.accepts):
            raise UserError(
                f"{self.path}: {exporter.name} makes no surface of {self.representation.name}; compare --views"
            )
        camera = input_camera_at(20.0).resized(SIDE, SIDE)
        subject = ExportSubject(self.representation, self.view, lambda image: image, True, camera, SIDE)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / exporter.filename("mesh")
            try:
                figures = exporter.export(subject, path)
            except ExportError as error:
                raise ExportError(f"{self.path}: {error}") from None
            mesh = load_mesh(path)
        said = f", density {figures['threshold']:.4g}" if "threshold" in figures else ""
        mesh.metadata["notes"] = [f"{self.path.name}: its surface is {exporter.name}'s{said}", *mesh.metadata["notes"]]
        return mesh


def open_model(path: Path, registry: Registry) -> OpenedModel | None:
    """What a file holds; None where it is a mesh.

    Raises:
        UserError: neither a mesh nor anything that a representation reads, or damaged.
    """
    found = open_representation(path, registry)
    return None if found is None else OpenedModel(path, found, renderer_for(found, registry, "eval"), registry)


def _build(registry: Registry, kind: str, name: str) -> Any:
    component: Component = make_block(registry, kind, "eval", kind, {"type": name}).build()
    return component
