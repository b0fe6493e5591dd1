"""A mesh that a notebook shows turning."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy
import torch
import trimesh

from zero3d.geometry import world_to_gltf
from zero3d.mesh_files import load_mesh, srgb_to_linear

HEIGHT = 400
"""Pixels of the viewer in a notebook."""
BRIGHTENED = {
    "renderer=new THREE.WebGLRenderer({antialias:true});": "{}renderer.outputEncoding=THREE.sRGBEncoding;",
    "DirectionalLight(0xffffff,1.75)": "DirectionalLight(0xffffff,1)",
}
"""trimesh's page shows linear colours as if they were sRGB, and under more light to make up for it."""


class Mesh(trimesh.Trimesh):
    """A trimesh.Trimesh in world axes (z up) with sRGB colours. In a notebook it is a viewer that needs no network.

    (trimesh's own viewer, given what glTF has: y up, linear colours.)
    """

    @classmethod
    def read(cls, path: str | Path) -> Mesh:
        """From a GLB, glTF, OBJ, PLY or STL file in glTF axes.

        Raises:
            UserError: missing, unreadable or without triangles.
        """
        read = load_mesh(path)
        return cls(read.vertices, read.faces, visual=read.visual, metadata=read.metadata, process=False)

    def page(self) -> str:
        """A page of HTML that shows it."""
        from trimesh.viewer.notebook import scene_to_html

        points = world_to_gltf(torch.from_numpy(numpy.array(self.vertices))).numpy()
        visual: Any = self.visual
        turned: Any = trimesh.Trimesh(points, self.faces, visual=visual.copy(), process=False)
        if turned.visual.kind in ("vertex", "face"):
            colours = numpy.array(turned.visual.vertex_colors)
            colours[:, :3] = numpy.round(255 * srgb_to_linear(colours[:, :3] / 255))
            turned.visual = trimesh.visual.ColorVisuals(turned, vertex_colors=colours)
        page: Any = scene_to_html(trimesh.Scene(turned))
        for original, instead in BRIGHTENED.items():
            page = str(page).replace(original, instead.replace("{}", original), 1)
        return str(page)

    def _repr_html_(self) -> str:
        return frame(self.page(), HEIGHT)


def frame(page: str, height: int, foreign: bool = False) -> str:
    """A page within a notebook's. `foreign`: it may come from a stranger; its scripts run, and reach nothing of the notebook
    (nor can trimesh's viewer then read its own textures)."""
    held = html.escape(page, quote=True)
    shut = ' sandbox="allow-scripts"' if foreign else ""
    return f'<iframe srcdoc="{held}"{shut} width="100%" height="{height}" style="border:0" loading="lazy"></iframe>'
