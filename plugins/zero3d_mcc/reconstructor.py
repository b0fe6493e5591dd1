"""The reconstructor: a picture and the points of its pixels -> what is occupied around them -> a mesh."""

from __future__ import annotations

import math
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
from zero3d.values import PosedPicture, Step, Subject
from zero3d.weights import Conversion
from zero3d_mcc.depth.prepared import Prepared, prepare
from zero3d_mcc.depth.sources import Depths
from zero3d_mcc.depth.unproject import eroded
from zero3d_mcc.network.blocks import KeysValues
from zero3d_mcc.network.model import Mcc, colours
from zero3d_mcc.options import MccConfig
from zero3d_mcc.shape.grid import asked, places, samples
from zero3d_mcc.shape.place import placed
from zero3d_mcc.shape.result import Solid, march, outermost
from zero3d_mcc.weights.known import KNOWN, LICENCE
from zero3d_mcc.weights.source import Source, report

AT_ONCE = 2048
"""Places asked at a time; each is independent of the others."""
SHARE = 0.08
"""Of the grid's places, about how many are asked beside the coarse ones."""
PATIENCE = 5.0
"""Seconds that may pass without a word."""


class MccReconstructor(Reconstructor):
    """MCC: the whole shape from one picture with depth, as a mesh and a field; a start for every representation.

    (Multiview Compressive Coding, arXiv 2301.08247.) Weights are CC-BY-NC 4.0. The result is a PointCloud, a
    SurfaceRepresentation and a RadianceField.
    """

    name: ClassVar[str] = "mcc"
    Config: ClassVar[type[Any]] = MccConfig
    extras: ClassVar[Mapping[str, str]] = {"exr": "OpenEXR"}  # of compressions that are rare in depths
    published = KNOWN
    family = "MCC"
    picture_resolution = 512
    recipe: ClassVar[Mapping[str, Any]] = HELD_AS_MESH

    def __init__(self, config: MccConfig) -> None:
        """Raises: RecipeError, weights, depths or the model of depth are not there, damaged, or of another kind."""
        super().__init__(config)
        if config.save_cloud and not Path(config.save_cloud).expanduser().parent.is_dir():
            raise RecipeError(f"start.save_cloud: {config.save_cloud!r}: no such folder; make it")
        self._depths = Depths(config)
        self._source = Source(config.weights, config.config)
        self._dtype: torch.dtype = getattr(torch, config.dtype)
        self._network: Mcc | None = None
        self._details: dict[str, Any] = {}

    def weight_files(self) -> list[Path]:
        return [self._source.file, *self._depths.files]

    def size(self, device: torch.device) -> tuple[int, int]:
        own, depth = self._source.parameters, self._depths.parameters
        return own + depth, self._dtype.itemsize * own + 4 * depth

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        return report(path)

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        from zero3d_mcc.weights.export import convert

        return convert(asked)

    def check(self, subject: Subject) -> None:
        """Raises: UserError, the file of depths is of another picture's shape, or tells nothing of the object."""
        self._depths.check(subject.pictures[0])
        if not self._depths.by_model:
            self._prepared(subject.pictures[0].resized(self.picture_resolution))

    def details(self) -> Mapping[str, Any]:
        return {"licence": LICENCE, **self._details}

    def load(self, device: torch.device) -> None:
        self._network = self._source.build(self._dtype).to(device)
        self._depths.load(device)

    def reconstruct(self, subject: Subject, step: Step) -> Solid:
        """Raises: UserError, the depths cannot be used, or nothing is occupied."""
        if self._network is None:
            raise RuntimeError("load() first")
        self.tell(f"note: MCC's weights are {LICENCE}")
        config, posed = self.config, subject.pictures[0]
        with torch.no_grad():
            shown = self._prepared(posed)
            rgb, xyz, valid = shown.network_input()
            seen = self._network.encode(rgb.to(self._dtype), xyz, valid)
            count, level = samples(config.granularity), math.log(config.threshold / (1 - config.threshold))
            after = self._estimate(count)
            values, calls = asked(
                lambda at: self._ask(at, seen, after)[:, 0], count, level, config.coarse, posed.picture.rgb.device
            )
            values = values - level
            if not bool(values.isfinite().all()) or float(values.max()) <= 0:
                likely = 1 / (1 + math.exp(-level - float(values.max())))
                raise UserError(
                    f"start: nothing is occupied with a probability above {config.threshold:g} (the highest is "
                    f"{likely:.2g}); lower start.threshold, or look at the depths"
                )
            self._tell_cut(values)
            vertices, faces = march(values)
            outer = places(outermost(values).float(), count)
            coloured = [colours(self._ask(at, seen), config.temperature) for at in (vertices, outer)]
            placement, told = placed(vertices, shown, posed.camera, config.align)
            made = Solid(values, (vertices, faces, coloured[0]), (outer, coloured[1]), placement)
        self._details = {**told, "depth": self._depths.told, "queries": calls + len(vertices) + len(outer)}
        self._save(made)
        return made

    def _prepared(self, posed: PosedPicture) -> Prepared:
        mask = posed.picture.mask[..., 0] > 0.5
        points = self._depths.points(posed, mask)
        return prepare(posed.picture.rgb, points, eroded(mask, self.config.erode))

    def _ask(self, at: Tensor, seen: list[KeysValues], after: Callable[[], None] = lambda: None) -> Tensor:
        """(N, 3) -> (N, 769 or 4)."""
        assert self._network is not None
        answers = []
        for part in at.split(AT_ONCE):
            answers.append(self._network.ask(part[None], seen)[0])
            after()
        return torch.cat(answers)

    def _tell_cut(self, values: Tensor) -> None:
        ends = [values.select(axis, index) for axis in range(3) for index in (0, -1)]
        if any(bool((end > 0).any()) for end in ends):
            self.tell("note: the shape reaches the end of MCC's grid, and is cut off there")

    def _estimate(self, count: int) -> Callable[[], None]:
        """To be called after each part: after the second it says how long all take, if long."""
        whole = (count / self.config.coarse) ** 3 + (SHARE * count**3 if self.config.coarse > 1 else 0)
        times = [time.perf_counter()]

        def after() -> None:
            times.append(time.perf_counter())
            seconds = (times[-1] - times[-2]) * (whole / AT_ONCE - 2)
            if len(times) == 3 and seconds > PATIENCE:
                self.tell(f"some {whole:,.0f} places of {count}^3: about {seconds:.0f} s")

        return after

    def _save(self, made: Solid) -> None:
        if not self.config.save_cloud:
            return
        import trimesh

        where, shades = made.points()
        rgb = (255 * shades).round().to(torch.uint8).cpu().numpy()
        cloud: Any = trimesh.PointCloud(world_to_gltf(where).cpu().numpy(), rgb)
        write_bytes(Path(self.config.save_cloud).expanduser(), cloud.export(file_type="ply"))
