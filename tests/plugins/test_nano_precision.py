"""nano in bfloat16, which it takes where the processor has it: near its own float32."""

import pytest
import torch

from zero3d.geometry import orbit
from zero3d.values import Picture
from zero3d_zero123.nano import losses, precision
from zero3d_zero123.nano.denoiser import NanoDenoiser
from zero3d_zero123.nano.lift import _cells


def test_a_processor_is_asked_for_its_own_bfloat16(monkeypatch):
    has = {"avx2": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has, raising=False)
    precision._on_this_processor.cache_clear()
    assert not precision.native_bfloat16(torch.device("cpu"))
    has["avx512_bf16"] = True
    precision._on_this_processor.cache_clear()
    assert precision.native_bfloat16(torch.device("cpu"))
    monkeypatch.delattr(torch.cpu, "get_capabilities")  # as in torch 2.6
    precision._on_this_processor.cache_clear()
    assert not precision.native_bfloat16(torch.device("cpu"))
    precision._on_this_processor.cache_clear()


@pytest.mark.parametrize("native", [True, False])
def test_networks_are_trained_in_bfloat16_only_where_it_is_native(monkeypatch, native):
    monkeypatch.setattr(precision, "native_bfloat16", lambda device: native)
    with losses.bfloat16_where_native(torch.device("cpu")):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == (torch.bfloat16 if native else torch.float32)


def test_cells_project_to_the_same_places_under_autocast():
    cameras = orbit(torch.tensor([20.0, -35.0]), torch.tensor([10.0, 200.0]), 64)
    plain = _cells(8, cameras)
    with torch.autocast("cpu", torch.bfloat16):
        found = _cells(8, cameras)
    for part, expected in zip(found, plain, strict=True):
        assert torch.equal(part, expected)


def test_guidance_in_bfloat16_draws_what_float32_draws(monkeypatch):
    """With the shipped weights, at a noise level that the recipe asks for; one grey level in 255 is 0.004."""
    denoiser = NanoDenoiser()
    denoiser.load(torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    axis = torch.linspace(-1, 1, 64)
    disc = (axis[:, None].square() + axis.square() < 0.4)[..., None].float()
    colour = 1 - disc * torch.tensor([0.2, 0.6, 0.9])
    condition = denoiser.condition(Picture(colour, disc), orbit(20.0, 0.0, 64))
    cameras, sigma = orbit(10.0, 60.0, 64), denoiser.sigmas[700].reshape(1)
    noised = denoiser.drawing(condition, cameras) + sigma * torch.randn(1, 64, 64, 3, generator=generator)
    drawn = []
    for native in (False, True):
        monkeypatch.setattr(precision, "native_bfloat16", lambda device, native=native: native)
        drawn.append(denoiser.denoise(noised, sigma, condition, cameras, 2.0))
    assert drawn[1].dtype == torch.float32
    assert 0 < (drawn[1] - drawn[0]).abs().max() < 0.02
    assert (drawn[1] - drawn[0]).abs().mean() < 0.002
