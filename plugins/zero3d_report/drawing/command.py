"""`zero3d draw`: pictures of a run or of a model's file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from zero3d.errors import UserError
from zero3d.interfaces import Command

if TYPE_CHECKING:
    from torch import Tensor

    from zero3d_report.drawing.cameras import Named
    from zero3d_report.drawing.drawn import Drawer

WORDS = {"white": "#ffffff", "black": "#000000", "grey": "#808080"}
LARGEST = 4096
SECONDS, FPS = 3.0, 20


class Draw(Command):
    """Draw a run's field, or an exported file, from around it or from given cameras: colour, depth, normals, a film."""

    name: ClassVar[str] = "draw"
    examples: ClassVar[str] = """
        zero3d draw runs/nano-cat --orbit 8 --depth --out views/
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add("run", help="a run's folder (its field is drawn), or a mesh or splat file in glTF axes")
        add(
            "--orbit",
            type=int,
            metavar="N",
            help="from N places around the object, the first where the picture was taken",
        )
        add("--cameras", type=Path, metavar="FILE", help="from the cameras of a transforms.json (NeRF's, nerfstudio's)")
        add("--size", type=int, metavar="PIXELS", help="of the longer side (512, or what --cameras says)")
        add("--elevation", type=float, metavar="DEG", help="how far --orbit looks down (as the run's picture; else 20)")
        add("--distance", type=float, default=2.0, help="of --orbit from the object, which is 1 long (2)")
        add("--fov", type=float, metavar="DEG", help="of --orbit across the picture (the published 49.13)")
        add("--background", metavar="COLOUR", help="#rrggbb, white, black, grey (transparent; of a film white)")
        add("--depth", action="store_true", help="16-bit depth beside each picture; its scale is in transforms.json")
        add("--normals", action="store_true", help="normals beside each picture, as colours")
        add("--out", type=Path, metavar="DIR", help="a folder for the pictures and transforms.json")
        add("--overwrite", action="store_true", help="write into a folder that is not empty")
        add("--turntable", type=Path, metavar="FILE.mp4", help="a film, once around, in place of --orbit and --out")
        add("--seconds", type=float, help="of the film (3)")
        add("--fps", type=int, help="frames a second of the film (20)")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d.run import check_target

        check_target(Path(arguments.run))
        background = _check(arguments)
        from zero3d_report.drawing.drawn import drawer_of
        from zero3d_report.drawing.output import check_folder

        if arguments.out:
            check_folder(arguments.out, arguments.overwrite)
        draw, elevation = drawer_of(Path(arguments.run), arguments.registry, arguments.normals)
        if arguments.elevation is not None:
            elevation = arguments.elevation
        cameras = _cameras(arguments, 20.0 if elevation is None else elevation)
        if arguments.turntable:
            _film(arguments, cameras, draw, background)
        else:
            _pictures(arguments, cameras, draw, background)
        return 0


def _check(arguments: argparse.Namespace) -> Tensor | None:
    """Hold what was typed against what can be drawn; the background (3,), or None."""
    if arguments.turntable:
        others = {"--orbit": arguments.orbit, "--cameras": arguments.cameras, "--out": arguments.out}
        others |= {"--depth": arguments.depth, "--normals": arguments.normals}
        given = [name for name, value in others.items() if value]
        if given:
            raise UserError(f"draw: --turntable is once around by itself; leave out {', '.join(given)}")
        if arguments.turntable.suffix.lower() != ".mp4" or not arguments.turntable.absolute().parent.is_dir():
            raise UserError(f"--turntable: {arguments.turntable}; name a .mp4 file in a folder that is there")
    elif bool(arguments.orbit) == bool(arguments.cameras) or not arguments.out:
        raise UserError("draw: give --orbit N or --cameras FILE, and --out DIR; or --turntable FILE.mp4")
    elif arguments.seconds is not None or arguments.fps is not None:
        raise UserError("draw: --seconds and --fps are a film's; leave them out, or write --turntable FILE.mp4")
    if arguments.cameras and (arguments.elevation is not None or arguments.fov is not None or arguments.distance != 2):
        raise UserError("draw: --cameras says where from and how wide; leave out --elevation, --distance and --fov")
    ranges: dict[str, tuple[float | None, float, float]] = {
        "orbit": (arguments.orbit, 1, 3600),
        "size": (arguments.size, 16, LARGEST),
        "elevation": (arguments.elevation, -90, 90),
        "distance": (arguments.distance, 0.1, 100),
        "fov": (arguments.fov, 1, 170),
        "seconds": (arguments.seconds, 0.1, 600),
        "fps": (arguments.fps, 1, 120),
    }
    for name, (value, low, high) in ranges.items():
        if value is not None and not low <= value <= high:
            raise UserError(f"--{name}: {value:g}; {low:g} to {high:g}")
    if arguments.turntable and arguments.size and arguments.size % 2:
        raise UserError(f"--size: {arguments.size}; a film has an even number of pixels a side")
    return _colour(arguments.background)


def _colour(given: str | None) -> Tensor | None:
    import torch

    if given is None or given == "transparent":
        return None
    digits = WORDS.get(given, given).removeprefix("#")
    try:
        if len(digits) != 6:
            raise ValueError
        return torch.tensor(list(bytes.fromhex(digits))) / 255
    except ValueError:
        raise UserError(f"--background: {given!r}; #rrggbb, {', '.join(WORDS)} or transparent") from None


def _cameras(arguments: argparse.Namespace, elevation: float) -> Named:
    from zero3d.values import PUBLISHED_FOV
    from zero3d_report.drawing.cameras import DEFAULT_SIZE, around, from_file

    if arguments.cameras:
        return from_file(arguments.cameras, arguments.size)
    count = arguments.orbit or max(1, round((arguments.seconds or SECONDS) * (arguments.fps or FPS)))
    fov = math.degrees(PUBLISHED_FOV) if arguments.fov is None else arguments.fov
    return around(count, arguments.size or DEFAULT_SIZE, elevation, arguments.distance, fov)


def _film(arguments: argparse.Namespace, cameras: Named, draw: Drawer, background: Tensor | None) -> None:
    import torch
    from tqdm import tqdm

    from zero3d.films import to_uint8, write_film

    behind = torch.ones(3) if background is None else background
    shown = tqdm(cameras, desc="draw", unit="frame", disable=None)
    write_film(arguments.turntable, (to_uint8(draw(camera).over(behind)) for _, camera in shown), arguments.fps or FPS)
    print(f"wrote {arguments.turntable} ({len(cameras)} frames, {arguments.turntable.stat().st_size / 1000:.0f} kB)")


def _pictures(arguments: argparse.Namespace, cameras: Named, draw: Drawer, background: Tensor | None) -> None:
    from tqdm import tqdm

    from zero3d_report.drawing.output import write_folder

    shown = tqdm(cameras, desc="draw", unit="view", disable=None)
    pictures = ((name, camera, draw(camera)) for name, camera in shown)
    count = write_folder(arguments.out, pictures, background, arguments.depth, arguments.normals)
    print(f"wrote {count} pictures and transforms.json to {arguments.out}")
