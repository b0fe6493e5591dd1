"""How much of the field a mesh shows: both drawn from the same cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from zero3d.geometry import orbit
from zero3d.interfaces import ExportSubject
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d_mesh.cutting.threshold import whole_view
from zero3d_mesh.cutting.topology import pictured, silhouette

AROUND = orbit(15.0, torch.tensor([90.0, 180.0, 270.0]), 64)
"""Where it is looked at from, beside the input camera."""

RAYS = 3
"""Rays per pixel side: of an odd number, more or less than half hit."""


def fidelity(path: Path, subject: ExportSubject) -> dict[str, Any]:
    """`fidelity_of` a written file, read back."""
    return fidelity_of(load_mesh(path), subject)


def fidelity_of(mesh: Any, subject: ExportSubject) -> dict[str, Any]:
    """`render_rmse`: root mean square colour error, 0 to 1; `silhouette_iou`: of where opacity passes one half.

    Both are of the mesh (trimesh.Trimesh, world axes) and the field's own renders (`compared_with`), which may be as wrong
    as the mesh. Where the picture is known, `picture_iou` is of the mesh's silhouette from the input camera and the
    picture's object, and `seen` and `pictured` count the pieces and holes of each.

    The mesh is ray-cast without light, on white, at the size of the run's decoded views.
    """
    scene = MeshScene(mesh)
    size = max(64, subject.resolution)
    squares, pixels, both, either = 0.0, 0, 0, 0
    with torch.no_grad():
        for camera in (subject.input_camera.to("cpu"), *(AROUND[i : i + 1] for i in range(len(AROUND)))):
            view = subject.draw(camera.resized(size, size))
            image = subject.decode(view.image).cpu().clamp(0, 1)
            height, width = image.shape[1:3]
            opacity = functional.interpolate(view.opacity.cpu().permute(0, 3, 1, 2), (height, width), mode="bilinear")
            again = scene.draw(camera.resized(height, width), RAYS, light=None)
            squares += float((image - again.image).square().sum())
            pixels += image.numel()
            wanted, found = opacity[0, 0] > 0.5, again.opacity[0, ..., 0] > 0.5
            both += int((wanted & found).sum())
            either += int((wanted | found).sum())
    figures = {"render_rmse": round((squares / pixels) ** 0.5, 4), "silhouette_iou": round(both / max(either, 1), 4)}
    return figures | {"compared_with": "the field from 4 sides"} | _beside_picture(scene, subject)


def _beside_picture(scene: MeshScene, subject: ExportSubject) -> dict[str, Any]:
    if subject.picture is None:
        return {}
    camera = whole_view(subject)
    wanted, whole = pictured(subject, camera.height)
    found = (scene.draw(camera, RAYS, light=None).opacity[0, ..., 0] > 0.5).numpy()
    seen = silhouette(found)
    if seen != whole:
        subject.tell(f"note: from the input camera the mesh shows {seen}, the picture {whole}")
    iou = float((wanted & found).sum() / max(1, (wanted | found).sum()))
    return {"picture_iou": round(iou, 4), "seen": str(seen), "pictured": str(whole)}
