"""MCC's network and its preparation against numbers of the original code, at a small width."""

import math

import pytest
import torch

from tests.plugins.mcc_tiny import GOLDEN, PUBLISHED, network
from zero3d_mcc.depth.prepared import prepare
from zero3d_mcc.network.model import Mcc, Size, colours, network_rgb, shrunk
from zero3d_mcc.shape.grid import dense, samples


def close(found, wanted, tolerance=1e-5):
    torch.testing.assert_close(found.reshape(wanted.shape).to(wanted), wanted, rtol=0, atol=tolerance)


def picture():
    y, x = torch.meshgrid(*(torch.arange(800, dtype=torch.float64),) * 2, indexing="ij")
    return torch.stack([0.5 + 0.5 * torch.sin(0.013 * (c + 1) * x + 0.009 * y + c) for c in range(3)]).float()[None]


@pytest.fixture(scope="module")
def net():
    return network()


@pytest.fixture(scope="module")
def shown():
    return network_rgb(picture()), GOLDEN["seen_xyz"][None], GOLDEN["valid"][None]


@pytest.fixture(scope="module")
def seen(net, shown):
    return net.encode(*shown)


def test_the_encoders(net, shown):
    rgb, xyz, valid = shown
    close(rgb[0, :, ::4, ::4], GOLDEN["rgb224_normalised_4th"])
    close(net.xyz_pos_embed(shrunk(xyz), valid), GOLDEN["xyz_tokens"])
    tokens = net.tokens(*shown)
    close(tokens, GOLDEN["encoder_out"])
    close(net.decoder_in(tokens), GOLDEN["decoder_in"])


def test_queries(net, seen):
    close(shrunk(GOLDEN["queries"]), GOLDEN["queries_shrunk"])
    answers = net.ask(GOLDEN["queries"][None], seen)[0]
    close(answers[:, 0], GOLDEN["occupancy_logit"])
    close(answers[:30, 1:], GOLDEN["colour_logits_first30"])
    close(colours(answers, 0.1), GOLDEN["colour_T0.1"], 2e-5)
    close(colours(answers, 1.0), GOLDEN["colour_T1"])
    best = answers[:, 1:].unflatten(-1, (3, 256)).argmax(dim=-1) / 255
    close(best, GOLDEN["colour_argmax"])
    parts = [net.ask(part[None], seen)[0] for part in GOLDEN["queries"].split(70)]
    close(torch.cat(parts), answers)


def test_colours_as_numbers(shown):
    net = network(regress_color=True)
    close(net.ask(GOLDEN["queries"][None, :50], net.encode(*shown)), GOLDEN["regress_out"])


def test_the_published_tensors_are_all_there():
    with torch.device("meta"):
        found = Mcc(Size()).state_dict()
    assert {name: list(tensor.shape) for name, tensor in found.items()} == PUBLISHED["shapes"]
    assert (len(found), sum(math.prod(t.shape) for t in found.values())) == (
        PUBLISHED["tensors"],
        PUBLISHED["parameters"],
    )


@pytest.mark.parametrize("name", ["wide", "tall"])
def test_the_demos_preparation(net, name):
    rgb, mask = GOLDEN[f"demo_{name}_image_u8"].float() / 255, GOLDEN[f"demo_{name}_mask_u8"] > 0
    made = prepare(rgb, GOLDEN[f"demo_{name}_points"], mask)
    valid = GOLDEN[f"demo_{name}_valid"]
    assert made.valid[0].equal(valid)
    close(made.xyz[0][valid], GOLDEN[f"demo_{name}_seen_xyz"][valid])
    close(made.rgb[0, :, ::10, ::10], GOLDEN[f"demo_{name}_rgb800_10th"])
    if name == "wide":
        answers = net.ask(dense(9)[None], net.encode(*made.network_input()))
        close(answers[0, :, 0], GOLDEN["demo_wide_occupancy"], 2e-5)
    p = GOLDEN[f"demo_{name}_points"][mask]
    close((p / made.scale - made.middle).mean(dim=0), torch.zeros(3), 1e-5)


def test_the_grid():
    for granularity in (0.5, 0.7):
        close(dense(samples(granularity)), GOLDEN[f"grid_{granularity}"], 1e-6)
    fine = dense(samples(0.05))
    assert len(fine) == 120**3
    close(fine[:130], GOLDEN["grid_0.05_first"], 1e-6)
    close(fine[-3:], GOLDEN["grid_0.05_last"], 1e-6)
