"""The voxel field and the volume renderer against closed forms and finite differences."""

import math

import pytest
import torch
from torch.nn import functional

from zero3d.engine import Optimizer
from zero3d.geometry import look_at, orbit, rays
from zero3d.recipe import OptimizerOptions
from zero3d.testing import SphereField, check_renderer, check_representation, fresh_step
from zero3d.testing.sphere import SphereConfig
from zero3d.values import Cameras
from zero3d_voxels.field import VoxelField
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

WHITE = torch.ones(3)
EVERYTHING = frozenset({"depth", "weights"})


def voxels(raw_density=None, **options):
    """A field with random features and, unless given, random density about an opaque middle."""
    field = VoxelField(VoxelConfig(**{"resolution": 8, **options}))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        field.raw_features.normal_(generator=generator)
        if raw_density is None:
            field.raw_density.normal_(std=2, generator=generator)
        else:
            field.raw_density.fill_(raw_density)
    return field


def away(position, size=5):
    """Cameras at `position` that look away from the origin."""
    eye = torch.tensor([position])
    return Cameras(look_at(eye, 2 * eye), size, size)


def sphere_chord(cameras, radius):
    origins, directions = rays(cameras)
    closest = -(origins * directions).sum(-1)
    squared = radius**2 - (origins.square().sum(-1) - closest**2)
    return 2 * squared.clamp(min=0).sqrt(), closest - squared.clamp(min=0).sqrt()


@pytest.mark.parametrize("activation", ["sigmoid", "none"])
def test_a_field_follows_another_of_any_resolution_and_box(activation):
    coarse = voxels(resolution=6, box=0.8, activation=activation)
    options = {
        "resolution": [40, 44, 48],
        "box": 0.7,
        "activation": activation,
        "density_shift": -3.0,
        "density_gain": 5.0,
    }
    fine = voxels(**options)
    assert fine.can_follow(coarse)
    with torch.no_grad():
        fine.follow(coarse)
        points = 1.2 * torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) - 0.6
        for name in ("density", "features"):
            theirs, own = getattr(coarse, name)(points), getattr(fine, name)(points)
            assert (own - theirs).abs().max() < 0.15 * theirs.abs().max(), name  # where coarse cells meet
            assert (own - theirs).abs().mean() < 0.005 * theirs.abs().max(), name
    assert not fine.can_follow(voxels(resolution=6, channels=4))


def test_a_field_of_the_same_options_takes_the_numbers_as_they_are():
    former, field = voxels(raw_density=-1000.0), voxels()
    with torch.no_grad():
        field.follow(former)
    for name, value in former.state_dict().items():
        assert torch.equal(field.state_dict()[name], value), name


def test_empty_space_of_a_followed_field_can_still_learn():
    empty, field = voxels(raw_density=-1000.0), voxels(resolution=4)
    with torch.no_grad():
        field.follow(empty)
    density = field.density(torch.zeros(1, 3))
    assert float(density.detach()) == pytest.approx(1e-3, rel=1e-2)
    density.sum().backward()
    assert field.raw_density.grad.abs().max() > 1e-5


@pytest.mark.parametrize(
    "config",
    [
        VoxelConfig(resolution=6),
        VoxelConfig(resolution=[4, 6, 8], channels=4, box=[[-1.0, -0.5, 0.0], [1.0, 0.7, 0.4]], learn_scale=False),
    ],
)
def test_the_field_conforms(config):
    check_representation(lambda: VoxelField(config))


@pytest.mark.parametrize(
    "field", [voxels(channels=3), voxels(channels=4, density_gain=3.0), voxels(resolution=[4, 6, 9])]
)
def test_the_renderer_conforms_with_voxels(field):
    check_renderer(VolumeRenderer(VolumeConfig()), field, torch.ones(field.channels))


@pytest.mark.parametrize("options", [{"step_ratio": 1.0}, {"weight_threshold": 0.0}])
def test_the_renderer_conforms_with_a_foreign_field(options):
    check_renderer(VolumeRenderer(VolumeConfig(**options)), SphereField(SphereConfig(density=5.0)), WHITE)


def test_every_single_gradient_equals_finite_differences():
    field = voxels(resolution=[2, 3, 4], channels=2, density_gain=2.0).double()
    cameras = orbit(20.0, 30.0, 4)
    cameras = Cameras(cameras.camera_to_world.double(), 4, 4, cameras.fov)
    renderer = VolumeRenderer(VolumeConfig(weight_threshold=0.0, step_ratio=1.0))
    background = torch.tensor([0.3, -0.4], dtype=torch.float64)

    def everything(density, features, scale):
        parameters = {"raw_density": density, "raw_features": features, "log_scale": scale}
        named = {f"field.{name}": value for name, value in parameters.items()}
        view = torch.func.functional_call(Draw(field, renderer), named, (cameras, background))
        return view.image, view.opacity, view.depth, view.weights

    inputs = [field.raw_density, field.raw_features, field.log_scale]
    assert torch.autograd.gradcheck(everything, [value.detach().clone().requires_grad_() for value in inputs])


class Draw(torch.nn.Module):
    """A module around field and renderer, so that functional_call can put other parameters in."""

    def __init__(self, field, renderer):
        super().__init__()
        self.field, self.renderer = field, renderer

    def forward(self, cameras, background):
        return self.renderer.render(self.field, cameras, background, EVERYTHING)


def test_interpolation_is_trilinear_and_its_axes_are_x_y_z():
    field = VoxelField(VoxelConfig(resolution=[4, 5, 6], channels=1, box=[[-1, -1, -1], [1, 2, 3]], density_shift=0.0))
    x, y, z = (low + (torch.arange(n) + 0.5) * (high + 1) / n for n, low, high in ((4, -1, 1), (5, -1, 2), (6, -1, 3)))
    with torch.no_grad():
        field.raw_features[0, 0] = x + 10 * y[:, None] + 100 * z[:, None, None]
    points = torch.tensor([[0.2, 0.3, 0.4], [-0.5, 1.5, 2.2]])
    expected = points @ torch.tensor([[1.0], [10.0], [100.0]])
    assert torch.allclose(field.features(points), expected, rtol=1e-5), "linear functions are interpolated exactly"


@pytest.mark.parametrize("resolution", [8, [6, 8, 12]])
def test_uniform_fog_has_its_closed_form(resolution):
    field = voxels(resolution=resolution, raw_density=0.0, box=0.5, density_shift=0.5)
    cameras = orbit(15.0, 40.0, 9)
    view = VolumeRenderer(VolumeConfig(step_ratio=0.05)).render(field, cameras, WHITE, EVERYTHING)
    origins, directions = rays(cameras)
    a, b = (-0.5 - origins) / directions, (0.5 - origins) / directions
    enters, leaves = torch.minimum(a, b).amax(-1), torch.maximum(a, b).amin(-1)
    chord = (leaves - enters).clamp(min=0)
    density = math.log1p(math.exp(0.5))
    opacity = 1 - torch.exp(-density * chord)
    step = 0.05 * field.spacing
    assert chord.max() > 0.9
    assert (view.opacity[..., 0] - opacity).abs().max() < density * step, "within one step of 1 - exp(-density chord)"
    inside = (1 - torch.exp(-density * chord) * (1 + density * chord)) / density + enters * opacity
    expected = torch.where(chord > 0, inside, 0) + (1 - opacity) * 10
    assert (view.depth[..., 0] - expected).abs().max() < 12 * density * step


def test_a_ball_has_its_closed_form():
    field = SphereField(SphereConfig(radius=0.5, density=3.0, spacing=0.01))
    cameras = orbit(20.0, 70.0, 16)
    view = VolumeRenderer(VolumeConfig(weight_threshold=0.0)).render(field, cameras, torch.zeros(3), EVERYTHING)
    chord, _ = sphere_chord(cameras, 0.5)
    opacity = 1 - torch.exp(-3.0 * chord)
    assert (view.opacity[..., 0] - opacity).abs().max() < 3.0 * 0.01
    assert torch.allclose(view.image, view.opacity * field.colour, atol=1e-5), "one colour throughout"
    assert torch.allclose(view.weights.sum(-1, keepdim=True), view.opacity, atol=1e-6)


def test_an_opaque_ball_hides_what_lies_behind():
    field = SphereField(SphereConfig(radius=0.5, density=2000.0, spacing=0.01))
    cameras = orbit(0.0, 0.0, 8)
    view = VolumeRenderer(VolumeConfig()).render(field, cameras, WHITE, EVERYTHING)
    chord, entry = sphere_chord(cameras, 0.5)
    hit = chord > 0.1
    assert (view.opacity[..., 0][hit] > 1 - 1e-4).all()
    assert (view.depth[..., 0] - entry)[hit].abs().max() < 0.02
    assert (view.image[hit] - field.colour).abs().max() < 1e-3


def test_an_empty_field_shows_the_background():
    background = torch.tensor([0.1, 0.5, 0.9])
    view = VolumeRenderer(VolumeConfig()).render(
        voxels(raw_density=-100.0), orbit(10.0, 20.0, 6), background, EVERYTHING
    )
    assert torch.equal(view.opacity, torch.zeros(1, 6, 6, 1))
    assert torch.equal(view.image, background.expand(1, 6, 6, 3))
    assert torch.equal(view.depth, torch.full((1, 6, 6, 1), 10.0))


def test_an_opaque_field_fills_every_ray_that_meets_it():
    cameras = orbit(0.0, 0.0, 7)
    view = VolumeRenderer(VolumeConfig()).render(voxels(raw_density=500.0, box=1.0), cameras, WHITE, EVERYTHING)
    middle = view.detach()
    assert middle.opacity[0, 3, 3, 0] > 1 - 1e-5
    assert abs(float(middle.depth[0, 3, 3, 0]) - 1.0) < 2 * 0.25, (
        "the box begins one unit ahead; zeros pad half a voxel"
    )


def test_rays_that_miss_see_the_background_and_carry_no_gradient():
    field = voxels()
    view = VolumeRenderer(VolumeConfig()).render(
        field, away([2.0, 1.0, 0.5]), torch.tensor([0.2, 0.4, 0.6]), EVERYTHING
    )
    assert torch.equal(view.opacity, torch.zeros(1, 5, 5, 1))
    assert torch.allclose(view.image, torch.tensor([0.2, 0.4, 0.6]).expand(1, 5, 5, 3))
    (view.image.sum() + view.depth.sum()).backward()
    assert not field.raw_density.grad.any()
    assert not field.raw_features.grad.any()


def test_a_camera_inside_the_box_sees_only_what_is_ahead():
    field = SphereField(SphereConfig(radius=0.2, density=50.0, box=1.0, spacing=0.01))
    inside = torch.tensor([[0.6, 0.01, 0.0]])
    ahead = VolumeRenderer(VolumeConfig()).render(field, Cameras(look_at(inside), 3, 3), WHITE, EVERYTHING)
    assert abs(float(ahead.detach().depth[0, 1, 1, 0]) - 0.4) < 0.04
    behind = VolumeRenderer(VolumeConfig()).render(field, away([0.6, 0.01, 0.0]), WHITE, EVERYTHING)
    assert not behind.opacity.any()


@pytest.mark.parametrize("eye", [[2.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, -2.0, 0.0]])
def test_rays_along_the_axes_are_drawn(eye):
    view = VolumeRenderer(VolumeConfig()).render(
        voxels(raw_density=3.0), Cameras(look_at(torch.tensor([eye])), 5, 5), WHITE, EVERYTHING
    )
    assert torch.isfinite(view.image).all()
    assert view.opacity[0, 2, 2, 0] > 0.9


def test_a_picture_as_background_is_resized():
    background = torch.rand(2, 2, 3, generator=torch.Generator().manual_seed(0))
    view = VolumeRenderer(VolumeConfig()).render(
        voxels(raw_density=-100.0), orbit(10.0, torch.tensor([0.0, 90.0]), 6), background
    )
    planes = functional.interpolate(background.permute(2, 0, 1)[None], (6, 6), mode="bilinear", align_corners=False)
    assert torch.allclose(view.image, planes.permute(0, 2, 3, 1).expand(2, 6, 6, 3), atol=1e-6)


def test_faint_samples_lend_no_colour_but_keep_their_weight():
    field = voxels(raw_density=0.0, density_shift=-4.0)
    cameras, black = orbit(15.0, 40.0, 6), torch.zeros(3)
    strict = VolumeRenderer(VolumeConfig(weight_threshold=0.4)).render(field, cameras, black)
    full = VolumeRenderer(VolumeConfig(weight_threshold=0.0)).render(field, cameras, black)
    assert not strict.image.any()
    assert full.image.any()
    assert torch.equal(strict.opacity, full.opacity)


def test_jitter_moves_samples_only_while_optimising():
    field, cameras = voxels(), orbit(20.0, 30.0, 6)
    plain, shaken = VolumeRenderer(VolumeConfig()), VolumeRenderer(VolumeConfig(jitter=True))
    still = plain.render(field, cameras, WHITE).image
    assert torch.equal(still, shaken.render(field, cameras, WHITE).image), "no step: no jitter"
    assert torch.equal(still, plain.render(field, cameras, WHITE, step=fresh_step()).image)
    first = shaken.render(field, cameras, WHITE, step=fresh_step()).image
    assert not torch.equal(still, first)
    assert torch.equal(first, shaken.render(field, cameras, WHITE, step=fresh_step()).image), "same seed, same picture"
    step = fresh_step()
    two = [shaken.render(field, cameras, WHITE, step=step).image for _ in range(2)]
    assert not torch.equal(*two), "each render draws anew"
    mean = torch.stack([shaken.render(field, cameras, WHITE, step=step).image.detach() for _ in range(40)]).mean(0)
    assert (mean - still).abs().max() < 0.1


def test_memory_is_estimated_without_data():
    renderer = VolumeRenderer(VolumeConfig())
    with torch.device("meta"):
        sketch, ball = VoxelField(VoxelConfig(resolution=64)), SphereField(SphereConfig())
    assert renderer.memory_bytes(ball, 10) > 0
    real = renderer.memory_bytes(VoxelField(VoxelConfig(resolution=64)), 4096)
    assert renderer.memory_bytes(sketch, 4096) == real
    assert renderer.memory_bytes(sketch, 8192) == 2 * real
    assert 4096 * 128 * 8 < real < 2**30, "two steps a voxel along a side, a few floats each"


def test_the_start_is_the_papers_fog():
    field = VoxelField(VoxelConfig(resolution=20, channels=4))
    field.requires_grad_(False).initialise(fresh_step())
    points = torch.tensor([[0.0, 0.0, 0.0], [0.5, -0.3, 0.2]])
    assert torch.allclose(field.density(points), torch.tensor(0.31326), atol=1e-5), "softplus(-1)"
    assert abs(float(field.raw_features.mean())) < 0.02
    assert abs(float(field.raw_features.std()) - 1) < 0.02


@pytest.mark.parametrize(
    ("channels", "activation", "bounded"),
    [(3, "auto", True), (4, "auto", False), (3, "none", False), (4, "sigmoid", True)],
)
def test_rgb_passes_a_sigmoid_and_a_latent_does_not(channels, activation, bounded):
    field = voxels(channels=channels, activation=activation)
    with torch.no_grad():
        field.raw_features.mul_(10)
    values = field.features(torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 0.5)
    assert bool(((values >= 0) & (values <= 1)).all()) == bounded


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (VoxelConfig, {"resolution": 1}),
        (VoxelConfig, {"resolution": [8, 8]}),
        (VoxelConfig, {"channels": 0}),
        (VoxelConfig, {"box": -1.0}),
        (VoxelConfig, {"box": [[0, 0, 0], [1, 0, 1]]}),
        (VoxelConfig, {"box": "large"}),
        (VoxelConfig, {"activation": "relu"}),
        (VoxelConfig, {"density_gain": 0.0}),
        (VolumeConfig, {"step_ratio": 0.0}),
        (VolumeConfig, {"weight_threshold": 1.0}),
        (VolumeConfig, {"far": -1.0}),
    ],
)
def test_options_out_of_range_are_refused_by_name(config, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}: "):
        config(**options)


@pytest.mark.parametrize("sides", [6, [4, 6, 9]])
def test_a_lattice_of_its_own_voxels_is_read_as_it_is_and_any_other_interpolated(sides):
    field = voxels(resolution=sides, density_gain=2.0, box=[[-1, -0.5, 0], [1.0, 2.5, 4.0]])
    counts = [sides] * 3 if isinstance(sides, int) else sides
    axes = [low + (torch.arange(n) + 0.5) / n * (high - low) for n, low, high in zip(counts, *field.box, strict=True)]
    blocks = [axes, [axis[1:3] for axis in axes], [axis[:2] + 0.1 for axis in axes], [axis[::2] for axis in axes]]
    for block in blocks:
        points = torch.stack(torch.meshgrid(*block, indexing="ij"), dim=-1)
        wanted = field.density(points.reshape(-1, 3)).reshape(points.shape[:-1])
        assert torch.allclose(field.lattice_density(block), wanted, rtol=1e-4, atol=1e-5)
    own, looked = (
        torch.autograd.grad(d.square().sum(), field.raw_density)[0]
        for d in (
            field.lattice_density(blocks[0]),
            field.density(torch.stack(torch.meshgrid(*blocks[0], indexing="ij"), -1).reshape(-1, 3)),
        )
    )
    assert torch.allclose(own, looked, rtol=1e-3, atol=1e-4)


def test_density_moves_at_a_rate_of_its_own():
    field = voxels(density_rate={"0%": 0.0, "50%": {"jump": 0.5}})
    optimizer = Optimizer(OptimizerOptions(type="sgd", lr=0.1), field)
    start = {name: value.clone() for name, value in field.state_dict().items()}
    for index, density_moves in ((0, 0.0), (1, 0.05)):
        for parameter in field.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step(fresh_step(index, 2))
        assert torch.allclose(
            start["raw_density"] - field.raw_density, torch.full_like(field.raw_density, density_moves)
        )
        moved = start["raw_features"] - field.raw_features
        assert torch.allclose(moved, torch.full_like(moved, 0.1 * (index + 1)), atol=1e-5)


@pytest.mark.parametrize("resolution", [16.5, None, {"x": 3}, [4, 4], "16"])
def test_a_wrong_resolution_is_told_alone(resolution):
    with pytest.raises(ValueError, match=r"^resolution: .*; one or three whole numbers"):
        VoxelConfig(resolution=resolution)
