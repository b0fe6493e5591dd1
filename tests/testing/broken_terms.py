"""Guidances and regularizers that break a law, and what any component may."""

import math
from dataclasses import replace

import numpy
import torch
from torch import nn

from tests.testing import lawful
from tests.testing.broken import COUNT, COUNT_ONE, NAN, fails, of
from zero3d import testing
from zero3d.testing import loss_context, random_view
from zero3d.values import ImageGradient

# -- any component

component = of(testing.check_regularizer, lawful.Dark)
component("a component is a named, documented class with a dataclass Config", __doc__="")
component("a component is a named, documented class with a dataclass Config", Config=dict)
component("every option is documented", Config=lawful.SecretConfig)
component("a wrong option is told as `option: value; remedy`", Config=lawful.MuteConfig)
component("a wrong option is told as `option: value; remedy`", Config=lawful.BluntConfig)
component("options have defaults", Config=lawful.NeedyConfig)

# -- guidance


def told(change):
    """The lawful answer, with its value changed: change(value, x, step)."""

    def answer(self, x, cameras, step):
        found = lawful.Pull.answer(self, x, cameras, step)
        return replace(found, gradients={"image": change(found.value, x, step)})

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
guidance("each gradient has its field's shape", answer=told(lambda v, x, s: v.mean(0)))
guidance("each gradient has its field's shape", answer=with_parts(gradients={"shadow": torch.ones(2, 8, 8, 3)}))
guidance("what it asks is handed in", asks="encoder")
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


def backwards(self, x, cameras, step):
    """s between the predictions, from the wrong end; right where they agree."""
    found = self.teacher.predict(x, self.teacher.denoiser.sigmas[500].expand(len(x)), cameras, ("cond", "null"))
    return ImageGradient(x - found["cond"] - 3 * (found["null"] - found["cond"]))


MOVED = "the condition moves the mean gradient its own way"
guidance(MOVED, answer=backwards)
guidance(MOVED, answer=lambda self, x, c, s: ImageGradient(x - self.teacher.denoise(x, torch.ones(len(x)), c, 0.0)))


def a_level_each(self, x, cameras, step):
    t = torch.randint(400, 600, (len(x),), generator=step.generator("sigma"))
    return ImageGradient(x - self.teacher.denoise(x, self.teacher.denoiser.sigmas[t], cameras, 3.0))


def one_by_one(self, x, cameras, step):
    sigma = self.teacher.denoiser.sigmas[500:501]
    found = [self.teacher.denoise(x[k : k + 1], sigma, cameras[k : k + 1], 3.0) for k in range(len(x))]
    return ImageGradient(x - torch.cat(found))


def with_cameras(change):
    """Asks for other cameras than the views': change(cameras)."""
    return lambda self, x, cameras, step: lawful.Pull.answer(self, x, change(cameras), step)


JOINT = "a joint teacher is asked for whole groups, each at one level"
guidance(JOINT, answer=a_level_each)
guidance(JOINT, answer=one_by_one)
GROUPS = "each group gets the gradient of its own views"
guidance(GROUPS, answer=told(lambda v, x, s: v - 0.1 * v.mean(dim=0)))  # leaks from view to view
guidance(GROUPS, answer=with_cameras(lambda cameras: cameras[torch.arange(len(cameras)).flip(0)]))


def growing(self, x, cameras, step):
    found = lawful.Pull.answer(self, x, cameras, step)
    return replace(found, gradients={"image": found.value * (1 + getattr(self, "steps", 0))})


def counts(self, step):
    self.steps = getattr(self, "steps", 0) + 1


def wanders(self, step, sampler):
    self.where = getattr(self, "where", None) or sampler.sample(step)
    return self.where


STATE = "what it remembers is in its state"
guidance(STATE, answer=growing, after_step=counts)  # forgets its counter
guidance(STATE, cameras=wanders)  # forgets the cameras that it holds
guidance(STATE, answer=growing, after_step=counts, state_dict=lambda self: {"steps": self.steps})  # cannot load it


def apart(change):
    """Another combination of the two predictions: change(cond, null)."""

    def answer(self, x, cameras, step):
        return ImageGradient(change(*lawful.Apart.both(self, x, cameras, step)))

    return answer


classifier = of(testing.check_guidance, lawful.Apart, prior=False)
classifier(MOVED, answer=apart(lambda cond, null: cond - null))  # away from what is wanted
classifier(MOVED, answer=apart(lambda cond, null: null - cond + 0.1 * null))  # and towards the prior without it
classifier(MOVED, answer=apart(lambda cond, null: (null - cond).flip(-1)))  # red for blue
classifier(MOVED, answer=apart(lambda cond, null: (null - cond).mean(-1, keepdim=True).expand_as(cond)))  # grey

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


def counting(self, context):
    self.calls = getattr(self, "calls", 0) + 1
    return self.calls * context.view.image.mean()


regularizer(STATE, penalty=counting)
regularizer("what it asks is handed in", asks="encoder")
regularizer("random numbers come from its own stream", **penalty(lambda c: c.view.image.mean() + 0 * torch.rand(1)[0]))
regularizer("the context is not changed", **penalty(dark_in_place))
regularizer("its gradient is that of its value", **penalty(detached_half))
bright = of(testing.check_regularizer, lawful.Dark, optimum=loss_context(random_view(2, 8)))
bright("0 where the term is content")
