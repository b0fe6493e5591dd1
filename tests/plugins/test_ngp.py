"""The hash-grid field: its layout against tiny-cuda-nn's rules, its interpolation against polynomials and differences."""

import math
import sys
import types

import pytest
import torch

from zero3d.plugins import load_plugins
from zero3d.testing import check_representation, fresh_step
from zero3d_ngp import field as fields
from zero3d_ngp.encoding import FEATURES, HashEncoding, vertex_index
from zero3d_ngp.field import HashGridConfig, HashGridField, has_tinycudann
from zero3d_ngp.levels import Level, make_levels

SMALL = {"levels": 3, "base_resolution": 4, "finest_resolution": 16, "table_log2": 9, "hidden": 8, "detail": 16}


def made(**options):
    field = HashGridField(HashGridConfig(**{**SMALL, **options}))
    with torch.no_grad():
        field.initialise(fresh_step())
    return field


def places(count, seed=0):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("options", [{}, {"density_activation": "exp", "blob_scale": 0.0}, {"channels": 4}])
def test_the_field_conforms(options):
    check_representation(lambda: HashGridField(HashGridConfig(**{**SMALL, **options})))


def test_sizes_of_instant_ngps_levels():
    """16 levels from 16 to 2048 with 2^19 entries: worked out by hand from tiny-cuda-nn's grid.h."""
    growth = 2 ** (math.log2(2048 / 16) / 15)
    levels = make_levels(16, 16, growth, 19)
    assert [level.resolution for level in levels[:4]] == [16, 23, 31, 43]
    assert levels[0].size == 16**3
    assert levels[1].size == 12168  # 23^3 = 12167, rounded up to a multiple of 8
    assert [level.hashed for level in levels].index(True) == 5
    assert all(level.size == 2**19 for level in levels[5:])
    assert levels[-1].start == sum(level.size for level in levels[:-1])


def test_dense_vertices_have_entries_of_their_own():
    level = make_levels(1, 6, 1.0, 12)[0]
    side = torch.arange(level.resolution)
    vertices = torch.cartesian_prod(side, side, side)
    index = vertex_index(level, vertices)
    assert len(index.unique()) == level.resolution**3
    assert index[vertices.tolist().index([1, 2, 3])] == 1 + level.resolution * (2 + level.resolution * 3)


def test_the_hash_in_32_bits():
    level = Level(99.0, 100, 0, 2**10, True)
    vertex = [57, 91, 73]
    by_hand = (57 * 1) ^ (91 * 2654435761 % 2**32) ^ (73 * 805459861 % 2**32)
    assert int(vertex_index(level, torch.tensor([vertex]))[0]) == by_hand % 2**10


def test_a_linear_function_is_interpolated_exactly():
    encoding = HashEncoding(1, 8, 1.0, 12, fused=False).double()
    level = encoding.levels[0]
    side = torch.arange(level.resolution)
    vertices = torch.cartesian_prod(side, side, side)
    slope = torch.tensor([[1.0, -2.0], [0.5, 3.0], [2.0, 0.25]], dtype=torch.float64)
    with torch.no_grad():
        at = (vertices.double() - 0.5) / level.scale  # where a vertex stands in the unit cube
        encoding.table.reshape(-1, FEATURES)[vertex_index(level, vertices)] = at @ slope
    points = 0.9 * places(200)  # the last half cell has a vertex outside, as in tiny-cuda-nn
    torch.testing.assert_close(encoding(points), points @ slope, atol=1e-12, rtol=0)


def test_gradients_in_table_and_places():
    encoding = HashEncoding(2, 4, 2.0, 6, fused=False).double()
    with torch.no_grad():
        encoding.table.normal_(generator=torch.Generator().manual_seed(0))
    points = places(5, seed=3).requires_grad_()
    assert encoding.levels[1].hashed, "one level of each kind"

    def read(table, at):
        return torch.func.functional_call(encoding, {"table": table}, (at,))

    assert torch.autograd.gradcheck(read, (encoding.table, points))


def test_it_begins_as_a_ball_of_magic3d():
    field = made(blob_scale=10.0, blob_radius=0.5)
    axis = torch.tensor([[0.0, 0.0, 0.0], [0.25, 0.0, 0.0], [0.0, 0.5, 0.0], [0.9, 0.0, 0.0]])
    expected = torch.nn.functional.softplus(10 * (1 - axis.norm(dim=-1) / 0.5))
    torch.testing.assert_close(field.density(axis), expected, atol=0.02, rtol=0.02)
    assert field.density(torch.tensor([[1.01, 0.0, 0.0]])).item() == 0


def test_it_begins_as_a_ball_of_dreamfusion():
    field = made(blob="gaussian", blob_scale=5.0, blob_radius=0.2, density_activation="exp")
    axis = torch.tensor([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0], [0.0, 0.3, 0.4]])
    expected = [math.exp(5), math.exp(5 * math.exp(-0.5)), math.exp(5 * math.exp(-0.5 * 2.5**2))]
    torch.testing.assert_close(field.density(axis), torch.tensor(expected), atol=0.02, rtol=0.02)


def test_it_learns_a_field():
    """A ball of one colour in another: a few steps bring density and colour most of the way."""
    field = made(blob_scale=0.0)
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(field.param_groups(), lr=0.02)
    red, blue = torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.1, 0.1, 0.9])

    def error():
        points = 2 * torch.rand(2000, 3, generator=generator) - 1
        ball = (points.norm(dim=-1) < 0.6).float()
        colour = torch.where(ball[:, None] > 0, red, blue)
        return (field.density(points) - ball).square().mean() + (field.features(points) - colour).square().mean()

    before = float(error().detach())
    for _ in range(60):
        optimizer.zero_grad()
        loss = error()
        loss.backward()
        optimizer.step()
    assert float(error().detach()) < 0.2 * before


def test_learning_rates_of_table_and_networks():
    field = made(grid_lr=10.0)
    table, networks = field.param_groups()
    assert table["lr_scale"] == 10.0
    assert len(table["params"]) == 1
    assert len(networks["params"]) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 0}, "levels: 0; 1 to 16"),
        ({"finest_resolution": 2}, "finest_resolution: 2; at least"),
        ({"density_activation": "relu"}, "one of softplus, exp"),
        ({"blob_radius": 0.0}, "blob_radius: 0.0; 0.001 to 1000"),
        ({"blob": "cube"}, "blob: 'cube'; one of cone, gaussian"),
        ({"backend": "cuda"}, "one of auto, torch, tinycudann"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        HashGridConfig(**{**SMALL, **options})


def test_a_missing_tinycudann_is_said_before_anything_is_built(monkeypatch):
    monkeypatch.setattr(fields, "has_tinycudann", lambda: False)
    with pytest.raises(ValueError, match="tinycudann is not installed"):
        HashGridConfig(backend="tinycudann")


class StandIn(torch.nn.Module):
    """With the signature of tinycudann.Encoding (bindings/torch/tinycudann/modules.py), reading in PyTorch."""

    def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None):
        super().__init__()
        assert (n_input_dims, dtype) == (3, torch.float32)
        assert encoding_config.pop("otype") == "HashGrid"
        assert encoding_config.pop("n_features_per_level") == FEATURES
        names = {
            "n_levels": "levels",
            "base_resolution": "base",
            "per_level_scale": "growth",
            "log2_hashmap_size": "log2_size",
        }
        told = {names[name]: value for name, value in encoding_config.items()}
        self.twin = HashEncoding(**told, fused=False).requires_grad_(False)
        self.params = torch.nn.Parameter(torch.zeros_like(self.twin.table))

    def forward(self, x):
        assert x.dtype == torch.float32
        return torch.func.functional_call(self.twin, {"table": self.params}, (x,))


def test_tinycudann_is_handed_our_table_and_options(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinycudann", types.SimpleNamespace(Encoding=StandIn))
    encoding = HashEncoding(4, 4, 1.7, 8, fused=True)
    with torch.no_grad():
        encoding.table.normal_(generator=torch.Generator().manual_seed(0))
    points, gradients = places(50).float(), []
    for read in (encoding, encoding._with_tinycudann):
        encoding.table.grad = None
        read(points).square().sum().backward()
        gradients.append(encoding.table.grad)
    assert torch.equal(*gradients), "the kernel's gradient reaches our own table"
    assert set(encoding.state_dict()) == {"table"}


@pytest.mark.skipif(not (has_tinycudann() and torch.cuda.is_available()), reason="tiny-cuda-nn needs CUDA")
def test_tinycudann_reads_what_pytorch_reads():
    plain, fused = (HashEncoding(16, 16, 2 ** (8 / 15), 19, fused=fused).cuda() for fused in (False, True))
    with torch.no_grad():
        plain.table.uniform_(-1, 1)
    fused.load_state_dict(plain.state_dict())
    points = places(5000).float().cuda()
    assert torch.allclose(fused(points), plain(points), atol=2e-3)
    for encoding in (plain, fused):
        encoding(points).square().sum().backward()
    assert torch.allclose(fused.table.grad, plain.table.grad, atol=2e-3)


def test_it_is_registered():
    assert load_plugins().get("representation", "hash_grid", "test") is HashGridField
