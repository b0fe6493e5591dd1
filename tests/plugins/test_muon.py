"""Muon against its definition, against PyTorch's own for plain matrices, and beside AdamW."""

import pytest
import torch
from torch import nn

from zero3d_training.muon import Muon, is_matrix, orthogonal, precision


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_singular_vectors_stay_and_singular_values_go_to_one(shape):
    generator = torch.Generator().manual_seed(0)
    u, s, vt = torch.linalg.svd(torch.randn(shape, generator=generator), full_matrices=False)
    spread = torch.linspace(0.2, 3, len(s))
    found = u.T @ orthogonal((u @ spread.diag() @ vt)[None])[0] @ vt.T
    assert ((found.diag() - 1).abs() < 0.35).all()  # the polynomial's own spread
    assert (found - found.diag().diag()).abs().max() < 1e-4


def grown(kind, parameters, steps=5, **options):
    optimizer = kind(parameters, lr=0.01, weight_decay=0.1, **options)
    for step in range(steps):
        optimizer.zero_grad()
        sum(
            (p * torch.sin(torch.arange(p.numel()).reshape(p.shape) + step)).square().sum() for p in parameters
        ).backward()
        optimizer.step()
    return parameters


def matrices():
    generator = torch.Generator().manual_seed(1)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((12, 30), (30, 12))]


def test_plain_matrices_are_stepped_as_by_torch():
    theirs = grown(torch.optim.Muon, matrices(), adjust_lr_fn="match_rms_adamw")
    for own, other, start in zip(grown(Muon, matrices()), theirs, matrices(), strict=True):
        moved = (other - start).abs().max()
        assert moved > 0.01
        assert (own - other).abs().max() < 0.01 * moved


def test_matrices_of_one_shape_do_not_touch_one_another():
    together = [nn.Parameter(torch.randn(12, 30, generator=torch.Generator().manual_seed(seed))) for seed in range(3)]
    alone = [nn.Parameter(parameter.detach().clone()) for parameter in together]
    grown(Muon, together)
    for own, other in zip(alone, together, strict=True):
        grown(Muon, [own])
        assert torch.allclose(own, other, atol=1e-6)


def test_kernels_are_matrices_in_any_memory_layout():
    kernel = torch.randn(12, 10, 3, 3, generator=torch.Generator().manual_seed(2))
    plain, flat = nn.Parameter(kernel.clone()), nn.Parameter(kernel.flatten(1).clone())
    last = nn.Parameter(kernel.clone().contiguous(memory_format=torch.channels_last))
    for parameter in (plain, flat, last):
        grown(Muon, [parameter])
    assert torch.equal(plain.flatten(1), flat)
    assert torch.equal(plain, last)


def one_by_one(parameters, momenta, rate, decay):
    """Muon's definition, a matrix at a time."""
    for parameter, momentum in zip(parameters, momenta, strict=True):
        momentum += 0.05 * (parameter.grad - momentum)
        x = (0.05 * parameter.grad + 0.95 * momentum).flatten(1)
        tall = x.shape[0] > x.shape[1]
        x = x.T / x.norm() if tall else x / x.norm()
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
        x = x.T if tall else x
        scale = 0.2 * max(x.shape) ** 0.5
        parameter.data = parameter * (1 - rate * decay) - rate * scale * x.reshape(parameter.shape)


def test_matrices_stepped_together_go_where_each_goes_by_the_definition():
    shapes = [(12, 30), (30, 12), (12, 30), (12, 5, 3, 2), (16, 16), (12, 30)]
    generator = torch.Generator().manual_seed(3)
    own = [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]
    other = [nn.Parameter(parameter.detach().clone()) for parameter in own]
    momenta = [torch.zeros_like(parameter) for parameter in other]
    optimizer = Muon(own, lr=0.01, weight_decay=0.1)
    for _ in range(5):
        for mine, theirs in zip(own, other, strict=True):
            mine.grad = torch.randn(mine.shape, generator=generator)
            theirs.grad = mine.grad.clone()
        optimizer.step()
        with torch.no_grad():
            one_by_one(other, momenta, 0.01, 0.1)
    for mine, theirs in zip(own, other, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-6)


def test_bfloat16_changes_an_update_by_its_rounding_alone_and_is_for_gpus():
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(4))
    whole, short = orthogonal(matrices), orthogonal(matrices, torch.bfloat16)
    assert short.dtype == torch.float32
    assert 1e-4 < (short - whole).norm() / whole.norm() < 0.03
    assert precision(matrices) == torch.float32


def test_small_matrices_and_vectors_are_stepped_by_adamw():
    def small():
        return [nn.Parameter(torch.linspace(-1, 1, 12).reshape(shape)) for shape in ((12,), (3, 4), (1, 12))]

    assert not any(is_matrix(parameter) for parameter in small())
    for own, other in zip(grown(Muon, small()), grown(torch.optim.AdamW, small()), strict=True):
        assert torch.equal(own, other)
