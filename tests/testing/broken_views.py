"""Representations, renderers and camera samplers that break a law."""

import math
from dataclasses import replace

import torch
from torch import nn

from tests.testing import lawful
from tests.testing.broken import COUNT, NAN, broken, fails, of, scaled
from zero3d import testing
from zero3d.geometry import look_at, orbit
from zero3d.testing import SphereField
from zero3d.testing.sphere import SphereConfig
from zero3d.values import Cameras

# -- representation


def check_representation(cls):
    testing.check_representation(cls)


class Restless(lawful.Field):
    """Its density grows with what it has seen, and state_dict does not know."""

    name = "restless"

    def __init__(self):
        super().__init__()
        self.seen = 0

    def after_step(self, step, optimizer):
        self.seen += 1

    def density(self, points):
        return (1 + self.seen) * super().density(points)


def built(act):
    """A field whose __init__ does something besides."""

    def __init__(self):
        lawful.Field.__init__(self)
        act(self)

    return {"__init__": __init__}


def initialise(act):
    return {"initialise": lambda self, step: act(self)}


def grow(self):
    self.strength = nn.Parameter(torch.ones(7))


def asks(**answers):
    """A field whose `density` or `features` is changed: change(answer, points)."""

    def changed(what, change):
        return lambda self, points: change(getattr(lawful.Field, what)(self, points), points)

    return {what: changed(what, change) for what, change in answers.items()}


field = of(check_representation, lawful.Field)
GROUP = "each parameter is in exactly one group"
field(GROUP, param_groups=lambda self: [{"params": [self.strength]}])
field(GROUP, param_groups=lambda self: [{"params": list(self.parameters())}, {"params": [self.colour]}])
field(GROUP, param_groups=lambda self: [{"params": [*self.parameters(), nn.Parameter(torch.ones(1))]}])
field("lattice_density is density on a lattice", lattice_density=lambda self, axes: torch.zeros(3, 3, 3))
field("same seed, same start", **initialise(lambda self: self.strength.fill_(next(COUNT))))
field("random numbers come from its own stream", **initialise(lambda self: self.strength.uniform_()))
field("the start is finite", **initialise(lambda self: self.strength.fill_(math.inf)))
HONEST = "the memory check is told the truth"
field(HONEST, **initialise(grow))
field(HONEST, **built(lambda self: self.register_buffer("cache", torch.zeros(10**5))))
META = "it is built on the meta device"
field(META, **built(lambda self: float(torch.ones(()))))
field(META, **built(lambda self: setattr(self, "extra", nn.Parameter(torch.ones(1, device="cpu")))))
field("every tensor moves with it", **built(lambda self: setattr(self, "left", torch.ones(1))))
STEPS = "steps leave it finite, and the optimizer knows of every change of size"
field(STEPS, after_step=lambda self, step, optimizer: self.strength.data.fill_(NAN))
field(STEPS, after_step=fails)
field(STEPS, after_step=lambda self, step, optimizer: setattr(self, "strength", nn.Parameter(torch.ones(4))))
field(STEPS, after_step=lambda self, step, optimizer: setattr(self.strength, "data", torch.ones(7)))
field("param_groups give lr_scale, not lr", param_groups=lambda self: [{"params": list(self.parameters()), "lr": 1.0}])


def splats(change):
    """A cloud whose answer is changed: change(centres, covariances, features, opacities)."""
    return {"splats": lambda self: change(*lawful.Blobs.splats(self))}


cloud = of(check_representation, lawful.Blobs)
cloud("splats are (N, 3), (N, 3, 3), (N, C), (N,)", **splats(lambda m, c, f, o: (m, c, f, o[:, None])))
cloud("covariances are some", **splats(lambda m, c, f, o: (m, c + torch.tensor([[0.0, 0, 1], [0] * 3, [0] * 3]), f, o)))
cloud("covariances are some", **splats(lambda m, c, f, o: (m, -c, f, o)))
cloud("opacities, and RGB, lie in [0, 1]", **splats(lambda m, c, f, o: (m, c, f, o + 0.1)))
cloud("opacities, and RGB, lie in [0, 1]", **splats(lambda m, c, f, o: (m, c, f + 1, o)))


class Swells(lawful.Field):
    """Its colours become more, and their moments follow."""

    name = "swells"
    grows = True

    def features(self, points):
        return self.colour[0].expand(len(points), 3)

    def __init__(self):
        super().__init__()
        self.colour = nn.Parameter(torch.full((2, 3), 0.5))

    def parameter_bytes(self):
        return 400

    def after_step(self, step, optimizer):
        self.grow(step, optimizer)

    def grow(self, step, optimizer):
        optimizer.rearrange("colour", torch.arange(len(self.colour) + 1).clamp(max=len(self.colour) - 1))
        self.colour.data.clamp_(0, 1)


class Slows(Swells):
    """Grows in every other step, and keeps the count to itself."""

    name = "slows"

    def grow(self, step, optimizer):
        self.count = getattr(self, "count", 0) + 1
        if self.count % 2:
            super().grow(step, optimizer)


swelling = of(check_representation, Swells)
RESUMED = "n steps are k steps, a checkpoint and n - k steps"
broken(RESUMED)(lambda: check_representation(Slows))
swelling(RESUMED, grows=False)
swelling("parameter_bytes counts the largest size", parameter_bytes=lambda self: 60)
field("random numbers come from its own stream", after_step=lambda self, step, optimizer: torch.rand(1))
broken("state_dict is all there is to it")(lambda: testing.check_representation(Restless))
field("state_dict is all there is to it", load_state_dict=lambda self, state, *rest: None)
field("density is (N,), features (N, C)", **asks(density=lambda d, p: d[:, None]))
field("density and features are finite", **asks(features=lambda f, p: f / 0))
field("density is not negative", **asks(density=lambda d, p: d - 0.1))
field("density is 0 outside the box", **asks(density=lambda d, p: 0 * d + 1))
field("RGB features lie in [0, 1]", **asks(features=lambda f, p: 2 * f))
field("any number of points may be asked", **asks(density=lambda d, p: d + 0 * p.amax()))
field("it is differentiable", **asks(density=lambda d, p: d.detach(), features=lambda f, p: f.detach()))
field("spacing is above 0", **built(lambda self: setattr(self, "spacing", 0.0)))

# -- renderer


def finish(change):
    """Its fields changed: change(view, cameras, background) gives the changed ones."""

    def ending(self, view, cameras, background):
        return replace(view, **change(view, cameras, background))

    return {"finish": ending}


def check_renderer(cls, **options):
    testing.check_renderer(cls(None), SphereField(SphereConfig(density=5.0)), lawful.WHITE, **options)


def jittered(self, representation, cameras, background, needs=frozenset(), step=None):
    view = lawful.Exact.render(self, representation, cameras, background, needs, step)
    return view if step is None else replace(view, image=view.image + next(COUNT))


def warming(self, representation, cameras, background, needs=frozenset(), step=None):
    view = lawful.Exact.render(self, representation, cameras, background, needs, step)
    self.seen = getattr(self, "seen", 0) + (step is not None)
    return view if step is None else replace(view, image=view.image + self.seen)


def only_exact(self, representation, cameras, background, needs=frozenset(), step=None):
    assert step is None
    return lawful.Exact.render(self, representation, cameras, background, needs)


def one_colour(self, representation, cameras, background, needs=frozenset(), step=None):
    return lawful.Exact.render(self, representation, cameras, background.reshape(-1, 3)[0] * background.ndim, needs)


def float32_only(self, representation, cameras, background, needs=frozenset(), step=None):
    return lawful.Exact.render(self, representation, cameras, background @ torch.eye(3), needs)


def one_view(self, representation, cameras, background, needs=frozenset(), step=None):
    math.tan(cameras.fov / 2)
    return lawful.Exact.render(self, representation, cameras, background, needs)


def first_view(self, representation, cameras, background, needs=frozenset(), step=None):
    alike = replace(cameras, fov=float(cameras.fovs[0]))
    return lawful.Exact.render(self, representation, alike, background, needs)


def one_background(self, representation, cameras, background, needs=frozenset(), step=None):
    behind = background if background.ndim == 1 else background.permute(2, 0, 1)[:, 0, 0]
    return lawful.Exact.render(self, representation, cameras, behind, needs)


def first_background(self, representation, cameras, background, needs=frozenset(), step=None):
    return lawful.Exact.render(self, representation, cameras, background.reshape(-1, 3)[0], needs)


def restless(view, cameras, background):
    return {"image": view.image + next(COUNT) * 1e-7}


def across(view, cameras, background):
    forward = view.image.new_tensor(1.0)
    axis = torch.linspace(-1, 1, view.depth.shape[2], dtype=view.depth.dtype) * math.tan(float(cameras.fovs[0]) / 2)
    slope = (1 + axis[:, None] ** 2 + axis[None, :] ** 2).sqrt()[None, ..., None]
    left = (1 - view.opacity) * 10
    return {"depth": (view.depth - left) / slope * forward + left}


def half_wrong(view, cameras, background):
    image = view.image.detach() + 0.5 * (view.image - view.image.detach())
    return {"image": image}


renderer = of(check_renderer, lawful.Exact)
renderer("it provides image and opacity", provides=frozenset({"image"}))
renderer("it accepts what it is tried with", accepts=lawful.ThreeBalls)
renderer("it draws in float64", render=float32_only)
renderer("declared fields are there", **finish(lambda v, c, b: {"depth": None}))
renderer("declared fields are there", provides=frozenset({"image", "opacity", "shadow"}))
renderer("each weight has its distance", **finish(lambda v, c, b: {"distances": v.distances.expand(-1, -1, -1, 2)}))
renderer("cameras may have a field of view each", render=one_view)
renderer("cameras may have a field of view each", render=first_view)
renderer("views may have a background each", render=one_background)
renderer("views may have a background each", render=first_background)
renderer("fields have the right shapes", **finish(lambda v, c, b: {"depth": v.depth[:1]}))
renderer("fields are finite", **finish(lambda v, c, b: {"depth": v.depth / 0}))
renderer("opacity lies in [0, 1]", **finish(lambda v, c, b: {"opacity": 2 * v.opacity}))
renderer(
    "a ray's weights are not negative and sum to its opacity", **finish(lambda v, c, b: {"weights": v.opacity / 2})
)
renderer("a batch equals its singles", **finish(lambda v, c, b: {"image": v.image / len(v.image)}))
renderer("without a step the picture is exact", **finish(restless))
renderer("a flat background is one colour", render=one_colour)
renderer("same seed, same picture", render=jittered)
renderer("it draws within a step", render=only_exact)
renderer("what it remembers is in its state", render=warming)
renderer("random numbers come from its own stream", **finish(lambda v, c, b: {"image": v.image + 0 * torch.rand(1)}))
renderer("it is differentiable", **finish(lambda v, c, b: vars(v.detach())))
renderer("gradients equal finite differences", **finish(half_wrong))
renderer("memory_bytes tells what a render takes", memory_bytes=lambda self, representation, rays: 0)
renderer("memory_bytes tells what a render takes", memory_bytes=lambda self, representation, rays: 10**6 - rays)
BALL = "a ball of uniform density looks as it must"
thin = {"provides": frozenset({"image", "opacity", "depth"})}
renderer(BALL, **thin, **finish(lambda v, c, b: {"opacity": v.opacity**2, "weights": v.opacity**2}))
renderer(BALL, **finish(lambda v, c, b: {"image": v.image.square()}))
renderer(
    "a ray that misses shows the background", **finish(lambda v, c, b: {"image": v.image + 1e-4 * (1 - v.opacity)})
)
DEPTH = "depth is the distance along the unit ray, plus (1 - opacity) far"
renderer(DEPTH, **finish(across))  # along the camera's axis
renderer(DEPTH, **finish(lambda v, c, b: {"depth": v.depth - (1 - v.opacity) * 10}))  # nothing lies behind
renderer(DEPTH, **finish(lambda v, c, b: {"depth": 1 / v.depth}))  # disparity
TURNED = "the picture is neither turned nor mirrored"
for axes in ((1,), (2,), (1, 2)):
    renderer(TURNED, **finish(lambda v, c, b, axes=axes: {"image": v.image.flip(axes)}))
renderer(TURNED, **finish(lambda v, c, b: {"image": v.image.transpose(1, 2)}))

# -- camera sampler


def check_cameras(cls):
    testing.check_camera_sampler(cls(cls.Config()))


def sample(change):
    return {"sample": lambda self, step: change(self, lawful.Around.sample(self, step), step)}


def near(change):
    return {"near": lambda self, cameras, step: change(lawful.Around.near(self, cameras, step), cameras)}


def posed(change):
    """Its poses changed."""
    return sample(lambda self, cameras, step: replace(cameras, camera_to_world=change(cameras.camera_to_world)))


def beside(self, cameras, step):
    return Cameras(look_at(cameras.position, torch.full((3, 3), 0.3)), 8, 8, cameras.fov)


cameras = of(check_cameras, lawful.Around)
cameras("it gives cameras", sample=fails)
cameras("same seed, same cameras", **posed(lambda pose: pose + next(COUNT)))
cameras("random numbers come from its own stream", **posed(lambda pose: pose + 0 * torch.rand(1)))
cameras("it gives as many cameras as it says", **sample(lambda self, c, s: c[:2]))
cameras("views are square", **sample(lambda self, c, s: c.resized(8, 9)))
cameras("the largest views have `resolution` pixels", **sample(lambda self, c, s: c.resized(7, 7)))
GROUPS = "groups share all but azimuth, in equal steps"
cameras(GROUPS, group=3)
cameras(GROUPS, group=2)
EVEN = [0.0, 120.0, 240.0]
cameras(GROUPS, group=3, **sample(lambda self, c, s: orbit(10.0, EVEN, 8, c.distance, c.fov)))
cameras(GROUPS, group=3, **sample(lambda self, c, s: orbit(10.0, [0.0, 100.0, 240.0], 8, 2.0, c.fov)))
cameras("the field of view is an angle", **sample(lambda self, c, s: replace(c, fov=49.1)))
cameras("the field of view is an angle", **sample(lambda self, c, s: replace(c, fov=torch.tensor([0.8, -0.1, 0.8]))))
cameras("poses are finite", **posed(lambda pose: pose + math.inf))
cameras("camera axes are orthonormal", **posed(lambda pose: scaled(pose, 2.0, 1.0, 1.0)))
cameras("camera axes are right-handed", **posed(lambda pose: scaled(pose, -1.0, 1.0, 1.0)))
cameras("cameras stand outside the object", **sample(lambda self, c, s: orbit(10.0, [0.0, 50.0, 90.0], 8, 0.3)))
cameras("cameras look at the origin", **posed(lambda pose: scaled(pose, 1.0, -1.0, -1.0)))  # OpenCV's axes
cameras("cameras look at the origin", **sample(beside))
cameras("cameras change over the steps", **sample(lambda self, c, s: orbit(10.0, [5.0, 5.0, 5.0], 8, 2.0, c.fov)))
OPTIONS = "options mean what they say"
cameras(OPTIONS, **sample(lambda self, c, s: orbit(10.0, torch.rad2deg(c.azimuth), 8, 3.0, c.fov)))
cameras(OPTIONS, **sample(lambda self, c, s: orbit(20.0, torch.rad2deg(c.azimuth), 8, 2.0, c.fov)))
cameras(OPTIONS, **sample(lambda self, c, s: replace(c, fov=c.fov / 2)))


def wider(self, step):
    self.turns = getattr(self, "turns", 0) + 1
    return orbit(10.0, [0.0, 20.0 * self.turns, 90.0], 8, 2.0, math.radians(40))


cameras("what it remembers is in its state", sample=wider)
cameras("it gives near cameras", near=fails)
cameras("same seed, same near cameras", **near(lambda n, c: orbit(11 + next(COUNT) % 7, torch.rad2deg(c.azimuth), 8)))
cameras("one near camera beside each", **near(lambda n, c: n[:1]))
cameras("near cameras have the same size and field of view", **near(lambda n, c: replace(n, fov=1.0)))
NEAR = "near cameras are near, but not the same"
cameras(NEAR, **near(lambda n, c: c))
cameras(NEAR, **near(lambda n, c: orbit(10.0, torch.rad2deg(c.azimuth) + 180, 8, c.distance, c.fov)))
