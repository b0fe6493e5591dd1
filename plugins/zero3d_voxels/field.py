"""A radiance field on a dense grid: density and a colour (or latent) in every voxel, interpolated trilinearly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.interfaces import RadianceField, Representation
from zero3d.schedule import Schedule
from zero3d.values import Step
from zero3d_voxels.trilinear import interpolate

ROUND_OFF = 1e-4
"""In voxels: a ray's first sample lies on the box's face, give or take."""
OWN = 1e-2
"""In voxels: nearer to a voxel's centre, its own number is the density."""
ACTIVATIONS = ("auto", "none", "sigmoid")
THINNEST = 1e-3
"""Density at least, per world unit, where a field starts from another: in softplus's far tail nothing would learn."""
SAME = ("sides", "box", "density_shift", "density_gain", "activation")
"""Options by which two grids' raw numbers mean the same."""
LARGEST_BOX, SMALLEST_BOX = 1000.0, 1e-3
"""World units; the object's longest side is 1."""
MOST_VOXELS = 2**14
"""Along a box's diagonal, each as long as the shortest side of one."""
LARGEST_NUMBER, SMALLEST_GAIN = 1e6, 1e-6
FASTEST = 1000.0
"""`density_rate` at most."""
LATEST_PRUNING = 0.9
"""Of the run, that the rest may give colours."""
CHUNK = 2**20
"""Points at which another field is read at once."""


@dataclass
class VoxelConfig:
    """Options of `voxels`.

    resolution: voxels along each axis, or [x, y, z]; 2 to 1024. channels: 3 for RGB, or the denoiser's latent.
    box: half-side of the cube, or [[x, y, z], [x, y, z]] corners, world units. density_shift: added before softplus
    (-1 in SJC: a uniform fog of 0.31 at the start). activation: of features: none, sigmoid or auto (sigmoid for RGB,
    none for a latent). initial_std: of the raw features (1 in SJC). learn_scale: the global density scale e^s of SJC.
    start: noise; a solid to begin from is the recipe's own `start`, a reconstructor. density_gain: a fixed factor on raw
    density; above 1 it makes surfaces form faster at the same learning rate. density_rate: what multiplies the learning
    rate of density, a number or a schedule; below 1 the shape that a `start` gave stays, while colours move on. prune_at:
    after which share of the run thin voxels are emptied for good and colours begin anew, at most 0.9, or 1 for never; let
    density grow slowly until then (density_rate: {0%: 0.03, 50%: 0.03, 51%: 0.3, 100%: 0.3}), and hollows stay open.
    prune_below: which are thin: of an alpha below this share of the typical one, 0 to 1.
    """

    resolution: Any = 64
    channels: int = 3
    box: Any = 1.0
    density_shift: float = -1.0
    activation: str = "auto"
    initial_std: float = 1.0
    learn_scale: bool = True
    start: str = "noise"
    density_gain: float = 1.0
    density_rate: Any = 1.0
    prune_at: float = 1.0
    prune_below: float = 0.5

    def __post_init__(self) -> None:
        self.density_rate = Schedule.parse(self.density_rate, "density_rate").within(0, FASTEST, "density_rate")
        sides = self.sides
        if len(sides) != 3 or not all(isinstance(side, int) and 2 <= side <= 1024 for side in sides):
            raise ValueError(f"resolution: {self.resolution}; one or three whole numbers from 2 to 1024")
        if not 1 <= self.channels <= 64:
            raise ValueError(f"channels: {self.channels}; 3 for RGB, 4 for Stable Diffusion's latent")
        try:
            corners = self.corners
            good = corners.shape == (2, 3) and bool((corners[0] < corners[1]).all())
        except (TypeError, ValueError, RuntimeError, OverflowError):
            good = False
        if not good:
            raise ValueError(f"box: {self.box}; a half-side above 0 or [[x, y, z], [x, y, z]] from low to high")
        edges = corners[1] - corners[0]
        if not bool((corners.abs() <= LARGEST_BOX).all() and (edges >= SMALLEST_BOX).all()):
            raise ValueError(
                f"box: {self.box}; within {LARGEST_BOX:g} world units of the origin, and no thinner than {SMALLEST_BOX:g}"
            )
        across = float(edges.norm() / (edges / torch.tensor(sides, device="cpu")).min())
        if across > MOST_VOXELS:
            raise ValueError(
                f"box: {self.box} of {sides} voxels; some are so thin that a ray would pass {across:.0f} of them, "
                f"at most {MOST_VOXELS}"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: {self.activation!r}; one of {', '.join(ACTIVATIONS)}")
        for name in ("prune_at", "prune_below"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)}; 0 to 1")
        if LATEST_PRUNING < self.prune_at < 1:
            late = f"0 to {LATEST_PRUNING}, for colours begin anew then, or 1 for never"
            raise ValueError(f"prune_at: {self.prune_at}; {late}")
        if self.start == "solid":
            raise ValueError(
                "start: 'solid'; remove it here and write, beside representation, start: {type: nano_lift}"
            )
        if self.start != "noise":
            raise ValueError(f"start: {self.start!r}; noise, or leave it out and give the recipe a `start` of its own")
        for name, low in (("density_shift", -LARGEST_NUMBER), ("initial_std", 0), ("density_gain", SMALLEST_GAIN)):
            if not low <= getattr(self, name) <= LARGEST_NUMBER:
                raise ValueError(f"{name}: {getattr(self, name)}; {low:g} to {LARGEST_NUMBER:g}")

    @property
    def sides(self) -> tuple[int, ...]:
        """Voxels along x, y, z."""
        return (self.resolution,) * 3 if isinstance(self.resolution, int) else tuple(self.resolution)

    @property
    def corners(self) -> Tensor:
        """(2, 3), world units."""
        if isinstance(self.box, (int, float)):
            return torch.tensor([[-float(self.box)] * 3, [float(self.box)] * 3], device="cpu")
        return torch.tensor(self.box, dtype=torch.float32, device="cpu")


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
        if config.prune_at == 1:
            return cls(config)
        from zero3d_voxels.pruned import PrunedVoxelField

        return PrunedVoxelField(config)

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
        thick = torch.cat(density).clamp(min=THINNEST)
        argument = thick + torch.log(-torch.expm1(-thick))  # softplus backwards
        raw = (argument - self.config.density_shift) / self.scale
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
        """softplus(e^s gain raw + shift) inside the box, 0 outside."""
        place = self._place(points)
        raw = interpolate(self.raw_density, place)[0]
        value = functional.softplus(self.scale * raw + self.config.density_shift)
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
        return functional.softplus(self.scale * raw + self.config.density_shift)

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
