"""The algorithms against the numbers of their authors' own functions, in float64 (see score_golden.py)."""

import numpy
import pytest
import torch

from tests.plugins.score_golden import GOLDEN, NOTES, SIGMAS, Priors, ask, error, golden, use
from zero3d.geometry import orbit
from zero3d.interfaces import Denoiser, PixelDenoiser, Teacher
from zero3d.testing import fresh_step
from zero3d.values import View
from zero3d_score.csd import ClassifierScoreDistillation
from zero3d_score.hifa import HighFidelity
from zero3d_score.ism import IntervalScoreMatching
from zero3d_score.nfsd import NoiseFreeScoreDistillation
from zero3d_score.sdi import ScoreDistillationViaInversion
from zero3d_score.sds import ScoreDistillation
from zero3d_score.shared import draws, perp_neg
from zero3d_score.sir import ScoreBasedIterativeReconstruction
from zero3d_score.sjc import ScoreJacobianChaining

TOLERANCE = 1e-9
T = torch.tensor(GOLDEN["t"])
TEXT = {"cond": "text", "null": "uncond"}


@pytest.fixture
def drawn(monkeypatch):
    """The golden noise and timesteps."""
    return use(monkeypatch, T, noise=[golden("noise")])


def test_the_teacher_is_the_golden_one():
    a = torch.tensor(GOLDEN["alphas_cumprod"])[T].sqrt()[:, None, None, None]
    sigma = SIGMAS[T]
    names = {name: name for name in ("text", "uncond", "neg", "neg2", "null", "lora_camera", "lora_null")}
    y = golden("z") / a
    x0 = Priors(names).predict(y, sigma, None, None, list(names))
    for name in names:
        assert error((y - x0[name]) / sigma[:, None, None, None], f"eps_{name}") < TOLERANCE


@pytest.mark.parametrize(
    ("name", "weighting"), [("sds", "one_minus_alphas_cumprod"), ("uniform", "one"), ("fantasia3d", "fantasia3d")]
)
def test_sds(drawn, name, weighting):
    answer, _ = ask(ScoreDistillation, TEXT, guidance_scale=8.5, weighting=weighting)
    assert error(answer.value, f"sds_{name}") < TOLERANCE


@pytest.mark.parametrize("reduced", [True, False])
def test_sjc(drawn, reduced):
    answer, _ = ask(ScoreJacobianChaining, TEXT, guidance_scale=8.5, variance_reduction=reduced)
    assert error(answer.value, f"sjc_var_red_{str(reduced).lower()}") < TOLERANCE


@pytest.fixture
def golden_weights(monkeypatch):
    """Perp-Neg's weights as the golden numbers have them, in place of the azimuth's."""
    first, second = torch.tensor(GOLDEN["perpneg_weights"]).T
    monkeypatch.setattr(perp_neg, "weights", lambda cameras, overhead_deg: {"front": first, "side": second})


DIRECTIONS = {"front": "neg", "side": "neg2"}


def test_sds_with_perp_neg_for_two_views_at_once(drawn, golden_weights):
    answer, denoiser = ask(ScoreDistillation, TEXT | DIRECTIONS, guidance_scale=7.5, perp_neg=True)
    assert error(answer.value, "sds_perpneg") < TOLERANCE
    assert denoiser.asked == {"cond": 1, "null": 1, "front": 1, "side": 1}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("csd_null", {"cond": 1, "uncond": -1}),
        ("csd_annealed", {"cond": 1, "negative": -0.5, "uncond": -0.5}),
        ("csd_neg", {"cond": 1, "negative": -1, "uncond": 0}),
        ("csd_as_sds", {"cond": 7.5, "negative": -6.5, "uncond": 0, "noise": -1}),
    ],
)
def test_csd(drawn, name, options):
    answer, denoiser = ask(ClassifierScoreDistillation, {"cond": "text", "negative": "neg", "null": "null"}, **options)
    assert error(answer.value, name) < TOLERANCE
    asked = [name for name, value in options.items() if value and name != "noise"]
    assert denoiser.asked == {"null" if name == "uncond" else name: 1 for name in asked}


def test_csd_with_perp_neg(drawn, golden_weights):
    conditions = {"cond": "text", "negative": "uncond", "null": "null"} | DIRECTIONS
    options = {"cond": 1, "negative": -0.5, "uncond": -0.5, "perp_neg": 3}
    answer, _ = ask(ClassifierScoreDistillation, conditions, **options)
    assert error(answer.value, "csd_perpneg3") < TOLERANCE


def test_csd_follows_its_schedules_and_asks_what_they_need(drawn):
    schedule = {"cond": 1, "negative": {0: 0, 5: -1}, "uncond": {0: -1, 5: 0}}
    conditions = {"cond": "text", "negative": "neg", "null": "null"}
    answer, denoiser = ask(ClassifierScoreDistillation, conditions, **schedule)
    assert error(answer.value, "csd_null") < TOLERANCE
    assert denoiser.asked == {"cond": 1, "null": 1}


def test_nfsd(drawn):
    answer, _ = ask(NoiseFreeScoreDistillation, TEXT | {"negative": "neg"})
    assert error(answer.value, "nfsd") < TOLERANCE


def test_nfsd_asks_no_negative_where_noise_is_low(monkeypatch):
    use(monkeypatch, [120, 199], noise=[golden("noise")])
    _, denoiser = ask(NoiseFreeScoreDistillation, TEXT | {"negative": "neg"})
    assert denoiser.asked == {"cond": 1, "null": 1}


def test_perp_neg_weights_by_azimuth():
    azimuth, elevation = GOLDEN["perpneg_azimuth_deg"], GOLDEN["perpneg_elevation_deg"]
    which = GOLDEN["perpneg_negative_which"]
    for k in range(len(azimuth)):
        camera = orbit(float(elevation[k]), float(azimuth[k]), 8)
        found = perp_neg.weights(camera)
        expected = GOLDEN["perpneg_azimuth_weights"][k]
        for column in range(2):
            name = {0: "side", 1: "front"}.get(int(which[k, column]))
            weight = float(found[name][0]) if name else 0.0
            assert weight == pytest.approx(expected[column], abs=2e-6), (azimuth[k], column)  # float32 cameras


def test_seen_from_overhead_no_negative_is_asked(drawn):
    denoiser = Priors(TEXT | DIRECTIONS)
    guidance = ScoreDistillation(ScoreDistillation.Config(guidance_scale=8.5, perp_neg=True), Teacher(denoiser))
    image = golden("x")
    above = guidance.gradient(View(image, image[..., :1]), orbit(70.0, torch.zeros(2), 8), fresh_step())
    assert denoiser.asked == {"cond": 1, "null": 1}
    assert error(above.value, "sds_sds") < TOLERANCE


@pytest.mark.parametrize("kind", [ScoreDistillation, ClassifierScoreDistillation])
@pytest.mark.parametrize(("overhead", "elevation", "counted"), [(41.8, 50.0, False), (90.0, 70.0, True)])
def test_overhead_is_where_the_teacher_says(drawn, kind, overhead, elevation, counted):
    denoiser = Priors(TEXT | DIRECTIONS)
    denoiser.overhead_deg = overhead
    image, cameras = golden("x"), orbit(elevation, torch.zeros(2), 8)
    guidance = kind(kind.Config(perp_neg=True if kind is ScoreDistillation else 1), Teacher(denoiser))
    guidance.gradient(View(image, image[..., :1]), cameras, fresh_step())
    assert (not {"front", "side"}.isdisjoint(denoiser.asked)) is counted


MVDREAM = numpy.load("tests/data/mvdream_guidance.npz")


class Recorded(PixelDenoiser):
    """MVDream's eps at t = 120, as it was recorded."""

    name = "recorded"
    unit, centre, channels, resolution, picture_resolution, group = 1.0, 0.0, 4, 16, 16, 4

    def __init__(self):
        super().__init__(None)
        self.sigmas = SIGMAS

    def condition(self, subject):
        return None

    def predict(self, noised, sigma, condition, cameras, branches):
        assert len(set(sigma.tolist())) == 1
        names = {"cond": "text", "null": "null"}
        eps = {b: torch.tensor(MVDREAM[f"guidance_eps_{names[b]}_t120"]).movedim(1, -1) for b in branches}
        return {b: noised - sigma[:, None, None, None] * e for b, e in eps.items()}


@pytest.mark.parametrize(("scale", "rescale"), [(7.5, 0.5), (50, 0.5), (50, 0)])
def test_mvdreams_reconstruction_rescales_each_group(monkeypatch, scale, rescale):
    """The originals ran in float32."""
    noise, image = (torch.tensor(MVDREAM[f"guidance_{k}"]).movedim(1, -1).double() for k in ("noise", "x"))
    use(monkeypatch, [120] * 8, noise=[noise])
    denoiser: Denoiser = Recorded()
    config = ScoreDistillation.Config(guidance_scale=scale, recon_rescale=rescale, weighting="sigma")
    guidance = ScoreDistillation(config, Teacher(denoiser))
    answer = guidance.gradient(View(image, image[..., :1]), orbit(15.0, torch.arange(8.0), 16), fresh_step())
    expected = torch.tensor(MVDREAM[f"guidance_t120_s{scale}_rescale{rescale}"]).movedim(1, -1)
    assert (answer.value - expected).abs().max() < 1e-5 * expected.abs().max()


# -- several levels


@pytest.mark.parametrize("t", [640, 120])
@pytest.mark.parametrize("kind", ["plain", "perpneg"])
def test_sdi(monkeypatch, t, kind):
    one = slice(0, 1)
    use(monkeypatch, hops=golden("sdi_step_noise")[:, None])
    monkeypatch.setattr(draws, "uniform", lambda step, stream: float(GOLDEN["sdi_uniform"]))
    options = {"guidance_scale": 8.5, "inversion_scale": -6.5}
    conditions = TEXT
    if kind == "perpneg":
        first, second = torch.tensor(GOLDEN["perpneg_weights"])[0]
        monkeypatch.setattr(perp_neg, "weights", lambda cameras, overhead_deg: {"front": first, "side": second})
        options, conditions = {"perp_neg": True}, TEXT | DIRECTIONS
    share = (t + 0.5) / 1000
    options |= {"start_t": share, "end_t": share, "published": True}
    answer, denoiser = ask(ScoreDistillationViaInversion, conditions, one, **options)
    name = f"sdi_{kind}_t{t}"
    assert error(answer.pictures["denoised"], f"{name}_target") < TOLERANCE
    assert error(answer.value, f"{name}_target") > 1e-3, "the gradient is x - target"
    assert error(golden("x")[one] - answer.value, f"{name}_target") < TOLERANCE
    a = (1 + SIGMAS[t + 37] ** 2).rsqrt()
    assert error(a * answer.pictures["noised"], f"{name}_noisy") < TOLERANCE
    # the original asks at t = -99 for 0, and at t for the level it noised to
    visited = [0, *NOTES[f"{name}_timesteps"][1:]]
    assert [levels[0] for _, levels in denoiser.calls] == visited


def test_hifas_target_of_several_steps(monkeypatch):
    use(monkeypatch, [640, 640], noise=[golden("noise")], hops=golden("hifa_step_noise"))
    answer, denoiser = ask(HighFidelity, TEXT, guidance_scale=7.5)
    last = golden("x") - answer.value  # the original leaves its latent scaled to the first level
    assert error(SIGMAS[0].square().add(1).rsqrt() * last, "hifa_x0_multistep") < TOLERANCE
    assert [levels[0] for _, levels in denoiser.calls] == NOTES["hifa_timesteps"]


class Encoding(Priors):
    """Of a view's RGB it makes the golden latent, and of a latent RGB."""

    picture_resolution = 8

    def encode(self, image):
        return golden("x") + 0 * image.sum()

    def decode(self, latent):
        return (0.5 + 0.25 * latent[..., :3]).clamp(0, 1)


def test_hifas_term_on_rgb(drawn):
    image = golden("image")
    options = {"guidance_scale": 8.5, "samples": 1, "image_weight": 1.0, "weighting": "one_minus_alphas_cumprod"}
    guidance = HighFidelity(HighFidelity.Config(**options), Teacher(Encoding(TEXT)))
    answer = guidance.gradient(View(image, image[..., :1]), orbit(20.0, torch.zeros(2), 8), fresh_step())
    assert error(answer.value, "hifa_grad_img") < TOLERANCE


def test_hifas_timesteps_fall_by_the_square_root():
    config = HighFidelity.Config()
    assert [config.t_range(fresh_step(k, 100), 1000)[0] for k in (0, 25, 99)] == [980, 640, 303]


@pytest.mark.parametrize("index", [640, 131])
def test_ism(monkeypatch, index):
    use(monkeypatch, [index + 1] * 2, noise=[golden("ism_noise")], channels=[golden("ism_noise_channel")])
    conditions = {"cond": "text", "negative": "uncond", "null": "null"}
    answer, denoiser = ask(IntervalScoreMatching, conditions, negative=True, interval=0.075)
    assert error(answer.value, f"ism_t{index}") < TOLERANCE
    visited = [int(levels[0]) for _, _, levels in NOTES[f"ism_t{index}_calls"]]
    assert [levels[0] for _, levels in denoiser.calls] == visited
    assert denoiser.asked == {"null": len(visited) - 1, "cond": 1, "negative": 1}


@pytest.mark.parametrize(
    ("name", "level", "eta"), [("t851", 0.9, 0.5), ("t201", 0.25, 0.5), ("t501_eta0", 0.55, 0.0), ("init", 0.9, 0.5)]
)
def test_sir(monkeypatch, name, level, eta):
    waiting = use(monkeypatch, noise=[golden("sir_noise_first")], hops=golden("sir_step_noise"))
    options = {"level": level, "eta": eta, "from_noise": name == "init", "fit": "l2"}
    answer, denoiser = ask(ScoreBasedIterativeReconstruction, TEXT, **options)
    target = golden("x") - answer.value
    assert error(SIGMAS[0].square().add(1).rsqrt() * target, f"sir_{name}") < TOLERANCE
    assert [levels[0] for _, levels in denoiser.calls] == NOTES[f"sir_{name}_timesteps"]
    assert len(waiting["hops"]) == 20 - NOTES[f"sir_{name}_noises_used"]
    down = sum(branches != ("null",) for branches, _ in denoiser.calls)
    assert denoiser.asked == {"null": len(denoiser.calls), "cond": down}, "the way up asks for one branch"


def test_sirs_levels_are_the_published_ones_but_for_the_first():
    config = ScoreBasedIterativeReconstruction.Config(level={15: 0.9, 315: 0.2})
    tops = [config.ways(fresh_step(15 * (k + 1), 315), 1000, False)[0][-1] for k in range(20)]
    published = [901, 851, 801, 751, 751, 701, 651, 651, 601, 551, 501, 501, 451, 401, 401, 351, 301, 301, 251, 201]
    assert tops[1:] == published[1:]
    assert tops[0] == 851
