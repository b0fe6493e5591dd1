"""A radiance field on a dense grid: density and a colour (or latent) in every voxel, interpolated trilinearly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.interfaces import RadianceField, Representation, RowOptimizer
from zero3d.values import Step
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.trilinear import interpolate

ROUND_OFF = 1e-4
"""In voxels: a ray's first sample lies on the box's face, give or take."""
OWN = 1e-2
"""In voxels: nearer to a voxel's centre, its own number is the density."""
THINNEST = 1e-3
"""Density at least, per world unit, where a field starts from another: in softplus's far tail nothing would learn."""
SAME = ("sides", "box", "density_shift", "density_gain", "activation")
"""Options by which two grids' raw numbers mean the same."""
EMPTY = -14.0
"""What softplus takes of an emptied voxel: a density below a millionth."""
CHUNK = 2**20
"""Points at which another field is read at once."""


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
        """The class that prunes only where it is asked to: of the other the engine has no `after_step` to call."""
        return cls(config) if config.prune_at == 1 else PrunedVoxelField(config)

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


class PrunedVoxelField(VoxelField):
    """`voxels` with `prune_at`: thin voxels are emptied for good in the middle of a run.

    As Plenoxels do (Fridovich-Keil et al. 2022, arXiv 2112.05131, "Coarse to Fine"). While density grows slowly, every ray
    still passes through the fog, and colours agree from all sides about where the surface is; the fog that is left over
    there, in hollows above all, would be a lid as soon as density grows fast.
    """

    def __init__(self, config: VoxelConfig) -> None:
        super().__init__(config)
        self.emptied: Tensor
        self.register_buffer("emptied", torch.zeros_like(self.raw_density, dtype=torch.bool))

    def initialise(self, step: Step) -> None:
        super().initialise(step)
        self.emptied.zero_()

    def after_step(self, step: Step, optimizer: RowOptimizer) -> None:
        """Prune after the first steps; later keep empty what was emptied."""
        last = int(self.config.prune_at * step.total)
        if step.index == last:
            self.prune()
            for name in ("raw_density", "raw_features"):
                optimizer.reset(name)
        elif step.index > last:
            self._empty()

    @torch.no_grad()
    def prune(self) -> None:
        """Empty what lets more light through than `prune_below` of the typical voxel, and let colours begin anew.

        Typical is the mean alpha, weighted by alpha itself. Colours were learnt through the fog, and are wrong without it.
        """
        density = functional.softplus(self.scale * self.raw_density + self.config.density_shift)
        alpha = -torch.expm1(-self.spacing * density)
        typical = alpha.square().sum() / alpha.sum().clamp(min=1e-12)
        self.emptied.copy_(alpha < self.config.prune_below * typical)
        self._empty()
        self.raw_features.zero_()

    @torch.no_grad()
    def _empty(self) -> None:
        self.raw_density.masked_fill_(self.emptied, (EMPTY - self.config.density_shift) / self.scale)
