"""Metrics against closed forms."""

import math

import numpy
import pytest
import torch
import trimesh
from scipy.linalg import sqrtm

from tests.plugins.metrics_tiny import save_clip_vision
from zero3d import UserError
from zero3d_metrics.fid import ClipFeatures, frechet_distance
from zero3d_metrics.image import psnr, ssim
from zero3d_metrics.lpips import ALEX, Lpips
from zero3d_metrics.shape import chamfer, volume_iou


def rand(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_psnr_of_a_known_error():
    truth = torch.full((2, 8, 8, 3), 0.5)
    image = truth + torch.tensor([0.1, -0.01])[:, None, None, None]
    torch.testing.assert_close(psnr(image, truth), torch.tensor([20.0, 40.0]))
    assert psnr(truth, truth).isinf().all()


def test_ssim_against_a_direct_loop():
    a, b = rand(1, 16, 14, 1), rand(1, 16, 14, 1, seed=1)
    b = 0.7 * a + 0.3 * b
    offsets = torch.arange(11) - 5.0
    window = torch.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * 1.5**2))
    window = (window / window.sum()).double()
    scores = []
    for row in range(6):
        for column in range(4):
            x, y = (p[0, row : row + 11, column : column + 11, 0].double() for p in (a, b))
            mx, my = (window * x).sum(), (window * y).sum()
            vx, vy = (window * x * x).sum() - mx * mx, (window * y * y).sum() - my * my
            vxy = (window * x * y).sum() - mx * my
            c1, c2 = 0.01**2, 0.03**2
            scores.append((2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert float(ssim(a, b)) == pytest.approx(float(torch.stack(scores).mean()), abs=1e-6)


def test_ssim_of_equal_pictures_is_one_and_of_flat_ones_is_the_luminance_term():
    picture = rand(3, 20, 20, 3)
    torch.testing.assert_close(ssim(picture, picture), torch.ones(3, dtype=torch.float64))
    low, high = torch.full((1, 20, 20, 3), 0.2), torch.full((1, 20, 20, 3), 0.6)
    assert float(ssim(low, high)) == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), abs=1e-5)


def test_chamfer_of_concentric_spheres_after_normalisation():
    # an off-centre sphere of another size is the same shape
    sphere = trimesh.creation.icosphere(4, radius=3.0)
    sphere.apply_translation([5, -2, 1])
    small = trimesh.creation.icosphere(4, radius=0.1)
    # what is left is sampling: the nearest of N random points of density N / pi (the area of a sphere of radius 0.5) is
    # 1 / (2 sqrt(density)) away on average
    assert chamfer(sphere, small) == pytest.approx(0.5 * math.sqrt(math.pi / 2000), rel=0.05)
    assert volume_iou(sphere, small) == 1.0


def test_chamfer_of_two_plates():
    # two plates of side 1, the second doubled at a distance of 0.4 (0.2 above and below the centre): every point of the
    # first has its nearest counterpart 0.2 away, and the reverse; sampling adds less than a hundredth
    def plate(height):
        vertices = numpy.array([[0, 0, height], [1, 0, height], [1, 1, height], [0, 1, height]])
        return trimesh.Trimesh(vertices, [[0, 1, 2], [0, 2, 3]], process=False)

    double = trimesh.util.concatenate([plate(0.0), plate(0.4)])
    assert chamfer(plate(7.0), double) == pytest.approx(0.2, abs=0.004)
    assert chamfer(double, plate(7.0)) == pytest.approx(0.2, abs=0.004)
    assert chamfer(plate(7.0), double) == chamfer(plate(7.0), double)


def test_chamfer_of_a_sphere_and_its_cube():
    # each of the sphere's points to the cube's surface: 0.5 - max |x_i|; each of the cube's to the sphere: |x| - 0.5
    rng = numpy.random.default_rng(0)
    on_sphere = rng.normal(size=(200_000, 3))
    on_sphere *= 0.5 / numpy.linalg.norm(on_sphere, axis=1, keepdims=True)
    to_cube = (0.5 - abs(on_sphere).max(axis=1)).mean()
    on_face = numpy.concatenate([rng.uniform(-0.5, 0.5, (200_000, 2)), numpy.full((200_000, 1), 0.5)], axis=1)
    to_sphere = (numpy.linalg.norm(on_face, axis=1) - 0.5).mean()
    found = chamfer(trimesh.creation.icosphere(5), trimesh.creation.box(), points=20_000)
    assert found == pytest.approx((to_cube + to_sphere) / 2, abs=0.003)


def test_iou_of_boxes():
    # both have a longest side of 1 along x: 1 x 0.5 x 0.5 in 1 x 1 x 0.5, and the reverse
    slim, flat = trimesh.creation.box(extents=[2, 1, 1]), trimesh.creation.box(extents=[4, 4, 2])
    assert volume_iou(slim, flat) == pytest.approx(0.5)
    assert volume_iou(flat, slim) == pytest.approx(0.5)
    # crossing bars of 1 x 0.5 x 0.5: they share 0.5 x 0.5 x 0.5 of 0.25 + 0.25 - 0.125
    across = trimesh.creation.box(extents=[1, 2, 1])
    assert volume_iou(slim, across) == pytest.approx(0.125 / 0.375)


def test_iou_of_a_sphere_and_its_cube():
    assert volume_iou(trimesh.creation.icosphere(5), trimesh.creation.box()) == pytest.approx(math.pi / 6, abs=0.003)


def test_iou_shrugs_at_a_small_hole():
    sphere = trimesh.creation.icosphere(4)
    torn = trimesh.Trimesh(sphere.vertices, sphere.faces[3:], process=False)
    assert volume_iou(torn, sphere) > 0.995


def test_frechet_distance_of_gaussians():
    rng = numpy.random.default_rng(0)
    a = torch.from_numpy(rng.normal(size=(500, 6)) @ rng.normal(size=(6, 6)))
    b = torch.from_numpy(rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6)) + 2)
    gap = (a.mean(dim=0) - b.mean(dim=0)).numpy()
    ca, cb = numpy.cov(a.numpy(), rowvar=False), numpy.cov(b.numpy(), rowvar=False)
    expected = gap @ gap + numpy.trace(ca + cb - 2 * sqrtm(ca @ cb).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(a, a + 3) == pytest.approx(9 * 6)


def test_frechet_distance_of_scaled_gaussians_with_fewer_pictures_than_features():
    # b = 2 a about the same mean: tr C (1 + 4 - 2 * 2) = tr C
    a = rand(5, 40).double()
    b = a.mean(dim=0) + 2 * (a - a.mean(dim=0))
    assert frechet_distance(a, b) == pytest.approx(float(a.var(dim=0).sum()), rel=1e-6)
    assert frechet_distance(a[:1], a[:1] + 1) == pytest.approx(40)


@pytest.fixture(scope="module")
def lpips_state():
    generator = torch.Generator().manual_seed(0)
    state, channels = {}, 3
    for index, layer in enumerate(ALEX):
        place, width, kernel = layer.place, layer.width, layer.kernel
        fan = channels * kernel * kernel
        state[f"features.{place}.weight"] = torch.randn(width, channels, kernel, kernel, generator=generator) / fan**0.5
        state[f"features.{place}.bias"] = 0.1 * torch.randn(width, generator=generator)
        state[f"lin{index}.model.1.weight"] = torch.rand(1, width, 1, 1, generator=generator)
        channels = width
    return state


def test_lpips_against_its_formula(lpips_state, tmp_path):
    """The same network written as one Sequential, as torchvision writes AlexNet."""
    torch.save(lpips_state, tmp_path / "alex.pth")
    from torch import nn

    features = nn.Sequential(
        *[nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU()],
        *[nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU(), nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()],
        *[nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU()],
    )
    features.load_state_dict(
        {k.removeprefix("features."): v for k, v in lpips_state.items() if k.startswith("features")}
    )
    image, truth = rand(2, 40, 48, 3), rand(2, 40, 48, 3, seed=1)
    expected = torch.zeros(2)
    x, y = ((2 * p - 1).permute(0, 3, 1, 2) for p in (image, truth))
    x, y = (
        (p - torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        / torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
        for p in (x, y)
    )
    with torch.no_grad():
        head = 0
        for index, layer in enumerate(features):
            x, y = layer(x), layer(y)
            if index in (1, 4, 7, 9, 11):
                difference = (nn.functional.normalize(x, dim=1) - nn.functional.normalize(y, dim=1)) ** 2
                expected += (difference * lpips_state[f"lin{head}.model.1.weight"]).sum(dim=1).mean(dim=(1, 2))
                head += 1
        metric = Lpips(tmp_path / "alex.pth", own_heads=True)
        torch.testing.assert_close(metric(image, truth), expected, rtol=1e-4, atol=1e-6)
        assert (metric(image, image) == 0).all()
        torch.testing.assert_close(metric(image, truth), metric(truth, image))


def test_lpips_weights_that_do_not_fit_are_named(lpips_state, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "alex.safetensors"
    save_file(lpips_state, path)
    Lpips(path, own_heads=True)
    save_file({key: value for key, value in lpips_state.items() if key != "lin2.model.1.weight"}, path)
    with pytest.raises(UserError, match=r"lin2\.model\.1\.weight is missing"):
        Lpips(path)
    path.write_bytes(b"garbage")
    with pytest.raises(UserError, match="cannot be read as a state dict"):
        Lpips(path)
    with pytest.raises(UserError, match="no such file"):
        Lpips(tmp_path / "none.pth")


def test_a_pickle_with_code_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    torch.save({"features.0.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(UserError, match="cannot be read as a state dict"):
        Lpips(tmp_path / "bomb.pth")
    assert not (tmp_path / "exploded").exists()


def test_clip_features(tmp_path):
    save_clip_vision(tmp_path / "clip")
    features = ClipFeatures(tmp_path / "clip")
    a, b = rand(3, 40, 40, 3), rand(3, 40, 40, 3, seed=1)
    assert features(a).shape == (3, 8)
    torch.testing.assert_close(features(a)[1:2], features(a[1:2]))
    assert frechet_distance(features(a), features(b)) > 0
    with pytest.raises(UserError, match="no CLIP vision folder"):
        ClipFeatures(tmp_path / "none")
