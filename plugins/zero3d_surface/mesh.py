"""The representation: vertices and their colours, or a texture, both optimised; the triangles between them stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.geometry import check_surface
from zero3d.interfaces import RadianceField, Representation, SurfaceRepresentation
from zero3d.mesh_files import FORMATS
from zero3d.values import Step
from zero3d_surface.start import Start, from_field, from_file, sphere
from zero3d_surface.unwrapped import layout, looked_up, painted

EDGE = 1e-3
"""A colour begins at most this near to 0 and 1, where the sigmoid's slope would hold it."""


DENSEST = 1e9
"""The highest density, per world unit, that a surface may be cut at."""


@dataclass
class MeshConfig:
    """Options of `mesh`.

    start: `previous`, the result of the recipe's stage before; `sphere`; or a mesh file (GLB, OBJ, PLY or STL in glTF
    axes, taken where it lies, with its colours), which must stay where it is until the run has begun. channels: 3 for RGB,
    or the denoiser's latent (then a file gives no colours). subdivisions: of the sphere, 0 to 7, with 20 * 4^n faces.
    radius: of the sphere, world units. resolution: samples along the box's longest side where a field's surface is cut,
    8 to 512. threshold: the density of that surface, per world unit; "auto" takes that of the field's surface, if it
    knows it, or the one whose surface casts the field's own silhouettes along the three axes. smallest_share: pieces of
    it below this share of the largest one's volume are dropped, 0 to 1. texture: side of a picture that holds the
    colours, 16 to 4096 texels, for more detail than the vertices have; 0 gives each vertex a colour. colour_lr:
    learning rate of the colours as a multiple of the vertices'; these move by about the recipe's rate a step, in world
    units.
    """

    start: str = "sphere"
    channels: int = 3
    subdivisions: int = 4
    radius: float = 0.4
    resolution: int = 64
    threshold: Any = "auto"
    smallest_share: float = 0.02
    texture: int = 0
    colour_lr: float = 10.0

    def __post_init__(self) -> None:
        for name, low, high in (("channels", 1, 64), ("subdivisions", 0, 7), ("resolution", 8, 512)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")
        if self.texture and not 16 <= self.texture <= 4096:
            raise ValueError(f"texture: {self.texture}; 16 to 4096 texels, or 0 for a colour at each vertex")
        for name, least, most in (("radius", 1e-3, 1e3), ("colour_lr", 1e-6, 1e6)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: {getattr(self, name)}; {least:g} to {most:g}")
        if self.start not in ("sphere", "previous") and Path(self.start).suffix[1:].lower() not in FORMATS:
            raise ValueError(f"start: {self.start!r}; previous, sphere, or a mesh file: {', '.join(FORMATS)}")
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if self.threshold != "auto" and not (number and 0 < self.threshold <= DENSEST):
            raise ValueError(f"threshold: {self.threshold!r}; a density above 0, at most {DENSEST:g}, or auto")
        if not 0 <= self.smallest_share <= 1:
            raise ValueError(f"smallest_share: {self.smallest_share}; 0 to 1")


class Mesh(SurfaceRepresentation):
    """A triangle mesh with a colour (or latent) for every vertex or texel: a sphere, a file, or a former stage's surface."""

    name: ClassVar[str] = "mesh"
    Config: ClassVar[type[Any]] = MeshConfig

    def __init__(self, config: MeshConfig) -> None:
        """As large as its sphere; what else it starts from says how large it is by `initialise` or `follow`."""
        super().__init__(config)
        self.channels = config.channels
        quarters = 4**config.subdivisions
        self.vertices = nn.Parameter(torch.zeros(10 * quarters + 2, 3))
        self.colours = nn.Parameter(torch.zeros(config.texture**2 or 10 * quarters + 2, config.channels))
        self.faces: Tensor
        self.register_buffer("faces", torch.zeros(20 * quarters, 3, dtype=torch.int32))
        self.places: Tensor
        if config.texture:
            self.register_buffer("places", torch.zeros(20 * quarters, 3, 2))
        self.register_load_state_dict_pre_hook(_take_size)

    def initialise(self, step: Step) -> None:
        """The sphere, grey; or the file.

        Raises:
            UserError: the file is missing, unreadable or empty.
        """
        if self.config.start == "sphere":
            self._take(sphere(self.config.subdivisions, self.config.radius))
        elif self.config.start != "previous":
            self._take(from_file(self.config.start))

    @property
    def follows(self) -> bool:
        return bool(self.config.start == "previous")

    def can_follow(self, previous: Representation | None) -> bool:
        """A field or a surface of as many channels; where it is not asked to, anything."""
        fits = isinstance(previous, (RadianceField, SurfaceRepresentation)) and previous.channels == self.channels
        return fits or self.config.start != "previous"

    def follow(self, previous: Representation) -> None:
        """Take a former stage's surface: a mesh's as it is, a field's by Marching Cubes.

        Raises:
            RecipeError: the field has no surface; the line names its densities and the remedy.
        """
        if self.config.start != "previous":
            return
        if isinstance(previous, SurfaceRepresentation):
            self._take(Start(*previous.surface()))
        elif isinstance(previous, RadianceField):
            self._take(from_field(previous, self.config.resolution, self.config.threshold, self.config.smallest_share))

    def param_groups(self) -> list[dict[str, Any]]:
        return [{"params": [self.vertices]}, {"params": [self.colours], "lr_scale": self.config.colour_lr}]

    def surface(self) -> tuple[Tensor, Tensor, Tensor]:
        """RGB through a sigmoid, or the raw latent; with a texture, what it has at each vertex (on one of its charts)."""
        faces = self.faces.long()
        raw: Tensor = self.colours
        if self.config.texture:
            spots = self.vertices.new_zeros(len(self.vertices), 2)
            spots[faces.reshape(-1)] = self.places.reshape(-1, 2)
            raw = looked_up(raw, spots)
        return self.vertices, faces, self._shown(raw)

    def features_at(self, face: Tensor, corners: Tensor) -> Tensor:
        if not self.config.texture:
            return super().features_at(face, corners)
        return self._shown(looked_up(self.colours, (self.places[face] * corners[..., None]).sum(dim=-2)))

    def _shown(self, raw: Tensor) -> Tensor:
        return raw.sigmoid() if self.channels == 3 else raw

    def _take(self, start: Start) -> None:
        """Make this mesh that one. `.data`, not the parameters, is replaced: an optimizer holds these already."""
        vertices, faces, features = start
        check_surface(vertices.detach(), faces, f"representation.start {self.config.start}")
        if features is None or features.shape[-1] != self.channels:
            features = vertices.new_full((len(vertices), self.channels), 0.5 if self.channels == 3 else 0.0)
        raw = features.clamp(EDGE, 1 - EDGE).logit() if self.channels == 3 else features
        self.vertices.data = vertices.detach().to(self.vertices).clone()
        self.faces = faces.to(self.faces)
        if self.config.texture:
            self.places = layout(vertices, faces, self.config.texture)
            raw = painted(self.places, raw[faces.long()].to(self.places), self.config.texture)
        self.colours.data = raw.detach().to(self.colours).clone()


def _take_size(mesh: Mesh, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
    """How many vertices and faces there are is part of the state: make room for those that will be loaded."""
    faces, vertices = state.get(prefix + "faces"), state.get(prefix + "vertices")
    if (
        faces is not None
        and vertices is not None
        and len(faces)
        and not 0 <= faces.min() <= faces.max() < len(vertices)
    ):
        rest[-1].append(f"faces: some are of vertices that are not there ({len(vertices)} are)")
    for name in ("vertices", "colours", "faces", "places"):
        own, saved = getattr(mesh, name, None), state.get(prefix + name)
        if own is not None and saved is not None and saved.ndim == own.ndim and saved.shape[1:] == own.shape[1:]:
            own.data = own.new_zeros(saved.shape)
