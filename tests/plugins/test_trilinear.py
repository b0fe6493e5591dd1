"""Interpolation by corners against PyTorch's grid_sample."""

import pytest
import torch
from torch.nn.functional import grid_sample

from zero3d_voxels import trilinear

SIZES = [(1, 1, 5, 4, 3), (1, 3, 2, 3, 6), (1, 4, 1, 1, 1)]


def reference(grid, place):
    size = torch.tensor(grid.shape[:1:-1], dtype=place.dtype)[:, None]
    at = (2 * place / size - 1).T.reshape(1, 1, 1, -1, 3)
    return grid_sample(grid, at, padding_mode="zeros", align_corners=False).reshape(grid.shape[1], -1)


def inputs(shape, count=500):
    """A grid, and places inside it, near its faces, and up to three voxels beyond."""
    generator = torch.Generator().manual_seed(0)
    grid = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    size = torch.tensor(shape[:1:-1], dtype=torch.float64)[:, None]
    place = torch.rand(3, count, generator=generator, dtype=torch.float64) * (size + 6) - 3
    edges = torch.cartesian_prod(
        *[torch.tensor([-0.5, 0.0, 0.5, 1.0, n - 0.5, n, n + 0.5, 1e9, -1e9]) for n in size[:, 0]]
    )
    return grid, torch.cat([place, edges.T.double()], dim=1)


@pytest.mark.parametrize("cached", [1 << 16, 100])
@pytest.mark.parametrize("shape", SIZES)
def test_values_and_gradients_equal_grid_sample(shape, cached, monkeypatch):
    monkeypatch.setattr(trilinear, "CACHED", cached)
    grid, place = inputs(shape)
    found, expected = trilinear.interpolate(grid, place), reference(grid, place)
    assert found.shape == (shape[1], place.shape[1])
    assert torch.allclose(found, expected, atol=1e-12)
    cotangent = torch.randn(found.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (measured,) = torch.autograd.grad(found, grid, cotangent)
    (wanted,) = torch.autograd.grad(expected, grid, cotangent)
    assert torch.allclose(measured, wanted, atol=1e-12)


def test_gradients_equal_finite_differences():
    grid, place = inputs((1, 2, 3, 2, 4), 20)
    assert torch.autograd.gradcheck(lambda g: trilinear.interpolate(g, place[:, :20]), grid)


def test_places_that_ask_for_a_gradient_get_one():
    grid, place = inputs((1, 2, 5, 4, 3), 20)
    place = (place[:, :20] % 3 + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(trilinear.interpolate, (grid, place))
    assert torch.allclose(trilinear.interpolate(grid, place), trilinear.interpolate(grid, place.detach()))


def test_no_points_are_no_values():
    grid, _ = inputs((1, 2, 3, 3, 3))
    found = trilinear.interpolate(grid, torch.zeros(3, 0, dtype=torch.float64))
    assert found.shape == (2, 0)
    found.sum().backward()
    assert not grid.grad.any()
