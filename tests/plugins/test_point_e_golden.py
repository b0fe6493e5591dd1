"""Point-E's networks, sampler and mesher against numbers of the original code, at a small width."""

import pytest
import torch

from tests.plugins.point_e_tiny import GOLDEN, PUBLISHED, noise, state
from zero3d_point_e.network.blocks import time_vector
from zero3d_point_e.network.distance import DistanceNetwork, DistanceSize
from zero3d_point_e.network.points import PointNetwork, Size
from zero3d_point_e.sampling.karras import Denoise, base_plan, sample, upsample_plan

SIZES = {
    "base": Size(64, 2, 4, 64, features=64),
    "imagevec": Size(64, 2, 4, 64, condition="vector", features=48),
    "upsample": Size(64, 2, 4, 128, low=64, features=64),
}


def network(part):
    made = PointNetwork(SIZES[part])
    made.load_state_dict(state(part))
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def networks():
    return {part: network(part) for part in SIZES}


@pytest.fixture(scope="module")
def distance():
    made = DistanceNetwork(DistanceSize(32, 2, 2, 2, 2))
    made.load_state_dict(state("sdf"))
    return made.requires_grad_(False)


def conditions(part, told=True):
    features = GOLDEN["clip_embedding_unit"] if part == "imagevec" else GOLDEN["clip_grid"]
    low = GOLDEN["low_res"] if part == "upsample" else None
    features = features.expand(3, *features.shape[1:])
    return (features, low) if told else (0 * features, None if low is None else 0 * low)


def close(found, wanted, tolerance):
    torch.testing.assert_close(found.reshape(wanted.shape), wanted, rtol=0, atol=tolerance)


def test_time(networks):
    close(networks["base"].time_embed(time_vector(GOLDEN["t"], 64)), GOLDEN["time_embed"], 1e-5)


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("part", SIZES)
def test_networks(networks, part, told):
    net = networks[part]
    tokens = net.condition_tokens(*conditions(part, told))
    x = GOLDEN["x_t_up" if part == "upsample" else "x_t"]
    close(net(x, GOLDEN["t"], tokens), GOLDEN[f"{part}_out_{'cond' if told else 'uncond'}"], 1e-5)


@pytest.mark.parametrize("plan", [base_plan(), upsample_plan()])
def test_schedules(plan):
    wanted = GOLDEN["alphas_cumprod_cosine" if plan.cosine else "alphas_cumprod_linear"]
    torch.testing.assert_close(plan.alphas_cumprod(), wanted, rtol=1e-10, atol=1e-14)


def test_levels():
    close(torch.tensor(base_plan(8).sigmas()), GOLDEN["base8_sigmas"], 1e-4)


class Toy:
    """The closed-form model of the golden numbers."""

    def __init__(self, plan, mu):
        self.mu, self.alphas, self.calls = torch.cat([mu, 0 * mu]), plan.alphas_cumprod(), []
        self.denoise = Denoise(self.predict, plan)

    def predict(self, x, t):
        a = float(self.alphas[t])
        return (1 - a) ** 0.5 * (x - a**0.5 * self.mu) / (0.25 * a + 1 - a)

    def __call__(self, x, sigma):
        self.calls.append((sigma, self.denoise.timestep(sigma)))
        return self.denoise(x, sigma)


def draws(name, shape):
    yield noise(f"{name}.init", shape)
    step = 0
    while True:
        yield noise(f"{name}.churn.{step}", shape)
        step += 1


def raw(x):
    from zero3d_point_e.sampling.stages import to_raw

    return to_raw(x)


@pytest.mark.parametrize(
    ("name", "plan"), [("base8", base_plan(8)), ("base64", base_plan()), ("up64", upsample_plan())]
)
def test_the_sampler_alone(name, plan):
    toy, stream = Toy(plan, GOLDEN["toy_mu"]), draws(f"toy_{name}", (1, 6, 64))
    found = sample(toy, plan, lambda: next(stream))
    calls = GOLDEN[f"toy_{name}_calls"]
    assert [t for _, t in toy.calls] == calls[:, 1].long().tolist()
    torch.testing.assert_close(torch.tensor([s for s, _ in toy.calls]).double(), calls[:, 0], rtol=1e-5, atol=1e-6)
    close(raw(found), GOLDEN[f"toy_{name}_final"], 5e-3)


@pytest.mark.parametrize(
    ("name", "part", "plan"), [("base8", "base", base_plan(8)), ("up8", "upsample", upsample_plan(8))]
)
def test_each_step_of_the_networks(networks, name, part, plan):
    net = networks[part]
    low = GOLDEN["up8_low_res"][None] if part == "upsample" else None
    features = GOLDEN["clip_grid"]
    told = (net.condition_tokens(features, low), net.condition_tokens(0 * features, None if low is None else 0 * low))
    tokens = torch.cat(told)
    denoise = Denoise(lambda x, t: net(x.expand(2, -1, -1), torch.tensor([t, t]), tokens)[:, :6], plan)
    sigmas = GOLDEN[f"{name}_calls"][::2, 0]
    assert len(sigmas) == 8
    for step, sigma in enumerate(sigmas.tolist()):
        close(denoise(GOLDEN[f"{name}_x_model"][step][None], sigma), GOLDEN[f"{name}_pred_model"][step][None], 1e-3)


@pytest.mark.parametrize("part", ["base", "upsample"])
def test_a_single_call_is_clamped_by_the_timestep(networks, part):
    plan = base_plan(8, 1) if part == "base" else upsample_plan(8, 1)
    alphas, net = plan.alphas_cumprod(), networks[part]
    tokens = net.condition_tokens(*conditions(part))
    x = GOLDEN["x_t_up" if part == "upsample" else "x_t"]
    for row, t in enumerate(GOLDEN["t"].tolist()):
        a = float(alphas[t])
        sigma = ((1 - a) / a) ** 0.5 * (1 + 1e-9)
        denoise = Denoise(lambda x, t, row=row: net(x, torch.tensor([t]), tokens[row : row + 1])[:, :6], plan)
        if denoise.timestep(sigma) != t:
            assert t == 0
            sigma = 1e-9
        found = denoise(x[row : row + 1] * (sigma**2 + 1) ** 0.5, sigma)
        close(found, GOLDEN[f"{part}_x0_cond_clipped"][row : row + 1], 1e-4)


def test_signed_distances(distance):
    latents = distance.encode(GOLDEN["sdf_points"][None])
    close(latents, GOLDEN["sdf_latents"], 1e-5)
    close(distance.distance(GOLDEN["sdf_queries"][None], latents), GOLDEN["sdf_values"], 1e-5)
    halves = [distance.distance(part[None], latents) for part in GOLDEN["sdf_queries"].split(70)]
    close(torch.cat(halves, dim=1), GOLDEN["sdf_values"], 1e-5)


def test_published_sizes_are_all_there():
    from zero3d_point_e.weights.known import SIZES as KNOWN
    from zero3d_point_e.weights.known import sketch

    assert KNOWN.keys() == PUBLISHED.keys()
    for name, wanted in PUBLISHED.items():
        found = sketch(KNOWN[name]).state_dict()
        assert {key: list(tensor.shape) for key, tensor in found.items()} == wanted["shapes"]
        assert len(found) == wanted["tensors"]
        assert KNOWN[name].heads == wanted["config"]["heads"] if name != "sdf" else KNOWN[name].encoder_heads == 4


@pytest.mark.parametrize("name", ["mesh12", "mesh12b"])
def test_the_mesher(distance, name):
    from zero3d.solids import nearest
    from zero3d_point_e.shape.surface import grid, levelled, march

    values = grid(distance, GOLDEN["sdf_points"], 12)
    close(values, GOLDEN["sdf_grid12_xyz_order"], 1e-5)
    if name == "mesh12b":
        values = values - 1.125
    values, none = levelled(values)
    assert none == (name == "mesh12")
    vertices, faces = march(values)
    close(vertices, GOLDEN[f"{name}_verts"], 2e-5)
    assert faces.int().equal(GOLDEN[f"{name}_faces"])
    if name == "mesh12":
        colours = GOLDEN["sdf_points_rgb"][nearest(vertices, GOLDEN["sdf_points"])]
        assert colours.equal(GOLDEN["mesh12_rgb"])


def test_the_ply_is_the_original_codes():
    from zero3d_point_e.shape.files import ply_bytes

    found = ply_bytes(GOLDEN["cloud_coords"], GOLDEN["cloud_rgb"])
    assert found == GOLDEN["cloud_ply"].numpy().tobytes()
