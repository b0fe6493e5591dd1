"""A radiance field on a dense grid: density and a colour (or latent) in every voxel, interpolated trilinearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.interfaces import RadianceField, Representation, RowOptimizer
from zero3d.values import Step
from zero3d_voxels.carving import FULL, inconsistent, optical_depth, unseen
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.trilinear import interpolate

ROUND_OFF = 1e-4
"""In voxels: a ray's first sample lies on the box's face, give or take."""
OWN = 1e-2
"""In voxels: nearer to a voxel's centre, its own number is the density."""
THINNEST = 1e-3
"""Density at least, per world unit, where a field starts from another: in softplus's far tail nothing would learn."""
SAME = ("sides", "box", "density_shift", "density_gain", "density_unit", "activation")
"""Options by which two grids' raw numbers mean the same."""
CHUNK = 2**20
"""Points at which another field is read at once."""
EVERY = 10
"""Steps from one carving to the next."""
KEPT = 0.95
"""Of the running mean of squared gradients, in each step."""


class VoxelField(RadianceField):
    """Density and features on a dense grid, as in Score Jacobian Chaining (pals-ttic/sjc, voxnerf)."""

    name: ClassVar[str] = "voxels"
    Config: ClassVar[type[Any]] = VoxelConfig

    def __init__(self, config: VoxelConfig) -> None:
        super().__init__(config)
        x, y, z = config.sides
        self.channels = config.channels
        corners = config.corners
        self.spacing = float(((corners[1] - corners[0]) / torch.tensor([x, y, z], device="cpu")).min())
        self.unit = self.spacing if config.density_unit == "voxel" else 1.0
        self.box: Tensor
        self.register_buffer("box", corners)
        self.raw_density = nn.Parameter(torch.zeros(1, 1, z, y, x))
        # the channels of a voxel lie together: kernels read and add them at once, nothing need be rearranged
        self.raw_features = nn.Parameter(torch.zeros(1, z, y, x, config.channels).permute(0, 4, 1, 2, 3))
        self.log_scale = nn.Parameter(torch.zeros(()), requires_grad=config.learn_scale)
        automatic = "sigmoid" if config.channels == 3 else "none"
        self.sigmoid: bool = (automatic if config.activation == "auto" else config.activation) == "sigmoid"

    @classmethod
    def build(cls, config: VoxelConfig) -> VoxelField:
        """The class that carves or fills only where it is asked to: of the other the engine has no `after_step` to call."""
        return cls(config) if config.carve is None and not config.fill_hidden else CarvedVoxelField(config)

    @property
    def scale(self) -> Tensor:
        """What multiplies raw density."""
        return self.log_scale.exp() * self.config.density_gain

    def initialise(self, step: Step) -> None:
        self.raw_density.zero_()
        self.log_scale.zero_()
        noise = torch.randn(self.raw_features.shape, generator=step.generator("features"))
        self.raw_features.copy_(self.config.initial_std * noise)

    def param_groups(self) -> list[dict[str, Any]]:
        """Density and its scale at a rate of their own, and features."""
        shape = {"params": [self.raw_density, self.log_scale], "lr_scale": self.config.density_rate}
        shape["shared_moment"] = self.config.shared_moment
        return [shape, {"params": [self.raw_features]}]

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """The box is the options'; a state with another belongs to another field."""
        errors = rest[-1]
        saved = state.get(prefix + "box")
        if saved is not None and not torch.allclose(saved.detach().cpu().float(), self.config.corners, rtol=1e-3):
            errors.append(f"box: {saved.tolist()} was saved, the options say {self.config.corners.tolist()}")
        super()._load_from_state_dict(state, prefix, *rest)

    def can_follow(self, previous: Representation | None) -> bool:
        """Any field of as many channels, whatever its box and resolution."""
        fits = isinstance(previous, RadianceField) and previous.channels == self.channels
        return fits or super().can_follow(previous)

    def follow(self, previous: Representation) -> None:
        """A grid of the same options takes the numbers as they are; any other field is read at the voxels' centres."""
        if isinstance(previous, VoxelField) and all(
            getattr(previous.config, name) == getattr(self.config, name) for name in SAME
        ):
            for name, parameter in previous.named_parameters():
                self.get_parameter(name).copy_(parameter)
            return
        assert isinstance(previous, RadianceField)
        density, features = [], []
        for part in self._centres().to(previous.box).split(CHUNK):
            density.append(previous.density(part).to(self.raw_density))
            features.append(previous.features(part).to(self.raw_features))
        raw = self.raw_of(torch.cat(density).clamp(min=THINNEST))
        self.raw_density.copy_(raw.reshape(self.raw_density.shape))
        values = torch.cat(features)
        values = torch.logit(values, eps=0.01) if self.sigmoid else values
        self.raw_features.copy_(values.T.reshape(self.raw_features.shape))

    def _centres(self) -> Tensor:
        """The voxels' centres, (Z Y X, 3), world units."""
        low, high = self.box
        shares = [(torch.arange(n, device=low.device) + 0.5) / n for n in self.config.sides]
        grid = torch.meshgrid(*shares[::-1], indexing="ij")
        return low + torch.stack(grid[::-1], dim=-1).reshape(-1, 3) * (high - low)

    def check_sizes(self) -> None:
        """Whether the parameters are as large as the options say: renderers count voxels by these.

        Raises:
            UserError: a plug-in put another tensor in a parameter's place.
        """
        x, y, z = self.config.sides
        expected = {"raw_density": (1, 1, z, y, x), "raw_features": (1, self.channels, z, y, x), "log_scale": ()}
        for name, shape in expected.items():
            found, first = getattr(self, name), self.raw_density
            if found.shape != shape or found.dtype != first.dtype or found.device != first.device:
                raise UserError(
                    f"representation {self.name}: {name} is {tuple(found.shape)}, {found.dtype} on {found.device}; its "
                    f"options say {shape}, like raw_density; who changes a field's size changes its options, too"
                )

    def density(self, points: Tensor) -> Tensor:
        """softplus(e^s gain raw + shift) / unit inside the box, 0 outside."""
        place = self._place(points)
        raw = interpolate(self.raw_density, place)[0]
        value = self.density_of(raw)
        middle = 0.5 * place.new_tensor(self.config.sides)[:, None]
        x, y, z = (place - middle).abs() <= middle + ROUND_OFF
        inside: Tensor = x & y & z
        return value * inside

    def lattice_density(self, axes: Sequence[Tensor]) -> Tensor:
        """At its own voxels' centres: what they hold, without interpolation."""
        first = self._first_voxel(axes)
        if first is None:
            return super().lattice_density(axes)
        raw = self.raw_density[0, 0].permute(2, 1, 0)
        for dim, (start, axis) in enumerate(zip(first, axes, strict=True)):
            raw = raw.narrow(dim, start, len(axis))
        return self.density_of(raw)

    def density_of(self, raw: Tensor) -> Tensor:
        """Per world unit, of raw density."""
        return functional.softplus(self.scale * raw + self.config.density_shift) / self.unit

    def raw_of(self, density: Tensor | float) -> Tensor:
        """The raw density that makes a density, per world unit and above 0."""
        thick = torch.as_tensor(density, dtype=self.raw_density.dtype, device=self.raw_density.device) * self.unit
        return (thick + torch.log(-torch.expm1(-thick)) - self.config.density_shift) / self.scale

    def _first_voxel(self, axes: Sequence[Tensor]) -> list[int] | None:
        """The number of the first voxel along each axis, if the lattice is of neighbouring voxels' centres."""
        self.check_sizes()
        first = []
        for side, low, high, axis in zip(self.config.sides, self.box[0], self.box[1], axes, strict=True):
            place = (axis - low) * (side / (high - low)) - 0.5
            start = round(float(place[0])) if len(place) else -1
            wanted = start + torch.arange(len(place)).to(place)
            if start < 0 or start + len(place) > side or not bool((place - wanted).abs().max() < OWN):
                return None
            first.append(start)
        return first

    def features(self, points: Tensor) -> Tensor:
        """RGB through a sigmoid, or the raw latent."""
        raw = interpolate(self.raw_features, self._place(points)).T
        return raw.sigmoid() if self.sigmoid else raw

    def _place(self, points: Tensor) -> Tensor:
        """World (N, 3) -> voxels from the box's low corner, (3, N)."""
        self.check_sizes()
        low, high = self.box
        voxels_a_unit = points.new_tensor(self.config.sides) / (high - low)
        place: Tensor = (points.T - low[:, None]) * voxels_a_unit[:, None]
        return place


class CarvedVoxelField(VoxelField):
    """`voxels` with `carve` or `fill_hidden`.

    A surface has one colour from all sides (if it is matt), and once that is learnt, the gradient of its colour is small in
    every view. A lid that light fog draws over a hollow shows another part of the inside to every view: its gradient goes on
    to fluctuate about 0. Such voxels are emptied, again and again, for a lid grows anew further in until the views agree. It
    is space carving (Kutulakos and Seitz 2000), with the optimisation's own gradients for its test of photo-consistency.
    """

    def __init__(self, config: VoxelConfig) -> None:
        super().__init__(config)
        self.squares: Tensor
        self.register_buffer("squares", torch.zeros_like(self.raw_density[0, 0]))

    def initialise(self, step: Step) -> None:
        super().initialise(step)
        self.squares.zero_()

    def after_step(self, step: Step, optimizer: RowOptimizer) -> None:
        """Note the colours' gradients; carve in every EVERY-th step of the span, and fill after the last step."""
        if (gradient := self.raw_features.grad) is not None:
            self.squares.lerp_(gradient.detach()[0].square().mean(dim=0), 1 - KEPT)
        first, last = self.config.carve or (2.0, 2.0)
        if first * step.total <= step.index <= last * step.total and step.index % EVERY == 0:
            self.carve()
        if self.config.fill_hidden and step.index == step.total - 1:
            self.fill()

    @torch.no_grad()
    def carve(self) -> None:
        """Empty, to the fog of the start, what the views disagree about."""
        found = inconsistent(self._voxel_densities(), self._edges(), self.squares, self.config.carve_above)
        self.raw_density.masked_fill_(found, 0)

    @torch.no_grad()
    def fill(self) -> None:
        """Make solid what no view sees: they tell of surfaces alone, and leave what is behind empty."""
        found = unseen(self._voxel_densities(), self._edges())
        self.raw_density.masked_fill_(found, float(self.raw_of(optical_depth(FULL) / self.spacing)))

    def _voxel_densities(self) -> Tensor:
        """(Z, Y, X), per voxel's side."""
        return self.spacing * self.density_of(self.raw_density[0, 0])

    def _edges(self) -> numpy.ndarray:
        low, high = self.config.corners.double().numpy()
        edges = (high - low) / numpy.array(self.config.sides)
        return numpy.asarray(edges / edges.min())
