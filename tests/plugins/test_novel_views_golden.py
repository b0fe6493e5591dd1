"""Zero123++'s and SV3D's networks, conditions and samplers against the numbers of their authors' code, at a small width."""

import json
import math
import zlib
from pathlib import Path

import numpy
import pytest
import torch

from tests.plugins.novel_views_tiny import GOLDEN, SPECS, SV3D_UNET, sv3d_unet
from tests.plugins.zero123_tiny import synthetic
from zero3d.diffusion import ddim_step, guided, to_variance_preserving, x0_from_v
from zero3d.geometry import orbit
from zero3d_novel_views.sv3d.conditioning import camera_vector, edm_sigmas, sinusoids
from zero3d_novel_views.sv3d.denoiser import OrbitCondition, Sv3d
from zero3d_novel_views.sv3d.names import unet_name
from zero3d_novel_views.sv3d.network import VideoNetwork
from zero3d_novel_views.sv3d.source import PUBLISHED, make_module
from zero3d_novel_views.zero123plus.denoiser import TileCondition, Zero123Plus, tiled, untiled
from zero3d_novel_views.zero123plus.network import ReferenceNetwork
from zero3d_novel_views.zero123plus.options import AZIMUTHS, Zero123PlusConfig
from zero3d_score.targets.options import TargetPicturesConfig

TOLERANCE = 2e-5
TILE, ORBIT = GOLDEN["zero123plus"], GOLDEN["sv3d"]


def off(found, expected):
    return float((found - expected).abs().max())


def noise(name, shape):
    generator = numpy.random.Generator(numpy.random.PCG64(zlib.crc32(name.encode())))
    return torch.from_numpy(generator.standard_normal(shape, dtype=numpy.float32))


class TestZero123Plus:
    @pytest.fixture(scope="class")
    def denoiser(self):
        """The component around the network, without files."""
        from zero3d.diffusion import linear_alphas_cumprod, sigmas_from_alphas_cumprod

        with torch.device("meta"):
            network = ReferenceNetwork(SPECS["zero123plus"]["unet_config"])
        state = {f"unet.{name}": synthetic(name, shape) for name, shape in SPECS["zero123plus"]["shapes"].items()}
        network.load_state_dict(state, assign=True)
        made = Zero123Plus.__new__(Zero123Plus)
        made._network = network.eval().requires_grad_(False)
        made.sigmas = sigmas_from_alphas_cumprod(linear_alphas_cumprod(1000, 0.00085, 0.012)).float()
        made.config = Zero123PlusConfig()
        return made

    @pytest.fixture(scope="class")
    def condition(self, denoiser):
        empty, ramp = TILE["text_empty"], TILE["ramping_coefficients"]
        context = {"cond": empty + ramp[None, :, None] * TILE["image_embeds"][:, None], "null": empty}
        assert off(context["cond"], TILE["context_cond"]) < 1e-6
        latent = {"cond": TILE["cond_lat"], "null": TILE["negative_lat"]}
        views = orbit(torch.tensor([20.0, -10.0] * 3), torch.tensor(AZIMUTHS), 64)
        return TileCondition(context, latent, views)

    def drawn(self):
        return {"null": TILE["ref_noise"][:1], "cond": TILE["ref_noise"][1:]}

    def test_its_levels_are_the_schedulers(self, denoiser):
        assert denoiser.sigmas[0] == pytest.approx(0.02917, abs=1e-4)
        assert denoiser.sigmas[-1] == pytest.approx(25.146, abs=1e-2)
        for count in (28, 36, 75):
            t = TILE[f"timesteps_{count}"].long()
            assert torch.allclose(denoiser.sigmas[t].double(), TILE[f"sigmas_{count}"][:-1], rtol=1e-5)

    @pytest.mark.parametrize("level", range(2))
    def test_it_predicts_what_its_authors_network_does(self, denoiser, condition, level):
        sigma, t = TILE["sigma"][level : level + 1].float(), TILE["t"][level : level + 1].long()
        z = TILE["model_input"]
        v = denoiser.predict_v(z, t, sigma, condition, self.drawn())
        assert off(v["cond"], TILE["v_cond"][level]) < TOLERANCE
        assert off(v["null"], TILE["v_null"][level]) < TOLERANCE
        alone = denoiser.predict_v(z, t, sigma, condition, {"cond": TILE["ref_noise"][1:]})
        assert off(alone["cond"], TILE["v_cond"][level]) < TOLERANCE
        assert off(v["cond"], TILE["v_cond_without_reference"][level]) > 1e-2
        y = z * (1 + sigma**2).sqrt()
        for branch in ("cond", "null"):
            expected = TILE[f"x0_{branch}"][level]
            assert off(x0_from_v(y, v[branch], sigma), expected) < 1e-5 * float(expected.abs().max()) + TOLERANCE

    @pytest.mark.parametrize("level", range(2))
    def test_what_the_reference_keeps(self, denoiser, condition, level):
        sigma, t = TILE["sigma"][level : level + 1].float(), TILE["t"][level : level + 1].long()
        told = {b: to_variance_preserving(condition.latent[b] + sigma * n, sigma) for b, n in self.drawn().items()}
        both = torch.cat([told["null"], told["cond"]])
        assert off(both, TILE["noised_reference"][level]) < 1e-5
        network, context = denoiser._network, torch.cat([condition.context["null"], condition.context["cond"]])
        network.kept.writing = True
        network.unet(both, t.expand(2), encoder_hidden_states=context)
        network.kept.writing = False
        tokens = dict(network.kept.tokens)
        network.kept.tokens.clear()
        names = [n for n in network.unet.attn_processors if n.endswith("attn1.processor")]
        middle = names.index("mid_block.attentions.0.transformer_blocks.0.attn1.processor")
        assert len(tokens) == len(SPECS["zero123plus"]["reference_names_in_order"])
        assert off(tokens[0][:, ::16], TILE["reference_first_attn1_input_every16"][level]) < TOLERANCE
        assert off(tokens[middle], TILE["reference_mid_attn1_input"][level]) < TOLERANCE

    def test_the_whole_sampler(self, denoiser, condition):
        """Six steps as published: Euler ancestral in sigma form, guidance 4, the reference's noise anew in each."""
        x = TILE["sampler6_init"]
        levels = TILE["sampler6_sigmas"].float()
        assert off(x, TILE["latent"] * levels[0]) < 1e-4
        for k in range(6):
            sigma, t = levels[k : k + 1], TILE["sampler6_timesteps"][k : k + 1].long()
            null, cond = noise(f"zero123plus.sampler6.ref.{k}", (2, 4, 16, 16)).split(1)
            v = denoiser.predict_v(to_variance_preserving(x, sigma), t, sigma, condition, {"null": null, "cond": cond})
            mixed = guided(v["null"], v["cond"], 4.0)
            assert off(mixed, TILE["sampler6_v_guided"][k : k + 1]) < 4 * TOLERANCE
            fresh = noise(f"zero123plus.sampler6.step.{k}", (1, 4, 24, 16))
            x = ddim_step(x, x0_from_v(x, mixed, sigma), levels[k], levels[k + 1], 1.0, fresh)
            expected = TILE["sampler6_x"][k : k + 1]
            assert off(x, expected) < 2e-5 * float(expected.abs().max())

    def test_predict_is_that_on_a_tile_of_views(self, denoiser, condition):
        t = 500
        sigma = denoiser.sigmas[t : t + 1]
        views = untiled(torch.randn(1, 24, 16, 4, generator=torch.Generator().manual_seed(0)))
        tile = tiled(views).permute(0, 3, 1, 2)
        drawn = {"cond": denoiser.reference_noise(t, "cond", condition)}
        v = denoiser.predict_v(to_variance_preserving(tile, sigma), torch.tensor([t]), sigma, condition, drawn)
        expected = x0_from_v(tile, v["cond"], sigma).permute(0, 2, 3, 1)
        found = denoiser.predict(views, sigma.expand(6), condition, condition.views, ("cond",))["cond"]
        assert off(tiled(found), expected) < 1e-5
        other = denoiser.reference_noise(t + 1, "cond", condition)
        assert off(other, drawn["cond"]) > 1

    def test_tiles(self):
        views = torch.arange(6.0).reshape(6, 1, 1, 1).expand(6, 2, 2, 1)
        assert tiled(views)[0, :, :, 0].tolist() == [[r * 2 + c // 2 for c in range(4)] for r in (0, 0, 1, 1, 2, 2)]
        assert torch.equal(untiled(tiled(views)), views)

    def test_latents_and_pictures_are_shifted_and_scaled(self, denoiser):
        """Through an autoencoder that repeats what it is given in its own range."""

        class Same:
            def encode(self, image):
                return 2 * image - 1

            def decode(self, latent):
                return (latent + 1) / 2

        denoiser._autoencoder = Same()
        told = TILE["scale_example"].reshape(1, 1, -1, 1)
        latents = TILE["scale_latents"].reshape(1, 1, -1, 1)
        for view in (told, told.expand(6, 1, 8, 1)):
            pictures = (view + 1) / 2
            scaled = TILE["scale_image"].reshape(1, 1, -1, 1)
            assert off(denoiser.encode(pictures), (scaled - 0.22) * 0.75) < 1e-6
            back = TILE["unscale_latents"].reshape(1, 1, -1, 1)
            assert off(denoiser.decode(view), (back * 0.8 / 0.5 + 1) / 2) < 1e-6
        assert off((told - 0.22) * 0.75, latents) < 1e-6
        assert off(told * 0.8 / 0.5, TILE["unscale_image"].reshape(1, 1, -1, 1)) < 1e-6

    def test_the_published_size_is_stable_diffusion_2s(self):
        """Names and shapes of SD 2.1's, which MVDream's are but for the camera."""
        spec = json.loads(Path("tests/data/mvdream_tiny.json").read_text(encoding="utf-8"))
        names = spec["names_in_diffusers_UNet2DConditionModel"]
        published = spec["shapes_full_sd_v2.1_base_4view_unet"]
        shapes = {name.removeprefix("model.diffusion_model."): shape for name, shape in published.items()}
        expected = {f"unet.{names[n]}": tuple(s) for n, s in shapes.items() if not n.startswith("camera_embed")}
        tiny = SPECS["zero123plus"]["unet_config"]
        full = {
            **tiny,
            "block_out_channels": [320, 640, 1280, 1280],
            "layers_per_block": 2,
            "cross_attention_dim": 1024,
            "attention_head_dim": [5, 10, 20, 20],
        }
        with torch.device("meta"):
            found = {n: tuple(t.shape) for n, t in ReferenceNetwork(full).state_dict().items()}
        assert found == expected


class TestSv3d:
    @pytest.fixture(scope="class")
    def denoiser(self):
        with torch.device("meta"):
            network = VideoNetwork({**PUBLISHED["unet"], **SV3D_UNET})
        network.load_state_dict({f"unet.{unet_name(n)}": t for n, t in sv3d_unet().items()}, assign=True)
        made = Sv3d.__new__(Sv3d)
        made._network = network.eval().requires_grad_(False)
        return made

    @pytest.fixture(scope="class")
    def condition(self):
        vector = camera_vector(ORBIT["polars_rad"], ORBIT["azimuths_rad"])
        azimuth = torch.rad2deg(ORBIT["azimuths_rad"])
        return OrbitCondition(ORBIT["context"], ORBIT["concat"], vector, orbit(10.0, azimuth, 64))

    def test_what_it_is_told_of_its_cameras(self, condition):
        assert off(condition.vector[[0, 7, 20]], ORBIT["vector_frames_0_7_20"]) < 1e-6
        assert sinusoids(torch.tensor([0.0]), 4).tolist() == [[1.0, 1.0, 0.0, 0.0]]
        from zero3d_novel_views.sv3d.denoiser import _azimuths

        assert off(torch.deg2rad(torch.tensor(_azimuths())).double(), ORBIT["azimuths_rad"]) < 1e-6
        assert off(ORBIT["polars_rad"], torch.full((21,), math.radians(80), dtype=torch.float64)) < 1e-6

    def test_the_levels_are_edms(self):
        found = edm_sigmas(50, 0.002, 700.0)
        assert torch.allclose(found, ORBIT["sigmas_50"][:-1], rtol=5e-6)

    @pytest.mark.parametrize("level", range(2))
    def test_it_predicts_what_its_authors_network_does(self, denoiser, condition, level):
        sigma = ORBIT["sigma"][level].float().expand(21)
        y = ORBIT["z"] * (1 + sigma[0] ** 2).sqrt()
        for branch in ("cond", "null"):
            found = denoiser.predict_f(ORBIT["z"], sigma, condition, branch)
            away = (found - ORBIT[f"F_{branch}"][level]).abs().amax((1, 2, 3))
            bounds = torch.full((21,), 3e-5)
            if (branch, level) == ("null", 0):
                # a group of two numbers in the middle block's normalisation has a variance of 2e-9 there, the others 1e-3:
                # one unit in the last place of z moves this frame by 1.5e-5, the others by 4e-6
                bounds[19] = 6e-5
            assert (away < bounds).all()
            expected = ORBIT[f"x0_{branch}"][level]
            assert off(x0_from_v(y, found, sigma), expected) < 1e-5 * float(expected.abs().max()) + 3e-5

    def test_the_guidance_is_a_triangle_over_the_orbit(self):
        scales = torch.tensor(TargetPicturesConfig(view_scale="triangle").scales(21, 2.5))
        assert off(scales, ORBIT["guidance_scale_per_frame"].flatten()) < 1e-6
        found = guided(ORBIT["x0_null"], ORBIT["x0_cond"], scales[:, None, None, None])
        assert off(found, ORBIT["x0_guided"]) < 1e-5

    def test_frames_see_each_other_and_a_second_clip_does_not_matter(self, denoiser, condition):
        sigma = torch.tensor([30.0])
        whole = ORBIT["F_cond"][0]
        assert off(whole[[0, 7, 20]], ORBIT["F_single_frames_sigma30"]) > 1e-2
        two = torch.cat([ORBIT["z"], ORBIT["z"].flip(0)])
        found = denoiser.predict_f(two, sigma.expand(42), condition, "cond")[:21]
        assert off(found, whole) < 3e-5

    def test_predict_takes_the_orbit_in_any_order(self, denoiser, condition):
        sigma = torch.tensor(0.8)
        y = (ORBIT["z"] * (1 + sigma**2).sqrt()).permute(0, 2, 3, 1)
        order = torch.randperm(21, generator=torch.Generator().manual_seed(0))
        found = denoiser.predict(y[order], sigma.expand(21), condition, condition.views[order], ("cond",))["cond"]
        expected = ORBIT["x0_cond"][1].permute(0, 2, 3, 1)[order]
        assert off(found, expected) < 1e-4

    def test_tensor_names_are_those_of_the_stock_class(self):
        names = SPECS["sv3d"]["names_in_diffusers_UNetSpatioTemporalConditionModel"]
        assert {name: unet_name(name) for name in names} == names

    def test_the_published_size(self):
        shapes = SPECS["sv3d"]["shapes_full_sv3d_p"]
        with torch.device("meta"):
            found = {n: tuple(t.shape) for n, t in make_module("unet", PUBLISHED["unet"]).state_dict().items()}
        expected = {f"unet.{unet_name(n.removeprefix('model.diffusion_model.'))}": tuple(s) for n, s in shapes.items()}
        assert found == expected
        assert sum(math.prod(shape) for shape in found.values()) == 1_525_278_442
