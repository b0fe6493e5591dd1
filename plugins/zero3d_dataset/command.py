"""`zero3d dataset render|check`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from zero3d.errors import UserError
from zero3d.interfaces import Command

if TYPE_CHECKING:
    from zero3d_dataset.render import Machinery, Settings

RENDER = """Cameras, light and files are those of the published Zero-1-to-3 data: OUT/uid/000.png (RGBA, straight alpha),
OUT/uid/000.npy (world to camera, 3x4, OpenGL axes, z up), OUT/valid_paths.json. Called again, it draws what is missing.
A mesh that cannot be drawn is skipped and kept in OUT/failed.json; the exit code is 1 only if none could. What was drawn
without its texture, or without triangles whose corners are no points, is listed in OUT/notes.json (raycast).

  zero3d dataset render models/ --out data/ --size 256 --workers 8
  zero3d dataset render list.txt --out data/ --renderer blender --blender-python ~/bpy/bin/python
"""


class Dataset(Command):
    """Draw training pictures of meshes in the published layout, or check a folder of them."""

    name: ClassVar[str] = "dataset"
    examples: ClassVar[str] = """
        zero3d dataset render models/ --out data/ --size 256 --workers 8
        zero3d dataset check data/
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="render|check")
        render = actions.add_parser(
            "render",
            help="pictures and poses of meshes",
            description=RENDER,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_render(render)
        check = actions.add_parser("check", help="what a folder of that layout holds, and what is wrong with it")
        check.add_argument("folder", type=Path, help="with valid_paths.json; the released data too")
        check.add_argument(
            "--sample", type=int, default=200, metavar="N", help="objects looked into, at random; 0 for all (200)"
        )
        check.add_argument("--json", type=Path, metavar="FILE", help="write the figures and all problems there")

    def run(self, arguments: argparse.Namespace) -> int:
        return {"render": _render, "check": _check}[arguments.action](arguments)


def _add_render(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("meshes", nargs="+", type=Path, metavar="MESHES", help="GLB, GLTF, OBJ, PLY, STL; folders; .txt lists of them")
    add("--out", type=Path, required=True, help="the folder to write or go on with")
    add("--views", type=int, default=12, help="pictures of each object (12)")
    add("--size", type=int, default=512, help="pixels a side (512, as published; training shrinks it to 256)")
    add("--seed", type=int, default=0, help="of cameras and light; an object's own are the same in any company (0)")
    add("--distance", type=float, nargs=2, default=(1.5, 2.2), metavar=("LO", "HI"), help="of the cameras (1.5 2.2)")
    add(
        "--elevation-deg",
        type=float,
        nargs=2,
        metavar=("LO", "HI"),
        help="cameras uniform on the sphere between these (default: the published rule, all around, more at 45 degrees)",
    )
    add("--up", choices=("y", "z"), default="y", help="in OBJ, PLY and STL files; glTF says y itself (y)")
    add(
        "--axes",
        choices=("zero3d", "published"),
        default="zero3d",
        help="of the poses' world: this program's, or Blender's as in the released data, a quarter turn about z away",
    )
    add(
        "--renderer",
        choices=("raycast", "blender"),
        default="raycast",
        help="Embree here, or Blender's Cycles (raycast)",
    )
    add("--supersample", type=int, default=2, help="raycast: rays a pixel and side (2)")
    add("--samples", type=int, default=128, help="blender: samples a pixel (128)")
    add("--blender-python", type=Path, metavar="PATH", help="blender: an interpreter that has the bpy package")
    add(
        "--blender-device",
        choices=("cpu", "cuda", "optix", "hip", "oneapi", "metal"),
        default="cpu",
        help="blender: what Cycles draws on (cpu)",
    )
    add("--workers", type=int, metavar="N", help="processes of one thread each (the processors that are here)")
    add("--timeout", type=float, default=1800, metavar="S", help="seconds after which an object is given up (1800)")


def _render(arguments: argparse.Namespace) -> int:
    settings, machinery = _settings(arguments), _machinery(arguments)

    from zero3d_dataset.layout import NOTES
    from zero3d_dataset.render import check_blender, render
    from zero3d_dataset.sources import find_sources

    sources = find_sources(arguments.meshes)
    if settings.renderer == "blender":
        print(f"Blender {check_blender(machinery)}")
    tally = render(sources, arguments.out, settings, machinery)
    good = tally.drawn + tally.present
    rate = tally.drawn / max(tally.seconds, 1e-9)
    notes = [f"{tally.drawn} drawn, {rate:.2f} objects/s"]
    if tally.present:
        notes.append(f"{tally.present} were there")
    if tally.noted:
        notes.append(f"{tally.noted} without a texture or some triangles: see {arguments.out / NOTES}")
    if tally.failed:
        notes.append(f"{tally.failed} failed: see {arguments.out / 'failed.json'}")
    print(f"{arguments.out}: {good} of {len(sources)} objects with {settings.views} views ({'; '.join(notes)})")
    return 0 if good else 1


def _settings(arguments: argparse.Namespace) -> Settings:
    from zero3d_dataset.cameras import CameraRule
    from zero3d_dataset.render import Settings

    for name, lowest, highest in (
        ("views", 1, 1000),
        ("size", 16, 4096),
        ("supersample", 1, 8),
        ("samples", 1, 65536),
        ("seed", 0, 2**63),
    ):
        value = getattr(arguments, name)
        if not lowest <= value <= highest:
            raise UserError(f"--{name}: {value}; {lowest} to {highest}")
    near, far = arguments.distance
    if not 0.9 <= near <= far <= 100:
        raise UserError(f"--distance: {near:g} {far:g}; low before high, 0.9 (clear of the object) to 100")
    elevation = arguments.elevation_deg
    if elevation is not None and not -90 <= elevation[0] <= elevation[1] <= 90:
        raise UserError(f"--elevation-deg: {elevation[0]:g} {elevation[1]:g}; low before high, -90 to 90")
    return Settings(
        views=arguments.views,
        size=arguments.size,
        seed=arguments.seed,
        cameras=CameraRule((near, far), None if elevation is None else (elevation[0], elevation[1])),
        renderer=arguments.renderer,
        supersample=arguments.supersample,
        samples=arguments.samples,
        y_up=arguments.up == "y",
        published_axes=arguments.axes == "published",
    )


def _machinery(arguments: argparse.Namespace) -> Machinery:
    from zero3d_dataset.render import Machinery

    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = here if arguments.workers is None else arguments.workers
    if workers < 1:
        raise UserError(f"--workers: {workers}; at least 1")
    if arguments.timeout <= 0:
        raise UserError(f"--timeout: {arguments.timeout:g}; more than 0 seconds")
    return Machinery(workers, arguments.timeout, arguments.blender_python, arguments.blender_device)


def _check(arguments: argparse.Namespace) -> int:
    from zero3d_dataset.check import check, show

    if arguments.sample < 0:
        raise UserError(f"--sample: {arguments.sample}; not negative")
    report = check(arguments.folder, arguments.sample)
    show(report, arguments.json)
    return 1 if report.problems else 0
