"""Gaussians: growth as published, runs that grow and resume, starts, the density, and what is refused."""

import math

import numpy
import pytest
import torch

from tests.core.test_run import assert_same, final_state, interrupt_after, quiet
from zero3d.engine import Optimizer
from zero3d.errors import RecipeError, StepError, UserError
from zero3d.geometry import orbit
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import OptimizerOptions, load_recipe
from zero3d.run import resume, run
from zero3d.testing import SphereField, fresh_step
from zero3d.testing.sphere import SphereConfig
from zero3d_gaussians.cloud import growth
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
from zero3d_gaussians.cloud.start import facing
from zero3d_gaussians.drawing.projection import rotations
from zero3d_gaussians.renderer import SplatConfig, SplatRenderer

REGISTRY = load_plugins()
ORIGINAL = {
    "means": "xyz",
    "log_scales": "scaling",
    "quaternions": "rotation",
    "opacity_logits": "opacity",
    "sh_base": "f_dc",
}
"""Our parameters by the names of INRIA's."""


@pytest.fixture(scope="module")
def golden():
    with numpy.load("tests/data/gaussians_tiny.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def made(count=20, **options):
    """A cloud at its start."""
    cloud = GaussianCloud(GaussiansConfig(points=count, **options))
    with torch.no_grad():
        cloud.initialise(fresh_step())
    return cloud


ALL_GROW = {"start": 1, "every": 1, "prune_opacity": 0.0, "clone_scale": 10.0, "prune_scale": 10.0}


class TestGrowth:
    def test_one_change_is_dreamgaussians(self, golden, monkeypatch):
        """Its densify_and_prune: values and moments of clones, halves and what stays."""
        cloud = made(12, densify={"start": 1, "every": 1}, max_count=100).double()
        optimizer = Optimizer(OptimizerOptions("adam", 0.0), cloud)
        for name, parameter in cloud.named_parameters():
            parameter.data = golden[f"densify_before_{ORIGINAL[name]}"].reshape(parameter.shape).clone()
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step(fresh_step())
        for name, parameter in cloud.named_parameters():
            moment = golden[f"densify_before_exp_avg_{ORIGINAL[name]}"].reshape(parameter.shape)
            optimizer.torch.state[parameter]["exp_avg"].copy_(moment)
        cloud.gradient_sums.copy_(golden["densify_grad_accum"][:, 0])
        cloud.times_seen.copy_(golden["densify_denom"][:, 0])
        monkeypatch.setattr(torch, "randn", lambda *size, **rest: golden["densify_split_normals"])
        cloud.after_step(fresh_step(), optimizer)
        for name, parameter in cloud.named_parameters():
            for kind, found in (("", parameter.data), ("exp_avg_", optimizer.torch.state[parameter]["exp_avg"])):
                wanted = golden[f"densify_after_{kind}{ORIGINAL[name]}"].reshape(found.shape)
                assert torch.allclose(found, wanted, rtol=0, atol=1e-12), (kind, name)
        assert len(cloud.gradient_sums) == len(cloud.times_seen) == 17

    def test_a_reset_is_dreamgaussians(self, golden):
        cloud = made(17, densify={"start": 1, "every": 10**6, "reset_every": 1}).double()
        optimizer = Optimizer(OptimizerOptions("adam", 0.0), cloud)
        cloud.opacity_logits.data = golden["densify_after_opacity"][:, 0].clone()
        for parameter in cloud.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(fresh_step())
        cloud.after_step(fresh_step(), optimizer)
        assert torch.allclose(cloud.opacity_logits, golden["densify_opacity_after_reset"][:, 0], atol=1e-12)
        assert not optimizer.torch.state[cloud.opacity_logits]["exp_avg"].any()
        assert optimizer.torch.state[cloud.means]["exp_avg"].any()

    def test_where_more_would_grow_than_may_those_with_the_largest_gradients_do(self):
        cloud = made(10, densify=ALL_GROW, max_count=13)
        before = cloud.means.detach().clone()
        cloud.gradient_sums.copy_(torch.arange(10.0) + 1)
        cloud.times_seen.fill_(1)
        cloud.after_step(fresh_step(), Optimizer(OptimizerOptions(), cloud))
        assert torch.equal(cloud.means, torch.cat([before, before[7:]]))

    def test_the_user_is_told_once_that_growth_is_held_back(self):
        cloud, lines = made(10, densify=ALL_GROW, max_count=13), []
        cloud.tell = lines.append
        for _ in range(2):
            cloud.gradient_sums.fill_(1)
            cloud.times_seen.fill_(1)
            cloud.after_step(fresh_step(), Optimizer(OptimizerOptions(), cloud))
        assert len(cloud.means) == 13
        (line,) = lines
        assert "7 Gaussians more would have grown than representation.max_count, 13" in line

    def test_nothing_is_told_where_all_that_grow_have_room(self):
        cloud, lines = made(10, densify=ALL_GROW, max_count=20), []
        cloud.tell = lines.append
        cloud.gradient_sums.fill_(1)
        cloud.times_seen.fill_(1)
        cloud.after_step(fresh_step(), Optimizer(OptimizerOptions(), cloud))
        assert len(cloud.means) == 20
        assert not lines

    def test_pruning_all_is_one_line(self):
        cloud = made(10, opacity=0.005, densify={"start": 1, "every": 1})
        with pytest.raises(StepError, match=r"every Gaussian is fainter than densify\.prune_opacity") as caught:
            cloud.after_step(fresh_step(), Optimizer(OptimizerOptions(), cloud))
        assert "\n" not in str(caught.value)
        assert len(cloud.means) == 10

    def test_gradients_are_those_of_the_step_alone(self):
        """Per view, [-1, 1] across the picture, by finite differences; not what others ask for, nor what is shown."""
        cloud = made(8, densify={"start": 1}, radius=0.2, opacity=0.5).double()
        renderer, cameras = SplatRenderer(SplatConfig()), orbit(20.0, torch.tensor([0.0, 90.0]), 12)
        weights = torch.randn(2, 12, 12, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

        def loss(step, shift=None):
            with_shift = cloud.watched
            if shift is not None:
                seen = with_shift(2, 12, 12, fresh_step())
                seen.shift = shift
                cloud.watched = lambda *rest: seen
            view = renderer.render(cloud, cameras, torch.ones(3), step=step)
            cloud.watched = with_shift
            return (view.image * weights).sum() / 2  # a mean over the views

        value = loss(fresh_step())
        torch.autograd.grad(value, list(cloud.parameters()), retain_graph=True)  # an observer
        value.backward()
        loss(None)  # a preview
        seen = cloud._watch.seen[-1]
        eps = 1e-6
        for view, row in ((0, 3), (1, 5)):
            measured = []
            for axis in (0, 1):
                shift = torch.zeros(2, 8, 2, dtype=torch.float64)
                shift[view, row, axis] = eps
                measured.append(float((loss(fresh_step(), shift) - loss(fresh_step(), -shift)).detach()) / (2 * eps))
            length = 2 * math.hypot(*(m * 6 for m in measured))
            assert float(seen.per_view()[view, row]) == pytest.approx(length, rel=1e-4)
        cloud._watch.seen = [seen]
        cloud.after_step(fresh_step(), Optimizer(OptimizerOptions(), cloud))
        assert torch.allclose(cloud.gradient_sums, (seen.per_view() * seen.visible).sum(dim=0))
        assert float(cloud.times_seen.max()) == 2

    @pytest.mark.parametrize(
        ("densify", "told"),
        [
            ("dreamgausian", "densify: 'dreamgausian'. Did you mean 'dreamgaussian'"),
            ([1], r"densify: \[1\]"),
            ({"type": "default", "evry": 3}, "densify.evry: no such option. Did you mean 'every'"),
            ({"every": 0}, "densify.every: 0; 1 to"),
            ({"every": "often"}, "densify.every: 'often'; a whole number"),
            ({"gradient": -1}, "densify.gradient: -1; 0 to"),
            ({"absolute": 1}, "densify.absolute: 1; true or false"),
            ({"prune_opacity": 1.0}, "densify.prune_opacity: 1.0; 0 to below 1"),
        ],
    )
    def test_a_wrong_option_is_named(self, densify, told):
        with pytest.raises(ValueError, match=told.replace(".", r"\.")):
            GaussiansConfig(densify=densify)

    def test_the_strategies(self):
        assert growth.parse("none") is None
        assert growth.parse("absgrad") == growth.parse({"type": "default", "absolute": True, "gradient": 0.0008})
        rule = growth.parse("dreamgaussian")
        assert [i for i in range(1, 1000) if rule.acts(i)] == [100, 200, 300, 400, 500]
        assert not any(rule.resets(i) for i in range(1, 1000))


def test_rates_are_dreamgaussians(golden):
    """Position .01 to .0002 is a schedule of the recipe; the others' ratios are the defaults."""
    groups = {float(group["lr_scale"].at(0, 1)) * 0.01: group["params"][0] for group in made(degree=1).param_groups()}
    assert sorted(groups) == pytest.approx([0.0005, 0.005, 0.01, 0.05])
    assert float(golden["position_lr"][0]) == pytest.approx(0.01)


GROWING = [
    "image=examples/mug.png",
    "device=cpu",
    "steps=9",
    "denoiser={type: gaussian, resolution: 16, mean: [0.6, 0.4, 0.3]}",
    "cameras={type: sphere, resolution: 16, views: 2}",
    "optimizer={type: adam, lr: 0.01}",
    "guidance.sds.weight=0.01",
    "regularizers={input_view: {weight: 100}}",
    "start=null",
    "observers={gradients: {every: 2}}",
    "export={}",
    "checkpoint.every=4",
    "renderer={type: splat}",
    "representation={type: gaussians, points: 60, opacity: 0.4, max_count: 400, degree: 1, "
    "densify: {start: 1, every: 3, gradient: 0.0, clone_scale: 0.2, reset_every: 5, reset_opacity: 0.3}}",
]


class TestRuns:
    @pytest.mark.parametrize("after", [2, 4, 7])
    def test_a_growing_cloud_resumes_to_the_byte(self, tmp_path, monkeypatch, after):
        whole = run("recipes/nano.yaml", REGISTRY, [*GROWING, f"out={tmp_path / 'whole'}"], tell=quiet)
        assert 60 < len(whole.parts.representation.means) <= 400
        with monkeypatch.context() as patch:
            interrupt_after(patch, after)
            with pytest.raises(KeyboardInterrupt):
                run("recipes/nano.yaml", REGISTRY, [*GROWING, f"out={tmp_path / 'cut'}"], tell=quiet)
        resume(str(tmp_path / "cut"), REGISTRY, tell=quiet)
        assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))

    def test_a_run_in_which_they_move_resumes_to_the_byte(self, tmp_path, monkeypatch):
        densify = "{type: mcmc, start: 1, every: 2, growth: 1.2, dead_opacity: 0.1, noise: 1.0}"
        moving = [*GROWING, f"representation.densify={densify}"]
        whole = run("recipes/nano.yaml", REGISTRY, [*moving, f"out={tmp_path / 'whole'}"], tell=quiet)
        assert len(whole.parts.representation.means) > 60
        with monkeypatch.context() as patch:
            interrupt_after(patch, 3)
            with pytest.raises(KeyboardInterrupt):
                run("recipes/nano.yaml", REGISTRY, [*moving, f"out={tmp_path / 'cut'}"], tell=quiet)
        resume(str(tmp_path / "cut"), REGISTRY, tell=quiet)
        assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))

    def test_a_run_tells_that_growth_is_held_back(self, tmp_path):
        lines = []
        chosen = [*GROWING, "representation.max_count=61", f"out={tmp_path}/run"]
        run("recipes/nano.yaml", REGISTRY, chosen, tell=lines.append)
        assert sum("more would have grown than representation.max_count, 61" in line for line in lines) == 1

    def test_observers_change_nothing(self, tmp_path):
        chosen = [*GROWING, f"out={tmp_path / 'watched'}"]
        run("recipes/nano.yaml", REGISTRY, chosen, tell=quiet)
        plain = ["observers={}" if text.startswith("observers") else text for text in GROWING]
        run("recipes/nano.yaml", REGISTRY, [*plain, f"out={tmp_path / 'plain'}"], tell=quiet)
        assert_same(final_state(tmp_path / "watched"), final_state(tmp_path / "plain"))

    def test_the_plan_of_memory_counts_max_count(self):
        few, many = (
            build_parts(load_recipe("recipes/nano.yaml", REGISTRY, [*GROWING, f"representation.max_count={count}"]))
            for count in (400, 4000)
        )
        assert many.representation.parameter_bytes() == 10 * few.representation.parameter_bytes()
        row = sum(p.numel() * 4 for p in few.representation.parameters()) // 60
        assert few.representation.parameter_bytes() == 400 * row

    def test_more_than_fit_into_memory_are_refused_before_the_run(self, monkeypatch, tmp_path):
        monkeypatch.setattr("zero3d.parts.build.free_bytes", lambda device: 2**26)
        with pytest.raises(RecipeError, match="representation: needs about") as caught:
            run("recipes/nano.yaml", REGISTRY, [*GROWING, "representation.max_count=5000000", f"out={tmp_path / 'a'}"])
        assert "\n" not in str(caught.value)

    def test_stages_start_from_each_other(self, tmp_path):
        """Gaussians from voxels, Gaussians from Gaussians, voxels and a mesh from Gaussians."""
        kinds = {
            "g": "representation: {type: gaussians, points: 300, opacity: 0.9}, renderer: {type: splat}",
            "v": "representation: {type: voxels, resolution: 24, box: 0.75}, renderer: {type: fused, step_ratio: 1.0}",
            "m": "representation: {type: mesh, start: previous, resolution: 24}, renderer: {type: rasterizer, blur: 1e-3}",
        }
        common = [text for text in GROWING if not text.startswith(("representation", "renderer", "start", "steps"))]
        common += ["start={type: nano_lift}", "input.elevation_deg=20", "optimizer.lr=0.0001", "observers={}"]
        cameras, drawn = orbit(20.0, torch.tensor([0.0, 90.0]), 24), []
        for order in ("vggv", "gm"):
            stages = ", ".join(f"s{i}: {{steps: 1, {kinds[kind]}}}" for i, kind in enumerate(order))
            chosen = [*common, f"stages={{{stages}}}", f"out={tmp_path / order}"]
            drawn.append(run("recipes/nano.yaml", REGISTRY, chosen, tell=quiet).engine.draw(cameras).opacity > 0.5)
        assert float((drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum()) > 0.6


class TestDensity:
    def test_a_round_one_absorbs_its_opacity(self):
        cloud = made(1, detail=1e-4).double()
        with torch.no_grad():
            cloud.means.zero_()
            cloud.log_scales.fill_(math.log(0.05))
            cloud.opacity_logits.fill_(1.3)
        x = torch.linspace(-0.3, 0.3, 2001, dtype=torch.float64)
        for direction in ([1.0, 0, 0], [0.6, 0.8, 0]):
            points = x[:, None] * torch.tensor(direction, dtype=torch.float64)
            absorbed = 1 - math.exp(-float(cloud.density(points).sum() * 0.6 / 2000))
            assert absorbed == pytest.approx(float(cloud.opacities()), abs=1e-4)

    def test_blurring_keeps_the_whole(self):
        sums = []
        for detail in (1e-4, 0.1):
            cloud = made(1, detail=detail).double()
            with torch.no_grad():
                cloud.means.zero_()
                cloud.log_scales.copy_(torch.tensor([[0.05, 0.03, 0.08]]).log())
            axis = torch.linspace(-0.5, 0.5, 80, dtype=torch.float64)
            points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
            with torch.no_grad():
                sums.append(float(cloud.density(points).sum()))
        assert sums[0] == pytest.approx(sums[1], rel=2e-3)

    def test_the_plain_sum_is_dreamgaussians(self, golden):
        """Its query drops Gaussians far from a block, so that it is lower, never higher, by up to a known amount."""
        from zero3d_gaussians.cloud.density import Blobs, density_and_features

        scales = golden["scales"]
        inverses = rotations(golden["quats_wxyz"]).mT / scales[..., None]
        kept = golden["opacities"] > 0.005
        made_of = Blobs(golden["means"][kept], inverses[kept], golden["opacities"][kept])
        axis = torch.linspace(-1, 1, 32, dtype=torch.float64)
        grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
        points = grid / golden["density_scale"] + golden["density_center"]
        found = density_and_features(made_of, points.new_zeros(int(kept.sum()), 0), points, 0.0)[0]
        off = found - golden["density_32"].reshape(-1)
        assert float(off.min()) > -2e-4
        assert float(off.max()) == pytest.approx(float(golden["density_32_plain_max_difference"]), abs=2e-4)

    @pytest.mark.parametrize("detail", [0.01, 0.4])
    def test_the_kernel_asks_all_that_are_near(self, detail):
        cloud = made(300, detail=detail, opacity=0.6)
        with torch.no_grad():
            cloud.log_scales.add_(0.8 * torch.randn(300, 3, generator=torch.Generator().manual_seed(0)))
            cloud.quaternions.normal_(generator=torch.Generator().manual_seed(1))
            cloud.sh_base.normal_(generator=torch.Generator().manual_seed(2))
        points = 1.4 * torch.rand(3000, 3, generator=torch.Generator().manual_seed(3)) - 0.7
        slow = [ask(points).detach() for ask in (cloud.density, cloud.features)]
        with torch.no_grad():
            fast = [ask(points) for ask in (cloud.density, cloud.features)]
        assert torch.allclose(slow[0], fast[0], rtol=1e-4, atol=1e-4)
        dense = slow[0] > 1e-2
        assert torch.allclose(slow[1][dense], fast[1][dense], atol=2e-3)


class TestStarts:
    def test_from_a_field_it_looks_like_it(self):
        field = SphereField(SphereConfig(radius=0.5, density=60.0, colour=[0.8, 0.3, 0.2], box=0.6))
        cloud = made(3000, opacity=0.9, flat=0.3)
        cloud.follow(field)
        radius = cloud.means.norm(dim=1)
        assert float((radius - 0.47).detach().abs().max()) < 0.08
        axis = rotations(cloud.quaternions)[:, :, 2]
        assert float((axis * cloud.means / radius[:, None]).sum(dim=1).mean().detach()) > 0.97
        view = SplatRenderer(SplatConfig()).render(cloud, orbit(20.0, 30.0, 48), torch.ones(3)).detach()
        middle = view.image[0, 20:28, 20:28]
        assert torch.allclose(middle, torch.tensor([0.8, 0.3, 0.2]).expand(8, 8, 3), atol=0.03)
        # a disc of radius tan(asin(.5 / 2)) at this field of view
        half = math.tan(math.asin(0.25)) / math.tan(0.5 * 0.857553)
        assert float(view.opacity.mean()) == pytest.approx(math.pi * half**2 / 4, rel=0.05)

    def test_an_empty_field_is_one_line(self):
        with pytest.raises(UserError, match=r"the field to start from is empty .*representation\.start=ball"):
            made().follow(SphereField(SphereConfig(density=0.0)))

    def test_facing(self):
        normals = torch.nn.functional.normalize(torch.randn(50, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
        normals = torch.cat([normals, torch.eye(3), -torch.eye(3), torch.zeros(1, 3)])
        axis = rotations(facing(normals))[:, :, 2]
        assert torch.allclose(axis[:-1], normals[:-1], atol=1e-5)
        assert torch.equal(axis[-1], torch.tensor([0.0, 0, 1]))

    def test_a_ball_is_filled(self):
        cloud = made(4000)
        radius = cloud.means.norm(dim=1)
        assert float(radius.max()) <= 0.5
        assert float((radius < 0.25).float().mean()) == pytest.approx(1 / 8, abs=0.02)
        assert torch.allclose(cloud.opacities(), torch.tensor(0.1))

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ({"points": 0}, "points: 0; 1 to max_count"),
            ({"points": 60000}, "points: 60000; 1 to max_count, 50000; raise that"),
            ({"degree": 4}, "degree: 4; 0 to 3"),
            ({"opacity": 1.0}, "opacity: 1.0; 0.001 to 0.999"),
            ({"start": "cat.las"}, "start: 'cat.las'; auto, ball, or a file"),
            ({"scale_lr": -1}, "scale_lr: -1; 0 to"),
            ({"detail": 0.0}, "detail: 0.0"),
        ],
    )
    def test_options_out_of_range(self, options, told):
        with pytest.raises(ValueError, match=told.replace(".", r"\.")):
            GaussiansConfig(**options)

    def test_another_number_of_channels_is_refused(self):
        assert made().can_follow(SphereField(SphereConfig()))
        assert not made(channels=4).can_follow(SphereField(SphereConfig()))
