"""The reconstructor: a picture or words -> a cloud of 4096 points -> a mesh around them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import RecipeError, UserError
from zero3d.files import write_bytes
from zero3d.geometry import world_to_gltf
from zero3d.interfaces import Reconstructor
from zero3d.solids import HELD_AS_MESH
from zero3d.values import Step, Subject
from zero3d.weights import Conversion
from zero3d_point_e.network.points import GRID
from zero3d_point_e.options import PointEConfig
from zero3d_point_e.sampling.karras import Plan, base_plan, upsample_plan
from zero3d_point_e.sampling.stages import stage
from zero3d_point_e.shape.align import silhouette_azimuth
from zero3d_point_e.shape.files import ply_bytes, read_npz, save_npz
from zero3d_point_e.shape.result import Cloud, Solid, turn_about_z
from zero3d_point_e.shape.surface import grid, levelled, march
from zero3d_point_e.weights.clip import Clip
from zero3d_point_e.weights.known import DISTANCE, KNOWN, TEXT, UPSAMPLER
from zero3d_point_e.weights.source import Source, report

PATIENCE = 5.0
"""Seconds that may pass without a word."""


class PointE(Reconstructor):
    """Point-E: a cloud of 4096 points from a picture or words by diffusion, and its mesh; a start for every representation.

    (arXiv 2212.08751.) The result is a PointCloud, and with a mesh a SurfaceRepresentation and a RadianceField too.
    """

    name: ClassVar[str] = "point_e"
    Config: ClassVar[type[Any]] = PointEConfig
    published = KNOWN
    family = "Point-E"
    picture_resolution = 256
    recipe: ClassVar[Mapping[str, Any]] = HELD_AS_MESH

    def __init__(self, config: PointEConfig) -> None:
        """Raises: RecipeError, weights, CLIP or the cloud are not there, damaged, or of another network."""
        super().__init__(config)
        self.needs = frozenset({"prompt" if config.model == TEXT else "picture"})
        self._dtype: torch.dtype = getattr(torch, config.dtype)
        self._cloud = read_npz(Path(config.cloud).expanduser()) if config.cloud else None
        if config.save_cloud and not Path(config.save_cloud).expanduser().parent.is_dir():
            raise RecipeError(f"start.save_cloud: {config.save_cloud!r}: no such folder; make it")
        makes = () if self._cloud else ("base", *([UPSAMPLER] if config.upsample_steps else []))
        self._source = Source(
            config.weights, config.model, (*makes, *([DISTANCE] if config.resolution else [])), config.config
        )
        self._clip = Clip(config.clip, "text" if config.model == TEXT else "vision") if makes else None
        self._networks: dict[str, Any] = {}
        self._device = torch.device("cpu")
        self._details: dict[str, Any] = {}
        if self._clip is not None:
            self._check_widths(self._clip)

    def _check_widths(self, clip: Clip) -> None:
        for part in [part for part in self._source.parts if part != DISTANCE]:
            size: Any = self._source.sizes[part]
            found = clip.width if size.condition == GRID else clip.projected
            if found != size.features and not (part == UPSAMPLER and self.config.model == TEXT):
                raise RecipeError(
                    f"start.clip: {clip.folder}: its features are {found} wide, {self._source.models[part]} was "
                    f"trained with {size.features}: ViT-L/14 ({KNOWN[-1].name})"
                )

    def weight_files(self) -> list[Path]:
        return [*self._source.files.values(), *(self._clip.files if self._clip else [])]

    def size(self, device: torch.device) -> tuple[int, int]:
        count = self._source.parameters + (self._clip.parameters if self._clip else 0)
        return count, self._dtype.itemsize * count

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        return report(path)

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        from zero3d_point_e.weights.export import convert

        return convert(asked)

    def details(self) -> Mapping[str, Any]:
        return self._details

    def load(self, device: torch.device) -> None:
        self._device = device
        self._networks = {part: self._source.build(part, self._dtype).to(device) for part in self._source.parts}
        if self._clip is not None:
            self._clip.load(device, self._dtype)

    def reconstruct(self, subject: Subject, step: Step) -> Cloud | Solid:
        """Raises: UserError, the cloud's signed distances have no surface."""
        if self._networks.keys() != set(self._source.parts):
            raise RuntimeError("load() first")
        self._details = {}
        with torch.no_grad():
            coords, colours = self._points(subject, step)
            turn = self._turn(coords, subject)
            self._save(coords, colours, turn)
            places = coords @ turn.T
            if not self.config.resolution:
                return Cloud(places, colours)
            return self._solid(coords, colours, places, turn)

    def _points(self, subject: Subject, step: Step) -> tuple[Tensor, Tensor]:
        """Coordinates (N, 3) in the cloud's own axes, colours (N, 3) in [0, 1] of 8 bits."""
        if self._cloud is not None:
            coords, colours = self._cloud
            return coords.to(self._device), colours.to(self._device)
        config, shown = self.config, self._features(subject)
        made = self._stage("base", base_plan(config.steps, config.guidance_scale), shown, step)
        if config.upsample_steps:
            plan = upsample_plan(config.upsample_steps, config.upsample_scale)
            seen = None if config.model == TEXT else self._upsampler_features(subject, shown)
            made = torch.cat([made, self._stage(UPSAMPLER, plan, seen, step, made)], dim=-1)
        coords, colours = made[0].T.split(3, dim=-1)
        return coords.contiguous(), colours.clamp(0, 255).round() / 255

    def _features(self, subject: Subject) -> Tensor:
        """What the base model is conditioned on."""
        assert self._clip is not None
        if self.config.model == TEXT:
            assert subject.prompt is not None
            return self._clip.text_vector(subject.prompt.text)
        rgb = subject.pictures[0].picture.rgb
        on_grid = self._networks["base"].size.condition == GRID
        return self._clip.grid(rgb) if on_grid else self._clip.picture_vector(rgb)

    def _upsampler_features(self, subject: Subject, shown: Tensor) -> Tensor:
        """The upsampler has the grid, whatever the base model has."""
        assert self._clip is not None
        return shown if shown.ndim == 3 else self._clip.grid(subject.pictures[0].picture.rgb)

    def _stage(self, part: str, plan: Plan, shown: Tensor | None, step: Step, low: Tensor | None = None) -> Tensor:
        what = f"{self._source.models[part]}: {self._source.sizes[part].points} points"  # type: ignore[union-attr]
        after = _estimate(self.tell, what, 2 * plan.steps - 1)
        return stage(self._networks[part], plan, shown, step.generator(part), low, after)

    def _turn(self, coords: Tensor, subject: Subject) -> Tensor:
        """(3, 3): from the cloud's own axes to the world's, about the vertical."""
        camera = float(torch.rad2deg(subject.pictures[0].camera.azimuth)) if subject.pictures else 0.0
        alpha = self.config.azimuth_deg
        if self.config.align == "silhouette" and subject.pictures:
            alpha, overlap = silhouette_azimuth(coords, subject.pictures[0])
            self.tell(f"note: the cloud's outline is the picture's from azimuth {alpha:.0f} (overlap {overlap:.2f})")
            self._details["overlap"] = round(overlap, 4)
        self._details |= {"alignment": self.config.align, "azimuth_deg": alpha}
        return turn_about_z(camera - alpha, coords)

    def _save(self, coords: Tensor, colours: Tensor, turn: Tensor) -> None:
        if not self.config.save_cloud:
            return
        path = Path(self.config.save_cloud).expanduser()
        if path.suffix.lower() == ".npz":
            save_npz(path, coords, colours)
        else:
            write_bytes(path, ply_bytes(world_to_gltf(coords @ turn.T), colours))

    def _solid(self, coords: Tensor, colours: Tensor, places: Tensor, turn: Tensor) -> Solid:
        count = self.config.resolution
        after = _estimate(self.tell, f"signed distances at {count}^3 points", count)
        values, none = levelled(grid(self._networks[DISTANCE], coords, count, after))
        if none:
            self.tell(
                "note: the signed distances have no surface; less their mean they have one, which may mean nothing"
            )
        if not bool(values.isfinite().all()) or float(values.min()) >= 0 or float(values.max()) <= 0:
            raise UserError(
                "start: the signed distances around the cloud have no surface; set start.dtype=float32, take another "
                "seed, or start.resolution=0 for the cloud alone"
            )
        vertices, faces = march(values)
        return Solid(places, colours, vertices.to(coords) @ turn.T, faces.to(coords.device), values, turn)


def _estimate(tell: Callable[[str], None], what: str, calls: int) -> Callable[[], None]:
    """To be called after each of `calls` equal pieces of work: after the second it says how long all take, if long."""
    times = [time.perf_counter()]

    def after() -> None:
        times.append(time.perf_counter())
        seconds = (times[-1] - times[-2]) * (calls - 2)
        if len(times) == 3 and seconds > PATIENCE:
            tell(f"{what}: some {seconds:.0f} s")

    return after
