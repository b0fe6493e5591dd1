"""vsd: the authors' numbers, its fixed point, that phi learns, LoRA over a diffusers U-Net, runs that resume."""

import json
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from tests.core.test_run import assert_same, final_state, interrupt_after, quiet
from tests.plugins.score_golden import GOLDEN, SIGMAS, Priors, error, golden, use
from tests.plugins.zero123_tiny import save_folder
from zero3d.checkpoint import NAME
from zero3d.errors import RecipeError, StepError
from zero3d.geometry import orbit
from zero3d.interfaces import Teacher
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import resume, run
from zero3d.testing import GaussianDenoiser, check_guidance, fresh_step, random_picture, random_view
from zero3d.testing.gaussian import GaussianConfig
from zero3d.values import Subject, View
from zero3d_score.critic.base import Critic, poses
from zero3d_score.critic.fit import critic_loss
from zero3d_score.critic.lora import LoraCritic
from zero3d_score.shared import draws
from zero3d_score.vsd import VariationalScoreDistillation, VsdConfig

TOLERANCE = 1e-9
T = torch.tensor(GOLDEN["t"])
TEXT = {"cond": "text", "null": "uncond"}
CPU = torch.device("cpu")


def made(teacher, **options):
    guidance = VariationalScoreDistillation(VsdConfig(**options), teacher)
    guidance.load(CPU)
    return guidance


# -- the authors' numbers


class GoldenPhi(Critic):
    """The golden Gaussian of a LoRA network, with and without a camera."""

    def __init__(self):
        super().__init__()
        self.priors = Priors({"camera": "lora_camera", "nowhere": "lora_null"})

    def initialise(self, generator):
        pass

    def predict(self, noised, sigma, condition, cameras, pose):
        name = "nowhere" if bool((pose == 0).all()) else "camera"
        return self.priors.predict(noised, sigma, None, cameras, [name])[name]


def ask_golden(monkeypatch, **options):
    guidance = made(Teacher(Priors(TEXT)), critic="small", width=8, **options)
    guidance._fit.critic = GoldenPhi()
    image = golden("x")
    answer = guidance.gradient(View(image, image[..., :1]), orbit(20.0, torch.zeros(2), 8), fresh_step())
    return guidance, answer


@pytest.mark.parametrize(("name", "scale", "asked"), [("vsd", 1, 1), ("vsd_lora_cfg2.5", 2.5, 2)])
def test_the_gradient_is_the_published_one(monkeypatch, name, scale, asked):
    use(monkeypatch, T, noise=[golden("noise")])
    guidance, answer = ask_golden(monkeypatch, critic_scale=scale)
    assert error(answer.value, name) < TOLERANCE
    assert len(guidance._fit.critic.priors.calls) == asked


def test_the_critics_loss_is_the_published_one(monkeypatch):
    """The original casts to float32."""
    use(monkeypatch, T, noise=[golden("noise"), golden("noise")])
    guidance, _ = ask_golden(monkeypatch, camera_dropped=0.0)
    loss = guidance.critic_loss(golden("x"), orbit(20.0, torch.zeros(2), 8), fresh_step())
    assert float(loss) == pytest.approx(float(GOLDEN["vsd_lora_loss"]), rel=1e-6)


@pytest.mark.parametrize("unit", [1.0, 0.5])
def test_the_losses_are_those_of_v_and_eps(unit):
    """From their definitions, with data x / unit."""
    x, noise, x0 = (torch.randn(2, 4, 4, 3, generator=torch.Generator().manual_seed(k)).double() for k in range(3))
    s = SIGMAS[T]
    a, b = ((1 + s**2).rsqrt()[:, None, None, None] * factor for factor in (1, s[:, None, None, None]))
    z = a * x / unit + b * noise
    eps = (z - a * x0 / unit) / b
    errors = {"eps": eps - noise, "v": (a * eps - b * x0 / unit) - (a * noise - b * x / unit)}
    for kind, expected in errors.items():
        found = critic_loss(x0, x, s * unit, unit, kind)
        assert float(found) == pytest.approx(float(expected.square().mean()), rel=1e-9)


# -- its law


def small_teacher(std=0.5, mean=1.0):
    """With std = unit and mean = centre it is what the small critic is at first."""
    denoiser = GaussianDenoiser(GaussianConfig(mean=[mean] * 3, std=std, resolution=8))
    denoiser.means["null"] = [mean] * 3
    return Teacher(denoiser)


def test_where_phi_agrees_with_the_teacher_nothing_pulls():
    view, cameras = random_view(2, 8).detach(), orbit(20.0, torch.tensor([10.0, 200.0]), 8)
    agrees = made(small_teacher(), width=8).gradient(view, cameras, fresh_step()).value
    differs = made(small_teacher(mean=0.3), width=8).gradient(view, cameras, fresh_step()).value
    assert agrees.abs().max() < 1e-5 < 0.05 < differs.abs().max()


def test_phi_learns_what_the_views_look_like():
    """Views drawn from N(0.3, 0.2^2) in every pixel: the best phi is that prior's denoiser, which is known."""
    prior = small_teacher(0.2, 0.3)
    guidance = made(prior, width=8, lr=3e-3, updates=1, camera_dropped=0.1)
    cameras = orbit(20.0, torch.arange(16) * 22.5, 8)
    errors, losses = [], []
    for index in range(100):
        numbers = torch.randn(16, 8, 8, 3, generator=torch.Generator().manual_seed(index))
        view = replace(random_view(16, 8).detach(), image=0.3 + 0.2 * numbers)
        figures = guidance.gradient(view, cameras, fresh_step(index, 100, index)).metrics
        errors.append(figures["critic_distance"])
        losses.append(figures.get("critic_loss"))
        guidance.after_step(fresh_step(index, 100, index))
    first, last = (sum(part) / len(part) for part in (errors[:10], errors[-10:]))
    assert last < first / 2.5, (first, last)
    assert losses[0] is None, "phi has not been trained yet"
    assert sum(losses[-10:]) < 0.7 * sum(losses[1:11])


def test_a_camera_is_hidden_by_one_coin_for_all_views(monkeypatch):
    guidance = made(small_teacher(), width=8, camera_dropped=0.3)
    view, cameras = random_view(3, 8).detach(), orbit(20.0, torch.arange(3) * 40.0, 8)
    told, plain = [], guidance._critic.predict
    guidance.gradient(view, cameras, fresh_step())
    monkeypatch.setattr(guidance._critic, "predict", lambda *a: (told.append(a[-1]), plain(*a))[1])
    step = fresh_step()
    for _ in range(200):
        with torch.no_grad():
            guidance.critic_loss(view.image, cameras, step)
    hidden = [not bool(pose.any()) for pose in told]
    assert all(gone or torch.equal(pose, poses(cameras)) for gone, pose in zip(hidden, told, strict=True))
    assert 0.2 < sum(hidden) / 200 < 0.4
    assert torch.equal(poses(cameras)[0], cameras.camera_to_world[0].reshape(16))


def test_updates_draw_anew_from_the_whole_list_and_warm_up(monkeypatch):
    guidance = made(small_teacher(), width=8, updates=3, warmup=4, lr=0.1, min_t=0.5, max_t=0.6)
    ranges, rates = [], []
    plain = draws.timesteps
    monkeypatch.setattr(draws, "timesteps", lambda views, t, *a: (ranges.append(t), plain(views, t, *a))[1])
    optimizer = guidance._fit._optimizer
    stepped = optimizer.step
    monkeypatch.setattr(optimizer, "step", lambda: (rates.append(optimizer.param_groups[0]["lr"]), stepped()))
    view, cameras = random_view(2, 8).detach(), orbit(20.0, torch.zeros(2), 8)
    for index in range(2):
        guidance.gradient(view, cameras, fresh_step(index))
        guidance.after_step(fresh_step(index))
    assert ranges == [(500, 600), *[(0, 1000)] * 3] * 2
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1, 0.1, 0.1])


def test_phis_optimiser_has_the_moments_that_are_asked_for():
    """AdamW's first two updates of one number by hand: gradients 1 and 3, no decay."""
    guidance = made(small_teacher(), width=8, betas=[0.5, 0.75], eps=0.5, weight_decay=0, lr=0.1)
    fit = guidance._fit
    parameter = next(iter(fit.trained.values()))
    begin = parameter.detach().clone()
    for index, slope in enumerate((1.0, 3.0)):
        fit.update(slope * sum(p.sum() for p in fit.trained.values()), False, index)
    second = (0.5 * 0.5 + 0.5 * 3) / (1 - 0.5**2), (0.75 * 0.25 + 0.25 * 9) / (1 - 0.75**2)
    moved = 0.1 * (1 / (1 + 0.5) + second[0] / (second[1] ** 0.5 + 0.5))
    assert torch.allclose(begin - parameter, torch.full_like(begin, moved), atol=1e-6)
    for wrong in ([0.9], [0.9, 1.0]):
        with pytest.raises(ValueError, match=r"betas: .*two numbers"):
            made(small_teacher(), betas=wrong)


def test_a_gradient_of_phi_that_is_not_finite_is_told():
    guidance = made(small_teacher(), width=8)
    view, cameras = random_view(1, 8).detach(), orbit(20.0, 0.0, 8)
    guidance.gradient(replace(view, image=view.image * torch.inf), cameras, fresh_step())
    with pytest.raises(StepError, match=r"step 0: guidance vsd: the gradient of its critic holds nan or inf"):
        guidance.after_step(fresh_step())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"critic": "big"}, "critic: 'big'; one of auto, lora, small"),
        ({"width": 12}, "width: 12; a multiple of 8"),
        ({"lr": 2.0}, "lr: 2.0; 0 to 1"),
        ({"updates": -1}, "updates: -1; 0 to 100"),
        ({"loss": "x0"}, "loss: 'x0'; one of v, eps"),
    ],
)
def test_a_wrong_option_is_told(options, told):
    with pytest.raises(ValueError, match=told):
        VsdConfig(**options)


# -- LoRA over a diffusers U-Net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("zero123"))


@pytest.fixture(scope="module")
def published(folder):
    component = load_plugins().get("denoiser", "zero123", "test")
    denoiser = component.build(component.Config(weights=str(folder)))
    denoiser.load(CPU)
    return Teacher(denoiser, denoiser.condition(Subject.of(random_picture(256), orbit(20.0, 0.0, 256))))


def latent_view(seed=0):
    return random_view(2, 32, 4, seed=seed).detach(), orbit(20.0, torch.tensor([10.0, 200.0]), 32)


def test_lora_begins_as_the_teacher_trains_itself_alone_and_leaves_the_teacher(published):
    network = published.denoiser.network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    noised, sigma = torch.randn(1, 32, 32, 4), published.denoiser.sigmas[[500]]
    answer = published.predict(noised, sigma, orbit(20.0, 30.0, 32), ("cond",))["cond"]
    guidance = made(published, guidance_scale=1.0, lr=1e-2)
    assert isinstance(guidance._critic, LoraCritic)
    view, cameras = latent_view()
    first = guidance.gradient(view, cameras, fresh_step()).value
    assert first.abs().max() < 1e-6, "phi is the teacher: nothing pulls"
    started = {name: value.clone() for name, value in guidance._fit.trained.items()}
    for index in range(2):
        guidance.gradient(view, cameras, fresh_step(index))
        guidance.after_step(fresh_step(index))
    moved = {name for name, value in guidance._fit.trained.items() if not torch.equal(value, started[name])}
    adapted = sum(".attn" in name and ("to_out.0" in name or ".to_" in name) for name in started) // 2
    layers = [name for name, _ in network.named_modules() if name.endswith(("attn1", "attn2"))]
    assert adapted == 4 * len(layers) > 0
    fixed = {name for name in started if "attn2.to_q" in name or "attn2.to_k" in name}  # one token: its softmax is 1
    assert moved | fixed == set(started), "in two updates A, B and both layers of the camera's move"
    assert all(".lora_" in name or name.startswith("camera.") for name in started)
    rank_and_width = {min(value.shape) for name, value in started.items() if ".lora_" in name}
    assert rank_and_width == {4}
    assert network.state_dict().keys() == before.keys(), "no adapter in the teacher's own network"
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    again = published.predict(noised, sigma, orbit(20.0, 30.0, 32), ("cond",))["cond"]
    assert torch.equal(answer, again)
    assert guidance.gradient(view, cameras, fresh_step()).value.abs().max() > 1e-4, "and now phi differs"


def test_the_frozen_weights_are_shared_and_the_camera_is_told_in_time(published):
    guidance = made(published)
    critic = guidance._critic
    shared = {value.data_ptr() for value in published.denoiser.network.parameters()}
    frozen = [value for value in critic.parameters() if not value.requires_grad]
    assert frozen
    assert all(value.data_ptr() in shared for value in frozen)
    critic.initialise(torch.Generator().manual_seed(0))
    view, cameras = latent_view()
    sigma = published.denoiser.sigmas[[300, 300]]

    def ask(pose):
        with torch.no_grad():
            return critic.predict(view.image, sigma, published.condition, cameras, pose)

    plain = ask(poses(cameras))
    with torch.no_grad():
        critic.camera[2].bias.normal_()
        critic.camera[2].weight.normal_()
        told = critic.camera(poses(cameras))
    found = ask(poses(cameras))
    assert not torch.allclose(plain, found, atol=1e-3)
    other = deepcopy(published.denoiser.network)
    other.time_embedding.register_forward_hook(lambda module, inputs, out: out + told)
    expected = published.denoiser.predict_by(other, view.image, sigma, published.condition, cameras)
    assert torch.allclose(found, expected, atol=1e-5)


def test_lora_is_counted_before_anything_is_read(published, folder):
    component = load_plugins().get("denoiser", "zero123", "test")
    unread = VariationalScoreDistillation(VsdConfig(), Teacher(component.build(component.Config(weights=str(folder)))))
    trained = made(published)._fit.trained.values()
    count = sum(value.numel() for value in trained)
    assert unread.size(CPU) == (count, 16 * count)
    small = made(small_teacher(), width=8)
    assert small.size(CPU)[0] == sum(value.numel() for value in small._fit.trained.values())


def test_lora_learns_and_keeps_its_state(published):
    guidance, other = made(published, lr=1e-2), made(published, lr=1e-2)
    view, cameras = latent_view()

    def loss():
        with torch.no_grad():
            return float(guidance.critic_loss(view.image, cameras, fresh_step(9)))

    guidance.gradient(view, cameras, fresh_step())
    before = loss()
    guidance.after_step(fresh_step())
    assert loss() < before
    other.load_state_dict(guidance.state_dict())
    answers = []
    for trained in (guidance, other):
        trained.gradient(view, cameras, fresh_step(1))
        trained.after_step(fresh_step(1))
        answers.append(trained.state_dict())
    assert answers[0].keys() == answers[1].keys()
    assert all(torch.equal(torch.as_tensor(v), torch.as_tensor(answers[1][k])) for k, v in answers[0].items())
    with pytest.raises(ValueError, match="another critic's"):
        made(published, rank=2).load_state_dict(guidance.state_dict())


def test_the_laws_hold_of_eps_too():
    check_guidance(VariationalScoreDistillation, VsdConfig(width=8, loss="eps"), prior=None)


# -- through the engine

RECIPE = """steps: 5
image: examples/mug.png
denoiser: {type: zero123}
cameras: {type: sphere, resolution: 64, views: 1}
representation: {type: voxels, resolution: 8}
renderer: {type: volume, step_ratio: 2}
guidance: {vsd: {critic: small, width: 8, lr: 0.01}}
input: {elevation_deg: 20}
optimizer: {lr: 0.05}
checkpoint: {every: 2}
"""


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE, encoding="utf-8")
    return file


def test_a_run_with_nano_resumes_to_the_byte(recipe, tmp_path, monkeypatch):
    registry = load_plugins()
    run(str(recipe), registry, [f"out={tmp_path / 'whole'}"], tell=quiet)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            run(str(recipe), registry, [f"out={tmp_path / 'cut'}"], tell=quiet)
    resume(str(tmp_path / "cut"), registry, tell=quiet)
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))
    state = load_file(tmp_path / "whole" / NAME)
    kinds = {name.split("/")[1].split(".")[0] for name in state if name.startswith("state.guidance.vsd/")}
    assert kinds == {"phi", "first", "second"}
    logs = [(tmp_path / name / "metrics.jsonl").read_text(encoding="utf-8") for name in ("whole", "cut")]
    whole, cut = ([json.loads(line)["guidance.vsd.critic_loss"] for line in log.splitlines()[1:]] for log in logs)
    assert whole == cut


def test_lora_over_a_denoiser_that_lays_nothing_open_is_refused_before_anything_loads(recipe):
    wanted = r"guidance\.vsd: 'vsd' as set trains adapters over its denoiser's network, and 'nano' lays none open"
    with pytest.raises(RecipeError, match=wanted) as caught:
        build_parts(load_recipe(recipe, load_plugins(), ["guidance.vsd.critic=lora"]))
    assert len(str(caught.value).splitlines()) == 1


def test_without_peft_lora_is_refused_in_one_line(recipe, folder, monkeypatch):
    monkeypatch.setattr("zero3d_score.vsd.find_spec", lambda name: None)
    chosen = ["guidance.vsd.critic=auto", f"denoiser.weights={folder}"]
    with pytest.raises(RecipeError, match=r"needs peft, which is not installed; pip install 'zero3d\[peft\]'"):
        build_parts(load_recipe(recipe, load_plugins(), chosen))
