"""Representation: theta, the 3D model that is optimised."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from zero3d.interfaces.component import Component
from zero3d.values import Step


class RowOptimizer(Protocol):
    """What a representation that grows or prunes asks of the run's optimizer; names are those of `named_parameters()`."""

    def rearrange(self, name: str, rows: Tensor, new: Tensor | None = None) -> None:
        """Make the parameter's rows (its first axis) those of `rows` (M,), int64 indices into the present ones.

        A row may be left out or taken several times; its moments follow. `new` (M,) bool: rows whose moments begin at
        zero, as those of a clone do; write their values to `.data` afterwards. The parameter stays the same object, its
        gradient is dropped.
        """

    def reset(self, name: str, rows: Tensor | None = None) -> None:
        """Set the moments of some rows (indices or a mask), or of all, to zero: their values were changed by hand."""


class Representation(nn.Module, Component):
    """A trainable 3D model; its parameters are ordinary `nn.Parameter`s, allocated in `__init__`.

    (The engine first builds it on torch's "meta" device to learn its size, so `__init__` must only use tensor
    factories and modules, and draw random numbers in `initialise`.) Its state is `nn.Module`'s.
    """

    kind: ClassVar[str] = "representation"
    channels: int
    """Channels C of the images rendered from it: 3 for RGB, or a latent's."""
    grows: ClassVar[bool] = False
    """Whether the first axis of its parameters and buffers may change, by `optimizer.rearrange` in `after_step` alone."""

    tell: Callable[[str], None] = staticmethod(lambda line: None)
    """Takes a line for the user while a run optimises it, such as that it cannot grow further; say a thing once."""

    @classmethod
    def from_file(cls, path: Path) -> Representation | None:
        """The finished RGB model that a file in glTF axes holds, in world axes; None if the file is not of its kind.

        For what looks at models without a run, such as `zero3d eval`.

        Raises:
            UserError: it is of its kind, but damaged.
        """
        return None

    def __init__(self, config: Any) -> None:
        nn.Module.__init__(self)
        Component.__init__(self, config)

    @abstractmethod
    def initialise(self, step: Step) -> None:
        """Fill the parameters before the first step, with random numbers from `step.generator(...)` alone."""

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer; each parameter in exactly one.

        "lr_scale", a number or a Schedule, multiplies the recipe's rate; "lr" itself is refused. "shared_moment": Adam
        divides all numbers of a parameter by one size of its gradients instead of each by its own, so that a
        large gradient is a large step.
        """
        return [{"params": list(self.parameters())}]

    def parameter_bytes(self) -> int:
        """Bytes of all parameters at the most, for the check before a run: one that grows counts its largest size."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.parameters())

    def after_step(self, step: Step, optimizer: RowOptimizer) -> None:
        """Called after each optimisation step, for representations that grow, prune or change resolution.

        Gradients of the step are still there. Random numbers come from `step.generator(...)` alone.
        """

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As nn.Module's; one that grows takes the number of rows in `state_dict` first."""
        if self.grows:
            for name, tensor in [*self.named_parameters(), *self.named_buffers()]:
                saved = state_dict.get(name)
                if saved is not None and saved.ndim and saved.shape[1:] == tensor.shape[1:]:
                    tensor.data = tensor.data.new_empty(saved.shape)
        return super().load_state_dict(state_dict, strict, assign)

    @property
    def follows(self) -> bool:
        """Whether `follow`, as its options say, takes anything of what it is given; else a recipe's `start` is refused."""
        return True

    def can_follow(self, previous: Representation | None) -> bool:
        """Whether it can start from a former stage, from what a Reconstructor made, or from neither (None).

        Asked of a former stage before either is filled. By default without one, or where the tensors have the same names
        and shapes (of one that grows, but for the number of rows).
        """
        first = 1 if self.grows else 0  # the axis from which on shapes must agree
        both = (self, self if previous is None else previous)
        shapes = [{name: t.shape[first:] for name, t in r.state_dict().items()} for r in both]
        return shapes[0] == shapes[1]

    def follow(self, previous: Representation) -> None:
        """Start from the former stage's result; called once, after `initialise`, where `can_follow` is true.

        A parameter that changes its shape here takes new `.data`, so that the optimizer keeps it.
        """
        self.load_state_dict(previous.state_dict())


class RadianceField(Representation):
    """A density and a feature at every point of a box: what volume renderers and Marching Cubes read."""

    box: Tensor
    """(2, 3) buffer: the corners of the axis-aligned box, world units; outside it density is 0."""
    spacing: float
    """Size of the finest detail it can hold (a voxel's side), world units: renderers derive their step from it."""
    takes_directions: bool = False
    """Whether its features depend on the viewing direction: renderers then ask `features_seen`."""

    @property
    def surface_density(self) -> float | None:
        """The density of its surface, where the field knows it (a signed distance field at 0); exporters then cut there."""
        return None

    @abstractmethod
    def density(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N,), >= 0, per world unit. Differentiable in the parameters."""

    @abstractmethod
    def features(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, C): RGB in [0, 1], or a latent; of all directions at once, as exports want it."""

    def lattice_density(self, axes: Sequence[Tensor]) -> Tensor:
        """`density` (X, Y, Z) at all points of a lattice: its coordinates along x, y and z, (X,), (Y,), (Z,), world units.

        A grid whose own numbers lie there can give them without interpolating.
        """
        points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        return self.density(points.reshape(-1, 3)).reshape(points.shape[:-1])

    def normals(self, points: Tensor, least_slope: float = 1e-6) -> Tensor:
        """(N, 3) the direction in which density falls, by central differences over `spacing`; differentiable.

        Differences, threestudio's default too, because a field's kernels need not be differentiable twice. Of length 1, or
        less where density changes by no more than `least_slope`, per world unit and world unit.
        """
        reach = self.spacing / 2
        offsets = reach * torch.eye(3, dtype=points.dtype, device=points.device)
        ends = torch.stack([points + sign * offset for offset in offsets for sign in (1, -1)])
        density = self.density(ends.reshape(-1, 3)).reshape(3, 2, len(points))
        slope = (density[:, 1] - density[:, 0]).T / (2 * reach)
        return slope / (slope.square().sum(dim=-1, keepdim=True) + least_slope**2).sqrt()

    def features_seen(self, points: Tensor, directions: Tensor) -> Tensor:
        """`features` seen along `directions` (N, 3), unit vectors from the camera; here, the same from everywhere."""
        return self.features(points)


class SurfaceRepresentation(Representation):
    """A triangle mesh: exporters write it as it is."""

    @abstractmethod
    def surface(self) -> tuple[Tensor, Tensor, Tensor]:
        """Vertices (V, 3) in world axes, faces (F, 3) int64, counter-clockwise seen from outside, features (V, C).

        Features as RadianceField's: RGB in [0, 1], or a latent. Differentiable in the parameters.
        """

    def features_at(self, face: Tensor, corners: Tensor) -> Tensor:
        """Features (..., C) at the points of faces (...,) that lie between their corners by weights (..., 3).

        By default between the vertices' features; a mesh with a texture reads it. Differentiable like `surface`.
        """
        _, faces, features = self.surface()
        # by index_select: its backward adds in a fixed order on a CPU, so that a run resumes exactly
        own = features.index_select(0, faces[face].reshape(-1)).reshape(*corners.shape, -1)
        return (own * corners[..., None]).sum(dim=-2)


class PointCloud(Representation):
    """Points on the surface of an object with their colours: what a cloud of Gaussians begins from.

    (A class may be this and a RadianceField or a SurfaceRepresentation, if it knows more than its points.)
    """

    @abstractmethod
    def points(self) -> tuple[Tensor, Tensor]:
        """Places (N, 3) in world axes, features (N, C) as RadianceField's: RGB in [0, 1], or a latent."""


class SplatCloud(Representation):
    """3D Gaussians that are splatted: what splat viewers show. (It may be a RadianceField, too.)"""

    @abstractmethod
    def splats(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Centres (N, 3) in world axes, covariances (N, 3, 3), features (N, C) as RadianceField's, opacities (N,) in [0, 1].

        Features of all directions at once: the mean over the sphere, RGB in [0, 1] or a latent.
        """
