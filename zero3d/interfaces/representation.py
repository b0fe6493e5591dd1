"""Representation: theta, the 3D model that is optimised."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from zero3d.interfaces.component import Component
from zero3d.values import Step


class Representation(Component, nn.Module):
    """A trainable 3D model; its parameters are ordinary `nn.Parameter`s, allocated in `__init__`.

    (The engine first builds it on torch's "meta" device to learn its size, so `__init__` must only use tensor
    factories and modules, and draw random numbers in `initialise`.)
    """

    kind: ClassVar[str] = "representation"
    channels: int
    """Channels C of the images drawn from it: 3 for RGB, or a latent's."""
    starts_from_solid: bool = False
    """As set, it follows what a denoiser takes the object for (`Denoiser.solid`), if one says so."""

    def __init__(self, config: Any) -> None:
        nn.Module.__init__(self)
        Component.__init__(self, config)

    @abstractmethod
    def initialise(self, step: Step) -> None:
        """Fill the parameters before the first step, with random numbers from `step.generator(...)` alone."""

    def param_groups(self) -> list[dict[str, Any]]:
        """Groups for the optimizer; each parameter in exactly one. "lr_scale" multiplies the recipe's rate."""
        return [{"params": list(self.parameters())}]

    def after_step(self, step: Step) -> None:
        """Called after each optimisation step, for representations that grow, prune or change resolution."""

    def can_follow(self, previous: Representation | None) -> bool:
        """Whether it can start from a recipe's former stage, or without one (None); asked before either is filled.

        By default without one, or where the tensors have the same names and shapes.
        """
        shapes = [{name: t.shape for name, t in r.state_dict().items()} for r in (self, previous or self)]
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

    @abstractmethod
    def density(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N,), >= 0, per world unit. Differentiable in the parameters."""

    @abstractmethod
    def features(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N, C): RGB in [0, 1], or a latent."""


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
