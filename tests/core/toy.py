"""Parts small enough to compute by hand: the representation is the picture itself, whatever the camera."""

from dataclasses import dataclass

import torch
from torch import nn

from zero3d.geometry import orbit
from zero3d.interfaces import CameraSampler, Guidance, Regularizer, Renderer, Representation
from zero3d.values import ImageGradient, View

SIZE = 4


@dataclass
class FlatConfig:
    """`start`: every pixel's first value."""

    start: float = 0.25
    channels: int = 3
    resolution: int = SIZE


class Flat(Representation):
    """One picture that every camera sees."""

    name = "flat"
    Config = FlatConfig

    def __init__(self, config):
        super().__init__(config)
        self.channels = config.channels
        self.picture = nn.Parameter(torch.zeros(config.resolution, config.resolution, config.channels))

    def initialise(self, step):
        self.picture.fill_(self.config.start)


class FlatRenderer(Renderer):
    """Shows the picture; depth is its red channel; counts how often and what for it was asked."""

    name = "flat"
    accepts = Flat
    provides = frozenset({"image", "opacity", "depth"})

    def __init__(self, config):
        super().__init__(config)
        self.calls = []

    def render(self, representation, cameras, background, needs=frozenset(), step=None):
        self.calls.append((len(cameras), needs))
        image = representation.picture.expand(len(cameras), -1, -1, -1)
        return View(image, image[..., :1], image[..., :1] if "depth" in needs else None)

    def memory_bytes(self, representation, rays):
        return rays


class RoundCameras(CameraSampler):
    """One random azimuth."""

    name = "round"
    resolution = SIZE
    views = 1

    def sample(self, step):
        return orbit(0.0, 360 * float(torch.rand(1, generator=step.generator("azimuth"))), SIZE)

    def near(self, cameras, step):
        return cameras


@dataclass
class PullConfig:
    """`target`: the colour it wants."""

    target: float = 1.0


class Pull(Guidance):
    """dL/dx = x - target, with noise that averages out."""

    name = "pull"
    Config = PullConfig

    def gradient(self, view, cameras, step):
        noise = torch.randn(view.image.shape, generator=step.generator("noise"))
        return ImageGradient(view.image - self.config.target + 0.01 * noise, {"noise": float(noise.mean())})


class Bright(Regularizer):
    """Mean square of the chosen view."""

    name = "bright"
    needs = frozenset({"image"})
    default_weight = 0.5

    def penalty(self, context):
        return context.view.image.square().mean()


class Deep(Regularizer):
    """Mean difference of depth between novel and near."""

    name = "deep"
    needs = frozenset({"depth", "near_view"})
    default_weight = 1.0

    def penalty(self, context):
        return (context.novel.depth - 2 * context.near.depth).abs().mean()


class Direct(Regularizer):
    """Acts on the parameters, not on a view."""

    name = "direct"
    needs = frozenset()
    default_weight = 1.0

    def penalty(self, context):
        return context.representation.picture.square().sum()


class Normals(Regularizer):
    """Needs what no toy renderer provides."""

    name = "normals"
    needs = frozenset({"normals"})
    default_weight = 1.0

    def penalty(self, context):
        return context.view.normals.sum()


COMPONENTS = (Flat, FlatRenderer, RoundCameras, Pull, Bright, Deep, Direct, Normals)
