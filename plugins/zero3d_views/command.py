"""`zero3d views IMAGE`: the pictured object from elsewhere."""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d.errors import RecipeError, RunError
from zero3d.interfaces import Command

if TYPE_CHECKING:
    import numpy
    import torch

    from zero3d.interfaces import Denoiser, SourcePicture
    from zero3d.registry import Registry
    from zero3d_views.poses import Pose
    from zero3d_views.sampler import Sampler

EXAMPLES = """
  zero3d views cat.png --azimuth 0,45,90 --out views/
  zero3d views cat.png --weights kxic/zero123-xl --samples 4 --out views/
"""
BYTES_A_PIXEL = 16 * 1024
"""What a view in flight is reckoned to take for each pixel of the decoded picture: 1 GiB at 256x256. On a CPU at the
published size, decoding was seen to take 0.4 GiB and both branches of the U-Net 0.2; the rest is for other devices'
workspaces. Half of what is free is used."""


class Views(Command):
    """Draw novel views of one picture."""

    name: ClassVar[str] = "views"
    examples: ClassVar[str] = EXAMPLES

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.description = (
            f"{parser.description or self.__doc__} Angles in degrees, to the input's; all combinations are drawn."
        )
        # argparse takes `-90,0,90` for an option: it knows single negative numbers only
        parser._negative_number_matcher = re.compile(r"-[\d.]")
        add = parser.add_argument
        add("image", help="a picture, best a PNG with alpha")
        add("--out", type=Path, required=True, help="the folder to write")
        add("--azimuth", default="0,45,90,180,270", metavar="A,B,…", help="+ moves the camera to its right")
        add("--elevation", default="0", metavar="A,B,…", help="+ moves the camera up")
        add("--distance", default="0", metavar="A,B,…", help="+ moves it away, world units (the input is at 2)")
        add(
            "--poses",
            type=Path,
            metavar="FILE",
            help="in place of the lists: JSON, [[azimuth, elevation, distance], …]",
        )
        add(
            "--input-elevation",
            type=float,
            metavar="DEG",
            help="degrees the camera looked down (estimated, or 20)",
        )
        add("--samples", type=int, default=1, help="pictures of each view (1)")
        add("--seed", type=int, default=0, help="same seed, same pictures, whatever the batch (0)")
        add("--scale", type=float, default=3.0, help="guidance scale: how closely to follow the picture (3)")
        add("--steps", type=int, default=75, help="more are slower and finer; counted as in the published demo (75)")
        add("--eta", type=float, help="fresh noise in each step: 1 as in the demo, 0 none (1)")
        add("--scheduler", metavar="NAME", help="one of diffusers' in place of the demo's: EulerDiscreteScheduler, …")
        add("--batch", type=int, help="pictures at once (as half of the free memory holds, 16 at most)")
        add("--weights", help="nano, a checkpoint, a folder or a hub id (nano)")
        add("--denoiser", default="zero123", metavar="TYPE", help="any registered denoiser (zero123)")
        add(
            "--option",
            action="append",
            default=[],
            metavar="key=value",
            help="another option of the denoiser; may be repeated",
        )
        add("--mask", help="where the object is: a file, alpha, background or grabcut (found)")
        add(
            "--framing",
            choices=("keep", "demo", "fit"),
            help="the object in its frame: as given, at 200/256 as in the published demo, at 0.6 as nano was trained "
            "(demo for latent models, else fit)",
        )
        add("--device", default="auto", help="auto, cpu, cuda or mps")
        add("--overwrite", action="store_true", help="replace a folder that this command wrote")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d.folder import file_hashes
        from zero3d.parts import choose_device
        from zero3d.picture import frame
        from zero3d_views.output import check_out, write
        from zero3d_views.poses import cameras_at, read_poses

        started = time.monotonic()
        registry = arguments.registry
        poses = read_poses(arguments.poses) if arguments.poses else _listed(arguments)
        sampler = _sampler(arguments)
        device = choose_device(arguments.device)
        out = check_out(arguments.out, arguments.overwrite)
        denoiser = _denoiser(arguments, registry)
        _check_elevation(arguments, denoiser, poses)
        cameras_at(poses, 0.0, denoiser.resolution)  # moves that lead nowhere, before the picture is looked at
        source = _picture(arguments, registry)
        elevation = _input_elevation(arguments, denoiser, source, device)
        cameras = cameras_at(poses, elevation, denoiser.resolution)
        framing = arguments.framing or ("fit" if denoiser.channels == 3 else "demo")
        framed = frame(source.rgba, framing, denoiser.picture_resolution)
        for note in (*source.notes, *framed.notes):
            print(f"note: {note}", file=sys.stderr)
        given = framed.picture
        denoiser.load(device)
        rows = draw_views(denoiser, given, elevation, cameras, sampler, arguments, device)
        facts = {
            "image": str(arguments.image),
            "denoiser": _options(arguments),
            "mask": arguments.mask,
            "weights": file_hashes(denoiser.weight_files()),
            "input_elevation_deg": elevation,
            "framing": framing,
            **{key: getattr(arguments, key) for key in ("samples", "seed", "scale", "steps", "scheduler")},
            "eta": sampler.eta,
            "evaluations": sampler.calls,
            "device": str(device),
            "seconds": round(time.monotonic() - started, 2),
        }
        write(out, to_bytes(given.rgb), poses, rows, facts)
        print(f"wrote {len(poses) * arguments.samples} pictures and sheet.png to {arguments.out}")
        return 0


def _listed(arguments: argparse.Namespace) -> list[Pose]:
    """Every combination of the lists."""
    from zero3d_views.poses import make_poses, parse_numbers

    lists = (parse_numbers(getattr(arguments, name), f"--{name}") for name in ("azimuth", "elevation", "distance"))
    return make_poses(*lists)


def draw_views(
    denoiser: Denoiser,
    picture: Any,
    input_elevation_deg: float,
    cameras: Any,
    sampler: Sampler,
    arguments: argparse.Namespace,
    device: torch.device,
) -> list[list[numpy.ndarray]]:
    """Pose -> samples, uint8 (H, W, 3). What one picture gets does not depend on the others or on the batch."""
    import torch
    from tqdm import tqdm

    from zero3d.geometry import orbit
    from zero3d.interfaces import Teacher
    from zero3d.random import Generators
    from zero3d.values import Subject
    from zero3d_views.sampler import Request

    size = denoiser.picture_resolution
    input_camera = orbit(input_elevation_deg, 0.0, size).to(device)
    teacher = Teacher(denoiser, denoiser.condition(Subject.of(picture, input_camera).to(device)))
    jobs = [(view, sample) for view in range(len(cameras)) for sample in range(arguments.samples)]
    streams = Generators(arguments.seed)
    batch = arguments.batch or _batch(size, device)
    rows: list[list[numpy.ndarray]] = [[] for _ in range(len(cameras))]
    batches = [jobs[start : start + batch] for start in range(0, len(jobs), batch)]
    with tqdm(total=len(batches) * sampler.calls, desc="views", unit="step") as bar:
        for some in batches:
            index = torch.tensor([view for view, _ in some])
            chosen = type(cameras)(cameras.camera_to_world[index], cameras.height, cameras.width, cameras.fov)
            request = Request(chosen.to(device), [streams[f"view{v}.sample{s}"] for v, s in some])
            try:
                with torch.no_grad():
                    decoded = denoiser.decode(sampler.sample(teacher, request, arguments.scale, lambda: bar.update()))
            except torch.OutOfMemoryError:
                raise RunError(f"--batch: {batch} pictures at once do not fit into {device}'s memory; fewer") from None
            for (view, _), image in zip(some, decoded, strict=True):
                rows[view].append(to_bytes(image))
    return rows


def to_bytes(image: torch.Tensor) -> numpy.ndarray:
    """(H, W, 3) about [0, 1] -> uint8."""
    pixels: numpy.ndarray = (255 * image.float().clamp(0, 1)).round().byte().cpu().numpy()
    return pixels


def _sampler(arguments: argparse.Namespace) -> Sampler:
    from zero3d_views.sampler import DemoSampler, SchedulerSampler

    for option, low in (("samples", 1), ("batch", 1), ("seed", 0)):
        value = getattr(arguments, option)
        if value is not None and value < low:
            raise RecipeError(f"--{option}: {value}; at least {low}")
    if not 0 <= arguments.scale < math.inf:
        raise RecipeError(f"--scale: {arguments.scale}; 0 or more")
    if arguments.eta is not None and not 0 <= arguments.eta <= 1:
        raise RecipeError(f"--eta: {arguments.eta}; 0 to 1")
    if arguments.scheduler is not None:
        return SchedulerSampler(arguments.scheduler, arguments.steps, arguments.eta)
    return DemoSampler(arguments.steps, 1.0 if arguments.eta is None else arguments.eta)


def _options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The denoiser as a recipe's block."""
    import yaml

    options: dict[str, Any] = {"type": arguments.denoiser}
    for given in arguments.option:
        key, found, value = given.partition("=")
        if not found:
            raise RecipeError(f"--option: {given!r}; write key=value")
        try:
            options[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise RecipeError(f"--option: {given!r} is no YAML; quote the value, key='\"value\"'") from None
    if arguments.weights is not None:
        options["weights"] = arguments.weights
    return options


def _denoiser(arguments: argparse.Namespace, registry: Registry) -> Denoiser:
    from zero3d.recipe import make_block

    options = _options(arguments)
    denoiser: Denoiser = make_block(registry, "denoiser", "zero3d views", "denoiser", options).build()
    if denoiser.needs and "picture" not in denoiser.needs:  # the gaussian asks for nothing
        told = " and ".join(sorted(denoiser.needs))
        raise RecipeError(
            f"--denoiser: {arguments.denoiser} draws from a {told}, not from a picture; take one that does"
        )
    if denoiser.group > 1:
        raise RecipeError(
            f"--denoiser: {arguments.denoiser} draws {denoiser.group} views jointly, this command each alone; take one that "
            "draws single views, or a recipe"
        )
    return denoiser


def _check_elevation(arguments: argparse.Namespace, denoiser: Denoiser, poses: list[Pose]) -> None:
    """A denoiser with the elevation among its inputs knows no distance."""
    from zero3d_views.poses import STEEPEST_DEG

    if denoiser.knows_elevation and any(pose.distance for pose in poses):
        raise RecipeError(f"--distance: {arguments.distance}; Stable Zero123 cannot change the distance, leave it at 0")
    if arguments.input_elevation is not None and not abs(arguments.input_elevation) <= STEEPEST_DEG:
        raise RecipeError(
            f"--input-elevation: {arguments.input_elevation:g}; -{STEEPEST_DEG:g} to {STEEPEST_DEG:g} degrees"
        )


def _input_elevation(
    arguments: argparse.Namespace, denoiser: Denoiser, source: SourcePicture, device: torch.device
) -> float:
    """As given, else as the denoiser estimates it, else assumed, with a note. One that needs it gets no assumed one."""
    from zero3d.picture import frame
    from zero3d.run import DEFAULT_ELEVATION_DEG

    if arguments.input_elevation is not None:
        return float(arguments.input_elevation)
    denoiser.tell = lambda line: print(f"note: {line}", file=sys.stderr)
    found = denoiser.elevation_of(frame(source.rgba, "fit", denoiser.picture_resolution).picture, device)
    if found is None and denoiser.knows_elevation:
        raise RecipeError(
            "--input-elevation: missing; Stable Zero123 must be told how far the picture's camera looked down"
        )
    if found is None:
        print(f"note: --input-elevation not given: {DEFAULT_ELEVATION_DEG:g} degrees are assumed", file=sys.stderr)
        return DEFAULT_ELEVATION_DEG
    print(f"note: {found}; --input-elevation overrides", file=sys.stderr)
    return round(found.mean_deg, 1)


def _picture(arguments: argparse.Namespace, registry: Registry) -> SourcePicture:
    from zero3d.recipe import make_block

    block = make_block(registry, "image_source", "zero3d views", "image", {"type": "file", "path": arguments.image})
    found: SourcePicture = block.build().read(arguments.mask)
    return found


def _batch(size: int, device: torch.device) -> int:
    """As many pictures as half of the free memory holds, 16 at most."""
    import psutil
    import torch

    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return max(1, min(16, int(free / 2 / (BYTES_A_PIXEL * size**2))))
