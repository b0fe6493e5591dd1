"""The laws of an encoder."""

from __future__ import annotations

import torch
from torch import Tensor

from zero3d.interfaces import Encoder
from zero3d.testing.laws.common import Laws
from zero3d.testing.laws.state import check_kept

TEXTS = ("a red mug", "", "an elephant on a bicycle, photographed from behind")


def check_encoder(encoder: Encoder, tolerance: float = 1e-4) -> None:
    """The laws of an encoder, loaded. Call it from a test; the first broken one is an AssertionError of one line.

    - Pictures of any size become finite unit vectors (B, `dimensions`), the same each time; other pictures, others; a
      batch gives what its singles give, and pictures are left as they were.
    - It is differentiable in the picture.
    - Where `reads` holds "prompt", any texts become unit vectors without a graph, other texts others.
    - `weight_files` are there; `size` tells nothing or two whole numbers; `reads` names parts of a subject.

    Args:
        encoder: yours, after `load`. Random weights will do.
        tolerance: on unit lengths and on the difference between a batch and its singles.
    """
    laws = Laws(type(encoder))
    laws.refuses(encoder.config)
    known = frozenset({"picture", "prompt"})
    laws("reads names parts of a subject", bool(encoder.reads) and encoder.reads <= known, f"{sorted(encoder.reads)}")
    missing = [str(path) for path in encoder.weight_files() if not path.exists()]
    laws("an encoder's weight_files are there", not missing, f"missing: {', '.join(missing)}")
    laws.sized(encoder)
    if "picture" in encoder.reads:
        _pictures(laws, encoder, tolerance)
    if "prompt" in encoder.reads:
        _texts(laws, encoder, tolerance)
    check_kept(laws, encoder)


def _unit(laws: Laws, encoder: Encoder, vectors: Tensor, count: int, tolerance: float) -> None:
    shape = (count, encoder.dimensions)
    laws("vectors are (B, dimensions)", vectors.shape == shape, f"{tuple(vectors.shape)}, not {shape}")
    lengths = vectors.detach().double().norm(dim=-1)
    laws("vectors are of length 1", ((lengths - 1).abs() <= tolerance).all(), f"lengths {lengths.tolist()}")


def _pictures(laws: Laws, encoder: Encoder, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    for size in ((64, 64), (1, 1), (33, 50), (224, 224)):
        image = torch.rand(2, *size, 3, generator=generator)
        before = image.clone()
        with laws.own_randomness("nothing"), laws.runs("it encodes pictures of any size", f"it fails for {size}"):
            first, again = encoder.encode_pictures(image), encoder.encode_pictures(image)
            single = encoder.encode_pictures(image[1:])
        _unit(laws, encoder, first, 2, tolerance)
        laws("pictures are not changed", torch.equal(image, before), "the picture was written to")
        laws("the same picture, the same vector", torch.equal(first, again), "two calls differ")
        off = float((first[1:] - single).abs().max())
        laws("a batch gives what its singles give", off <= tolerance, f"they differ by {off:.3g}")
    image = torch.rand(2, 64, 64, 3, generator=generator).requires_grad_()
    vectors = encoder.encode_pictures(image)
    apart = float((vectors[0] - vectors[1]).detach().norm())
    laws("other pictures, other vectors", apart > 1e-6, f"two pictures of noise are {apart:.3g} apart")
    law = "it is differentiable in the picture"
    with laws.runs(law, "no gradient reaches the picture"):
        (gradient,) = torch.autograd.grad(vectors[:, 0].sum(), image)
    good = bool(torch.isfinite(gradient).all()) and bool(gradient.any())
    laws(law, good, "the gradient is 0 throughout, or holds nan or inf")


def _texts(laws: Laws, encoder: Encoder, tolerance: float) -> None:
    with laws.own_randomness("nothing"), laws.runs("it encodes any texts", "encode_texts() fails"):
        vectors, again = encoder.encode_texts(TEXTS), encoder.encode_texts(list(TEXTS))
    laws("texts carry no graph", not vectors.requires_grad, "encode under torch.no_grad()")
    _unit(laws, encoder, vectors, len(TEXTS), tolerance)
    laws("the same text, the same vector", torch.equal(vectors, again), "two calls differ")
    apart = float((vectors[0] - vectors[2]).norm())
    laws("other texts, other vectors", apart > 1e-6, f"two texts are {apart:.3g} apart")
