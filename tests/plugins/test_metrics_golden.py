"""The metrics against the figures of the libraries in use, on inputs that are formulas (tests/data/metrics.json)."""

import numpy
import pytest
import torch

from tests.plugins.metrics_tiny import GOLDEN, lpips_weights
from zero3d import UserError
from zero3d_metrics.components.pictures import LpipsMetric, Psnr, Ssim
from zero3d_metrics.image import psnr
from zero3d_metrics.lpips import OLD_SUMS, SUMS, Lpips

y, x = numpy.mgrid[0:64, 0:64].astype(float)


def disc(centre):
    inside = (x - centre) ** 2 + (y - 31.5) ** 2 <= 400
    return numpy.where(inside[..., None], (0.8, 0.3, 0.1), 1.0)


RAMP = numpy.stack([x / 63, y / 63, numpy.full_like(x, 0.5)], axis=-1)
PICTURES = {
    "const_0.25": numpy.full((64, 64, 3), 0.25),
    "const_0.5": numpy.full((64, 64, 3), 0.5),
    "noise": numpy.random.default_rng(0).random((64, 64, 3)),
    "noise_other": numpy.random.default_rng(1).random((64, 64, 3)),
    "ramp": RAMP,
    "ramp_noisy": numpy.clip(RAMP + 0.1 * numpy.random.default_rng(2).standard_normal((64, 64, 3)), 0, 1),
    "disc": disc(31.5),
    "disc_moved": disc(35.5),
}


def pictures(pair):
    return [torch.from_numpy(PICTURES[name])[None] for name in pair.split("|")]


PICTURE_FIGURES = {
    "psnr_float_range1": (Psnr, {}, 1e-5),
    "psnr_uint8": (Psnr, {"quantise": "round"}, 1e-5),
    "psnr_of_uint8_truncated": (Psnr, {"quantise": "truncate"}, 1e-4),
    "ssim_wang_skimage_gaussian_range1": (Ssim, {}, 1e-6),
    "ssim_skimage_default_win7_range1": (Ssim, {"form": "skimage"}, 1e-6),
    "ssim_skimage_default_win7_uint8": (Ssim, {"form": "skimage", "quantise": "round"}, 1e-6),
    "ssim_torchmetrics_range1": (Ssim, {"form": "torchmetrics_range1"}, 2e-5),
    "ssim_torchmetrics_range_none": (Ssim, {"form": "torchmetrics"}, 2e-5),
}
"""Golden figure -> the metric, its options and the tolerance. torchmetrics' own arithmetic is float32."""


def figure(metric, *pair, masks=None):
    (value,) = metric.pictures(*pair, masks).values()
    return float(value)


@pytest.mark.parametrize("pair", list(GOLDEN["pictures"]))
@pytest.mark.parametrize("name", list(PICTURE_FIGURES))
def test_psnr_and_ssim_in_every_form(pair, name):
    if pair == "const_0.25|const_0.5" and name == "ssim_torchmetrics_range_none":
        return  # between two flat pictures its figure is rounding divided by rounding
    component, options, tolerance = PICTURE_FIGURES[name]
    found = figure(component(component.Config(**options)), *pictures(pair))
    assert found == pytest.approx(GOLDEN["pictures"][pair][name], abs=tolerance)


def test_psnr_inside_a_mask_and_before_black():
    golden = GOLDEN["pictures"]["disc|disc_moved"]
    pair = pictures("disc|disc_moved")
    masks = torch.from_numpy((x - 31.5) ** 2 + (y - 31.5) ** 2 <= 400)[None]
    assert figure(Psnr(Psnr.Config()), *pair, masks=masks) == pytest.approx(
        golden["psnr_inside_mask_of_first"], abs=1e-5
    )
    black = Psnr(Psnr.Config(outside="black"))
    assert figure(black, *pair, masks=masks) == pytest.approx(golden["psnr_masked_black_background_both"], abs=1e-5)


def test_ssim_inside_a_mask_is_the_mean_of_its_map_there():
    """Of two halves it is the mean of both, weighted by their pixels."""
    a, b = pictures("disc|disc_moved")
    left = torch.zeros(1, 64, 64, dtype=torch.bool)
    left[:, :, :24] = True
    for form, width in (("wang", (19, 54)), ("torchmetrics_range1", (24, 64))):
        metric = Ssim(Ssim.Config(form=form))
        halves = [figure(metric, a, b, masks=masks) for masks in (left, ~left)]
        part, whole = width
        mean = (part * halves[0] + (whole - part) * halves[1]) / whole
        assert mean == pytest.approx(figure(metric, a, b), abs=1e-12)
        assert abs(halves[0] - halves[1]) > 0.01


def test_what_cannot_be_compared_is_told():
    a, b = (torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    for component, told in ((Ssim, "at least 11 a side"), (Psnr, "one size")):
        with pytest.raises(UserError, match=told):
            component(component.Config()).pictures(a, b if component is Ssim else b[:, :4])
    with pytest.raises(UserError, match="a mask without a pixel"):
        Psnr(Psnr.Config()).pictures(a, b, torch.zeros(1, 8, 8, dtype=torch.bool))


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_over_either_trunk(net, tmp_path):
    golden = GOLDEN["lpips_synthetic_weights"][net]
    state = lpips_weights(net)
    torch.save({key: value for key, value in state.items() if key.startswith("f")}, tmp_path / "trunk.pth")
    torch.save({key: value for key, value in state.items() if key.startswith("l")}, tmp_path / "heads.pth")
    options = {"trunk": str(tmp_path / "trunk.pth"), "heads": str(tmp_path / "heads.pth"), "own_heads": True}
    metric = LpipsMetric(LpipsMetric.Config(net=net, **options))
    metric.load(torch.device("cpu"))
    assert metric.size(torch.device("cpu"))[0] == sum(value.numel() for value in state.values())
    for pair in GOLDEN["pictures"]:
        if pair in golden:
            found = metric.pictures(*(picture.float() for picture in pictures(pair)))
            assert list(found) == ["lpips" if net == "alex" else "lpips_vgg"]
            assert float(*found.values()) == pytest.approx(golden[pair]["lpips"], abs=1e-5), pair
    small = [resized(picture.float(), 128) for picture in pictures("ramp|ramp_noisy")]
    found = metric.pictures(*small)
    assert float(*found.values()) == pytest.approx(golden["ramp|ramp_noisy at 128 (bilinear)"]["lpips"], abs=1e-5)
    other = LpipsMetric(LpipsMetric.Config(net="vgg" if net == "alex" else "alex", **options))
    with pytest.raises(UserError, match=f"say net={net}"):
        other.load(torch.device("cpu"))


def resized(picture, side):
    planes = torch.nn.functional.interpolate(picture.movedim(-1, 1), (side, side), mode="bilinear", antialias=True)
    return planes.movedim(1, -1)


def test_heads_are_version_0_1s(tmp_path, monkeypatch):
    """From an installed package, which is not imported; those of version 0.0, and unknown ones, are refused."""
    state = lpips_weights("alex", heads=False)
    torch.save(state, tmp_path / "trunk.pth")
    folder = tmp_path / "lpips" / "weights" / "v0.1"
    folder.mkdir(parents=True)
    (tmp_path / "lpips" / "__init__.py").write_text("raise ImportError('not to be imported')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def heads(sums):
        widths = (64, 192, 384, 256, 256)
        return {f"lin{k}.model.1.weight": torch.full((1, w, 1, 1), sums[k] / w) for k, w in enumerate(widths)}

    torch.save(heads(SUMS["alex"]), folder / "alex.pth")
    torch.save({**state, **heads(SUMS["alex"])}, tmp_path / "whole.pth")
    pair = [picture.float() for picture in pictures("noise|noise_other")]
    assert float(Lpips(tmp_path / "trunk.pth")(*pair)) == float(Lpips(tmp_path / "whole.pth")(*pair)) > 0
    torch.save(heads(OLD_SUMS["alex"]), folder / "alex.pth")
    with pytest.raises(UserError, match=r"heads of LPIPS 0\.0"):
        Lpips(tmp_path / "trunk.pth", own_heads=True)
    torch.save(heads((1.0, 2.0, 3.0, 4.0, 5.0)), folder / "alex.pth")
    with pytest.raises(UserError, match=r"sum to 1, 2, 3, 4, 5 are not those of LPIPS 0\.1"):
        Lpips(tmp_path / "trunk.pth")


def test_means_are_of_decibels_not_of_errors():
    pairs = list(GOLDEN["pictures"])[:3]
    values = [float(psnr(*pictures(pair))) for pair in pairs]
    assert sum(values) / 3 == pytest.approx(GOLDEN["psnr_of_three_first_pairs"]["mean_of_psnr"], abs=1e-5)
