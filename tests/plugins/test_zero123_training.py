"""Fine-tuning the published architecture, tiny: where it starts, what it is asked, what comes out."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from tests.plugins.test_training import losses
from tests.plugins.views_data import make_folder
from tests.plugins.zero123_tiny import (
    CONFIG,
    load_converted,
    make_modules,
    original_state,
    save_checkpoint,
    tiny_config,
)
from zero3d.errors import RecipeError
from zero3d.plugins import load_plugins
from zero3d.testing import check_trainable_denoiser, training_batch
from zero3d_training.options import load_train_recipe
from zero3d_training.trainer import Trainer
from zero3d_zero123.component import Zero123, Zero123Config
from zero3d_zero123.pose import relative_pose
from zero3d_zero123.training.denoiser import FineTuneConfig, FineTuned
from zero3d_zero123.training.objective import draw, kept, noised_latent
from zero3d_zero123.training.start import new_projection

CONV_IN = "model.diffusion_model.input_blocks.0.0.weight"
WIDTH = CONFIG["ctx"]


def image_conditioned():
    """Stable Diffusion's tensors conditioned on CLIP's embedding: four input channels, no cc_projection, no average."""
    state = original_state()
    state[CONV_IN] = state[CONV_IN][:, :4].clone()
    return {name: value for name, value in state.items() if not name.startswith(("cc_projection", "model_ema"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """image-conditioned.safetensors, the same as .ckpt, tiny.json, and data."""
    folder = tmp_path_factory.mktemp("finetune")
    save_file(image_conditioned(), folder / "start.safetensors")
    save_checkpoint(folder / "start.ckpt", image_conditioned())
    tiny_config(folder)
    make_folder(folder / "data", objects=12, size=32)
    return folder


def opened(folder, start="start.safetensors", **options):
    config = str(folder / "tiny.json") if start.endswith(("safetensors", "ckpt")) else ""
    return FineTuned(FineTuneConfig(start=str(folder / start), config=config, **options))


@pytest.fixture(scope="module")
def denoiser(folder):
    torch.manual_seed(0)
    denoiser = opened(folder)
    denoiser.trainable("finetune")
    return denoiser


def diffusers_folder(folder):
    unet, vae, clip = make_modules()
    load_converted(unet, vae, clip, ema=False)
    narrow = copy.deepcopy(unet)
    narrow.conv_in = torch.nn.Conv2d(4, unet.conv_in.out_channels, 3, padding=1)
    narrow.conv_in.load_state_dict({"weight": unet.conv_in.weight[:, :4], "bias": unet.conv_in.bias})
    narrow.register_to_config(in_channels=4)
    for part, name in ((narrow, "unet"), (vae, "vae"), (clip, "image_encoder")):
        part.save_pretrained(folder / name)
    return narrow


@pytest.mark.parametrize("form", ["start.safetensors", "start.ckpt", "diffusers"])
def test_the_widened_network_begins_as_the_narrow_one_whatever_the_picture(folder, form):
    if form == "diffusers":
        (folder / form).mkdir()
    narrow = diffusers_folder(folder / "diffusers" if form == "diffusers" else folder / f"of-{form}")
    wide = opened(folder, form).trainable("finetune")
    latent, picture = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    t, token = torch.tensor([3, 700]), torch.randn(2, 1, WIDTH)
    with torch.no_grad():
        both = wide["unet"](torch.cat([latent, picture], dim=1), t, encoder_hidden_states=token).sample
        one = narrow.eval()(latent, t, encoder_hidden_states=token).sample
    assert torch.allclose(both, one, atol=1e-5)
    assert wide["unet"].conv_in.weight.shape[1] == 8
    assert not wide["unet"].conv_in.weight[:, 4:].any()


def test_the_projection_begins_as_published():
    torch.manual_seed(1)
    layer = new_projection(48)
    token = torch.randn(3, 48)
    assert torch.equal(layer(torch.cat([token, torch.zeros(3, 4)], dim=1)), token)
    pose = layer.weight[:, 48:].detach()
    bound = 52**-0.5  # torch's own: uniform over 1 / sqrt(inputs)
    assert pose.abs().max() <= bound
    assert float(pose.std()) == pytest.approx(bound / 3**0.5, rel=0.2)


def test_a_zero123_checkpoint_goes_on_from_its_own_projection_and_average(folder):
    save_checkpoint(folder / "whole.ckpt")
    state = original_state()
    for ema, source in ((True, "model_emadiffusion_modelinput_blocks00weight"), (False, CONV_IN)):
        source = source.replace("model_ema", "model_ema.", 1) if ema else source
        module = opened(folder, "whole.ckpt", ema=ema).trainable("finetune")
        assert torch.equal(module["unet"].conv_in.weight, state[source])
        assert torch.equal(module["cc_projection"].weight, state["cc_projection.weight"])


def test_what_is_dropped_as_published():
    r = torch.tensor([0.0, 0.049, 0.05, 0.099, 0.1, 0.149, 0.15, 0.99])
    embedding, latent = kept(r, 0.05)
    assert embedding.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert latent.tolist() == [1, 1, 0, 0, 0, 0, 1, 1]
    embedding, latent = kept(torch.rand(100_000, generator=torch.Generator().manual_seed(0)), 0.05)
    both = float(((embedding + latent) == 0).float().mean())
    assert (float(embedding.mean()), float(latent.mean()), both) == pytest.approx((0.9, 0.9, 0.05), abs=0.005)


def test_draws_belong_to_their_seed():
    seeds = torch.tensor([5, 6, 7])
    whole, part = draw(seeds, 1000, (4, 2, 2)), draw(seeds[1:], 1000, (4, 2, 2))
    for name in ("t", "noise", "posterior", "r"):
        assert torch.equal(getattr(whole, name)[1:], getattr(part, name))
    assert not torch.equal(whole.noise, whole.posterior)
    many = draw(torch.arange(4000), 1000, (1, 1, 1)).t.float()
    assert float(many.mean()) == pytest.approx(499.5, abs=15)
    assert (float(many.min()), float(many.max())) == pytest.approx((0, 999), abs=8)


def test_noise_is_added_as_diffusers_adds_it(denoiser):
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    x0, noise, t = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.tensor([0, 400, 999])
    wanted = scheduler.add_noise(x0, noise, t)
    assert torch.allclose(noised_latent(x0, noise, denoiser.sigmas[t]), wanted, atol=1e-5)


def test_the_network_is_asked_what_the_paper_asks(denoiser, monkeypatch):
    """Every input of the U-Net, for four targets whose r drops nothing, the embedding, both and the latent."""
    batch = training_batch(64, targets=4)
    of_r = {}
    for seed in range(400):
        of_r.setdefault(min(int(draw(torch.tensor([seed]), 1000, (4, 8, 8)).r / 0.05), 3), seed)
    seeds = torch.tensor([of_r[3], of_r[0], of_r[1], of_r[2]])
    asked = {}

    def run(latent, picture, t, token):
        asked.update(latent=latent, picture=picture, t=t, token=token)
        return torch.zeros_like(latent)

    monkeypatch.setattr(denoiser, "_run", run)
    loss, _ = denoiser.training_loss(replace(batch, seeds=seeds), "finetune", torch.Generator())
    draws = draw(seeds, 1000, (4, 8, 8))
    assert float(loss) == pytest.approx(float(draws.noise.square().mean()), rel=1e-5)
    white = lambda rgba: (2 * (rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]) - 1).permute(0, 3, 1, 2).contiguous()  # noqa: E731
    with torch.no_grad():
        mode = denoiser._vae.encode(white(batch.input_rgba)).latent_dist.mode()
        posterior = denoiser._vae.encode(white(batch.target_rgba)).latent_dist
        x0 = 0.18215 * (posterior.mean + posterior.std * draws.posterior)
        signal = 1 / (1 + denoiser.sigmas[draws.t] ** 2)
        wanted = signal.sqrt()[:, None, None, None] * x0 + (1 - signal).sqrt()[:, None, None, None] * draws.noise
        assert torch.allclose(asked["latent"], wanted, atol=1e-4)
        assert torch.allclose(asked["picture"][:2], mode.expand(2, -1, -1, -1), atol=1e-5)  # not scaled by 0.18215
        assert not asked["picture"][2:].any()
        pose = relative_pose(batch.target_cameras, batch.input_cameras)
        layer = denoiser._cc
        dropped = pose @ layer.weight[:, WIDTH:].T + layer.bias  # zeros before cc_projection, not after it
        assert torch.allclose(asked["token"][[1, 2], 0], dropped[[1, 2]], atol=1e-5)
        small = torch.nn.functional.interpolate(white(batch.input_rgba), (224, 224), mode="bicubic", align_corners=True)
        mean, std = (
            torch.tensor([0.48145466, 0.4578275, 0.40821073]),
            torch.tensor([0.26862954, 0.26130258, 0.27577711]),
        )
        pixels = ((small + 1) / 2 - mean[:, None, None]) / std[:, None, None]
        full = torch.cat([denoiser._clip(pixel_values=pixels).image_embeds.expand(4, -1), pose], dim=1)
        assert torch.allclose(asked["token"][[0, 3], 0], layer(full)[[0, 3]], atol=1e-4)


def test_gradient_checkpointing_changes_no_gradient(folder):
    batch = replace(training_batch(64, targets=1), seeds=torch.tensor([3]))
    gradients = []
    for checkpointing in (True, False):
        torch.manual_seed(0)
        one = opened(folder, gradient_checkpointing=checkpointing)
        module = one.trainable("finetune")
        assert module["unet"].is_gradient_checkpointing == checkpointing
        one.training_loss(batch, "finetune", torch.Generator())[0].backward()
        gradients.append([p.grad for p in module.parameters()])
    for with_it, without in zip(*gradients, strict=True):
        assert torch.allclose(with_it, without, atol=1e-6)


def test_it_obeys_the_laws_of_training(folder):
    denoiser = opened(folder)
    batch = training_batch(64, targets=2)

    def reload(path):
        return FineTuned(FineTuneConfig(start=str(path)))

    check_trainable_denoiser(denoiser, batch, reload, suffix="")


def test_learning_rates_and_average_as_published(denoiser):
    names = [name for name, _ in denoiser.trainable("finetune").named_parameters()]
    fast = {name for name in names if denoiser.learning_rate_factor("finetune", name) == 10}
    assert fast == {"cc_projection.weight", "cc_projection.bias"}
    assert {name for name in names if not denoiser.is_averaged("finetune", name)} == fast
    assert all(not p.requires_grad for part in (denoiser._vae, denoiser._clip) for p in part.parameters())


def test_the_recipe_trains_tiny_weights_and_writes_what_zero123_reads(folder, tmp_path):
    overrides = [
        f"out={tmp_path / 'out'}",
        f"dataset.root={folder / 'data'}",
        "dataset.size=64",
        "dataset.views=4",
        "dataset.workers=0",
        f"denoiser.start={folder / 'start.ckpt'}",
        f"denoiser.config={folder / 'tiny.json'}",
        "stages.finetune.steps=3",
        "stages.finetune.batch=2",
        "stages.finetune.accumulate=2",
        "stages.finetune.warmup=1",
        "log_every=1",
        "device=cpu",
        "validation={every: 2, objects: 1, targets: 1, steps: 1}",
    ]
    recipe = load_train_recipe("recipes/train-zero123.yaml", load_plugins(), overrides)
    dataset = recipe.dataset.build()
    dataset.prepare()
    (tmp_path / "out").mkdir()
    trainer = Trainer(recipe.denoiser.build(), dataset, recipe.stages, recipe.options)
    begun = {name: value.clone() for name, value in trainer.modules["finetune"].state_dict().items()}
    written = trainer.run(tmp_path / "out")
    assert len(losses(tmp_path / "out")) == 3
    assert (tmp_path / "out" / "validation" / "step_000002.png").is_file()
    ended = trainer.modules["finetune"].state_dict()
    assert ended["unet.conv_in.weight"][:, 4:].abs().max() > 0
    assert not torch.equal(begun["cc_projection.weight"], ended["cc_projection.weight"])
    published = Zero123.build(Zero123Config(weights=str(written)))
    published.load(torch.device("cpu"))
    for name, value in published.network.state_dict().items():
        assert torch.equal(value, ended[f"unet.{name}"]), name
    assert json.loads((written / "model_index.json").read_text(encoding="utf-8"))["_pose"] == "zero123"


def test_the_paper_s_numbers_are_the_recipe_s():
    recipe = load_train_recipe("recipes/train-zero123.yaml", load_plugins())
    stage, options = recipe.stages["finetune"], recipe.options
    assert (stage.batch, stage.lr, stage.warmup, stage.final) == (1536, 1e-4, 100, 1)
    assert (stage.lr * recipe.denoiser.config.projection_lr, recipe.denoiser.config.drop) == (1e-3, 0.05)
    assert (options.optimizer.betas, options.optimizer.weight_decay, options.optimizer.clip) == ([0.9, 0.999], 0.01, 0)
    assert (options.ema, options.seed, options.every, options.mixed_precision) == (0.9999, 42, 5000, "no")
    assert (recipe.dataset.config.size, recipe.dataset.config.views) == (256, 12)


@pytest.mark.parametrize("start", ["nowhere.ckpt", "", "data"])
def test_no_start_is_one_line(folder, start):
    with pytest.raises(RecipeError, match=r"denoiser\.start: ") as told:
        FineTuned(FineTuneConfig(start=str(folder / start) if start else start))
    assert "\n" not in str(told.value)


def test_a_start_of_another_size_is_refused_before_a_step(folder):
    with pytest.raises(RecipeError, match="configuration wants"):
        FineTuned(FineTuneConfig(start=str(folder / "start.ckpt"))).trainable("finetune")


@pytest.mark.parametrize("options", [{"drop": 0.4}, {"projection_lr": -1.0}, {"pose": "other"}])
def test_options_refuse_nonsense(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        FineTuneConfig(**options)
