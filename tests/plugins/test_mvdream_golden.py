"""MVDream's and ImageDream's networks against the numbers of their authors' code, at a small width."""

import functools
import json
import zlib
from pathlib import Path

import numpy
import pytest
import torch
from torch.nn.functional import interpolate

from tests.plugins.mvdream_tiny import GOLDEN, SPECS, unet_config
from tests.plugins.zero123_tiny import synthetic
from zero3d.diffusion import ddim_step, guided, to_variance_preserving, x0_from_eps
from zero3d.interfaces import Teacher
from zero3d.values import Cameras, Picture
from zero3d_mvdream.conditioning import JointCondition, camera_numbers, over_grey
from zero3d_mvdream.denoiser import ImageDream, MvDream
from zero3d_mvdream.network.configs import PUBLISHED, read_configs
from zero3d_mvdream.network.joint import JointNetwork
from zero3d_mvdream.weights.names import joint_state, text_state, towers_names, vae_state, vision_state
from zero3d_mvdream.weights.source import make_module
from zero3d_score.shared.predictions import rescaled_x0

TOLERANCE = 2e-5
MV, IP = GOLDEN["mvdream"], GOLDEN["imagedream"]
LEVELS = range(2)


@functools.cache
def published(family):
    return {name: synthetic(name, shape) for name, shape in SPECS[family]["shapes"].items()}


def network(family, frames, features=0):
    with torch.device("meta"):
        made = JointNetwork(unet_config(family), frames, features)
    state = {name: tensor.clone() for name, tensor in joint_state(published(family)).items()}
    made.load_state_dict(state, assign=True)
    return made.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def mvdream():
    return bare(MvDream, network("mvdream", 4))


@pytest.fixture(scope="module")
def imagedream():
    return bare(ImageDream, network("imagedream", 5, 1280))


def bare(kind, made):
    """The component around a network, without files."""
    from zero3d.diffusion import stable_diffusion_sigmas

    denoiser = kind.__new__(kind)
    denoiser._network, denoiser.sigmas, denoiser.centre = made, stable_diffusion_sigmas(), 0.0
    return denoiser


def words(golden=MV):
    return {"cond": golden["context"], "null": golden["context_null"], "negative": golden["context_null"]}


def features(name="imagedream.ip"):
    generator = numpy.random.Generator(numpy.random.PCG64(zlib.crc32(name.encode())))
    return torch.from_numpy(generator.standard_normal((1, 257, 1280), dtype=numpy.float32))


@pytest.fixture(scope="module")
def shown(imagedream):
    assert torch.equal(features().flatten()[:8], IP["ip_first8"])
    return imagedream.shown(words(IP), features(), IP["ip_img"])


def asked(denoiser, condition, golden, level, cameras=None, z=None):
    z = golden["z"] if z is None else z
    camera = (golden["camera"] if "camera" in golden else golden["camera_5"][:4]) if cameras is None else cameras
    t = golden["t"][level].expand(len(z))
    return denoiser.predict_eps(z, t, condition, camera, ("cond", "null"))


def off(found, expected):
    return float((found - expected).abs().max())


@pytest.mark.parametrize("level", LEVELS)
def test_mvdream_predicts_what_its_authors_network_does(mvdream, level):
    cond, null = asked(mvdream, JointCondition(words()), MV, level)
    assert off(cond, MV["eps_cond"][level]) < TOLERANCE
    assert off(null, MV["eps_null"][level]) < TOLERANCE
    x0 = x0_from_eps(MV["z"] * (1 + (s := mvdream.sigmas[MV["t"][level]]) ** 2).sqrt(), cond, s.expand(4))
    assert off(x0, MV["x0_cond"][level]) < 1e-5 * float(MV["x0_cond"][level].abs().max())


def test_the_level_is_embedded_as_the_authors_do(mvdream):
    unet = mvdream._network.unet
    found = unet.time_embedding(unet.time_proj(MV["t"][:1]).float())
    assert off(found, MV["time_embed_t120"]) < TOLERANCE


def test_views_in_another_order_and_a_second_group(mvdream):
    order = MV["permutation"]
    for level in LEVELS:
        cond, _ = asked(mvdream, JointCondition(words()), MV, level, MV["camera"][order], MV["z"][order])
        assert off(cond, MV["eps_permuted"][level]) < TOLERANCE
        assert off(cond, MV["eps_cond"][level][order]) < TOLERANCE
    both = [torch.cat([MV[name], MV[f"{name}_second"]]) for name in ("camera", "z")]
    cond, _ = asked(mvdream, JointCondition(words()), MV, 0, *both)
    assert off(cond, MV["eps_two_groups_t120"]) < TOLERANCE


def test_each_view_has_its_own_camera_and_sees_the_others(mvdream):
    cond, _ = asked(mvdream, JointCondition(words()), MV, 0, MV["camera"][MV["permutation"]])
    assert off(cond, MV["eps_cameras_only_permuted"]) < TOLERANCE
    assert off(cond, MV["eps_cond"][0]) > 1e-2
    alone = network("mvdream", 1)
    t = MV["t"][0].expand(4)
    eps = alone(MV["z"], t, MV["context"].expand(4, -1, -1), MV["camera"])
    assert off(eps, MV["eps_single_views_t120"]) < TOLERANCE
    assert off(eps, MV["eps_cond"][0]) > 1e-2


def test_one_view_and_no_camera_is_stable_diffusion():
    from diffusers import UNet2DConditionModel

    made = network("mvdream", 1)
    embedding = made.unet.class_embedding.linear_2
    torch.nn.init.zeros_(embedding.weight)
    torch.nn.init.zeros_(embedding.bias)
    config = SPECS["mvdream"]["diffusers_UNet2DConditionModel_config_full"]
    config = config | {"block_out_channels": [32, 64, 64, 64], "cross_attention_dim": 48}
    stock = UNet2DConditionModel(**config | {"attention_head_dim": [2, 4, 4, 4]}).eval()
    names = SPECS["mvdream"]["names_in_diffusers_UNet2DConditionModel"]
    stock.load_state_dict({names[n]: t for n, t in published("mvdream").items() if not n.startswith("camera_embed")})
    context = MV["context"].expand(4, -1, -1)
    for level in LEVELS:
        t = MV["t"][level].expand(4)
        with torch.no_grad():
            expected = stock(MV["z"], t, encoder_hidden_states=context).sample
        assert off(made(MV["z"], t, context, MV["camera"]), expected) < 1e-5
        assert off(expected, MV["eps_nocamera"][level]) > 1e-2  # which is of four views joined
    joined = network("mvdream", 4)
    joined.unet.class_embedding.load_state_dict(made.unet.class_embedding.state_dict())
    eps = joined(MV["z"], MV["t"][0].expand(4), context, MV["camera"])
    assert off(eps, MV["eps_nocamera"][0]) < TOLERANCE


@pytest.mark.parametrize("level", LEVELS)
def test_imagedream_predicts_what_its_authors_network_does(imagedream, shown, level):
    cond, null = asked(imagedream, shown, IP, level)
    assert off(cond, IP["eps_cond"][level][:4]) < TOLERANCE
    assert off(null, IP["eps_null"][level][:4]) < TOLERANCE


def test_the_pictures_tokens_and_latent_go_with_the_condition_alone(imagedream, shown):
    assert off(shown.context["cond"][:, 77:], IP["ip_tokens"]) < TOLERANCE
    for branch in ("null", "negative"):
        assert off(shown.context[branch][:, 77:], IP["ip_tokens_of_zeros"]) < TOLERANCE
        assert not shown.latent[branch].any()
    assert torch.equal(shown.latent["cond"], IP["ip_img"])
    half = JointCondition(
        {"cond": torch.cat([IP["context_null"], IP["ip_tokens"]], 1), "null": shown.context["null"]}, shown.latent
    )
    cond, _ = asked(imagedream, half, IP, 0)
    assert off(cond, IP["eps_null_text_only"][0][:4]) < TOLERANCE


def test_imagedreams_groups_and_order(imagedream, shown):
    order = IP["permutation"]
    cond, _ = asked(imagedream, shown, IP, 0, IP["camera_5"][:4][order], IP["z"][order])
    assert off(cond, IP["eps_permuted"][:4]) < TOLERANCE
    second = imagedream.shown(words(IP), features("imagedream.ip_second"), IP["ip_img_second"])
    cond, _ = asked(imagedream, second, IP, 0, z=IP["z_second"])
    assert off(cond, IP["eps_two_groups_t120"][5:9]) < TOLERANCE
    two = [IP["camera_5"][:4].repeat(2, 1), torch.cat([IP["z"], IP["z_second"]])]
    cond, _ = asked(imagedream, shown, IP, 0, *two)
    assert off(cond[:4], IP["eps_two_groups_t120"][:4]) < TOLERANCE


@pytest.mark.parametrize("t", [120, 640])
@pytest.mark.parametrize("family", ["mvdream", "imagedream"])
def test_the_reconstruction_target_is_threestudios(mvdream, imagedream, shown, family, t):
    golden = GOLDEN[family]
    denoiser = mvdream if family == "mvdream" else imagedream
    condition = JointCondition(words()) if family == "mvdream" else shown
    x, noise = (golden[f"guidance_{name}"].permute(0, 2, 3, 1) for name in ("x", "noise"))
    cameras = Cameras(golden["guidance_camera_to_world"], 16, 16)
    sigma = denoiser.sigmas[t].expand(len(x))
    noised = x + sigma[0] * noise
    for scale, rescale in [(7.5, 0.5), (50, 0.5), (50, 0)] if family == "mvdream" else [(5, 0.2), (5, 0)]:
        target = rescaled_x0(Teacher(denoiser, condition), noised, sigma, cameras, scale, rescale)
        expected = golden[f"guidance_t{t}_s{scale:g}_rescale{rescale:g}"].permute(0, 2, 3, 1)
        assert off(x - target, expected) < 1e-5 * float(expected.abs().max()), (scale, rescale)


def test_ten_ddim_steps_end_where_its_sampler_does(mvdream):
    steps = sorted(MV["ddim10_timesteps"].tolist(), reverse=True)
    sigmas, condition = mvdream.sigmas, JointCondition(words())
    y = MV["z"] * (1 + sigmas[steps[0]] ** 2).sqrt()
    for t, after in zip(steps, [*steps[1:], 0], strict=True):
        sigma = sigmas[t].expand(4)
        z = to_variance_preserving(y, sigma)
        eps = mvdream.predict_eps(z, torch.full((4,), t), condition, MV["camera"], ("null", "cond"))
        x0 = x0_from_eps(y, guided(*eps, 7.0), sigma)
        y = ddim_step(y, x0, sigmas[t], sigmas[after], 0.0, torch.zeros_like(y))
    final = y / (1 + sigmas[0] ** 2).sqrt()
    expected = MV["ddim10_scale7_from_z"]
    assert off(final, expected) < 1e-4 * float(expected.abs().max())


def test_the_sixteen_numbers_of_a_camera():
    pose = MV["camera_examples_camera_to_world"]
    found = camera_numbers(Cameras(pose, 8, 8))
    assert off(found, MV["camera_examples_16"]) < 1e-8  # theirs divides by the norm + 1e-8
    assert off(found.float(), MV["camera_examples_get_camera"]) < 1e-6
    assert torch.equal(pose, MV["camera_examples_camera_to_world"])
    degrees = torch.rad2deg(Cameras(pose, 8, 8).azimuth)
    ours = MV["camera_examples_elevation_azimuth_zero3d"][:, 1]
    theirs = MV["camera_examples_elevation_azimuth_mvdream"][:, 1]
    assert float(((degrees - ours + 180) % 360 - 180).abs().max()) < 1e-4
    assert float(((theirs - 90 - ours + 180) % 360 - 180).abs().max()) < 1e-4


def test_the_picture_stands_over_the_grey_of_the_background():
    rgba = IP["guidance_image_rgba_u8"].float() / 255
    rgb, mask = rgba[..., :3], rgba[..., 3:]
    found = over_grey(Picture(rgb * mask + 1 - mask, mask), 0.5)
    assert float((255 * found - IP["guidance_clip_picture_u8"].float()).abs().max()) <= 1.01  # theirs is cut to 8 bits
    large = interpolate(found.permute(2, 0, 1)[None], (256, 256), mode="bilinear")
    assert (
        off(2 * large[..., ::8, ::8] - 1, IP["guidance_vae_picture_8th"]) < 2 * 2.01 / 255
    )  # and rounded twice more, in each pass


@pytest.mark.parametrize("family", ["mvdream", "imagedream"])
def test_every_published_tensor_has_its_place_at_full_size(family):
    shapes = SPECS["mvdream"]["shapes_full_sd_v2.1_base_4view_unet"]
    if family == "imagedream":
        shapes = shapes | SPECS["imagedream"]["shapes_full_beyond_mvdream"]
    every = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    found = {name: tuple(t.shape) for name, t in joint_state(every).items()}
    with torch.device("meta"):
        made = make_module("unet", PUBLISHED, {"mvdream": "MVDream", "imagedream": "ImageDream"}[family])
    assert found == {name: tuple(t.shape) for name, t in made.state_dict().items()}
    count = sum(p.numel() for p in made.parameters())
    assert count == {"mvdream": 867_572_164, "imagedream": 941_672_900}[family]
    stock = SPECS["mvdream"]["names_in_diffusers_UNet2DConditionModel"]
    for name, tensor in every.items():
        if name in stock and not name.startswith("camera_embed"):
            assert joint_state({name: tensor}).keys() == {f"unet.{stock[name]}"}


def test_the_other_parts_of_the_single_file_have_their_places_at_full_size():
    with torch.device("meta"):
        vae, text, vision = (make_module(p, PUBLISHED, "ImageDream") for p in ("vae", "text_encoder", "image_encoder"))

    def shapes(module):
        return {n: tuple(t.shape) for n, t in module.state_dict().items() if not n.endswith("position_ids")}

    spec = SPECS["mvdream"]["other_names_in_pt"]["vae_shapes_full"]
    found = vae_state({name: torch.empty(shape, device="meta") for name, shape in spec.items()})
    assert {name: tuple(t.shape) for name, t in found.items()} == shapes(vae)
    clip = json.loads(Path("tests/data/clip_features_tiny.json").read_text(encoding="utf-8"))
    full = clip["shapes_openclip_vit_h_14_full"]  # block 0 of each tower stands for all
    towers = {"": (text_state, 24, text), "visual.": (vision_state, 32, vision)}
    for place, (convert, layers, module) in towers.items():
        own = {n.removeprefix(place): s for n, s in full.items() if n.startswith("visual.") == bool(place)}
        every = {
            name.replace(".0.", f".{i}.", 1) if "resblocks.0." in name else name: torch.empty(shape, device="meta")
            for name, shape in own.items()
            for i in range(layers)
        }
        read = {"": 23, "visual.": 32}[place]
        found = towers_names(convert(every, read), module.state_dict())
        assert {name: tuple(t.shape) for name, t in found.items()} == shapes(module)


def test_openclips_towers_give_what_the_models_were_trained_with(tmp_path):
    spec = json.loads(Path("tests/data/clip_features_tiny.json").read_text(encoding="utf-8"))
    golden = {n: torch.from_numpy(v) for n, v in numpy.load("tests/data/clip_features_tiny.npz").items()}
    state = {name: synthetic(name, shape) for name, shape in spec["shapes_openclip_tiny"].items()}
    file = tmp_path / "tiny.json"
    text = spec["text_config"] | {"hidden_act": "gelu", "num_hidden_layers": 2}
    file.write_text(
        json.dumps({"text_encoder": text, "image_encoder": spec["vision_config"] | {"hidden_act": "gelu"}}),
        encoding="utf-8",
    )
    configs = read_configs(str(file))
    words_ = {n: t for n, t in state.items() if not n.startswith("visual.")}
    sights = {n.removeprefix("visual."): t for n, t in state.items() if n.startswith("visual.")}
    encoder, tower = (make_module(p, configs, "ImageDream").eval() for p in ("text_encoder", "image_encoder"))
    for module, found in ((encoder, text_state(words_, 2)), (tower, vision_state(sights, 3))):
        module.load_state_dict(towers_names(found, module.state_dict()), strict=False)
    y, x = torch.meshgrid(torch.arange(224.0).double(), torch.arange(224.0).double(), indexing="ij")
    c = torch.arange(3.0).double()[:, None, None]
    picture = (0.5 + 0.5 * torch.sin((0.05 + 0.02 * 4) * (c + 1) * x + 0.031 * 5 * y + c)).float()[None]
    from zero3d_mvdream.conditioning import clip_pixels

    with torch.no_grad():
        context = encoder(input_ids=golden["ids_padded_with_0"]).last_hidden_state
        seen = tower(pixel_values=clip_pixels(picture, 224), output_hidden_states=True).hidden_states[-2]
    assert off(context[:, ::4], golden["openclip_text_penultimate"]) < TOLERANCE
    assert off(seen, golden["openclip_image_hidden_minus2"]) < TOLERANCE
