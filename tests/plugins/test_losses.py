"""Each regularizer: the conformance kit, its closed form, its gradient, zero at its optimum."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy

from zero3d.geometry import orbit, rays
from zero3d.plugins import load_plugins
from zero3d.testing import SphereField, check_regularizer, fresh_step
from zero3d.testing.sphere import SphereConfig
from zero3d.values import Picture, View
from zero3d_losses.field.density_sparsity import DensitySparsity, DensitySparsityConfig
from zero3d_losses.priors.input_view import InputView, InputViewConfig
from zero3d_losses.rays.distortion import Distortion
from zero3d_losses.rays.emptiness import Emptiness, EmptinessConfig
from zero3d_losses.views.depth_smoothness import DepthSmoothness
from zero3d_losses.views.near_view_consistency import NearViewConsistency
from zero3d_losses.views.opaque import Opaque
from zero3d_losses.views.orientation import Orientation
from zero3d_losses.views.sparsity import Sparsity

ALL = [entry.component for entry in load_plugins().all("regularizer") if entry.plugin == "losses"]


def make(component, **options):
    return component(component.Config(**options))


def context(**fields):
    """Only what is named; a regularizer that reads more fails."""
    if "picture" in fields:  # as LossContext has one picture and its view
        posed = SimpleNamespace(picture=fields["picture"], weight=1.0)
        fields["inputs"] = (SimpleNamespace(posed=posed, view=fields["view"]),)
        fields["input"] = fields["view"]
    return SimpleNamespace(**fields)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def view(image=None, opacity=None, depth=None, weights=None):
    return View(image, opacity, depth, weights)


def seen(component, value, **options):
    """The penalty as a function of the one field it reads of its view."""
    (field,) = component.needs & {"depth", "weights", "opacity"}
    return make(component, **options).penalty(context(view=view(**{field: value})))


ELSEWHERE = {
    "area_tv",
    "colour_tv",
    "convexity",
    "density_tv",
    "depth_prior",
    "normal_prior",
    "normal_smoothness",
    "normal_smoothness_3d",
    "normal_tv",
    "z_variance",
}
"""Held against the laws in tests/test_conformance.py, and tested in test_losses_field.py and test_losses_priors.py."""


@pytest.mark.parametrize("component", [c for c in ALL if c.name not in ELSEWHERE], ids=lambda component: component.name)
def test_conforms(component):
    smooth = component is not Orientation  # it holds opacity fixed
    check_regularizer(component, representation=SphereField(SphereConfig()), smooth=smooth)
    assert component.default_weight > 0


@pytest.mark.parametrize("component", [DepthSmoothness, Distortion, Emptiness, Opaque, Sparsity])
def test_gradients_equal_finite_differences(component):
    value = (0.1 + 0.8 * noise(2, 4, 5, 6 if component in (Distortion, Emptiness) else 1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: seen(component, x), value)


@pytest.mark.parametrize("component", [DepthSmoothness, Distortion, Emptiness, Opaque, Sparsity])
def test_a_batch_counts_as_the_mean_of_its_views(component):
    value = noise(2, 4, 5, 6 if component in (Distortion, Emptiness) else 1)
    singles = (seen(component, value[:1]) + seen(component, value[1:])) / 2
    assert torch.allclose(seen(component, value), singles)


def test_depth_smoothness_of_a_slope_is_half_the_sum_of_its_slopes():
    rows, columns = torch.meshgrid(torch.arange(5.0), torch.arange(7.0), indexing="ij")
    slope = (0.3 * columns - 0.5 * rows)[None, ..., None]
    assert seen(DepthSmoothness, slope).item() == pytest.approx((0.3 + 0.5) / 2, rel=1e-5)
    assert seen(DepthSmoothness, torch.full((2, 5, 7, 1), 3.0)) == 0


def test_emptiness_is_the_mean_logarithm():
    weights = torch.zeros(1, 2, 2, 4)
    weights[..., 0] = 0.5
    assert seen(Emptiness, weights).item() == pytest.approx(math.log(6) / 4, rel=1e-5)
    assert seen(Emptiness, weights, scale=2.0).item() == pytest.approx(math.log(2) / 4, rel=1e-5)
    assert seen(Emptiness, torch.zeros(1, 2, 2, 4)) == 0
    assert seen(Emptiness, weights) < seen(Emptiness, torch.full((1, 2, 2, 4), 0.125)), "concentrated is cheaper"


def test_sparsity_is_the_softened_opacity():
    assert seen(Sparsity, torch.zeros(1, 3, 3, 1)).item() == pytest.approx(0, abs=1e-7)
    assert seen(Sparsity, torch.ones(1, 3, 3, 1)).item() == pytest.approx(math.sqrt(1.01) - 0.1, rel=1e-6)
    value = noise(1, 3, 3, 1).requires_grad_()
    seen(Sparsity, value).backward()
    expected = value.detach() / (value.detach().square() + 0.01).sqrt() / 9
    assert torch.allclose(value.grad, expected)


def test_opaque_is_the_entropy_of_opacity():
    value = 0.05 + 0.9 * noise(1, 4, 4, 1)
    assert torch.allclose(seen(Opaque, value), binary_cross_entropy(value, value))
    assert seen(Opaque, torch.full((1, 2, 2, 1), 0.5)).item() == pytest.approx(math.log(2), rel=1e-6)
    floor = seen(Opaque, torch.zeros(1, 2, 2, 1))
    assert floor < 0.01
    assert torch.allclose(floor, seen(Opaque, torch.ones(1, 2, 2, 1)), atol=1e-5)
    value = torch.tensor([0.0, 0.3, 0.7, 1.0]).reshape(1, 2, 2, 1).requires_grad_()
    seen(Opaque, value).backward()
    assert value.grad.isfinite().all()
    assert (value.grad.flatten().sign() == torch.tensor([0.0, 1.0, -1.0, 0.0])).all(), "downhill leads to 0 or to 1"


@pytest.mark.parametrize("middle", [0.2, 0.35, 0.8])
def test_opaques_hill_has_its_top_in_the_middle(middle):
    value = torch.tensor([middle - 0.05, middle, middle + 0.05], dtype=torch.float64)
    value = value.reshape(1, 3, 1, 1).requires_grad_()
    penalty = make(Opaque, middle=middle).penalty(context(view=view(opacity=value)))
    penalty.backward()
    below, at, above = value.grad.flatten().tolist()
    assert below > 0.01
    assert at == pytest.approx(0, abs=1e-9)
    assert above < -0.01
    with pytest.raises(ValueError, match="middle: 1"):
        make(Opaque, middle=1)


def test_distortion_is_the_double_sum():
    weights = noise(2, 3, 3, 9) / 9
    place = torch.arange(9, dtype=torch.float64) / 9
    between = torch.einsum("bhwi,bhwj,ij->bhw", weights, weights, (place[:, None] - place).abs())
    within = weights.square().sum(-1) / (3 * 9)
    assert torch.allclose(seen(Distortion, weights), (between + within).mean())


def test_distortion_is_least_where_all_weight_is_at_one_place():
    one = torch.zeros(1, 1, 1, 10)
    one[..., 4] = 1
    assert seen(Distortion, one).item() == pytest.approx(1 / 30, rel=1e-4), "an interval's own spread"
    assert seen(Distortion, torch.full((1, 1, 1, 10), 0.1)) > 5 * seen(Distortion, one)
    assert seen(Distortion, torch.zeros(1, 1, 1, 10)) == 0


def input_context(rgb, opacity, picture):
    return context(view=view(image=rgb, opacity=opacity), picture=picture, decode=lambda image: image)


def test_input_view_is_the_sum_of_two_squared_errors():
    picture = Picture(noise(6, 6, 3, seed=1), noise(6, 6, 1, seed=2))
    rgb, opacity = noise(2, 6, 6, 3, seed=3).requires_grad_(), noise(2, 6, 6, 1, seed=4).requires_grad_()
    colour = (rgb - picture.rgb).square().mean()
    mask = (opacity - picture.mask).square().mean()
    found = make(InputView, rgb=2.0, mask=0.5).penalty(input_context(rgb, opacity, picture))
    assert torch.allclose(found, 2 * colour + 0.5 * mask)
    only_rgb = make(InputView, mask=0.0).penalty(input_context(rgb, opacity, picture))
    assert torch.allclose(only_rgb, colour), "the published loss"
    assert torch.autograd.gradcheck(lambda x, o: make(InputView).penalty(input_context(x, o, picture)), (rgb, opacity))


def test_input_view_is_zero_for_the_picture_itself():
    picture = Picture(noise(8, 8, 3), noise(8, 8, 1))
    small = picture.resized(4, 4)
    assert make(InputView).penalty(input_context(small.rgb[None], small.mask[None], picture)).item() < 1e-12


def test_input_view_of_a_latent_is_compared_after_decoding():
    picture = Picture(noise(8, 8, 3), noise(8, 8, 1))
    latent, opacity = noise(1, 4, 4, 4).requires_grad_(), picture.resized(4, 4).mask[None]

    def decode(image):
        return image[..., :3].repeat_interleave(2, 1).repeat_interleave(2, 2)

    asked = context(view=view(image=latent, opacity=opacity), picture=picture, decode=decode)
    found = make(InputView).penalty(asked)
    assert torch.allclose(found, (decode(latent) - picture.rgb).square().mean())
    found.backward()
    assert latent.grad[..., :3].all()


@pytest.mark.parametrize("options", [{"rgb": -1.0}, {"mask": -0.1}, {"rgb": 0.0, "mask": 0.0}])
def test_input_view_refuses_shares_without_meaning(options):
    with pytest.raises(ValueError, match=r"rgb: .* mask: "):
        InputViewConfig(**options)


def test_emptiness_refuses_a_scale_of_zero():
    with pytest.raises(ValueError, match="scale: 0"):
        EmptinessConfig(scale=0)


def test_near_view_consistency_is_the_mean_change_and_pulls_on_both_views():
    novel = view(image=noise(2, 4, 4, 3, seed=1), opacity=None, depth=noise(2, 4, 4, 1, seed=2))
    near = view(image=noise(2, 4, 4, 3, seed=3), opacity=None, depth=noise(2, 4, 4, 1, seed=4))
    expected = (novel.image - near.image).abs().mean() + (novel.depth - near.depth).abs().mean()
    found = make(NearViewConsistency).penalty(context(novel=novel, near=near))
    assert torch.allclose(found, expected)
    assert make(NearViewConsistency).penalty(context(novel=novel, near=novel)) == 0

    def penalty(image, depth, near_image, near_depth):
        views = {"novel": view(image=image, depth=depth), "near": view(image=near_image, depth=near_depth)}
        return make(NearViewConsistency).penalty(context(**views))

    leaves = [x.clone().requires_grad_() for x in (novel.image, novel.depth, near.image, near.depth)]
    assert torch.autograd.gradcheck(penalty, leaves)


def test_density_sparsity_is_the_mean_over_the_box_and_needs_no_view():
    field = SphereField(SphereConfig(radius=0.6, density=3.0, box=1.0))
    share = 4 / 3 * math.pi * 0.6**3 / 8
    found = make(DensitySparsity).penalty(context(representation=field, step=fresh_step()))
    assert found.item() == pytest.approx(share * math.log(1 + 2 * 3.0**2), rel=0.05), "the ball's share of the box"
    found.backward()
    assert field.strength.grad.item() == pytest.approx(share * 4 * 3 / (1 + 2 * 3.0**2), rel=0.05)


def test_density_sparsity_looks_at_new_places_in_each_step_and_at_the_same_for_a_seed():
    field, regularizer = SphereField(SphereConfig()), make(DensitySparsity, points=2000)
    step = fresh_step()
    first, second = (regularizer.penalty(context(representation=field, step=step)).item() for _ in range(2))
    assert first != second
    assert regularizer.penalty(context(representation=field, step=fresh_step())).item() == first


def test_density_sparsity_of_nothing_is_zero():
    field = SphereField(SphereConfig(density=0.0))
    assert make(DensitySparsity, points=500).penalty(context(representation=field, step=fresh_step())) == 0
    with pytest.raises(ValueError, match="points: 0"):
        DensitySparsityConfig(points=0)


def facing(cosine, opacity):
    """Normals of length `opacity` at an angle to the rays of one camera, and what `orientation` says of them."""
    cameras = orbit(20.0, 30.0, opacity.shape[1])
    directions = rays(cameras)[1].double()
    across = torch.nn.functional.normalize(
        torch.linalg.cross(directions, torch.tensor([0.0, 0.0, 1.0]).double().expand_as(directions)), dim=-1
    )
    normals = (opacity * (cosine * directions + math.sqrt(1 - cosine**2) * across)).requires_grad_()
    return normals, lambda told: make(Orientation).penalty(
        context(view=View(None, opacity, normals=told), cameras=cameras)
    )


@pytest.mark.parametrize("cosine", [-1.0, -0.3, 0.0, 0.4, 1.0])
def test_orientation_is_the_squared_cosine_of_what_faces_away(cosine):
    """With one normal a ray it is Ref-NeRF's sum over samples, w max(0, n . d)^2."""
    opacity = 0.1 + 0.9 * noise(1, 4, 4, 1)
    normals, penalty = facing(cosine, opacity)
    expected = opacity.mean() * max(0.0, cosine) ** 2
    assert penalty(normals).item() == pytest.approx(float(expected), abs=1e-6)


def test_orientation_of_normals_that_disagree_is_at_most_ref_nerfs_and_pulls_on_normals_alone():
    opacity = 0.1 + 0.9 * noise(1, 3, 3, 1)
    (toward, penalty), (away, _) = facing(-0.2, opacity), facing(0.8, opacity)
    each = 0.3 * penalty(toward) + 0.7 * penalty(away)
    assert 0 < penalty(0.3 * toward + 0.7 * away) < each
    assert torch.autograd.gradcheck(penalty, away)
    opacity.requires_grad_()
    penalty(away).backward()
    assert opacity.grad is None
    assert penalty(0 * toward) == 0
