"""Each law of the kit is broken by some component, and says so in one line; the lawful ones pass.

A law that nothing can break is worthless: `test_every_law_is_broken_by_something` finds those that no line here names.
"""

import ast
import contextlib
import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import torch
from torch import nn

from tests.testing import lawful
from tests.testing.lawful import variant
from zero3d import testing
from zero3d.errors import ExportError, PictureError
from zero3d.geometry import look_at, orbit, world_to_gltf
from zero3d.interfaces import TrainingBatch
from zero3d.testing import BrokenLaw, GaussianDenoiser, SphereField, check_denoiser, loss_context, random_view
from zero3d.testing.gaussian import GaussianConfig
from zero3d.testing.sphere import SphereConfig
from zero3d.values import Cameras, ImageGradient

COUNT = itertools.count()
COUNT_ONE = itertools.count()
NAN = float("nan")


def fails(*arguments, **options):
    raise RuntimeError("it cannot")


# What each broken component does wrong; (law, what is tried).
BROKEN = []


def broken(law):
    """Marks a function that must break `law`."""

    def mark(act):
        BROKEN.append(pytest.param(law, act, id=f"{act.__name__}-{law}"[:90]))
        return act

    return mark


def of(check, base, *more, **options):
    """Tries a variant of a lawful component: `of(check, Base)(law, member=...)`."""

    def add(law, **members):
        def act():
            check(variant(base, **members), *more, **options)

        act.__name__ = base.__name__
        broken(law)(act)

    return add


# -- any component

component = of(testing.check_regularizer, lawful.Dark)
component("a component is a named, documented class with a dataclass Config", __doc__="")
component("a component is a named, documented class with a dataclass Config", Config=dict)
component("every option is documented", Config=lawful.SecretConfig)
component("options have defaults", Config=lawful.NeedyConfig)

# -- guidance


def told(change):
    """The lawful answer, with its value changed: change(value, x, step)."""

    def answer(self, x, cameras, step):
        found = lawful.Pull.answer(self, x, cameras, step)
        return replace(found, value=change(found.value, x, step))

    return answer


def with_parts(**parts):
    def answer(self, x, cameras, step):
        return replace(lawful.Pull.answer(self, x, cameras, step), **parts)

    return answer


def in_place(self, x, cameras, step):
    found = lawful.Pull.answer(self, x, cameras, step)
    x.mul_(0.5)
    return found


def idle_stream(self, x, cameras, step):
    step.generator("noise")
    return ImageGradient(x - self.teacher.denoise(x, torch.ones(len(x)), cameras, 1.0), {})


guidance = of(testing.check_guidance, lawful.Pull)
guidance("it answers for any view", answer=fails)
guidance("the gradient has the image's shape", answer=told(lambda v, x, s: v.mean(0)))
guidance("the gradient is finite", answer=told(lambda v, x, s: v * NAN))
guidance("no graph", answer=told(lambda v, x, s: v.clone().requires_grad_()))
guidance("the view is not changed", answer=in_place)
guidance("same seed, same gradient", answer=told(lambda v, x, s: v * (1 + next(COUNT))))
guidance("random numbers come from its own stream", answer=told(lambda v, x, s: v + torch.randn(v.shape)))
guidance("random numbers come from its own stream", answer=told(lambda v, x, s: v + numpy.random.rand()))
guidance("another seed, other noise", answer=idle_stream)
guidance("figures are finite floats", answer=with_parts(metrics={"sigma": torch.ones(())}))
guidance("figures are finite floats", answer=with_parts(metrics={"sigma": NAN}))
guidance("pictures carry no graph", answer=with_parts(pictures={"view": torch.ones(1, requires_grad=True)}))
PRIOR = "the mean gradient is that of a Gaussian prior"
guidance(PRIOR, answer=told(lambda v, x, s: -v))  # uphill
guidance(PRIOR, answer=told(lambda v, x, s: torch.randn(x.shape, generator=s.generator("any"))))  # nowhere
guidance(PRIOR, answer=told(lambda v, x, s: v + 0.05 * x))  # also towards black
guidance(PRIOR, answer=told(lambda v, x, s: x + 0.01 * v))  # hardly asks the teacher
guidance(PRIOR, answer=told(lambda v, x, s: v.flip(2)))  # mirrored
guidance(PRIOR, answer=told(lambda v, x, s: v * torch.tensor([1.0, 1.0, 0.5])))  # a channel weighs less
guidance(PRIOR, answer=told(lambda v, x, s: v.tanh()))  # curbed, which `linear=False` allows

# -- regularizer


def penalty(ask):
    return {"penalty": lambda self, context: ask(context)}


def detached_half(context):
    return (context.view.image * context.view.image.detach()).mean()


def dark_in_place(context):
    found = context.view.image.square().mean()
    context.view.image.data.mul_(0.5)
    return found


regularizer = of(testing.check_regularizer, lawful.Dark)
regularizer("needs name what there is", needs=frozenset({"colour"}))
regularizer("default_view is a view", default_view="back")
regularizer("default_weight is a weight", default_weight=-1.0)
regularizer("it accepts a SphereField, or is tried with a representation of its own", accepts=nn.Linear)
regularizer("it answers for any views", penalty=fails)
for undeclared in (
    lambda c: c.view.depth.mean(),
    lambda c: c.near.image.mean(),
    lambda c: c.input.image.mean(),
    lambda c: c.decode(c.view.image).mean(),
    lambda c: c.view.image.mean() + (0 if c.view.normals is None else 1),
):
    regularizer("declared needs suffice", **penalty(undeclared))
regularizer("it is differentiable", **penalty(lambda c: c.view.image.detach().mean()))
regularizer("the penalty is a scalar", **penalty(lambda c: c.view.image.mean(dim=0)[0, 0] ** 2))
regularizer("the penalty is finite", **penalty(lambda c: c.view.image.mean() * math.inf))
regularizer("the penalty is not negative", **penalty(lambda c: -c.view.image.mean()))
regularizer(
    "same seed, same penalty", **penalty(lambda c, calls=COUNT_ONE: c.view.image.mean() * (1 + (next(calls) > 1)))
)
regularizer("random numbers come from its own stream", **penalty(lambda c: c.view.image.mean() + 0 * torch.rand(1)[0]))
regularizer("the context is not changed", **penalty(dark_in_place))
regularizer("its gradient is that of its value", **penalty(detached_half))
bright = of(testing.check_regularizer, lawful.Dark, optimum=loss_context(random_view(2, 8)))
bright("0 where the term is content")

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


def only_exact(self, representation, cameras, background, needs=frozenset(), step=None):
    assert step is None
    return lawful.Exact.render(self, representation, cameras, background, needs)


def one_colour(self, representation, cameras, background, needs=frozenset(), step=None):
    return lawful.Exact.render(self, representation, cameras, background.reshape(-1, 3)[0] * background.ndim, needs)


def float32_only(self, representation, cameras, background, needs=frozenset(), step=None):
    return lawful.Exact.render(self, representation, cameras, background @ torch.eye(3), needs)


def restless(view, cameras, background):
    return {"image": view.image + next(COUNT) * 1e-7}


def across(view, cameras, background):
    forward = view.image.new_tensor(1.0)
    axis = torch.linspace(-1, 1, view.depth.shape[2], dtype=view.depth.dtype) * math.tan(cameras.fov / 2)
    slope = (1 + axis[:, None] ** 2 + axis[None, :] ** 2).sqrt()[None, ..., None]
    left = (1 - view.opacity) * 10
    return {"depth": (view.depth - left) / slope * forward + left}


def half_wrong(view, cameras, background):
    image = view.image.detach() + 0.5 * (view.image - view.image.detach())
    return {"image": image}


renderer = of(check_renderer, lawful.Exact)
renderer("it provides image and opacity", provides=frozenset({"image"}))
renderer("it provides fields of View", provides=frozenset({"image", "opacity", "shadow"}))
renderer("it accepts what it is tried with", accepts=lawful.ThreeBalls)
renderer("it draws in float64", render=float32_only)
renderer("declared fields are there", **finish(lambda v, c, b: {"depth": None}))
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

# -- representation


def check_representation(cls):
    testing.check_representation(cls)


class Restless(lawful.Field):
    """Its density grows with what it has seen, and state_dict does not know."""

    name = "restless"

    def __init__(self):
        super().__init__()
        self.seen = 0

    def after_step(self, step):
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
field("steps leave it finite", after_step=lambda self, step: self.strength.data.fill_(NAN))
field("steps leave it finite", after_step=fails)
field("random numbers come from its own stream", after_step=lambda self, step: torch.rand(1))
broken("state_dict is all there is to it")(lambda: testing.check_representation(Restless))
field("state_dict is all there is to it", load_state_dict=lambda self, state: None)
field("density is (N,), features (N, C)", **asks(density=lambda d, p: d[:, None]))
field("density and features are finite", **asks(features=lambda f, p: f / 0))
field("density is not negative", **asks(density=lambda d, p: d - 0.1))
field("density is 0 outside the box", **asks(density=lambda d, p: 0 * d + 1))
field("RGB features lie in [0, 1]", **asks(features=lambda f, p: 2 * f))
field("any number of points may be asked", **asks(density=lambda d, p: d + 0 * p.amax()))
field("it is differentiable", **asks(density=lambda d, p: d.detach(), features=lambda f, p: f.detach()))
field("spacing is above 0", **built(lambda self: setattr(self, "spacing", 0.0)))

# -- denoiser


def check_one(cls):
    check_denoiser(cls(GaussianConfig(resolution=8)))


def denoise(change):
    """The lawful answer changed: change(x0, noised, condition, scale)."""

    def answer(self, noised, sigma, condition, cameras, guidance_scale):
        found = GaussianDenoiser.denoise(self, noised, sigma, condition, cameras, guidance_scale)
        return change(found, noised, condition, guidance_scale)

    return {"denoise": answer}


def with_sigmas(sigmas):
    def __init__(self, config):
        GaussianDenoiser.__init__(self, config)
        self.sigmas = torch.tensor(sigmas)

    return {"__init__": __init__}


def only_in_the_middle(self, noised, sigma, condition, cameras, guidance_scale):
    found = GaussianDenoiser.denoise(self, noised, sigma, condition, cameras, guidance_scale)
    return found / (sigma < 5)[:, None, None, None]


def spoils(x0, noised, condition, scale):
    noised.zero_()
    return x0


denoiser = of(check_one, GaussianDenoiser)
denoiser("noise levels ascend", **with_sigmas([1.0, 0.5, 2.0]))
denoiser("noise levels are above 0", **with_sigmas([0.0, 0.5, 2.0]))
denoiser("it takes a picture", condition=fails)
denoiser("it answers", denoise=fails)
denoiser("x0 has the shape of what was noised", **denoise(lambda x, n, c, s: x.permute(0, 3, 1, 2)))
denoiser("x0 is finite", **denoise(lambda x, n, c, s: x / 0))
denoiser("no graph", **denoise(lambda x, n, c, s: x * torch.ones(1, requires_grad=True)))
denoiser("the inputs are not changed", **denoise(spoils))
denoiser("the same question gets the same answer", **denoise(lambda x, n, c, s: x + next(COUNT) * (s == 1)))
denoiser("random numbers come from its own stream", **denoise(lambda x, n, c, s: x + 0 * torch.rand(1)))
denoiser("a batch equals its singles", **denoise(lambda x, n, c, s: x / len(x)))
denoiser("guidance is uncond + s (cond - uncond)", **denoise(lambda x, n, c, s: x + s * s))
denoiser(
    "the null branch does not know the picture",
    condition=lambda self, picture, camera: picture.rgb.mean(),
    **denoise(lambda x, n, c, s: x + c),
)
denoiser("it answers at the lowest and the highest noise level", denoise=only_in_the_middle)
denoiser("it encodes and decodes", encode=fails)
denoiser("encode gives its image space", encode=lambda self, image: image[:, ::2])
denoiser("encode is differentiable", encode=lambda self, image: image.detach())
denoiser("decode gives RGB of picture_resolution", decode=lambda self, latent: latent[..., :2])
denoiser("decode undoes encode", decode=lambda self, latent: latent / 2)
denoiser("the background is (C,) or (h, w, C)", background=lambda self: torch.ones(4))
denoiser("its background is white", background=lambda self: torch.zeros(3))
denoiser("weight_files are there", weight_files=lambda self: [Path("nowhere.safetensors")])
denoiser("size tells parameters and bytes", size=lambda self, device: (1.5, 2))

# -- trainable denoiser


def check_learner(cls):
    testing.check_trainable_denoiser(cls(), testing.training_batch(8), cls)


def loss(change):
    """The lawful loss changed: change(self, loss, stage)."""

    def training_loss(self, batch, stage, generator):
        value, figures = lawful.Learner.training_loss(self, batch, stage, generator)
        changed = change(self, value, stage)
        return changed if isinstance(changed, tuple) else (changed, figures)

    return {"training_loss": training_loss}


def strays(self, value, stage):
    return value + self.modules["one"].bias.square().sum() + self.modules["two"].bias.square().sum()


def uphill(self, value, stage):
    return 2 * value.detach() - value


learner = of(check_learner, lawful.Learner)
learner("stages have names, each once", stages=("one", "one"))
learner("a stage has parameters to fit", trainable=lambda self, stage: nn.Identity())
learner("a stage has a loss", training_loss=fails)
learner("the loss is a finite scalar", **loss(lambda self, value, stage: value * math.inf))
learner("the loss is differentiable", **loss(lambda self, value, stage: value.detach()))
learner("figures are finite floats", **loss(lambda self, value, stage: (value, {"loss": value.detach()})))
learner("same generator, same loss", **loss(lambda self, value, stage: value * (2 + math.sin(next(COUNT)))))
learner("random numbers come from its own stream", **loss(lambda self, value, stage: value + 0 * torch.rand(1)[0]))
learner(
    "the gradient reaches the stage's module",
    **loss(lambda self, value, stage: value.detach() + torch.ones((), requires_grad=True)),
)
learner(
    "the gradient is finite", **loss(lambda self, value, stage: value + (self.modules[stage].bias * 0).sum().sqrt())
)
learner("a stage fits its own module alone", **loss(strays))
learner("a step down the gradient lowers the loss", **loss(uphill))
learner("save writes what load reads", save=lambda self, path: None)
learner(
    "save writes what load reads", load=lambda self, device: [nn.init.ones_(m.weight) for m in self.modules.values()]
)

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


def scaled(pose, *factors):
    return pose @ torch.tensor([*factors, 1.0]).diag()


def beside(self, cameras, step):
    return Cameras(look_at(cameras.position, torch.full((3, 3), 0.3)), 8, 8, cameras.fov)


cameras = of(check_cameras, lawful.Around)
cameras("it gives cameras", sample=fails)
cameras("same seed, same cameras", **posed(lambda pose: pose + next(COUNT)))
cameras("random numbers come from its own stream", **posed(lambda pose: pose + 0 * torch.rand(1)))
cameras("it gives as many cameras as it says", **sample(lambda self, c, s: c[:2]))
cameras("views are square, of `resolution` pixels", **sample(lambda self, c, s: c.resized(8, 9)))
cameras("the field of view is an angle", **sample(lambda self, c, s: replace(c, fov=49.1)))
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
cameras("it gives near cameras", near=fails)
cameras("same seed, same near cameras", **near(lambda n, c: orbit(11 + next(COUNT) % 7, torch.rad2deg(c.azimuth), 8)))
cameras("one near camera beside each", **near(lambda n, c: n[:1]))
cameras("near cameras have the same field of view", **near(lambda n, c: replace(n, fov=1.0)))
NEAR = "near cameras are near, but not the same"
cameras(NEAR, **near(lambda n, c: c))
cameras(NEAR, **near(lambda n, c: orbit(10.0, torch.rad2deg(c.azimuth) + 180, 8, c.distance, c.fov)))

# -- exporter


def changed_mesh(change):
    def mesh(self):
        made = lawful.Spheres.mesh(self)
        return change(made) or made

    return {"mesh": mesh}


def opened(mesh):
    mesh.update_faces(numpy.arange(len(mesh.faces)) > 0)


def grey(mesh):
    mesh.visual.vertex_colors = mesh.visual.vertex_colors[:, [1, 2, 0, 3]]


def export(act):
    """Does something besides: act(subject, path, report) gives the report."""

    def doing(self, subject, path):
        return act(subject, path, lawful.Spheres.export(self, subject, path))

    return {"export": doing}


def moves_the_field(subject, path, report):
    subject.representation.strength.data.mul_(2)
    return report


def shaken(mesh):
    mesh.vertices = mesh.vertices + 1e-5 * next(COUNT)


def litter(self, subject, path):
    path.with_suffix(".log").write_text("begun")
    return lawful.Spheres.export(self, subject, path)


exporter = of(testing.check_exporter, lawful.Spheres)
exporter("it accepts what it is tried with", accepts=SphereField)
exporter("filename(label) is a name that begins with the label", filename=lambda self, label: "out/model.ply")
exporter("it exports three balls", export=fails)
exporter(
    "it writes the file that it names", filename=lambda self, label: f"{label}.obj", write=lambda self, path, data: 0
)
exporter("the report is JSON with figures", **export(lambda subject, path, report: {"path": path}))
exporter("the report is JSON with figures", **export(lambda subject, path, report: {}))
exporter("the representation is not changed", **export(moves_the_field))
exporter("random numbers come from its own stream", **export(lambda s, p, report: report | {"r": float(torch.rand(1))}))
exporter("trimesh reads the file", write=lambda self, path, data: lawful.Spheres.write(self, path, b"junk"))
AXES = "axes and sizes are glTF's"
exporter(AXES, axes=lambda self, v: v)  # z up, as the world
exporter(AXES, axes=lambda self, v: v[:, [0, 2, 1]] * v.new_tensor([1, 1, -1]))  # Blender's y up
exporter(AXES, axes=lambda self, v: 2 * world_to_gltf(v))
exporter(AXES, axes=lambda self, v: world_to_gltf(v) * v.new_tensor([-1, 1, 1]))  # mirrored
exporter("the surface is closed", **changed_mesh(opened))
exporter("the surface looks outwards and is no thicker than the object", **changed_mesh(lambda mesh: mesh.invert()))
exporter("vertex colours are the field's", **changed_mesh(grey))
exporter("the same field gives the same bytes", **changed_mesh(shaken))
WHOLE = "it is written whole or not at all"
exporter(WHOLE, write=lambda self, path, data: path.write_bytes(data))
exporter(WHOLE, export=litter)
EMPTY = "an empty field is an ExportError of one line, and no file"


def never_empty(self, subject, path):
    with contextlib.suppress(ExportError):
        return lawful.Spheres.export(self, subject, path)
    self.write(path, self.mesh().export(file_type="ply"))
    return {"faces": 1}


def touches(self, subject, path):
    if float(subject.representation.strength.detach()) == 0:
        path.write_bytes(b"")
    return lawful.Spheres.export(self, subject, path)


def wordy(self, subject, path):
    if float(subject.representation.strength.detach()) == 0:
        raise ValueError("nothing\nthere")
    return lawful.Spheres.export(self, subject, path)


exporter(EMPTY, export=never_empty)
exporter(EMPTY, export=touches)
exporter(EMPTY, export=wordy)

# -- observer


def on_step(act):
    def stepping(self, run, step, metrics):
        act(run, step, metrics)

    return {"on_step": stepping}


def dims(self, run, terms):
    next(iter(terms.on_parameters(terms.terms[0]))) if terms.terms else None
    for _, view in terms.views.items():
        view.image.mul_(0.5)
    for term in terms.terms:
        for gradients in term.views.values():
            for gradient in gradients.values():
                gradient.mul_(-1)
    return {}


def needs_the_first_step(self, run):
    assert run.first_step == 0


def only_finished(self, run, finished):
    assert finished


observer = of(testing.check_observer, lawful.Notes)
SAME = "a watched run ends as one unwatched"
observer(SAME, on_terms=dims)
observer(SAME, **on_step(lambda run, step, metrics: step.generator("mine")))
observer(SAME, **on_step(lambda run, step, metrics: torch.rand(1, generator=step.generators["cameras.azimuth"])))
observer(SAME, on_terms=lambda self, run, terms: {"guidance.pull.weight": 0.0})
observer("figures of on_terms are finite floats", on_terms=lambda self, run, terms: {"x": NAN})
observer("it watches a run", on_step=fails)
observer("it survives a run without terms", **on_step(lambda run, step, metrics: metrics["guidance.pull.weight"]))
observer("it survives an interrupted run", on_end=only_finished)
observer("it goes on in a resumed run", on_start=needs_the_first_step)
observer("it declares what it writes", **on_step(lambda run, step, metrics: (run.folder / "more.txt").write_text("")))
observer(
    "it leaves no temporary file", **on_step(lambda run, step, metrics: (run.folder / "notes" / "x.tmp").write_text("")),
    on_start=lambda self, run: (run.folder / "notes").mkdir(exist_ok=True),
)  # fmt: skip
OUTSIDE = "it writes below the run's folder alone"
observer(OUTSIDE, **on_step(lambda run, step, metrics: Path("here.txt").write_text("")))
observer(OUTSIDE, **on_step(lambda run, step, metrics: (run.folder.parent / "beside.txt").write_text("")))

# -- image source


def picture(**changes):
    return {"picture": lambda self: lawful.Disc.picture(self, **changes)}


def load(act):
    """Fails in its own way: act(config, mask)."""

    def loading(self, mask):
        act(self.config, mask)
        return self.picture()

    return {"load": loading}


def must(condition, error):
    if not condition:
        raise error


EMPTY_PICTURE = numpy.zeros((20, 20, 4), numpy.uint8)
source = of(testing.check_image_source, lawful.Disc)
source("it gives a picture", load=fails)
source("a picture is (H, W, 4) uint8", **picture(rgba=numpy.ones((20, 20, 3), numpy.uint8)))
source(
    "the same options give the same picture",
    picture=lambda self: lawful.Disc.picture(self, rgba=EMPTY_PICTURE + next(COUNT) % 99),
)
source("notes are of one line each", **picture(notes=("two\nlines",)))
source("it says where the picture came from", **picture(origin=""))
source("a picture with a mask can be framed", **picture(rgba=EMPTY_PICTURE))
MISSING = "what is missing is a UserError of one line"
source(MISSING, **load(lambda config, mask: None))
source(MISSING, **load(lambda config, mask: must(not config.path, FileNotFoundError("no file"))))
MASK = "an unknown input.mask is a UserError of one line, or not its business"
source(
    MASK, **load(lambda config, mask: must(not (config.path or mask), KeyError("mask") if mask else PictureError("x")))
)

# -- dataset


def batches(change):
    """Its batch changed: change(batch) gives the changed fields."""

    def batch(self, size, targets, generator):
        found = lawful.Balls.batch(self, size, targets, generator)
        return replace(found, **change(found))

    return {"batch": batch}


def turned(batch):
    pose = batch.target_cameras.camera_to_world
    return {
        "occupancy": batch.occupancy.roll(6, dims=1),
        "target_cameras": replace(batch.target_cameras, camera_to_world=pose),
    }


def once(self, progress=True):
    assert not hasattr(self, "ready")
    self.ready = True


def always_the_same(self, size, targets, generator):
    return lawful.Balls.batch(self, size, targets, torch.Generator().manual_seed(0))


def another_pose(batch, *factors):
    pose = scaled(batch.input_cameras.camera_to_world, *factors)
    return {"input_cameras": replace(batch.input_cameras, camera_to_world=pose)}


dataset = of(testing.check_dataset, lawful.Balls)
dataset("it can be prepared", prepare=fails)
dataset("it gives batches", batch=fails)
dataset("pictures are (N, H, W, 4) floats", **batches(lambda b: {"target_rgba": (255 * b.target_rgba).to(torch.uint8)}))
dataset("pictures are (N, H, W, 4) floats", **batches(lambda b: {"input_rgba": b.input_rgba[:1]}))
dataset("values lie in [0, 1]", **batches(lambda b: {"target_rgba": 255 * b.target_rgba}))
dataset("cameras fit the pictures", **batches(lambda b: {"input_cameras": b.input_cameras.resized(8, 8)}))
dataset("camera axes are right-handed and orthonormal", **batches(lambda b: another_pose(b, -1.0, 1.0, 1.0)))
dataset("something is seen", **batches(lambda b: {"input_rgba": 0 * b.input_rgba}))
dataset("occupancy is (B, R, R, R) over an extent", **batches(lambda b: {"extent": 0.0}))
dataset(
    "the same generator gives the same batch",
    **batches(lambda b: {"input_rgba": 0.9 * b.input_rgba + 0.01 * (next(COUNT) % 2)}),
)
dataset("random numbers come from its own stream", **batches(lambda b: {"extent": b.extent + 0 * float(torch.rand(1))}))
dataset("another seed gives another batch", batch=always_the_same)
dataset("prepare may be called again", prepare=once)
dataset("geometry and pictures agree", **batches(turned))
dataset(
    "geometry and pictures agree",
    **batches(lambda b: another_pose(b, -1.0, 1.0, -1.0) | {"occupancy": b.occupancy.roll(4, 3)}),
)

# -- command


def arguments(act):
    return {"add_arguments": lambda self, parser: act(parser)}


def lax(parser):
    strict = parser.parse_known_args
    parser.parse_known_args = lambda words, namespace: (strict(words, namespace)[0], [])


command = of(testing.check_command, lawful.Tell)
command("the docstring's first line is a sentence", __doc__="tell")
command("it can be made", __init__=fails)
JOINS = "it joins the command line"
command(JOINS, name="run")
command(JOINS, **arguments(lambda parser: parser.add_argument("--plugin", help="mine")))
HELP = "every argument has a help text"
command(HELP, **arguments(lambda parser: parser.add_argument("what")))
command(HELP, **arguments(lambda parser: parser.add_subparsers().add_parser("loud")))
command("--help ends with exit code 0", **arguments(lambda parser: parser.add_argument("what", help="90 % of it")))
command(
    "an unknown option ends with exit code 2",
    **arguments(lax),
)


@pytest.mark.parametrize(("law", "act"), BROKEN)
def test_a_broken_law_is_named_in_one_line(law, act):
    with pytest.raises(BrokenLaw) as caught:
        act()
    told = str(caught.value)
    assert f": {law}: " in told, told
    assert len(told.splitlines()) == 1


def laws_of_the_kit():
    """Every law that the sources name: the first argument of laws(...), .runs, .says, .broken, or what `law` is set to."""
    for path in Path(testing.__file__).parent.joinpath("laws").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "law":
                yield node.value.value
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                function = node.func
                if getattr(function, "attr", "") in ("own_randomness", "default"):
                    continue
                owner = function.value if isinstance(function, ast.Attribute) else function
                if getattr(owner, "id", "") in ("laws", "self") and isinstance(node.args[0].value, str):
                    yield node.args[0].value


def test_every_law_is_broken_by_something():
    laws = set(laws_of_the_kit())
    assert len(laws) > 100
    named = {param.values[0] for param in BROKEN}
    assert laws - named == set(), "broken by no component here"
    assert named - laws == set(), "no such law"


def test_the_lawful_pass():
    testing.check_guidance(lawful.Pull)
    testing.check_guidance(variant(lawful.Pull, answer=told(lambda v, x, s: v.tanh())), linear=False)
    optimum = loss_context(replace(random_view(2, 8), image=torch.zeros(2, 8, 8, 3)))
    testing.check_regularizer(lawful.Dark, optimum=optimum)
    testing.check_regularizer(variant(lawful.Dark, **penalty(detached_half)), smooth=False)
    check_renderer(lawful.Exact)
    testing.check_representation(lawful.Field)
    check_one(GaussianDenoiser)
    check_learner(lawful.Learner)
    check_denoiser(lawful.Learner())
    check_cameras(lawful.Around)
    testing.check_exporter(lawful.Spheres)
    testing.check_observer(lawful.Notes)
    testing.check_image_source(lawful.Disc)
    testing.check_dataset(lawful.Balls)
    testing.check_command(lawful.Tell)


def test_a_dataset_without_geometry_passes():
    def batch(self, size, targets, generator):
        found: TrainingBatch = lawful.Balls.batch(self, size, targets, generator)
        return replace(found, occupancy=None, extent=0.0)

    testing.check_dataset(variant(lawful.Balls, batch=batch))
