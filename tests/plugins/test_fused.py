"""The fused renderer against the plain one, the original code's numbers, closed forms and finite differences."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch

from zero3d.geometry import look_at, orbit
from zero3d.testing import check_renderer, fresh_step
from zero3d.values import Cameras
from zero3d_voxels.cpu.launch import threads
from zero3d_voxels.cuda.occupancy import occupancy
from zero3d_voxels.field import VoxelField
from zero3d_voxels.fused import FusedConfig, FusedRenderer
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

EVERYTHING = frozenset({"depth", "weights"})
WHITE = torch.ones(3)


def voxels(seed=1, std=2.0, hole=0.0, **options):
    """A field of random features and density; `hole`: the share of it, in one corner, that is truly empty."""
    field = VoxelField(VoxelConfig(**{"resolution": 8, **options}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        field.raw_features.normal_(generator=generator)
        field.raw_density.normal_(std=std, generator=generator)
        field.log_scale.fill_(0.3)
        x, y, z = (int(hole * side) for side in field.config.sides)
        field.raw_density[0, 0, :z, :y, :x] = -60.0
    return field


def torus(resolution, channels=4):
    """A solid ring with an edge two voxels wide in emptiness."""
    field = voxels(resolution=resolution, channels=channels)
    middle = (torch.arange(resolution) + 0.5) / resolution * 2 - 1
    z, y, x = torch.meshgrid(middle, middle, middle, indexing="ij")
    inside = 0.2 - ((torch.hypot(x, y) - 0.45).square() + z.square()).sqrt()
    with torch.no_grad():
        field.raw_density[0, 0] = (inside * resolution * 15).clamp(-40, 40)
    return field


def drawn(renderer, field, cameras, background=None, needs=EVERYTHING, step=None):
    """Each picture, and each gradient of a random linear function of all pictures."""
    field.zero_grad()
    background = torch.linspace(0.1, 0.9, field.channels) if background is None else background
    view = renderer.render(field, cameras, background, needs, step)
    generator = torch.Generator().manual_seed(5)
    pictures = {name: getattr(view, name) for name in ("image", "opacity", "depth", *(needs & {"weights"}))}
    told = [torch.randn(picture.shape, generator=generator) for picture in pictures.values()]
    torch.autograd.backward(list(pictures.values()), told)
    return {name: value.detach() for name, value in pictures.items()} | {
        name: parameter.grad.clone() for name, parameter in field.named_parameters() if parameter.grad is not None
    }


def assert_agree(field, cameras, limit=2e-5, background=None, needs=EVERYTHING, **options):
    plain = {name: value for name, value in options.items() if name != "tolerance"}
    expected = drawn(VolumeRenderer(VolumeConfig(**plain)), field, cameras, background, needs, fresh_step())
    measured = drawn(FusedRenderer(FusedConfig(**options)), field, cameras, background, needs, fresh_step())
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        assert measured[name].shape == value.shape, name
        scale = value.abs().max()
        if name == "log_scale":  # a sum whose terms cancel
            scale = (expected["raw_density"] * field.raw_density.detach()).abs().sum()
        error = (measured[name] - value).abs().max() / scale.clamp(min=1e-6)
        assert error < limit, f"{name}: {error}"
    return measured


TWO = orbit(torch.tensor([20.0, -40.0]), torch.tensor([30.0, 200.0]), 12, torch.tensor([2.0, 1.6]))


@pytest.mark.parametrize("channels", [1, 3, 4, 7])
def test_random_fields_agree_with_the_plain_renderer(channels):
    assert_agree(voxels(resolution=16, channels=channels), TWO, weight_threshold=0.0)


@pytest.mark.parametrize("resolution", [2, 3, 5, [4, 9, 17], [30, 2, 11], 64])
def test_all_sizes_agree(resolution):
    assert_agree(voxels(resolution=resolution, std=0.5), TWO, weight_threshold=0.0)


@pytest.mark.parametrize("hole", [0.0, 0.6])
def test_density_of_a_voxel_agrees(hole):
    field = voxels(resolution=[10, 12, 14], hole=hole, density_unit="voxel", density_shift=-3.0)
    assert_agree(field, TWO, weight_threshold=0.0, tolerance=0.0)
    assert_agree(field, TWO, weight_threshold=0.0)


@pytest.mark.parametrize(("layers", "fits"), [(4, True), (14, False)])
def test_gradients_agree_whether_a_rays_stretches_are_kept_or_sought_again(layers, fits, monkeypatch):
    """Along x, thin fog and emptiness take turns, so that a ray has some `layers` stretches to draw."""
    from zero3d_voxels.cpu import march_numba

    field = voxels(resolution=[16 * layers, 20, 20])
    with torch.no_grad():
        field.raw_density.fill_(-60)
        for layer in range(layers):
            field.raw_density[..., 16 * layer + 6 : 16 * layer + 8] = -1.0
    kept = []
    stretches_of = march_numba.stretches_of
    monkeypatch.setattr(march_numba, "stretches_of", lambda rays: kept.append(stretches_of(rays)) or kept[-1])
    cameras = orbit(0.0, 0.0, 12)  # in double precision, for at edges as sharp density follows a place's round-off
    cameras = Cameras(cameras.camera_to_world.double(), 12, 12, cameras.fov)
    background = torch.linspace(0.1, 0.9, field.channels, dtype=torch.float64)
    assert_agree(field.double(), cameras, 1e-7, background, needs=frozenset(), step_ratio=0.5)
    many, _ = kept[0]
    assert (many[:, 0] >= 0).all() == fits


@pytest.mark.parametrize(
    "options",
    [{"step_ratio": 1.0}, {"step_ratio": 0.11}, {"step_ratio": 4.0}, {"jitter": True, "step_ratio": 1.0}, {"far": 3.0}],
)
def test_options_mean_the_same(options):
    assert_agree(voxels(resolution=12, hole=0.6), TWO, weight_threshold=0.0, **options)


@pytest.mark.parametrize(("activation", "channels"), [("sigmoid", 5), ("none", 3)])
def test_activations_agree(activation, channels):
    assert_agree(voxels(channels=channels, activation=activation, std=0.3, density_gain=4.0), TWO)


def test_a_box_off_the_middle_and_a_picture_behind_agree():
    field = voxels(resolution=[6, 9, 7], channels=4, box=[[-1.0, -0.5, 0.0], [1.0, 0.7, 0.4]])
    assert_agree(field, TWO, background=torch.randn(8, 8, 4, generator=torch.Generator().manual_seed(0)))


def test_without_weights_nothing_else_changes():
    field = voxels(std=0.5)
    measured = assert_agree(field, TWO, needs=frozenset())
    again = FusedRenderer(FusedConfig()).render(field, TWO, torch.linspace(0.1, 0.9, 3), EVERYTHING)
    assert torch.equal(measured["image"], again.image)
    assert again.weights is not None


def test_a_solid_body_in_emptiness_agrees_though_most_is_passed_over():
    field = torus(40)
    filled = occupancy(field.raw_density, -17.0)
    assert filled.float().mean() < 0.75, "the shell is as dense as SJC's; the ring is in the middle"
    assert not filled[4:7, 1, 1].any()
    assert_agree(field, TWO, 1e-4)
    assert_agree(field, TWO, 1e-4, tolerance=0.0)


@pytest.mark.parametrize("shift", [-6.0, 3.0])
def test_a_looser_tolerance_changes_opacity_by_twice_itself_at_most(shift):
    """The first field is empty if one hundredth of the light may be lost; in the second, rays end early."""
    field = voxels(resolution=64, std=0.0, density_shift=shift)
    exact = FusedRenderer(FusedConfig(tolerance=0.0)).render(field, TWO, WHITE)
    close = FusedRenderer(FusedConfig()).render(field, TWO, WHITE)
    assert (close.opacity - exact.opacity).abs().max() < 2e-7
    loose = FusedRenderer(FusedConfig(tolerance=0.01)).render(field, TWO, WHITE)
    assert 1e-3 < (loose.opacity - exact.opacity).abs().max() <= 0.02


@pytest.mark.parametrize("eye", [[2.0, 0.0, 0.0], [0.0, 0.0, 2.0], [0.0, -2.0, 0.0], [1.5, 1.5, 0.0]])
def test_rays_along_axes_and_edges_agree(eye):
    assert_agree(voxels(resolution=9), Cameras(look_at(torch.tensor([eye])), 9, 9), weight_threshold=0.0)


def test_rays_that_graze_a_face_agree():
    eye = torch.tensor([[2.0, 0.3, 0.5]])  # its middle row runs in the upper face of the box
    cameras = Cameras(look_at(eye, torch.tensor([[0.0, 0.1, 0.5]])), 11, 11)
    assert_agree(voxels(resolution=10, box=0.5), cameras, weight_threshold=0.0)


def test_a_camera_inside_the_box_agrees():
    assert_agree(voxels(std=0.5), Cameras(look_at(torch.tensor([[0.3, 0.1, 0.2]])), 8, 8), weight_threshold=0.0)


def test_rays_that_miss_see_the_background_and_carry_no_gradient():
    eye = torch.tensor([[2.0, 1.0, 0.5]])
    measured = drawn(FusedRenderer(FusedConfig()), voxels(), Cameras(look_at(eye, 2 * eye), 5, 5), WHITE)
    assert torch.equal(measured["image"], torch.ones(1, 5, 5, 3))
    assert torch.equal(measured["depth"], torch.full((1, 5, 5, 1), 10.0))
    assert not any(measured[name].any() for name in ("opacity", "raw_density", "raw_features", "log_scale"))


def test_an_empty_field_shows_the_background():
    field = voxels(hole=1.0, density_shift=-30.0)
    measured = drawn(FusedRenderer(FusedConfig()), field, TWO, WHITE)
    assert torch.equal(measured["image"], torch.ones(2, 12, 12, 3))
    assert not measured["opacity"].any()


def test_a_solid_field_is_opaque_and_agrees():
    field = voxels(std=0.0, resolution=16)
    with torch.no_grad():
        field.raw_density.fill_(500.0)
    # in single precision `volume` itself, summed by one thread, is 0.9e-4 off what it says in double precision
    measured = assert_agree(field, TWO, 3e-4)
    assert measured["opacity"].max() > 1 - 1e-6


def test_faint_samples_lend_no_colour():
    field = voxels(std=0.0, density_shift=-4.0)
    view = FusedRenderer(FusedConfig(weight_threshold=0.4)).render(field, TWO, torch.zeros(3))
    assert not view.image.any()
    assert view.opacity.max() > 0.01


@pytest.mark.parametrize("options", [{}, {"tolerance": 0.0}, {"weight_threshold": 0.0, "step_ratio": 1.0}])
def test_it_conforms(options):
    check_renderer(FusedRenderer(FusedConfig(**options)), voxels(channels=3, resolution=[5, 6, 9]), WHITE)


def test_every_single_gradient_equals_finite_differences():
    field = voxels(resolution=[2, 3, 4], channels=2, density_gain=2.0).double()
    pose = orbit(20.0, 30.0, 4)
    cameras = Cameras(pose.camera_to_world.double(), 4, 4, pose.fov)
    renderer = FusedRenderer(FusedConfig(weight_threshold=0.0, step_ratio=1.0, tolerance=0.0))

    def everything(*values):
        with torch.no_grad():
            for parameter, value in zip(field.parameters(), values, strict=True):
                parameter.copy_(value)
        view = renderer.render(field, cameras, torch.tensor([0.3, -0.4], dtype=torch.float64), EVERYTHING)
        return torch.cat([part.flatten() for part in (view.image, view.opacity, view.depth, view.weights)])

    start = [parameter.detach().clone(memory_format=torch.contiguous_format) for parameter in field.parameters()]
    measured = everything(*start)
    told = torch.randn(len(measured), dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    measured.backward(told)
    for index, parameter in enumerate(field.parameters()):
        gradient = parameter.grad.clone().flatten()
        for place in range(len(gradient)):
            ends = []
            for sign in (1e-6, -1e-6):
                moved = [value.clone() for value in start]
                moved[index].view(-1)[place] += sign
                ends.append(float((everything(*moved).detach() * told).sum()))
            assert math.isclose((ends[0] - ends[1]) / 2e-6, gradient[place], rel_tol=1e-5, abs_tol=1e-7)


GOLDEN = numpy.load("tests/data/sjc_render.npz")


def golden(name):
    return torch.from_numpy(GOLDEN[name]).float()


@pytest.mark.parametrize("pose", [0, 1])
def test_values_and_gradients_equal_the_original(pose):
    field = VoxelField(VoxelConfig(resolution=24, channels=4, density_shift=float(GOLDEN["density_shift"])))
    with torch.no_grad():
        field.raw_density.copy_(golden("density_zyx"))
        field.raw_features.copy_(golden("color_czyx"))
        field.log_scale.copy_(golden("d_scale"))
    cameras = Cameras(golden(f"pose{pose}_c2w")[None], 32, 32, math.radians(float(GOLDEN["fov_deg"])))
    background = golden("background_4hw").permute(1, 2, 0)
    view = FusedRenderer(FusedConfig()).render(field, cameras, background, EVERYTHING)
    loss = (view.image[0] * golden(f"cot_image{pose}_hwc")).sum()
    loss = loss + (view.depth[0, ..., 0] * golden(f"cot_depth{pose}_hw")).sum()
    (loss + golden(f"cot_weights{pose}") * view.weights.sum()).backward()
    for measured, name, limit in [
        (view.image[0], f"image{pose}_hwc", 2e-5),
        (view.depth[0, ..., 0], f"depth{pose}_hw", 2e-5),
        (view.opacity[0, ..., 0], f"opacity{pose}_hw", 2e-5),
        (field.raw_density.grad[0, 0], f"grad_density{pose}_zyx", 1e-4),
        (field.raw_features.grad[0], f"grad_color{pose}_czyx", 1e-4),
        (field.log_scale.grad, f"grad_d_scale{pose}", 1e-4),
    ]:
        expected = golden(name)
        assert (measured.detach() - expected).abs().max() < limit * expected.abs().max(), name


@pytest.fixture
def two_threads(monkeypatch):
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_the_same_threads_give_the_same_bits(two_threads):
    assert threads() == 2
    field, renderer = voxels(resolution=24, std=0.3, channels=4), FusedRenderer(FusedConfig())
    first = drawn(renderer, field, TWO)
    for _ in range(3):
        again = drawn(renderer, field, TWO)
        assert all(torch.equal(again[name], value) for name, value in first.items())
    torch.set_num_threads(1)
    alone = drawn(renderer, field, TWO)
    assert torch.allclose(alone["image"], first["image"], atol=1e-6)
    assert torch.allclose(
        alone["raw_density"], first["raw_density"], atol=1e-5 * float(first["raw_density"].abs().max())
    )


def test_numbas_own_limit_of_threads_holds(two_threads, monkeypatch):
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")
    assert threads() == 1


def test_a_field_without_learned_scale_and_drawing_without_a_graph():
    field = voxels(learn_scale=False)
    assert "log_scale" not in drawn(FusedRenderer(FusedConfig()), field, TWO)
    with torch.no_grad():
        assert not FusedRenderer(FusedConfig()).render(field, TWO, WHITE).image.requires_grad


def test_half_precision_is_left_to_the_plain_renderer():
    field = voxels().bfloat16()
    background = WHITE.bfloat16()
    cameras = Cameras(TWO.camera_to_world.bfloat16(), 4, 4)
    view = FusedRenderer(FusedConfig()).render(field, cameras, background)
    assert torch.equal(view.image, VolumeRenderer(VolumeConfig()).render(field, cameras, background).image)


def test_every_sample_that_is_not_in_an_empty_cell_is_drawn():
    """Single filled voxels in emptiness, at random, seen from all around: what is passed over changes nothing."""
    field = voxels(resolution=[21, 34, 15], channels=1)
    with torch.no_grad():
        lone = torch.rand(field.raw_density.shape, generator=torch.Generator().manual_seed(8)) < 0.004
        field.raw_density[:] = torch.where(lone, 6.0, -20.0)
    around = orbit(torch.tensor([0.0, 35.0, 89.0, -50.0]), torch.tensor([0.0, 45.0, 100.0, 250.0]), 9)
    assert_agree(
        field, around, limit=1e-4, weight_threshold=0.0, step_ratio=0.3
    )  # round-off at edges as sharp as these
    drawn_all, drawn_some = (
        drawn(FusedRenderer(FusedConfig(0.3, 0.0, tolerance=tolerance)), field, around) for tolerance in (0.0, 2**-24)
    )
    for name, expected in drawn_all.items():
        assert (drawn_some[name] - expected).abs().max() < 1e-5 * expected.abs().max(), name


@pytest.mark.parametrize("tolerance", [-1e-3, 0.1])
def test_a_tolerance_out_of_range_is_refused(tolerance):
    with pytest.raises(ValueError, match=r"^tolerance: "):
        FusedConfig(tolerance=tolerance)


def test_the_command_line_starts_without_compilers():
    code = "import sys; from zero3d.plugins import load_plugins; load_plugins(); print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "False"


def test_kernels_compile_where_nothing_can_be_written(tmp_path):
    """numba then has no place for its cache: it compiles anew and draws all the same."""
    package = Path(sys.modules["zero3d_voxels"].__file__).parent
    copy = tmp_path / "vector_copy.py"
    copy.write_text((package / "cpu" / "vector_numba.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "__pycache__").write_text("a file, where a folder should be", encoding="utf-8")
    code = "import vector_copy, numba; f = vector_copy.compiled(outside=True)(lambda x: x + 1); print(f(1))"
    home = tmp_path / "home"
    home.write_text("no folder either", encoding="utf-8")
    environment = {**os.environ, "HOME": str(home), "XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.stdout.strip() == "2", done.stderr


def test_a_kernel_is_compiled_anew_when_another_file_of_its_package_changes(tmp_path):
    package = Path(sys.modules["zero3d_voxels"].__file__).parent
    copy = tmp_path / "kernels"
    copy.mkdir()
    (copy / "__init__.py").touch()
    (copy / "vector.py").write_text((package / "cpu" / "vector_numba.py").read_text(encoding="utf-8"), encoding="utf-8")
    head = "from kernels.vector import compiled\n"
    called = "from kernels.inner import inner\n@compiled(outside=True)\ndef outer(x):\n    return inner(x) + 1\n"
    (copy / "outer.py").write_text(head + called, encoding="utf-8")
    found = []
    for factor in (2, 2, 3):
        (copy / "inner.py").write_text(f"{head}@compiled()\ndef inner(x):\n    return {factor} * x\n", encoding="utf-8")
        code = "from kernels.outer import outer; print(outer(10), sum(outer.stats.cache_hits.values()))"
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, encoding="utf-8"
        )
        found.append(done.stdout.split())
    assert found == [["21", "0"], ["21", "1"], ["31", "0"]]


INTERPRETED = """
import torch
from tests.plugins import test_fused
from zero3d_voxels import fused
from zero3d_voxels.cuda.launch import CudaMarch

fused._marcher = lambda device: CudaMarch
cameras = test_fused.TWO.resized(5, 5)
for options in ({"channels": 3}, {"channels": 1, "hole": 0.7}, {"channels": 6, "activation": "sigmoid"}):
    field = test_fused.voxels(resolution=[7, 4, 6], std=0.7, **options)
    for needs in (frozenset(), test_fused.EVERYTHING):
        test_fused.assert_agree(field, cameras, needs=needs, weight_threshold=0.0, step_ratio=1.0, jitter=True)
eye = torch.tensor([[2.0, 1.0, 0.5]])
miss = test_fused.Cameras(test_fused.look_at(eye, 2 * eye), 3, 3)
assert not test_fused.drawn(fused.FusedRenderer(fused.FusedConfig()), field, miss)["opacity"].any()
print("agreed")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Triton is made for Linux")
def test_the_triton_kernels_agree_under_their_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", INTERPRETED],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.stdout.strip() == "agreed", done.stderr
