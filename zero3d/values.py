"""The values that flow between parts. Frozen; shapes: B views, H W pixels, C channels, S samples along a ray."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, fields, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from zero3d.interfaces.scene.representation import Representation
    from zero3d.random import Generators

PUBLISHED_FOV = 2 * math.atan(16 / 35)
"""Field of view of the published Zero-1-to-3 data: a 35 mm lens on a 32 mm sensor, 49.1343 degrees, in radians."""

FAR = 10.0
"""Depth of the background, in world units (SJC)."""


@dataclass(frozen=True)
class Cameras:
    """B pinhole cameras that share one size.

    `camera_to_world` (B, 4, 4): OpenGL axes (x right, y up, looking along -z) in a right-handed world with z up.
    `fov`: the angle across the image's width, radians, a number for all or (B,); pixels are square, centres at +0.5.
    """

    camera_to_world: Tensor
    height: int
    width: int
    fov: float | Tensor = PUBLISHED_FOV

    def __len__(self) -> int:
        return self.camera_to_world.shape[0]

    @property
    def position(self) -> Tensor:
        """(B, 3), world units."""
        return self.camera_to_world[:, :3, 3]

    @property
    def distance(self) -> Tensor:
        """(B,) from the origin, world units."""
        norm: Tensor = torch.linalg.vector_norm(self.position, dim=-1)
        return norm

    @property
    def azimuth(self) -> Tensor:
        """(B,) radians, counter-clockwise seen from above, 0 on the +x axis."""
        return torch.atan2(self.position[:, 1], self.position[:, 0])

    @property
    def elevation(self) -> Tensor:
        """(B,) radians up from the horizon."""
        return torch.atan2(self.position[:, 2], self.position[:, :2].norm(dim=-1))

    def resized(self, height: int, width: int) -> Cameras:
        """The same cameras with another number of pixels."""
        return replace(self, height=height, width=width)

    @property
    def fovs(self) -> Tensor:
        """(B,) radians: each camera's own field of view."""
        return torch.as_tensor(self.fov).to(self.camera_to_world).expand(len(self))

    def to(self, device: torch.device | str) -> Cameras:
        fov = self.fov.to(device) if isinstance(self.fov, Tensor) else self.fov
        return Cameras(self.camera_to_world.to(device), self.height, self.width, fov)

    def __getitem__(self, index: slice | Tensor) -> Cameras:
        fov = self.fov[index] if isinstance(self.fov, Tensor) else self.fov
        return Cameras(self.camera_to_world[index], self.height, self.width, fov)

    def same_as(self, other: Cameras) -> bool:
        """The same poses and fields of view, whatever the size."""
        alike = torch.equal(self.camera_to_world, other.camera_to_world)
        if isinstance(self.fov, Tensor) or isinstance(other.fov, Tensor):
            return alike and torch.equal(self.fovs, other.fovs)
        return alike and self.fov == other.fov

    @staticmethod
    def joined(parts: Sequence[Cameras]) -> Cameras:
        """All cameras of `parts`, which have one size."""
        first = parts[0]
        shared = all(not isinstance(part.fov, Tensor) and part.fov == first.fov for part in parts)
        fov = first.fov if shared else torch.cat([part.fovs for part in parts])
        return Cameras(torch.cat([part.camera_to_world for part in parts]), first.height, first.width, fov)


@dataclass(frozen=True)
class View:
    """B rendered pictures. What a renderer does not provide is None.

    image (B, H, W, C): composited over the background; RGB in [0, 1], or a latent.
    opacity (B, H, W, 1) in [0, 1]. depth (B, H, W, 1): expected distance along the unit ray + (1 - opacity) * far.
    weights (B, H, W, S): each sample's share of its ray, alpha times transmittance. distances (B, H, W, S): where those
    samples lie along the unit ray, world units. normals (B, H, W, 3): unit vectors in world axes times opacity.
    extra: what else the renderer declares in `provides`, by name, B first.
    """

    image: Tensor
    opacity: Tensor
    depth: Tensor | None = None
    weights: Tensor | None = None
    normals: Tensor | None = None
    distances: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Every field that is there, and every extra, by name."""
        own = {name: getattr(self, name) for name in _VIEW_FIELDS}
        return {name: tensor for name, tensor in own.items() if tensor is not None} | dict(self.extra)

    def get(self, name: str) -> Tensor | None:
        """The field or extra of that name; None if it is not there."""
        found: Tensor | None = getattr(self, name) if name in VIEW_FIELDS else self.extra.get(name)
        return found

    def changed(self, change: Callable[[Tensor], Tensor]) -> View:
        """The same view with every tensor passed through `change`."""
        own = {name: change(tensor) for name in _VIEW_FIELDS if (tensor := getattr(self, name)) is not None}
        return View(**own, extra={name: change(tensor) for name, tensor in self.extra.items()})

    def detach(self) -> View:
        return self.changed(lambda tensor: tensor.detach())

    def __getitem__(self, index: slice) -> View:
        return self.changed(lambda tensor: tensor[index])

    def split(self, sizes: list[int], fields: Set[str]) -> list[View]:
        """The first so many views, the next so many, and so on, with these fields and extras of those that are there."""
        kept = {name: tensor for name, tensor in self.tensors().items() if name in fields}
        places = [slice(end - size, end) for size, end in zip(sizes, accumulate(sizes), strict=True)]
        parts: list[dict[str, Any]] = [{name: tensor[place] for name, tensor in kept.items()} for place in places]
        return [View(extra={name: own.pop(name) for name in self.extra if name in own}, **own) for own in parts]


_VIEW_FIELDS = tuple(f.name for f in fields(View) if f.name != "extra")
VIEW_FIELDS = frozenset(_VIEW_FIELDS)
"""What every renderer may provide; extras have names of its own."""


@dataclass(frozen=True)
class ElevationEstimate:
    """How far a picture's camera is guessed to look down: mean and standard deviation, degrees."""

    mean_deg: float
    std_deg: float

    def __str__(self) -> str:
        return f"elevation: {self.mean_deg:.0f} degrees, give or take {self.std_deg:.0f} (estimated)"


@dataclass(frozen=True)
class Picture:
    """The prepared input: `rgb` (H, W, 3) in [0, 1] over white, `mask` (H, W, 1) in [0, 1], both square and framed."""

    rgb: Tensor
    mask: Tensor

    def resized(self, height: int, width: int) -> Picture:
        """Averaged down (or bilinearly up) to another size."""
        if self.rgb.shape[:2] == (height, width):
            return self
        both = torch.cat([self.rgb, self.mask], -1).permute(2, 0, 1)[None]
        mode, corners = ("area", None) if height <= self.rgb.shape[0] else ("bilinear", False)
        out = functional.interpolate(both, (height, width), mode=mode, align_corners=corners)[0].permute(1, 2, 0)
        return Picture(out[..., :3], out[..., 3:])

    def to(self, device: torch.device | str) -> Picture:
        return Picture(self.rgb.to(device), self.mask.to(device))


@dataclass(frozen=True)
class Window:
    """The square of its source that a prepared picture shows, in the source's pixels; it may reach beyond their edges.

    `left`, `top`: of the square, `side` long. `height`, `width`: of the source.
    """

    left: float
    top: float
    side: float
    height: int
    width: int


@dataclass(frozen=True)
class PosedPicture:
    """A prepared picture with where it was taken from: one camera, whose size is that of its view in the optimisation.

    `weight`: its share among the subject's pictures, above 0; a label names it in the recipe. `window`: where the picture
    lies in its source, for maps of the source's pixels; None where it is its own source.
    """

    label: str
    picture: Picture
    camera: Cameras
    weight: float = 1.0
    window: Window | None = None

    def resized(self, size: int) -> PosedPicture:
        """Picture and camera of `size` x `size` pixels."""
        return replace(self, picture=self.picture.resized(size, size), camera=self.camera.resized(size, size))

    def to(self, device: torch.device | str) -> PosedPicture:
        return replace(self, picture=self.picture.to(device), camera=self.camera.to(device))


@dataclass(frozen=True)
class Prompt:
    """What is wanted in words, and what is not."""

    text: str
    negative: str = ""


@dataclass(frozen=True)
class Subject:
    """What is made: pictures with their cameras, words, or both; the first picture is the front, at azimuth 0."""

    pictures: tuple[PosedPicture, ...] = ()
    prompt: Prompt | None = None

    @classmethod
    def of(cls, picture: Picture, camera: Cameras) -> Subject:
        """One picture from one camera."""
        return cls((PosedPicture("front", picture, camera),))

    @property
    def has(self) -> frozenset[str]:
        """Which of "picture" and "prompt" there is."""
        return frozenset({"picture"} if self.pictures else ()) | frozenset({"prompt"} if self.prompt else ())

    def named(self) -> dict[str, PosedPicture]:
        """The pictures by the names of their views: "input" for the first, "input.LABEL" for the others."""
        return {f"input.{posed.label}" if i else "input": posed for i, posed in enumerate(self.pictures)}

    def to(self, device: torch.device | str) -> Subject:
        return replace(self, pictures=tuple(posed.to(device) for posed in self.pictures))


@dataclass(frozen=True)
class Step:
    """Where the optimisation stands: step `index` of `total`, with the run's random streams under `scope`."""

    index: int
    total: int
    generators: Generators
    scope: str = ""

    @property
    def progress(self) -> float:
        """In [0, 1): the share of the run that lies behind."""
        return self.index / max(self.total, 1)

    def generator(self, name: str) -> torch.Generator:
        """The random stream `name` of this part alone (a CPU generator; move what it draws)."""
        return self.generators[f"{self.scope}.{name}" if self.scope else name]

    def scoped(self, scope: str) -> Step:
        """The same step, with random streams of its own for the part called `scope`."""
        return Step(self.index, self.total, self.generators, f"{self.scope}.{scope}" if self.scope else scope)


@dataclass(frozen=True)
class ViewGradient:
    """A guidance's answer: dL/d field of the view, by the field's name, summed over pixels, without a graph.

    `gradients`: "image" -> (B, H, W, C), "normals" -> (B, H, W, 3), ...: of the view's shapes. `metrics`: figures to log.
    `pictures`: what it looked at, for whoever wants to see it: "view", "noised" and "denoised" (those it has), each
    (B, h, w, c) in its teacher's image space, without a graph.
    """

    gradients: Mapping[str, Tensor]
    metrics: Mapping[str, float] = field(default_factory=dict)
    pictures: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def value(self) -> Tensor:
        """dL/d image, (B, H, W, C)."""
        return self.gradients["image"]


def ImageGradient(
    value: Tensor, metrics: Mapping[str, float] | None = None, pictures: Mapping[str, Tensor] | None = None
) -> ViewGradient:
    """A ViewGradient of the image alone: dL/d image, (B, H, W, C)."""
    return ViewGradient({"image": value}, metrics or {}, pictures or {})


@dataclass(frozen=True)
class PosedView:
    """One input picture and what the representation looks like from its camera: `view` of one camera, of its own size."""

    posed: PosedPicture
    view: View


@dataclass(frozen=True)
class LossContext:
    """What a regularizer may look at. `view` and `cameras` are those the recipe chose for the term.

    `views`: the step's renders by name: "novel", "near", "input" (of the first picture), "input.LABEL" (of the others),
    those that some term needs. `subject`: the prepared pictures and the prompt. `decode`: image space of the field -> RGB
    (B, H', W', 3), differentiable.
    """

    step: Step
    view: View
    cameras: Cameras
    views: Mapping[str, View]
    subject: Subject
    representation: Representation
    decode: Callable[[Tensor], Tensor]

    @property
    def novel(self) -> View:
        """The novel views; drawn where a term acts on them or needs "novel_view"."""
        return self.views["novel"]

    @property
    def near(self) -> View | None:
        """One close to each novel view; None unless a term needs "near_view"."""
        return self.views.get("near")

    @property
    def input(self) -> View | None:
        """The first picture's view; None unless a term needs "input_view"."""
        return self.views.get("input")

    @property
    def inputs(self) -> tuple[PosedView, ...]:
        """All pictures with their views, where a term needs "input_view"."""
        named = self.subject.named()
        return tuple(PosedView(named[name], view) for name, view in self.views.items() if name in named)

    @property
    def picture(self) -> Picture:
        """The first picture, prepared; for terms that need "input_view"."""
        return self.subject.pictures[0].picture


@dataclass(frozen=True)
class TermGradient:
    """What one term of the objective says in one step, its weight included.

    `label`: the recipe's key, "guidance.sds" or "regularizers.opaque". `acts_on`: the name of the view it was given.
    `views`: name of a drawn view -> its field -> dL/d field, averaged over B. `direct`: (parameter, gradient), what
    reaches the representation past any view. `value`: a regularizer's penalty without its weight; None for guidance,
    whose value means nothing. `pictures`: those of ViewGradient; `decode` makes RGB of them.
    """

    label: str
    acts_on: str
    weight: float
    views: Mapping[str, Mapping[str, Tensor]]
    direct: tuple[tuple[Tensor, Tensor], ...] = ()
    value: Tensor | None = None
    pictures: Mapping[str, Tensor] = field(default_factory=dict)
    decode: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class StepTerms:
    """One step when every term has spoken and nothing has moved yet.

    `cameras`, `views`: what was drawn, by name (those of LossContext, and a guidance's own "guidance.LABEL"),
    without a graph. `on_parameters(term)`: that term's gradient on each optimised parameter of the representation, by
    its name in `named_parameters()`: a backward pass through the renderer of its own, as dear as the step's.
    """

    step: Step
    cameras: Mapping[str, Cameras]
    views: Mapping[str, View]
    terms: tuple[TermGradient, ...]
    on_parameters: Callable[[TermGradient], Mapping[str, Tensor]]
