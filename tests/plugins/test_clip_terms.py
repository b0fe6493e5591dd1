"""Dream Fields' guidance and DietNeRF's term: the originals' numbers, and what their parts do."""

import math
from dataclasses import replace

import numpy
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import normalize

from tests.plugins.clip_tiny import GOLDEN, make_encoder, picture, save_folder
from zero3d.geometry import orbit
from zero3d.interfaces import Encoder, EncoderTeacher
from zero3d.testing import fresh_step, loss_context
from zero3d.values import Picture, PosedPicture, Prompt, Subject, View
from zero3d_clip import augment
from zero3d_clip.consistency import ClipConsistency
from zero3d_clip.guidance import ClipConfig, ClipGuidance

PUBLISHED_FOV = 2 * math.atan(0.5 / (1111 / 800 * 1.2))
"""Dream Fields' lens with its focal_mult of 1.2."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("clip") / "tiny")


class Watcher(Encoder):
    """Keeps what it is shown; its vectors are (mean colour, 1), normalised."""

    name = "watcher"
    reads = frozenset({"picture", "prompt"})
    dimensions = 4
    picture_resolution = 32

    def __init__(self):
        super().__init__(None)
        self.seen = []

    def encode_pictures(self, image):
        self.seen.append(image.detach())
        mean = image.mean(dim=(1, 2))
        return normalize(torch.cat([mean, torch.ones_like(mean[:, :1])], dim=-1), dim=-1)

    def encode_texts(self, texts):
        return torch.tensor([[0.0, 0.0, 0.0, 1.0]]).expand(len(texts), -1)


def view_of(image, opacity, behind):
    """As a renderer makes it: the premultiplied colour over what is behind."""
    whole = opacity * image + (1 - opacity) * behind
    return View(whole, opacity, extra={"background": behind.expand_as(whole)})


def asked(view, step=None, encoder=None, prompt="a mug", cameras=None, **options):
    """(the answer, the encoder) of one gradient."""
    encoder = encoder or Watcher()
    noise = Picture(torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(0)), torch.ones(8, 8, 1))
    subject = replace(Subject.of(noise, orbit(20.0, 0.0, 8)), prompt=Prompt(prompt))
    guidance = ClipGuidance(ClipConfig(**options), EncoderTeacher(encoder, subject))
    cameras = cameras or orbit(30.0, 0.0, view.image.shape[1], 4.0, PUBLISHED_FOV)
    return guidance.gradient(view, cameras, step or fresh_step()), encoder


def constant(colour, opacity, size=16, behind=1.0):
    shape = (1, size, size)
    return view_of(torch.full((*shape, 3), colour), torch.full((*shape, 1), opacity), torch.full((*shape, 3), behind))


class TestDreamFields:
    def test_one_whole_crop_is_stable_dreamfusions_guidance(self, folder):
        encoder = make_encoder(folder)
        encoder.encode_texts = lambda texts: encoder.encode_tokens(GOLDEN["ids_padded_with_eos"][:1])
        image = picture(2, 128, 128)
        view = View(image, torch.ones(1, 128, 128, 1), extra={"background": torch.zeros_like(image)})
        answer, _ = asked(view, encoder=encoder, crops=1, crop=1.0, backgrounds=[], transmittance=0.0)
        assert -10 * answer.metrics["cosine"] == pytest.approx(float(GOLDEN["sdf_clip_loss"]), abs=1e-4)
        found, expected = 10 * answer.value[0, ::8, ::8].permute(2, 0, 1), GOLDEN["sdf_clip_grad_render128_8th"]
        assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())
        assert not answer.gradients["opacity"].any()

    @pytest.mark.parametrize(("step", "tau"), [(0, 0.6), (250, 0.6 * 0.2**0.5), (500, 0.12), (9000, 0.12)])
    def test_the_target_opacity_falls_exponentially(self, step, tau):
        """0.5 to 0.1 over 500 steps, times 1.2 for the published lens and distance."""
        answer, _ = asked(constant(0.5, 0.9), fresh_step(step, 10_000))
        assert answer.metrics["opacity"] == pytest.approx(tau, abs=1e-6)
        far = orbit(30.0, 0.0, 16, 8.0, PUBLISHED_FOV)
        answer, _ = asked(constant(0.5, 0.9), fresh_step(step, 10_000), cameras=far)
        assert answer.metrics["opacity"] == pytest.approx(tau / 4, abs=1e-6), "a quarter of it at twice the distance"
        answer, _ = asked(constant(0.5, 0.9), fresh_step(step, 10_000), extent=4.0)
        assert answer.metrics["opacity"] == pytest.approx(min(1.0, 16 * tau), abs=1e-6), "at most all of it"

    @pytest.mark.parametrize(("opacity", "paid"), [(0.9, True), (0.55, False)])
    def test_emptiness_is_rewarded_down_to_the_target(self, opacity, paid):
        """lambda / pixels in each pixel's opacity above the mean of 0.6, nothing below."""
        view = constant(0.0, opacity, behind=0.0)
        weighted, without = (asked(view, transmittance=t)[0].gradients["opacity"] for t in (0.7, 0.0))
        expected = 0.7 / 256 if paid else 0.0
        assert torch.allclose(weighted - without, torch.full((1, 16, 16, 1), expected), atol=1e-7)

    def test_the_object_is_put_before_another_background(self):
        colour, opacity = 0.8, 0.6
        for behind in (1.0, 0.0, 0.3):  # the view's own is taken off, whatever it was
            _, encoder = asked(constant(colour, opacity, behind=behind), target="prompt", crop=1.0)
            (seen,) = encoder.seen
            _, published = asked(constant(colour, opacity, behind=behind), target="prompt", crop=1.0, published=True)
            assert seen.shape == (8, 32, 32, 3)
            background = (seen - opacity * colour) / (1 - opacity)
            assert float(background.min()) > -1e-5
            assert float(background.max()) < 1 + 1e-5
            assert background.std(dim=(1, 2, 3)).min() > 1e-3, "each is a pattern"
            twice = opacity**2 * colour + (1 - opacity) * background
            assert torch.allclose(published.seen[0], twice, atol=1e-5), "colour enters times opacity squared"

    def test_each_background_comes_as_often_and_is_blurred(self):
        empty = constant(0.0, 0.0)
        _, plain = asked(empty, crops=60, crop=1.0, blur=[0.0, 0.0])
        _, soft = asked(empty, crops=60, crop=1.0, blur=[4.0, 4.0])
        counts = {"checkerboard": 0, "noise": 0, "texture": 0}
        for picture_ in plain.seen[0]:
            colours = torch.unique(picture_.reshape(-1, 3).mul(1e4).round(), dim=0)
            spread = float(picture_.std())
            kind = "checkerboard" if len(colours) == 2 else "noise" if abs(spread - 12**-0.5) < 0.02 else "texture"
            counts[kind] += 1
        assert min(counts.values()) >= 10
        inner = slice(8, -8)
        steps = [s.seen[0][:, inner, inner].diff(dim=1).abs().mean() for s in (plain, soft)]
        assert steps[1] < 0.5 * steps[0]
        for kind in counts:
            _, only = asked(empty, crops=2, crop=1.0, backgrounds=[kind], blur=[0.0, 0.0])
            assert (len(torch.unique(only.seen[0][0].reshape(-1, 3), dim=0)) == 2) is (kind == "checkerboard")

    def test_pictures_are_targets_by_their_weights(self):
        encoder, cameras = Watcher(), orbit(30.0, 0.0, 8)
        reds = (Picture(torch.full((8, 8, 3), level), torch.ones(8, 8, 1)) for level in (0.1, 0.9))
        posed = tuple(PosedPicture(str(w), p, cameras, w) for w, p in zip((1.0, 3.0), reds, strict=True))
        guidance = ClipGuidance(
            ClipConfig(target="picture", transmittance=0.0, crop=1.0, crops=1), EncoderTeacher(encoder)
        )
        guidance.teacher.subject = Subject(posed)
        view = constant(0.5, 1.0)
        answer = guidance.gradient(view, orbit(30.0, 0.0, 16), fresh_step())
        own = normalize(torch.tensor([0.5, 0.5, 0.5, 1.0]), dim=0)
        ends = [normalize(torch.tensor([level] * 3 + [1.0]), dim=0) for level in (0.1, 0.9)]
        expected = 0.25 * float(own @ ends[0]) + 0.75 * float(own @ ends[1])
        assert answer.metrics["cosine"] == pytest.approx(expected, abs=1e-6)
        count = len(encoder.seen)
        guidance.gradient(view, orbit(30.0, 0.0, 16), fresh_step())
        assert len(encoder.seen) == count + 1, "the pictures are read once"
        guidance.teacher.subject = Subject(posed[:1])
        answer = guidance.gradient(view, orbit(30.0, 0.0, 16), fresh_step())
        assert answer.metrics["cosine"] == pytest.approx(float(own @ ends[0]), abs=1e-6)

    def test_both_targets_are_added(self):
        found = {t: asked(constant(0.5, 1.0), target=t)[0].metrics["cosine"] for t in ("prompt", "picture", "both")}
        assert found["both"] == pytest.approx(found["prompt"] + found["picture"], abs=1e-6)

    def test_its_gradient_is_that_of_the_loss_it_tells(self):
        """Central differences of -cosine - lambda reward in single pixels, the random numbers held."""
        generator = torch.Generator().manual_seed(3)
        image, opacity = (torch.rand(1, 12, 12, c, generator=generator) for c in (3, 1))
        view = view_of(image, 0.5 + 0.5 * opacity, torch.zeros(1, 12, 12, 3))

        def loss(changed):
            told = asked(changed, fresh_step(250))[0].metrics
            return -told["cosine"] - 0.5 * told["transmittance"]

        answer, _ = asked(view, fresh_step(250))
        for name in ("image", "opacity"):
            field = getattr(view, name)
            for place in ((0, 6, 6, 0), (0, 3, 8, 0)):
                delta = torch.zeros_like(field)
                delta[place] = 0.05
                ends = [loss(replace(view, **{name: field + sign * delta})) for sign in (1, -1)]
                measured = (ends[0] - ends[1]) / 0.1
                assert float(answer.gradients[name][place]) == pytest.approx(measured, abs=2e-5)


class TestAugmentations:
    def test_the_texture_is_lucids_spectrum(self):
        size = 24
        found = augment.texture(size, torch.Generator().manual_seed(5))
        parts = (
            0.2 * torch.randn(2, 3, size, size // 2 + 1, generator=torch.Generator().manual_seed(5)).double().numpy()
        )
        rows, columns = numpy.fft.fftfreq(size)[:, None], numpy.fft.fftfreq(size)[: size // 2 + 1]
        scale = numpy.sqrt(size * size) / numpy.maximum(numpy.sqrt(rows**2 + columns**2), 1 / size) ** 1.5
        planes = numpy.fft.irfft2((parts[0] + 1j * parts[1]) * scale) / 4
        colours = numpy.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
        colours /= numpy.linalg.norm(colours, axis=0).max()
        expected = 1 / (1 + numpy.exp(-numpy.moveaxis(planes, 0, -1) @ colours.T))
        assert numpy.abs(found.numpy() - expected).max() < 1e-5

    @pytest.mark.parametrize("deviation", [0.5, 3.0, 10.0])
    def test_the_blur_is_a_kernel_of_15_with_black_beyond(self, deviation):
        picture_ = torch.rand(20, 24, 3, generator=torch.Generator().manual_seed(0))
        expected = gaussian_filter(picture_.numpy(), (deviation, deviation, 0), mode="constant", radius=(7, 7, 0))
        assert numpy.abs(augment.blurred(picture_, deviation).numpy() - expected).max() < 1e-5
        assert torch.equal(augment.blurred(picture_, 0.0), picture_)

    @pytest.mark.parametrize(("side", "share", "crop"), [(252, 0.8889, 224), (168, 0.9167, 154), (88, 0.9091, 80)])
    def test_crops_are_the_published_sizes_anywhere(self, side, share, crop):
        planes = torch.stack(torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij"), -1).float()
        found = augment.crops(planes, share, 200, crop, fresh_step())
        assert found.shape == (200, crop, crop, 2), "not resized: of that size already"
        corners = found[:, 0, 0]
        assert torch.equal(found[:, -1, -1] - corners, torch.full((200, 2), crop - 1.0))
        assert corners.min() == 0
        assert corners.max() == side - crop - 1, "the last place is never drawn"
        assert augment.crops(planes, share, 1, 224, fresh_step()).shape == (1, 224, 224, 2)

    def test_the_checkerboard_is_eight_by_eight(self):
        board = augment.checkerboard(224, torch.Generator().manual_seed(0))
        assert torch.equal(board[0, 0], board[28, 28])
        assert not torch.equal(board[0, 0], board[0, 28])
        assert torch.equal(board[:28, :28], board[:1, :1].expand(28, 28, 3))


class TestDietNerf:
    def test_its_loss_and_gradient_are_the_originals(self, folder):
        regularizer = ClipConsistency(None, make_encoder(folder, layer="last_hidden"))
        image = picture(0, 168, 168).requires_grad_()
        train = Picture(picture(1, 400, 400)[0], torch.ones(400, 400, 1))
        context = loss_context(View(image, torch.ones(1, 168, 168, 1)), picture=train)
        penalty = regularizer.penalty(context)
        assert 0.1 * (float(penalty.detach()) - 1) == pytest.approx(float(GOLDEN["dietnerf_loss"]), abs=1e-6)
        (gradient,) = torch.autograd.grad(0.1 * penalty, image)
        found, expected = gradient[0, ::8, ::8].permute(2, 0, 1), GOLDEN["dietnerf_grad_render168_8th"]
        assert float((found - expected).abs().max()) < 1e-5 * float(expected.abs().max())

    def test_a_picture_is_drawn_by_weight_and_read_once(self):
        encoder = Watcher()
        regularizer = ClipConsistency(None, encoder)
        camera = orbit(0.0, 0.0, 8)
        flat = [Picture(torch.full((8, 8, 3), level), torch.ones(8, 8, 1)) for level in (0.0, 1.0)]
        subject = Subject(tuple(PosedPicture(str(w), p, camera, w) for w, p in zip((1.0, 3.0), flat, strict=True)))
        context = loss_context(View(torch.zeros(1, 8, 8, 3), torch.ones(1, 8, 8, 1)), picture=flat[0])
        context = replace(context, subject=subject)
        steps = [fresh_step(seed=seed) for seed in range(400)]
        values = [float(regularizer.penalty(replace(context, step=step))) for step in steps]
        assert 0.68 < sum(value > 1e-3 for value in values) / len(values) < 0.82
        assert len(encoder.seen) == len(steps) + 2
