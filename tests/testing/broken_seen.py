"""Backgrounds and encoders that break a law."""

from pathlib import Path

import torch

from tests.testing import lawful
from tests.testing.broken import COUNT, NAN, fails, of
from zero3d import testing

# -- background


def painted(change):
    return {"finish": lambda self, painted: change(painted)}


background = of(testing.check_background, lawful.Wall)
background("it paints", paint=fails)
background("it paints (C,), (h, w, C) or (B, h, w, C)", **painted(lambda p: p[:1, ..., :2]))
background("it paints (C,), (h, w, C) or (B, h, w, C)", **painted(lambda p: p[:1].repeat(2, 1, 1, 1)))
background("what it paints is finite", **painted(lambda p: p * NAN))
background("RGB lies in [0, 1]", **painted(lambda p: 2 * p - 1))
background("same seed, same background", **painted(lambda p: p / (1 + next(COUNT))))
background("random numbers come from its own stream", **painted(lambda p: p * torch.rand(()).to(p)))
background("it follows white's device and dtype", **painted(lambda p: p.float()))
background("it follows white's device and dtype", load=lambda self, device: None)
background("its parameters stay the same leaves", parameters=lambda self: [torch.nn.Parameter(self.colour.detach())])
background("what it paints depends on its parameters", **painted(lambda p: p.detach()))
background("its state is tensors and JSON values", state_dict=lambda self: {"colour": self.colour, "steps": {1, 2}})
STATE = "what it remembers is in its state"
background(STATE, state_dict=lambda self: {"colour": self.colour, "steps": 0})
background(STATE, state_dict=lambda self: {})
OWN = "a state that is not its own is refused"
background(OWN, load_state_dict=lambda self, state: "colour" in state and lawful.Wall.load_state_dict(self, state))
background(
    OWN,
    load_state_dict=lambda self, state: lawful.Wall.load_state_dict(self, {k: state[k] for k in ("colour", "steps")}),
)

# -- encoder


def check_encoder(cls):
    testing.check_encoder(cls(None))


def vectors(change):
    return {"finish": lambda self, vectors, image: change(vectors, image)}


def told(change):
    return {"encode_texts": lambda self, texts: change(lawful.Pooled.encode_texts(self, texts))}


def only_large(vectors, image):
    if min(image.shape[1:3]) < 2:
        raise ValueError("too small")
    return vectors


encoder = of(check_encoder, lawful.Pooled)
encoder("reads names parts of a subject", reads=frozenset({"sound"}))
encoder("its state is tensors and JSON values", state_dict=lambda self: {"seen": {1}})
encoder("size tells parameters and bytes", size=lambda self, device: (-1, 0))
encoder("an encoder's weight_files are there", weight_files=lambda self: [Path("nowhere.safetensors")])
encoder("it encodes pictures of any size", **vectors(only_large))
encoder("random numbers come from its own stream", **vectors(lambda v, i: v + 0 * torch.rand(1)))
encoder("vectors are (B, dimensions)", dimensions=47)
encoder("vectors are of length 1", **vectors(lambda v, i: 2 * v))
encoder("vectors are of length 1", **told(lambda v: 10 * v))
encoder("the same picture, the same vector", **vectors(lambda v, i: v if next(COUNT) % 2 else v.flip(-1)))
encoder("pictures are not changed", **vectors(lambda v, i: v + 0 * i.detach().mul_(0.5).sum()))
encoder("a batch gives what its singles give", **vectors(lambda v, i: v.roll(len(v), -1)))
encoder("other pictures, other vectors", **vectors(lambda v, i: torch.ones_like(v) / v.shape[-1] ** 0.5))
encoder("it is differentiable in the picture", **vectors(lambda v, i: v.detach()))
encoder("it encodes any texts", encode_texts=fails)
encoder("texts carry no graph", **told(lambda v: v.requires_grad_()))
encoder("the same text, the same vector", **told(lambda v: v.roll(next(COUNT), -1)))
encoder("other texts, other vectors", **told(lambda v: v[:1].expand_as(v)))
