"""Denoisers, their training, and data sets that break a law."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from tests.testing import lawful
from tests.testing.broken import COUNT, fails, of, scaled
from zero3d import testing
from zero3d.geometry import orbit
from zero3d.testing import GaussianDenoiser, check_denoiser
from zero3d.testing.gaussian import GaussianConfig

# -- denoiser


def check_one(cls):
    check_denoiser(cls(GaussianConfig(resolution=8)))


def predict(change):
    """The lawful answers changed: change(x0, noised, condition, branch)."""

    def answer(self, noised, sigma, condition, cameras, branches):
        found = GaussianDenoiser.predict(self, noised, sigma, condition, cameras, branches)
        return {branch: change(x0, noised, condition, branch) for branch, x0 in found.items()}

    return {"predict": answer}


def also_null(self, noised, sigma, condition, cameras, branches):
    return GaussianDenoiser.predict(self, noised, sigma, condition, cameras, {*branches, "null"})


def mixes(self, noised, sigma, condition, cameras, branches):
    found = GaussianDenoiser.predict(self, noised, sigma, condition, cameras, branches)
    return {branch: x0 * len(branches) for branch, x0 in found.items()}


def joint(act):
    """A denoiser of four views at once: act(x0)."""
    return {"group": 4, **predict(lambda x, n, c, b: act(x))}


def with_sigmas(sigmas):
    def __init__(self, config):
        GaussianDenoiser.__init__(self, config)
        self.sigmas = torch.tensor(sigmas)

    return {"__init__": __init__}


def only_in_the_middle(self, noised, sigma, condition, cameras, branches):
    found = GaussianDenoiser.predict(self, noised, sigma, condition, cameras, branches)
    return {branch: x0 / (sigma < 5)[:, None, None, None] for branch, x0 in found.items()}


def spoils(x0, noised, condition, branch):
    noised.zero_()
    return x0


denoiser = of(check_one, GaussianDenoiser)
denoiser("noise levels ascend", **with_sigmas([1.0, 0.5, 2.0]))
denoiser("noise levels are above 0", **with_sigmas([0.0, 0.5, 2.0]))
denoiser("it declares its precision", dtype="half")
denoiser("its own views are one group", views=lambda self, subject: orbit(0.0, torch.tensor([0.0, 90.0]), 8))
denoiser("its state is tensors and JSON values", state_dict=lambda self: {"seen": {1}})
denoiser("it takes a picture", condition=fails)
denoiser("it answers", predict=fails)
denoiser("its branches have names, each once", branches=("null",))
denoiser("it answers the branches asked for", predict=also_null)
denoiser("a branch does not depend on the others asked", predict=mixes)
denoiser("x0 has the shape of what was noised", **predict(lambda x, n, c, b: x.permute(0, 3, 1, 2)))
denoiser("x0 is finite", **predict(lambda x, n, c, b: x / 0))
denoiser("no graph", **predict(lambda x, n, c, b: x * torch.ones(1, requires_grad=True)))
denoiser("the inputs are not changed", **predict(spoils))
denoiser("the same question gets the same answer", **predict(lambda x, n, c, b: x + next(COUNT)))
denoiser("random numbers come from its own stream", **predict(lambda x, n, c, b: x + 0 * torch.rand(1)))
denoiser("a batch equals its groups", **predict(lambda x, n, c, b: x / len(x)))
denoiser("a batch equals its groups", **joint(lambda x: x / len(x)))
denoiser(
    "views in another order get their answers in that order",
    **joint(lambda x: x * (1 + 0.1 * (torch.arange(len(x)) % 4))[:, None, None, None]),
)
denoiser(
    "the null branch does not know the picture",
    condition=lambda self, subject: subject.pictures[0].picture.rgb.mean(),
    **predict(lambda x, n, c, b: x + c),
)
denoiser("it answers at the lowest and the highest noise level", predict=only_in_the_middle)
denoiser("it encodes and decodes", encode=fails)
denoiser("encode gives its image space", encode=lambda self, image: image[:, ::2])
denoiser("encode is differentiable", encode=lambda self, image: image.detach())
denoiser("decode gives RGB of picture_resolution", decode=lambda self, latent: latent[..., :2])
denoiser("decode undoes encode", decode=lambda self, latent: latent / 2)
denoiser("the background is (C,) or (h, w, C)", background=lambda self: torch.ones(4))
denoiser("its background is white", background=lambda self: torch.zeros(3))
denoiser("weight_files are there", weight_files=lambda self: [Path("nowhere.safetensors")])
denoiser("size tells parameters and bytes", size=lambda self, device: (1.5, 2))

adaptable = of(check_one, lawful.Open)
adaptable("its outline has its network's tensors, without values", outline=lambda self: nn.Linear(3, 3, device="meta"))
adaptable("its outline has its network's tensors, without values", outline=lambda self: nn.Linear(3, 3, bias=False))
adaptable("it answers by another network", predict_by=fails)
adaptable(
    "it answers by another network", predict_by=lambda self, network, *a: lawful.Open.predict_by(self, self.network, *a)
)
adaptable(
    "by its own network it answers as ever",
    predict_by=lambda self, network, *a: 0.9 * lawful.Open.predict_by(self, network, *a),
)
adaptable(
    "its own network stays as it was",
    predict_by=lambda self, network, *a: lawful.Open.predict_by(self, network.requires_grad_(), *a),
)

# -- reconstructor


def shot(change):
    """The lawful ball, changed: change(field, subject, step)."""

    def ball(self, subject, step):
        found = lawful.Shot.ball(self, subject, step)
        changed = change(found, subject, step)
        return found if changed is None else changed

    return {"ball": ball}


def paints(field, subject, step):
    subject.pictures[0].picture.rgb.zero_()


reconstructor = of(lambda cls: testing.check_reconstructor(cls(None)), lawful.Shot)
reconstructor("needs name parts of a subject", needs=frozenset({"sound"}))
reconstructor("it makes a model", reconstruct=fails)
reconstructor("it makes a Representation", **shot(lambda f, s, t: torch.ones(3)))
reconstructor("random numbers come from its own stream", **shot(lambda f, s, t: (f.box.add_(0 * torch.rand(1)), f)[1]))
reconstructor("the model is finite", **shot(lambda f, s, t: (f.box.fill_(math.nan), f)[1]))
reconstructor("same seed, same model", **shot(lambda f, s, t: (f.box.mul_(1 + next(COUNT)), f)[1]))
reconstructor("the subject is not changed", **shot(paints))
reconstructor("the model carries no graph", **shot(lambda f, s, t: (f.box.requires_grad_(), f)[1]))
reconstructor("size tells parameters and bytes", size=lambda self, device: 3 * (1,))
reconstructor("weight_files are there", weight_files=lambda self: [Path("nowhere.safetensors")])

dotted = of(lambda cls: testing.check_reconstructor(cls(None)), lawful.Dotted)
dotted("its points have places and features", colours=lambda self, places: places[1:].sigmoid())
dotted("its points have places and features", colours=lambda self, places: places)

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


def one_order(self, share):
    """Whatever batch it is to begin with."""
    generator = torch.Generator().manual_seed(share.seed)
    while True:
        yield self.batch(share.size, share.targets, generator).part(share.rank, share.world)


def shared(act):
    """Each batch a process's in another way: act(batch, share)."""

    def batches(self, share):
        for number in itertools.count(share.first):
            generator = torch.Generator().manual_seed(1000 * share.seed + number)
            yield act(self.batch(share.size, share.targets, generator), share)

    return {"batches": batches}


def another_each_time(self, objects, targets):
    return self.batch(objects, targets, torch.Generator().manual_seed(next(COUNT)))


dataset("a batch depends on its number alone", batches=one_order)
SHARED = "processes share a batch out"
dataset(SHARED, **shared(lambda batch, share: batch))
dataset(SHARED, **shared(lambda batch, share: batch.part(0, share.world)))
dataset(SHARED, **shared(lambda batch, share: fails() if share.world > 1 else batch))
dataset("what is held out stays the same", held_out=another_each_time)
dataset("geometry and pictures agree", **batches(turned))
dataset(
    "geometry and pictures agree",
    **batches(lambda b: another_pose(b, -1.0, 1.0, -1.0) | {"occupancy": b.occupancy.roll(4, 3)}),
)
