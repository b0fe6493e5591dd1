"""`zero3d eval`: a run (or a mesh, or another model's file) against what is known of the object."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from zero3d import UserError, folder
from zero3d.evaluation import make_metric, metric_options
from zero3d.interfaces import Command, Metric, ShapeMetric
from zero3d.mesh_files import load_mesh, normalise
from zero3d.mesh_placing import turned
from zero3d.registry import Registry
from zero3d.values import Cameras
from zero3d_metrics.align import ALIGNMENTS, aligned, axes_word
from zero3d_metrics.command.opened import open_model
from zero3d_metrics.command.report import Report
from zero3d_metrics.image import SSIM
from zero3d_metrics.shape import MORE_POINTS, NORMALISED, POINTS, framed, surface_figures, volume_iou

MOST_POINTS = 5_000_000


class Evaluate(Command):
    """Score a run, mesh or splat file: PSNR, SSIM on views; Chamfer distance, F-score, normals, IoU to a mesh."""

    name: ClassVar[str] = "eval"
    examples: ClassVar[str] = """
        zero3d eval runs/nano-cat --mesh truth.glb --views views/
    """
    extras: ClassVar[Mapping[str, str]] = {"draco": "DracoPy", "meshopt": "meshoptimizer"}  # of glTF files

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("run", help="a run's folder, or a mesh or splat file in glTF axes")
        add("--mesh", help="the true mesh (GLB, OBJ, PLY, STL; glTF axes)")
        add("--up", choices=("y", "z"), default="y", help="the vertical axis in the true mesh's file (y, as in glTF)")
        add(
            "--yaw",
            type=float,
            default=0.0,
            metavar="DEG",
            help="turn the true mesh about the vertical, counter-clockwise seen from above (0)",
        )
        add(
            "--align",
            choices=ALIGNMENTS,
            default="none",
            help="move what is scored onto the true mesh first: by a turn about the vertical, or rigidly from there (none)",
        )
        add(
            "--normalise",
            choices=NORMALISED,
            default="both",
            help="what is centred and scaled to longest side 1; with none or truth, place and size count too (both)",
        )
        add(
            "--points",
            type=int,
            default=MORE_POINTS,
            metavar="N",
            help=f"random surface points, beside the paper's {POINTS:,} ({MORE_POINTS:,})",
        )
        add("--views", type=Path, help="true views: transforms.json (NeRF's, nerfstudio's), or NNN.png and NNN.npy")
        add("--ssim", choices=tuple(SSIM), default="wang", help="which of the forms of SSIM in use (wang)")
        add(
            "--lpips",
            type=Path,
            metavar="FILE",
            help="torchvision's AlexNet or VGG16: adds LPIPS",
        )
        add("--fid", type=Path, metavar="DIR", help="a CLIP vision folder (transformers): adds FID on it")
        add(
            "--encoder",
            metavar="TYPE:WEIGHTS",
            help="an encoder's likeness of views, for example clip:openai/clip-vit-base-patch32 or clip:FOLDER",
        )
        add("--prompt", metavar="TEXT", help="with --encoder: the likeness of the views to these words too")
        add("--masks", action="store_true", help="figures of views inside the true views' alpha too, as NAME_masked")
        add(
            "--metrics",
            nargs="+",
            default=[],
            metavar="NAME[:OPTION=VALUE,...]",
            help="further metrics, for example iou:grid=mesh2sdf (`zero3d plugins` lists them)",
        )
        add("--json", type=Path, help="where the figures go (default: eval.json in the run)")

    def run(self, arguments: argparse.Namespace) -> int:
        _check(arguments)
        target = Path(arguments.run)
        report = Report()
        metrics = _metrics(arguments)
        opened = None if target.is_dir() else open_model(target, arguments.registry)
        if arguments.mesh:
            _score_shape(
                opened.mesh() if opened else _mesh_of(target),
                load_mesh(arguments.mesh, arguments.up),
                arguments,
                report,
                metrics,
            )
        if arguments.views:
            from zero3d_metrics.command.pictures import score_views

            score_views(opened.draw if opened else _drawer(target, arguments.registry), arguments, report, metrics)
        out = arguments.json or (target / "eval.json" if target.is_dir() else None)
        if out:
            report.write(out)
        report.show(out)
        return 0


def _check(arguments: argparse.Namespace) -> None:
    if not (arguments.mesh or arguments.views):
        raise UserError("eval: nothing to compare with; give --mesh FILE, --views DIR, or both")
    if arguments.masks and not arguments.views:
        raise UserError("eval: --masks belongs to pictures; give --views DIR")
    if (arguments.lpips or arguments.fid or arguments.encoder) and not arguments.views:
        raise UserError("eval: --lpips, --fid and --encoder compare pictures; give --views DIR")
    if arguments.prompt and not arguments.encoder:
        raise UserError("eval: --prompt is compared by an encoder; give --encoder clip:WEIGHTS")
    if arguments.json and not (
        arguments.json.is_file() or (arguments.json.parent.is_dir() and not arguments.json.exists())
    ):
        raise UserError(f"eval: --json {arguments.json}: cannot be written, no such folder or no file; give another")
    if not POINTS <= arguments.points <= MOST_POINTS:
        raise UserError(f"eval: --points {arguments.points}; {POINTS:,} to {MOST_POINTS:,}")
    if not -360 <= arguments.yaw <= 360:
        raise UserError(f"eval: --yaw {arguments.yaw:g}; degrees, -360 to 360")
    if arguments.align != "none" and arguments.normalise != "both":
        raise UserError("eval: --align moves what --normalise leaves in its place; give one of them")


def _metrics(arguments: argparse.Namespace) -> list[Metric]:
    """Those of --metrics, loaded.

    Raises:
        UserError: unknown, badly written, or nothing is given that they could compare.
    """
    found = [
        make_metric(arguments.registry, metric_options(said, "eval: --metrics"), "eval", f"--metrics {said}")
        for said in arguments.metrics
    ]
    for metric, said in zip(found, arguments.metrics, strict=True):
        needed = "mesh" if isinstance(metric, ShapeMetric) else "views"
        if not getattr(arguments, needed):
            raise UserError(
                f"eval: --metrics {said}: compares {'shapes' if needed == 'mesh' else 'pictures'}; give --{needed}"
            )
    return found


def _mesh_of(target: Path) -> Any:
    if not target.is_dir():
        return load_mesh(target)
    place = folder.open_run(target) if (target / folder.RECIPE).is_file() else target  # of stages, the last
    found = folder.exported_mesh(place)
    if found is None:
        raise UserError(f"{target}: no exported mesh; make one with: zero3d export {target}")
    return load_mesh(found)


def _drawer(target: Path, registry: Registry) -> Callable[[Cameras], Tensor]:
    """cameras -> RGB (B, H, W, 3) in [0, 1]: the run's field, or the mesh with the light of its own colours."""
    if target.is_dir():
        from zero3d.run import field_drawer

        draw, _ = field_drawer(target, registry)
        return lambda cameras: draw(cameras).image
    from zero3d.mesh_views import MeshScene

    scene = MeshScene(load_mesh(target))
    return lambda cameras: scene.draw(cameras, light=None).image


def _score_shape(
    mesh: Any, truth: Any, arguments: argparse.Namespace, report: Report, metrics: Sequence[Metric]
) -> None:
    if arguments.normalise != "none":  # SyncDreamer's order: to size, then turned
        truth = normalise(truth)
    truth = turned(truth, arguments.yaw)
    mesh, truth = framed(mesh, truth, "both" if arguments.normalise == "both" else "none")
    mesh, moved = aligned(mesh, truth, arguments.align)
    paper, paper_floor = surface_figures(mesh, truth, POINTS, thresholds=())
    report.add({"chamfer": paper["chamfer"]}, {"chamfer": paper_floor["chamfer"]})
    figures, floors = surface_figures(mesh, truth, arguments.points)
    many = f"chamfer_{arguments.points}"
    report.add({many: figures.pop("chamfer")}, {many: floors.pop("chamfer")})
    report.add(figures, floors)
    report.add({"iou": volume_iou(mesh, truth, normalised="none")} | moved)
    for metric in metrics:
        if isinstance(metric, ShapeMetric):
            report.add(dict(metric.shape(mesh, truth)), dict(metric.floor(truth)))
    report.notes += [note for m in (mesh, truth) for note in m.metadata.get("notes", ())]
    if arguments.normalise == "both" and arguments.align == "none":
        word = axes_word(mesh, truth, arguments.up, arguments.yaw)
        report.notes += [word] if word else []
