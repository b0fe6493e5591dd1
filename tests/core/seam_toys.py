"""Small parts that use what the wider seam gives: a cloud that grows, a guidance that remembers, a painted background."""

from dataclasses import dataclass

import torch
from torch import nn

from tests.core import toy
from zero3d import Schedule
from zero3d.geometry import orbit
from zero3d.interfaces import (
    COND,
    Background,
    CameraSampler,
    Encoder,
    Guidance,
    PixelDenoiser,
    Reconstructor,
    Regularizer,
    Renderer,
    Representation,
)
from zero3d.values import ImageGradient, View, ViewGradient


@dataclass
class CloudConfig:
    """`points`: at the start. `every`: steps between two growths. `careless`: how it forgets the optimizer."""

    points: int = 3
    every: int = 4
    careless: str = ""


class Cloud(Representation):
    """Colours whose mean is the picture; one is copied and one dropped as it grows."""

    name = "cloud"
    Config = CloudConfig
    grows = True
    channels = 3

    def __init__(self, config):
        super().__init__(config)
        self.values = nn.Parameter(torch.zeros(config.points, 3))
        self.register_buffer("age", torch.zeros(config.points))

    def initialise(self, step):
        self.values.copy_(torch.rand(self.values.shape, generator=step.generator("values")))

    def param_groups(self):
        return [{"params": [self.values], "lr_scale": Schedule.parse({"0%": 1.0, "100%": 0.5})}]

    def parameter_bytes(self):
        return 100 * 3 * 4

    def after_step(self, step, optimizer):
        self.age += 1
        if (step.index + 1) % self.config.every:
            return
        if self.config.careless == "data":
            self.values.data = torch.cat([self.values.data, self.values.data[:1]])
        elif self.config.careless == "parameter":
            self.values = nn.Parameter(torch.cat([self.values.data, self.values.data[:1]]))
        else:
            rows = torch.cat([torch.arange(1, len(self.values)), torch.tensor([1, 1])])
            optimizer.rearrange("values", rows, new=rows.new_tensor([0] * (len(rows) - 1) + [1]).bool())
            noise = torch.rand(3, generator=step.generator("clone"))
            self.values.data[-1] += 0.01 * noise
            self.age = torch.cat([self.age[1:], torch.zeros(2)])


class CloudRenderer(Renderer):
    """Shows the mean colour over its background; hands out each colour as an extra."""

    name = "cloud"
    accepts = Representation
    provides = frozenset({"image", "opacity", "colours"})

    def render(self, representation, cameras, background, needs=frozenset(), step=None):
        size = (len(cameras), cameras.height, cameras.width)
        image = representation.values.mean(dim=0).expand(*size, -1)
        behind = self.behind(background, cameras)
        half = torch.full((*size, 1), 0.5)
        extra = {"colours": representation.values.expand(len(cameras), -1, -1)} if "colours" in needs else {}
        return View(0.5 * image + 0.5 * behind, half, extra=extra)

    def memory_bytes(self, representation, rays):
        return rays


class Fits(Guidance):
    """Draws target pictures every 5 steps, and holds their cameras."""

    name = "fits"
    asks = None

    def __init__(self, config):
        super().__init__(config)
        self.held, self.target, self.count = None, None, 0

    def cameras(self, step, sampler):
        if self.count % 5 == 0:
            self.held, self.target = sampler.sample(step), None
        return self.held

    def gradient(self, view, cameras, step):
        if self.target is None:
            self.target = torch.rand(view.image.shape, generator=step.generator("target"))
        return ViewGradient({"image": view.image - self.target}, {"count": float(self.count)})

    def after_step(self, step):
        self.count += 1

    def state_dict(self):
        if self.held is None:
            return {}
        pose = {"pose": self.held.camera_to_world, "target": self.target}
        return {**pose, "count": self.count, "size": self.held.height}

    def load_state_dict(self, state):
        self.held = orbit(0.0, 0.0, int(state["size"]))
        self.held = type(self.held)(state["pose"], int(state["size"]), int(state["size"]))
        self.target, self.count = state["target"], int(state["count"])


class Colours(Regularizer):
    """Reads an extra of the renderer."""

    name = "colours"
    needs = frozenset({"colours"})
    default_weight = 0.1

    def penalty(self, context):
        return context.view.extra["colours"].square().mean()


class Counted(PixelDenoiser):
    """Counts what it is asked; `calls` is a branch's count."""

    name = "counted"
    needs = frozenset({"prompt"})
    branches = (COND, "null", "negative")

    @dataclass
    class Config:
        """`group`: views denoised jointly."""

        group: int = 1

    def __init__(self, config):
        super().__init__(config)
        self.group, self.resolution, self.picture_resolution = config.group, toy.SIZE, toy.SIZE
        self.asked, self.words = [], None

    def condition(self, subject):
        self.words = subject.prompt
        return subject.prompt.text

    def predict(self, noised, sigma, condition, cameras, branches):
        self.asked.append(tuple(branches))
        return {branch: torch.zeros_like(noised) for branch in branches}


class Classifier(Guidance):
    """cond - null, nothing else."""

    name = "classifier"
    branches = (COND, "null")

    def gradient(self, view, cameras, step):
        x0 = self.teacher.predict(view.image, torch.ones(len(view.image)), cameras, (COND, "null"))
        return ImageGradient(view.image - x0[COND] + x0["null"])


class Words(Encoder):
    """A picture's mean colour as a unit vector; of a text, red."""

    name = "words"
    reads = frozenset({"picture", "prompt"})
    dimensions = 3

    def encode_pictures(self, image):
        return torch.nn.functional.normalize(image.mean(dim=(1, 2)) + 1e-3, dim=-1)

    def encode_texts(self, texts):
        return torch.tensor([[1.0, 0.0, 0.0]]).expand(len(texts), -1)


class Alike(Guidance):
    """Towards the prompt's vector."""

    name = "alike"
    asks = "encoder"

    def gradient(self, view, cameras, step):
        image = view.image.detach().requires_grad_()
        with torch.enable_grad():
            wanted = self.teacher.encoder.encode_texts([self.teacher.subject.prompt.text])
            loss = -(self.teacher.encoder.encode_pictures(image) * wanted).sum()
        return ImageGradient(torch.autograd.grad(loss, image)[0], {"alike": -float(loss.detach())})


class Shade(Background):
    """A grey of its own for each view and step, times a parameter that is fitted."""

    name = "shade"

    def __init__(self, config):
        super().__init__(config)
        self.level = nn.Parameter(torch.tensor(0.5))

    def paint(self, cameras, step, white):
        chance = torch.rand(len(cameras), 1, 1, 1, generator=step.generator("shade"))
        return (self.level * chance).expand(-1, 1, 1, 3)

    def parameters(self):
        return [self.level]

    def state_dict(self):
        return {"level": self.level.detach()}

    def load_state_dict(self, state):
        self.level.data.copy_(state["level"])


class Guess(Reconstructor):
    """A flat picture, as grey as the input."""

    name = "guess"
    picture_resolution = 8

    def reconstruct(self, subject, step):
        made = toy.Flat(toy.FlatConfig(resolution=16))
        made.picture.data.fill_(float(subject.pictures[0].picture.rgb.mean()))
        return made


class Ring(CameraSampler):
    """Groups of `group` views at one elevation."""

    name = "ring"
    resolution = toy.SIZE

    @dataclass
    class Config:
        """`group`: views of one elevation."""

        group: int = 2

    def __init__(self, config):
        super().__init__(config)
        self.group = self.views = config.group

    def sample(self, step):
        first = 360 * float(torch.rand(1, generator=step.generator("azimuth")))
        return orbit(10.0, first + 360 / self.views * torch.arange(self.views), self.resolution)


COMPONENTS: tuple[type, ...] = (
    Cloud, CloudRenderer, Fits, Colours, Counted, Classifier, Words, Alike, Shade, Guess, Ring
)  # fmt: skip
