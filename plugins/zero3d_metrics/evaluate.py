"""`zero3d eval`: a run (or a mesh) against what is known of the object."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import UserError
from zero3d.interfaces import Command
from zero3d.mesh_files import FORMATS, load_mesh
from zero3d.registry import Registry
from zero3d.values import Cameras

MAX_SIDE = 256
"""Views are compared at this size at most: a larger one says nothing more of fields this coarse."""


class Evaluate(Command):
    """Score a run (or a mesh): PSNR and SSIM on views, Chamfer distance and volume IoU to a mesh."""

    name: ClassVar[str] = "eval"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("run", help="a run's folder, or a mesh file in glTF axes")
        parser.add_argument("--mesh", help="the true mesh (GLB, OBJ, PLY, STL; glTF axes)")
        parser.add_argument("--views", type=Path, help="true views: transforms.json, or NNN.png with NNN.npy")
        parser.add_argument("--lpips", type=Path, metavar="FILE", help="AlexNet and LPIPS weights: adds LPIPS")
        parser.add_argument(
            "--fid", type=Path, metavar="DIR", help="a CLIP vision folder (transformers): adds FID on it"
        )
        parser.add_argument("--json", type=Path, help="where the figures go (default: eval.json in the run)")

    def run(self, arguments: argparse.Namespace) -> int:
        if not (arguments.mesh or arguments.views):
            raise UserError("eval: nothing to compare with; give --mesh FILE, --views DIR, or both")
        if (arguments.lpips or arguments.fid) and not arguments.views:
            raise UserError("eval: --lpips and --fid compare pictures; give --views DIR")
        target = Path(arguments.run)
        figures: dict[str, Any] = {}
        if arguments.mesh:
            figures |= _shape(_mesh_of(target), load_mesh(arguments.mesh))
        if arguments.views:
            figures |= _pictures(_drawer(target, arguments.registry), arguments)
        out = arguments.json or (target / "eval.json" if target.is_dir() else None)
        if out:
            _write(figures, out)
        _print(figures, out)
        return 0


def _mesh_of(target: Path) -> Any:
    if target.is_dir():
        found = [target / f"mesh.{kind}" for kind in FORMATS if (target / f"mesh.{kind}").is_file()]
        if not found:
            raise UserError(f"{target}: no exported mesh; make one with: zero3d export {target}")
        return load_mesh(found[0])
    return load_mesh(target)


def _drawer(target: Path, registry: Registry) -> Callable[[Cameras], Tensor]:
    """cameras -> RGB (B, H, W, 3): the run's field, or the mesh with the light of its own colours."""
    if target.is_dir():
        from zero3d import checkpoint, folder
        from zero3d.run import open_session

        session = open_session(folder.open_run(target), registry)
        checkpoint.load(session.engine, target)
        subject = session.subject()

        def draw(cameras: Cameras) -> Tensor:
            if not subject.decodes_pixelwise:  # a decoder expects the latent at the size it was trained on
                side = subject.resolution
                cameras = cameras.resized(max(1, round(side * cameras.height / cameras.width)), side)
            with torch.no_grad():
                return subject.decode(subject.draw(cameras).image).cpu().clamp(0, 1)

        return draw
    from zero3d.mesh_views import MeshScene

    scene = MeshScene(load_mesh(target))
    return lambda cameras: scene.draw(cameras, light=None).image


def _shape(mesh: Any, truth: Any) -> dict[str, float]:
    from zero3d_metrics.shape import chamfer, volume_iou

    return {"chamfer": chamfer(mesh, truth), "iou": volume_iou(mesh, truth)}


def _pictures(draw: Callable[[Cameras], Tensor], arguments: argparse.Namespace) -> dict[str, Any]:
    from zero3d_metrics.image import psnr, ssim
    from zero3d_metrics.views import read_views

    lpips = fid = None
    if arguments.lpips:
        from zero3d_metrics.lpips import Lpips

        lpips = Lpips(arguments.lpips)
    if arguments.fid:
        from zero3d_metrics.fid import ClipFeatures

        fid = ClipFeatures(arguments.fid)
    scores: dict[str, list[float]] = {"psnr": [], "ssim": [], "lpips": []}
    features: tuple[list[Tensor], list[Tensor]] = ([], [])
    for truth, camera in read_views(arguments.views):
        scale = max(1, -(-max(camera.height, camera.width) // MAX_SIDE))
        camera = camera.resized(camera.height // scale, camera.width // scale)
        planes = truth.permute(0, 3, 1, 2)
        truth = torch.nn.functional.interpolate(planes, (camera.height, camera.width), mode="area").permute(0, 2, 3, 1)
        image = draw(camera)
        if image.shape != truth.shape:  # a latent's decoder sets its own size
            planes = image.permute(0, 3, 1, 2)
            image = torch.nn.functional.interpolate(planes, truth.shape[1:3], mode="bilinear", antialias=True)
            image = image.permute(0, 2, 3, 1)
        scores["psnr"].append(float(psnr(image, truth)))
        scores["ssim"].append(float(ssim(image, truth)))
        if lpips:
            scores["lpips"].append(float(lpips(image, truth)))
        if fid:
            for kept, picture in zip(features, (image, truth), strict=True):
                kept.append(fid(picture))
    figures: dict[str, Any] = {key: sum(value) / len(value) for key, value in scores.items() if value}
    figures["views"] = len(scores["psnr"])
    if fid:
        from zero3d_metrics.fid import frechet_distance

        figures["fid_clip"] = frechet_distance(torch.cat(features[0]), torch.cat(features[1]))
    return figures


def _write(figures: dict[str, Any], out: Path) -> None:
    finite = {key: value if math.isfinite(value) else None for key, value in figures.items()}  # JSON has no infinity
    try:
        out.write_text(json.dumps(finite, indent=2) + "\n")
    except OSError as error:
        raise UserError(f"eval: {out} cannot be written ({error.strerror}); give another file with --json") from None


def _print(figures: dict[str, Any], out: Path | None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("metric")
    table.add_column("value", justify="right")
    for key, value in figures.items():
        table.add_row(key, f"{value:.4f}" if isinstance(value, float) else str(value))
    console = Console()
    console.print(table)
    if out:
        console.print(f"written to {out}")
