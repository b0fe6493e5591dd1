"""nano: its conventions hold with random weights; its two losses fall; its file keeps what was written."""

import math
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from zero3d.errors import RunError
from zero3d.geometry import orbit
from zero3d.interfaces import TrainingBatch
from zero3d.testing import check_denoiser
from zero3d.values import Cameras, Picture, Subject
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer
from zero3d_zero123.component import Zero123Config
from zero3d_zero123.nano import weights
from zero3d_zero123.nano.denoiser import NanoDenoiser
from zero3d_zero123.nano.draw import draw_views
from zero3d_zero123.nano.lift import BOX, GRID, TOKEN_WIDTH, Lift, Lifted
from zero3d_zero123.nano.losses import lift_loss, on_white, ray_loss
from zero3d_zero123.nano.reconstructor import NanoLift, NanoLiftConfig
from zero3d_zero123.nano.solid import SolidField
from zero3d_zero123.nano.unet import SPREAD, UNet, output_scale


def ball_volume(radius=0.4, centre=(0.0, 0.0, 0.0)):
    """Logits of a red ball in a volume seen from azimuth 0."""
    axis = ((torch.arange(GRID) + 0.5) / GRID * 2 - 1) * BOX
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    distance = ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2).sqrt()
    red = torch.tensor([8.0, -8.0, -8.0])[:, None, None, None].expand(-1, GRID, GRID, GRID)
    return torch.cat([((radius - distance) * 200)[None], red])[None]


@pytest.fixture
def random_nano():
    torch.manual_seed(0)
    denoiser = NanoDenoiser()
    for stage in denoiser.stages:
        for parameter in denoiser.trainable(stage).requires_grad_(False).parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape))
    return denoiser


def condition_of(denoiser):
    picture = Picture(torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(1)), torch.ones(64, 64, 1))
    return denoiser.condition(Subject.of(picture, orbit(15.0, 0.0, 64)))


def test_its_sizes_are_those_of_its_networks(random_nano):
    lift, unet = (sum(v.numel() for v in random_nano.trainable(s).state_dict().values()) for s in random_nano.stages)
    assert random_nano.size(torch.device("cpu")) == (lift + unet, 4 * (lift + unet))
    assert NanoLift(NanoLiftConfig()).size(torch.device("cpu")) == (lift, 4 * lift)


def test_training_starts_from_a_file_that_is_named_and_from_nothing_without(tmp_path, random_nano):
    random_nano.save(str(tmp_path / "nano.safetensors"))
    named = NanoDenoiser(None, tmp_path / "nano.safetensors")
    for stage in random_nano.stages:
        for name, value in random_nano.trainable(stage).state_dict().items():
            assert torch.equal(named.trainable(stage).state_dict()[name], value.half().float()), name
    with torch.no_grad():
        named.trainable("lift").out.bias.fill_(9.0)
    assert (named.trainable("lift").out.bias == 9).all(), "what is trained is not read again"
    assert not NanoDenoiser().trainable("lift").out.weight.any()
    with pytest.raises(RunError, match="no such weights"):
        NanoDenoiser(None, tmp_path / "none.safetensors").trainable("lift")


def test_a_ball_is_drawn_as_a_ball():
    lifted = Lifted(ball_volume(), torch.zeros(1, 64, TOKEN_WIDTH), orbit(20.0, 0.0, 64))
    drawn = draw_views(lifted, orbit(torch.tensor([0.0, 50.0]), torch.tensor([0.0, 100.0]), 64))
    radius = 0.4 / math.sqrt(2.0**2 - 0.4**2) / math.tan(orbit(0.0, 0.0, 64).fov / 2) * 32
    for view in drawn:
        assert float((view[3] > 0.5).sum()) == pytest.approx(math.pi * radius**2, rel=0.06)
        assert view[0, 32, 32] > 0.95
        assert view[1, 32, 32] < 0.05
        assert float(view[4, 32, 32]) == pytest.approx(-0.4, abs=0.06)
        assert torch.all(view[:3, 0, 0] > 0.99)


def test_drawing_is_neither_mirrored_nor_turned():
    lifted = Lifted(ball_volume(0.15, (0.0, 0.4, 0.3)), torch.zeros(1, 64, TOKEN_WIDTH), orbit(0.0, 0.0, 64))
    opacity = draw_views(lifted, orbit(0.0, torch.tensor([0.0, 180.0]), 64))[:, 3]
    front, back = ((view > 0.5).nonzero().float().mean(dim=0) for view in opacity)
    assert front[0] < 30  # +z is up
    assert front[1] > 36  # from +x, +y is right
    assert back[1] < 28


def test_the_frame_turns_with_the_input_camera():
    tokens = torch.zeros(1, 64, TOKEN_WIDTH)
    volume = ball_volume(0.15, (0.3, 0.2, 0.1))
    at_zero = draw_views(Lifted(volume, tokens, orbit(10.0, 0.0, 64)), orbit(30.0, 40.0, 64))
    turned = draw_views(Lifted(volume, tokens, orbit(10.0, 70.0, 64)), orbit(30.0, 110.0, 64))
    assert torch.allclose(at_zero, turned, atol=2e-3)


def test_the_solid_is_the_one_that_is_drawn(random_nano):
    """Its field, marched finely by another renderer, casts the drawing's picture from anywhere."""
    volume = ball_volume(0.3, (0.2, 0.1, 0.1))
    lifted = Lifted(volume, torch.zeros(1, 64, TOKEN_WIDTH), orbit(10.0, 70.0, 64))
    solid, cameras = SolidField(lifted), orbit(30.0, 110.0, 64)
    view = VolumeRenderer(VolumeConfig(step_ratio=0.25)).render(solid, cameras, torch.ones(3))
    drawn = draw_views(lifted, cameras)[0]
    assert (drawn[3] > 0.5).sum() > 200
    assert (view.opacity[0, ..., 0] - drawn[3]).abs().mean() < 0.01
    assert (view.image[0] - drawn[:3].permute(1, 2, 0)).abs().mean() < 0.01
    assert float(solid.density(torch.tensor([[0.8, 0.0, 0.0]]))) == 0


def test_the_mirror_image_is_lifted_to_the_mirror_image(random_nano):
    """Whatever the weights: from the other side, mirrored, it looks the same."""
    rgb = torch.rand(64, 64, 3, generator=torch.Generator().manual_seed(1))
    mask = (torch.rand(64, 64, 1, generator=torch.Generator().manual_seed(2)) > 0.5).float()
    seen, turned = orbit(15.0, 70.0, 64), [30.0, 160.0]
    drawn = random_nano.drawing(
        random_nano.condition(Subject.of(Picture(rgb, mask), seen)), orbit(5.0, [70 + a for a in turned], 64)
    )
    picture = Picture(rgb.flip(1), mask.flip(1))
    mirrored = random_nano.drawing(
        random_nano.condition(Subject.of(picture, seen)), orbit(5.0, [70 - a for a in turned], 64)
    )
    assert (drawn - 1).abs().mean() > 0.05, "nothing is drawn"
    assert (drawn.flip(2) - mirrored).abs().max() < 1e-4
    assert (drawn - mirrored).abs().max() > 0.05, "it is its own mirror image, which proves nothing"


def test_cells_read_the_pixels_they_project_to():
    """With a head that says nothing, colours come from the picture: a red half and a green half stay apart."""
    torch.manual_seed(0)
    rgba = torch.ones(1, 4, 64, 64)
    rgba[:, 1:3, :, :32] = 0.0
    rgba[:, [0, 2], :, 32:] = 0.0
    volume = Lift()(rgba, orbit(20.0, 0.0, 64)).volume[0]
    assert volume[1, :, :14].mean() > 2 > -2 > volume[2, :, :14].mean()  # -y is left, seen from +x
    assert volume[2, :, 18:].mean() > 2 > -2 > volume[1, :, 18:].mean()


def test_it_obeys_the_laws_of_denoisers(random_nano):
    check_denoiser(random_nano, condition_of(random_nano))


def test_the_null_branch_knows_nothing(random_nano):
    noised = torch.rand(1, 64, 64, 3)
    sigma, cameras = torch.tensor([1.0]), orbit(30.0, 50.0, 64)
    other = random_nano.condition(
        Subject.of(Picture(torch.zeros(64, 64, 3), torch.ones(64, 64, 1)), orbit(40.0, 0.0, 64))
    )
    first = random_nano.denoise(noised, sigma, condition_of(random_nano), cameras, 0.0)
    assert torch.allclose(first, random_nano.denoise(noised, sigma, other, orbit(0.0, 200.0, 64), 0.0), atol=1e-6)


def test_little_noise_is_hardly_touched():
    torch.manual_seed(0)
    unet = UNet()
    x0 = torch.rand(2, 3, 64, 64)
    sigma = torch.tensor([0.01, 0.01])
    parts = torch.rand(2, 5, 64, 64), torch.zeros(2, 4), torch.zeros(2, 64, TOKEN_WIDTH), torch.tensor([1.0, 0.0])
    found = unet(x0, sigma, *parts)
    assert (found - x0).square().mean().sqrt() < 0.1
    assert torch.all(output_scale(sigma, parts[-1]) < 0.0101)


def test_both_losses_fall():
    torch.manual_seed(0)
    denoiser, generator = NanoDenoiser(), torch.Generator().manual_seed(0)
    rgba = torch.zeros(1, 64, 64, 4)
    rgba[:, 20:44, 20:44] = torch.tensor([0.9, 0.2, 0.1, 1.0])
    occupancy = torch.zeros(1, GRID, GRID, GRID)
    occupancy[:, 10:22, 10:22, 10:22] = 1.0
    target = orbit(torch.tensor([0.0, 40.0]), torch.tensor([0.0, 120.0]), 64)
    batch = TrainingBatch(rgba, orbit(10.0, 0.0, 64), rgba.expand(2, -1, -1, -1), target, occupancy, BOX)
    for stage in denoiser.stages:
        optimizer = torch.optim.Adam(denoiser.trainable(stage).parameters(), lr=1e-3)

        def judged(stage: str = stage) -> float:
            with torch.no_grad():  # the same noise each time: its share of the loss is larger than what is learned
                losses = [denoiser.training_loss(batch, stage, torch.Generator().manual_seed(k))[0] for k in range(2)]
            return float(sum(losses))

        before = judged()
        for _ in range(12):
            loss, figures = denoiser.training_loss(batch, stage, generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            assert all(isinstance(value, float) for value in figures.values())
        assert judged() < 0.9 * before, stage


def test_losses_draw_from_their_generator_alone():
    torch.manual_seed(0)
    lift = Lift()
    rgba = torch.rand(1, 64, 64, 4)
    occupancy = torch.zeros(1, GRID, GRID, GRID)
    batch = TrainingBatch(rgba, orbit(10.0, 0.0, 64), rgba, orbit(10.0, 30.0, 64), occupancy, BOX)
    first, again = (lift_loss(lift, batch, torch.Generator().manual_seed(4))[0].detach() for _ in range(2))
    assert first == again


def test_targets_that_hold_single_pixels_give_the_loss_of_whole_pictures_there():
    """All pixels of two views in another order, and halves of them."""
    rgba = torch.rand(2, 64, 64, 4, generator=torch.Generator().manual_seed(2))
    batch = TrainingBatch(
        rgba[:1], orbit(10.0, 0.0, 64), rgba, orbit(torch.tensor([5.0, 30]), torch.tensor([40.0, 190]), 64)
    )
    lifted, pixels = Lifted(ball_volume(), torch.zeros(1, 64, TOKEN_WIDTH), batch.input_cameras), 64 * 64
    order = torch.stack([torch.randperm(pixels, generator=torch.Generator().manual_seed(n)) for n in range(2)])
    truth = rgba.flatten(1, 2)[torch.arange(2)[:, None], order]

    def loss(first, last):
        sparse = replace(batch, target_rgba=truth[:, first:last].unflatten(1, (-1, 64)))
        return torch.stack(ray_loss(lifted, sparse, torch.Generator(), order[:, first:last]))

    whole, middle = loss(0, pixels), pixels // 2
    assert torch.allclose(whole, (loss(0, middle) + loss(middle, pixels)) / 2, rtol=1e-4)
    drawn = draw_views(lifted, batch.target_cameras).permute(0, 2, 3, 1)  # with fewer samples a ray
    expected = [(drawn[..., :3] - on_white(rgba)).square().mean(), (drawn[..., 3:4] - rgba[..., 3:]).square().mean()]
    assert torch.allclose(whole, torch.stack(expected), rtol=0.02)
    assert not torch.allclose(loss(0, middle), whole, rtol=1e-4)


def test_weights_survive_their_file(tmp_path, random_nano):
    random_nano.save(str(tmp_path / "nano.safetensors"))
    loaded = NanoDenoiser(None, tmp_path / "nano.safetensors")
    loaded.load(torch.device("cpu"))
    for stage in loaded.stages:
        for one, other in zip(
            loaded.trainable(stage).parameters(), random_nano.trainable(stage).parameters(), strict=True
        ):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)


def test_weights_in_bytes_are_near_by_a_row_s_largest_and_are_rounded_once(tmp_path, random_nano):
    first, again = tmp_path / "first.safetensors", tmp_path / "again.safetensors"
    networks = [random_nano.trainable(stage) for stage in random_nano.stages]
    weights.write(first, *networks, in_bytes=True)
    tensors = load_file(first)
    assert tensors["lift.middle.0.query.weight"].dtype == torch.int8
    assert tensors["lift.middle.0.query.bias"].dtype == torch.float16
    assert first.stat().st_size < 16 * 2**20
    loaded = NanoDenoiser(None, first)
    loaded.load(torch.device("cpu"))
    kept = [loaded.trainable(stage) for stage in loaded.stages]
    for network, other in zip(networks, kept, strict=True):
        for (name, value), found in zip(network.named_parameters(), other.parameters(), strict=True):
            rows = value.flatten(1) if value.ndim > 1 else value[:, None]
            units = rows.abs().amax(dim=1) / 127
            off = (found.reshape_as(rows) - rows).abs().amax(dim=1)
            assert (off <= 0.501 * units + 1e-7).all(), name
    weights.write(again, *kept, in_bytes=True)
    assert all(torch.equal(value, tensors[name]) for name, value in load_file(again).items())


def test_wrong_weights_are_one_line(tmp_path):
    for content, message in ((None, "no such weights"), (b"junk", "damaged")):
        path = tmp_path / "x.safetensors"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(RunError, match=message):
            NanoDenoiser(None, path).load(torch.device("cpu"))


def test_the_embedded_weights_draw_what_they_see():
    """A red block on white comes back red and on white from the input's own camera, and the file is small."""
    assert weights.EMBEDDED.stat().st_size < 16 * 2**20
    denoiser = NanoDenoiser()
    denoiser.load(torch.device("cpu"))
    rgb, mask = torch.ones(64, 64, 3), torch.zeros(64, 64, 1)
    rgb[16:48, 20:44] = torch.tensor([0.8, 0.15, 0.1])
    mask[16:48, 20:44] = 1
    camera: Cameras = orbit(20.0, 0.0, 64)
    condition = denoiser.condition(Subject.of(Picture(rgb, mask), camera))
    sigma = denoiser.sigmas[-1:]
    noised = 1 + sigma * torch.randn(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    x0 = denoiser.denoise(noised, sigma, condition, camera, 1.0)[0]
    assert (x0 - rgb).square().mean() < 0.02
    assert x0[:8].min() > 0.9


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.25])
def test_temperature_narrows_the_pictures_about_the_drawing(temperature):
    """A U-Net that adds nothing is the denoiser of N(drawing, S^2); narrowed, it must be that of N(drawing, (T S)^2)."""
    denoiser = NanoDenoiser()
    denoiser.load(torch.device("cpu"))
    torch.nn.init.zeros_(denoiser._unet.out.weight)
    torch.nn.init.zeros_(denoiser._unet.out.bias)
    denoiser.temperature = temperature
    generator = torch.Generator().manual_seed(0)
    picture = Picture(torch.rand(64, 64, 3, generator=generator), torch.ones(64, 64, 1))
    cameras = orbit(10.0, [40.0, 200.0], 64)
    condition = denoiser.condition(Subject.of(picture, orbit(20.0, 0.0, 64)))
    drawn = denoiser.drawing(condition, cameras)
    sigma = torch.tensor([0.05, 1.2])
    noised = drawn + sigma[:, None, None, None] * torch.randn(drawn.shape, generator=generator)
    variance, noise = (temperature * SPREAD) ** 2, sigma[:, None, None, None] ** 2
    expected = drawn + variance / (variance + noise) * (noised - drawn)
    assert torch.allclose(denoiser.denoise(noised, sigma, condition, cameras, 1.0), expected, atol=1e-5)


def test_a_temperature_out_of_range_is_named():
    for temperature in (0.0, 1.5):
        with pytest.raises(ValueError, match=f"temperature: {temperature}"):
            Zero123Config(temperature=temperature)
