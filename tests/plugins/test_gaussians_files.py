"""Splat files: the layouts byte for byte, there and back, in the right axes; and files that are not what they should be."""

import struct

import numpy
import pytest
import torch
import trimesh

from zero3d.errors import ExportError, UserError
from zero3d.geometry import orbit, world_to_gltf
from zero3d.interfaces import ExportSubject
from zero3d.mesh_files import save_mesh
from zero3d.testing import fresh_step
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
from zero3d_gaussians.drawing.projection import harmonics, rotations
from zero3d_gaussians.exporter import SplatFile, SplatFileConfig
from zero3d_gaussians.files.turned import harmonic_turn, turned
from zero3d_gaussians.renderer import SplatConfig, SplatRenderer

WHITE = torch.ones(3)
CAMERAS = orbit(25.0, torch.tensor([20.0, 160.0]), 32)


def made(count=30, **options):
    """Gaussians of every shape and colour."""
    cloud = GaussianCloud(GaussiansConfig(points=count, opacity=0.6, **options))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        cloud.initialise(fresh_step())
        for name, parameter in cloud.named_parameters():
            parameter.add_((0.1 if name == "means" else 0.5) * torch.randn(parameter.shape, generator=generator))
        cloud.log_scales.sub_(0.7)
    return cloud


def subject(cloud):
    return ExportSubject(cloud, lambda cameras: None, lambda image: image, True, orbit(20.0, 0.0, 32), 32)


def written(cloud, path, **options):
    exporter = SplatFile(SplatFileConfig(least_opacity=0.0, **options))
    path = path / exporter.filename("model")
    return exporter.export(subject(cloud), path), path


def read(path, **options):
    cloud = GaussianCloud(GaussiansConfig(start=str(path), **options))
    with torch.no_grad():
        cloud.initialise(fresh_step())
    return cloud


def picture(cloud):
    return SplatRenderer(SplatConfig()).render(cloud, CAMERAS, WHITE).image.detach()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_ply_comes_back_and_looks_the_same(tmp_path, degree):
    cloud = made(degree=degree)
    report, path = written(cloud, tmp_path)
    assert report["gaussians"] == 30
    assert report["bytes"] == path.stat().st_size
    back = read(path, degree=degree)
    assert torch.allclose(picture(back), picture(cloud), atol=1e-4)
    assert torch.allclose(back.means, cloud.means, atol=1e-6)


def test_a_ply_has_the_layout_of_3dgs(tmp_path):
    """Read with nothing of ours: names and order as graphdeco-inria writes them, glTF axes, logits and logs."""
    cloud = made(degree=1)
    _, path = written(cloud, tmp_path)
    header, body = path.read_bytes().split(b"end_header\n", 1)
    names = [line.split()[2] for line in header.decode().splitlines() if line.startswith("property float")]
    assert names == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"),
        *(f"f_rest_{k}" for k in range(9)),
        *("opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]
    row = dict(zip(names, struct.unpack_from("<26f", body), strict=True))
    first = {name: parameter.detach()[0] for name, parameter in cloud.named_parameters()}
    assert [row["x"], row["y"], row["z"]] == pytest.approx(world_to_gltf(first["means"]).tolist())
    assert row["opacity"] == pytest.approx(float(first["opacity_logits"]))
    assert [row[f"scale_{k}"] for k in range(3)] == pytest.approx(first["log_scales"].tolist())
    assert [row[f"f_dc_{k}"] for k in range(3)] == pytest.approx(first["sh_base"][0].tolist())
    # degree 1 turns like a vector: its basis is (-y, z, -x); channel by channel in the file
    x, y, z = (-first["sh_rest"][2], -first["sh_rest"][0], first["sh_rest"][1])
    wanted = torch.stack([-z, x, -y], dim=1).reshape(-1)  # in the file's axes (y, z, x): -z, x, -y of ours
    assert [row[f"f_rest_{k}"] for k in range(9)] == pytest.approx(wanted.tolist(), abs=1e-6)
    turn = rotations(torch.tensor([[row[f"rot_{k}"] for k in range(4)]]))[0]
    own = rotations(first["quaternions"][None])[0]
    assert torch.allclose(turn, world_to_gltf(own.T).T, atol=1e-5)


def test_trimesh_reads_its_points(tmp_path):
    cloud = made()
    _, path = written(cloud, tmp_path)
    points = trimesh.load(path).vertices
    assert numpy.allclose(points, world_to_gltf(cloud.means.detach()).numpy(), atol=1e-6)


def test_a_splat_has_its_layout_and_comes_back(tmp_path):
    """32 bytes: centre, scale (linear), rgba, rotation (w first, 128 is 0); the largest first."""
    cloud = made()
    report, path = written(cloud, tmp_path, format="splat")
    data = path.read_bytes()
    assert len(data) == report["bytes"] == 30 * 32
    importance = cloud.log_scales.sum(dim=1).exp() * cloud.opacities()
    first = int(importance.argmax())
    found = struct.unpack_from("<6f8B", data)
    assert found[:3] == pytest.approx(world_to_gltf(cloud.means.detach()[first]).tolist(), abs=1e-6)
    assert found[3:6] == pytest.approx(cloud.log_scales[first].exp().tolist(), rel=1e-5)
    assert found[9] == round(255 * float(cloud.opacities()[first]))
    colour = cloud.shown(cloud.sh_base[:, 0]).clamp(0, 1)[first]
    assert found[6:9] == pytest.approx((255 * colour).tolist(), abs=0.5)
    assert float((picture(read(path)) - picture(cloud)).abs().max()) < 0.03


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_harmonics_turn_with_the_axes(degree):
    count = (degree + 1) ** 2
    coefficients = torch.randn(5, count, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    towards = torch.nn.functional.normalize(
        torch.randn(5, 3, generator=torch.Generator().manual_seed(2)), dim=-1
    ).double()
    there = torch.einsum("ij,njc->nic", harmonic_turn(count, True), coefficients)
    assert torch.allclose(harmonics(there, world_to_gltf(towards)), harmonics(coefficients, towards), atol=1e-10)
    back = torch.einsum("ij,njc->nic", harmonic_turn(count, False), there)
    assert torch.allclose(back, coefficients, atol=1e-10)


def test_turned_there_and_back():
    start = made(degree=2).as_start()
    back = turned(turned(start, True), False)
    assert torch.allclose(rotations(back.quaternions), rotations(start.quaternions), atol=1e-6)


def test_a_point_cloud_in_colour(tmp_path):
    points = numpy.random.default_rng(0).uniform(-0.4, 0.4, (50, 3))
    colours = numpy.random.default_rng(1).integers(0, 256, (50, 4)).astype(numpy.uint8)
    for encoding in ("binary", "ascii"):
        path = tmp_path / f"{encoding}.ply"
        path.write_bytes(trimesh.PointCloud(points, colours).export(file_type="ply", encoding=encoding))
        cloud = read(path, opacity=0.3)
        assert numpy.allclose(world_to_gltf(cloud.means.detach()).numpy(), points, atol=1e-6)
        shown = cloud.shown(cloud.sh_base[:, 0]).detach()
        assert numpy.allclose(255 * shown.numpy(), colours[:, :3], atol=0.6)
        assert torch.allclose(cloud.opacities(), torch.tensor(0.3))


def test_a_mesh_is_strewn_with_gaussians(tmp_path):
    ball = trimesh.creation.icosphere(3, 0.4)
    ball.visual.vertex_colors = (200, 40, 30, 255)
    for kind in ("glb", "ply"):
        path = tmp_path / f"ball.{kind}"
        save_mesh(ball, path)
        cloud = read(path, points=2000, opacity=0.9, flat=0.2)
        assert float((cloud.means.norm(dim=1) - 0.37).abs().max().detach()) < 0.05
        middle = picture(cloud)[:, 14:18, 14:18]
        assert torch.allclose(middle, torch.tensor([200, 40, 30]) / 255, atol=0.03)


HEAD = "ply\nformat binary_little_endian 1.0\nelement vertex {}\n"
XYZ = "property float x\nproperty float y\nproperty float z\n"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.ply", b"", r"no PLY file, or its header is not whole"),
        ("a.ply", b"solid cat", r"no PLY file"),
        (
            "a.ply",
            (HEAD.format(0) + XYZ + "end_header\n").encode(),
            r"start .*a\.ply: no points; give a cloud",
        ),
        (
            "a.ply",
            (HEAD.format(5) + XYZ + "end_header\n").encode() + bytes(24),
            r"5 vertices are announced, 2 are there",
        ),
        (
            "a.ply",
            (HEAD.format(2) + "property float x\nend_header\n").encode() + bytes(8),
            r"its vertices lack x, y, z",
        ),
        (
            "a.ply",
            (HEAD.format(1) + XYZ + "property float opacity\nend_header\n").encode() + bytes(16),
            r"lacks f_dc_0, f_dc_1, f_dc_2, scale_0; write it in the layout of 3DGS",
        ),
        ("a.ply", (HEAD.format(1) + XYZ + "property float x\nend_header\n").encode() + bytes(16), r"a property twice"),
        ("a.ply", (HEAD.format(1) + "property list uchar int v\nend_header\n").encode(), r"no plain list of vertices"),
        (
            "a.ply",
            (HEAD.format(1).replace("binary_little_endian", "zip") + XYZ + "end_header\n").encode(),
            r"format 'zip'",
        ),
        (
            "a.ply",
            (HEAD.format(2).replace("binary_little_endian", "ascii") + XYZ + "end_header\n1 2\n").encode(),
            r"2 rows of 3 numbers are announced",
        ),
        ("a.splat", bytes(33), r"33 bytes are no whole number of Gaussians of 32"),
        ("a.splat", b"", r"no points; give a cloud"),
        ("a.splat", bytes(32), r"some scales are not above 0"),
        ("a.ply", None, r"cannot be read"),
        ("a.obj", None, r"a\.obj"),
    ],
)
def test_a_file_that_is_none_is_one_line(tmp_path, name, content, told):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=told) as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["x", "opacity", "scale_1", "f_dc_2", "rot_0"])
def test_rows_that_are_not_finite_are_named(tmp_path, column):
    _, path = written(made(), tmp_path)
    header, body = path.read_bytes().split(b"end_header\n", 1)
    names = [line.split()[2] for line in header.decode().splitlines() if line.startswith("property float")]
    table = numpy.frombuffer(body, "<f4").reshape(30, len(names)).copy()
    table[7, names.index(column)] = numpy.nan
    path.write_bytes(header + b"end_header\n" + table.tobytes())
    with pytest.raises(UserError, match=r"of Gaussian 7 is not finite, of 1 in all; remove these rows"):
        read(path)


def test_rotations_of_zero_and_far_points_are_refused(tmp_path):
    cloud = made()
    with torch.no_grad():
        cloud.means[3] = 1e6
    _, path = written(cloud, tmp_path)
    with pytest.raises(UserError, match=r"Gaussian 3 is over 10000 world units away"):
        read(path)
    header, body = path.read_bytes().split(b"end_header\n", 1)
    table = numpy.frombuffer(body, "<f4").reshape(30, -1).copy()
    table[:, -4:] = 0
    path.write_bytes(header + b"end_header\n" + table.tobytes())
    with pytest.raises(UserError, match="some rotations are 0"):
        read(path)


def test_more_than_max_count_is_one_line(tmp_path):
    _, path = written(made(), tmp_path)
    with pytest.raises(UserError, match=r"30 Gaussians, representation\.max_count is 20; raise that"):
        read(path, points=10, max_count=20)


class TestExport:
    def test_the_faint_are_left_out(self, tmp_path):
        cloud = made()
        with torch.no_grad():
            cloud.opacity_logits[:10] = -8
        report = SplatFile(SplatFileConfig()).export(subject(cloud), tmp_path / "a.ply")
        assert (report["gaussians"], report["left_out"]) == (20, 10)

    def test_none_left_is_one_line_and_no_file(self, tmp_path):
        cloud = made()
        with torch.no_grad():
            cloud.opacity_logits.fill_(-8)
        with pytest.raises(ExportError, match=r"no Gaussian is as opaque as 0\.00392 \(the highest is 0\.000335\)"):
            SplatFile(SplatFileConfig()).export(subject(cloud), tmp_path / "a.ply")
        assert not list(tmp_path.iterdir())

    def test_what_diverged_is_one_line(self, tmp_path):
        cloud = made()
        with torch.no_grad():
            cloud.means[2] = torch.nan
        with pytest.raises(ExportError, match="3 numbers of the Gaussians are nan or inf"):
            SplatFile(SplatFileConfig()).export(subject(cloud), tmp_path / "a.ply")

    def test_a_latent_has_no_colours(self, tmp_path):
        with pytest.raises(ExportError, match="a latent of 4 channels"):
            SplatFile(SplatFileConfig()).export(subject(made(channels=4)), tmp_path / "a.ply")

    @pytest.mark.parametrize(
        ("options", "told"),
        [({"format": "spz"}, "format: 'spz'; one of ply, splat"), ({"least_opacity": 1.0}, "below 1")],
    )
    def test_options_out_of_range(self, options, told):
        with pytest.raises(ValueError, match=told):
            SplatFileConfig(**options)
