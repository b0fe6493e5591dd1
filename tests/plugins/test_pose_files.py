"""Cameras from files, right and wrong: the published .npy, NeRF's and nerfstudio's transforms.json; and from options."""

import io
import json
import math

import numpy
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from zero3d import UserError
from zero3d.cli import main
from zero3d.geometry import check_cameras, orbit, project
from zero3d.pose_files import read_pose
from zero3d_metrics.command.views import read_views
from zero3d_views.poses import cameras_at, make_poses, parse_numbers

POSE = orbit(20.0, 30.0, 8).camera_to_world[0].double().numpy()
FILE = numpy.linalg.inv(POSE)[:3]
quick = settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def saved(matrix, **options):
    file = io.BytesIO()
    numpy.save(file, matrix, **options)
    return file.getvalue()


def header(text):
    """A version 1 header that says `text`, with 96 bytes after it."""
    line = text.encode() + b" " * (117 - len(text)) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + bytes(96)


class Opened(Exception):
    """Something was unpickled."""


class Trap:
    def __reduce__(self):
        return (exec, ("raise Opened",))


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_published_pose_is_read_and_inverted(kind, order):
    found = read_pose(saved(numpy.asarray(FILE, dtype=kind, order=order)), "who")
    numpy.testing.assert_allclose(found.numpy(), POSE, atol=3e-3 if kind == "<f2" else 1e-6)


BAD = {
    "no .npy file": [b"", b"version https://git-lfs.github.com/spec/v1", b"<html>", b"\x93NUMPY\x09\x00", header("{")],
    "a 3x4 world-to-camera": [
        saved(numpy.eye(4)),
        saved(numpy.eye(3)),
        saved(numpy.float64(1)),
        saved(FILE.astype(complex)),
        saved(FILE > 0),
        saved(FILE.astype("S8")),
        saved(numpy.array([[Trap()] * 4] * 3), allow_pickle=True),
        saved(numpy.zeros((3, 4), [("a", "f8")])),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (200000, 200000), }"),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-3, 4), }"),
    ],
    "cut short": [saved(FILE)[:-1], header("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }" + "")[:200]],
    "nan or inf": [saved(FILE * math.nan), saved(FILE * numpy.array([1, 1, 1, math.inf]))],
    "no rotation": [saved(FILE * 2), saved(FILE * 0), saved(FILE * numpy.array([1, 1, 0.9, 1]))],
    "mirrors": [saved(FILE * numpy.array([[-1], [1], [1]]))],
    "over 10000": [saved(FILE * numpy.array([1, 1, 1, 1e6]))],
}


@pytest.mark.parametrize(("said", "data"), [(said, data) for said, files in BAD.items() for data in files])
def test_what_is_no_pose_is_named_and_never_unpickled(said, data):
    with pytest.raises(UserError, match=rf"^who: .*{said}"):
        read_pose(data, "who")


numbers = st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 1e30, -1e308, 5e-324, math.nan, math.inf]))


@st.composite
def poses(draw):
    """A camera-to-world matrix (4, 4) that is right, nearly right, or anything."""
    angle = st.floats(-89, 89)
    pose = orbit(draw(angle), 4 * draw(angle), 8, draw(st.floats(0.1, 20))).camera_to_world[0].double().numpy()
    with numpy.errstate(all="ignore"):
        for _ in range(draw(st.integers(0, 3))):
            how = draw(st.sampled_from(["number", "column", "row", "scale", "mirror"]))
            i, j, value = draw(st.integers(0, 3)), draw(st.integers(0, 3)), draw(numbers)
            if how == "number":
                pose[i, j] = value
            elif how == "column":
                pose[:, j] = value
            elif how == "row":
                pose[i] = pose[j]
            elif how == "scale":
                pose *= value
            else:
                pose[:, j] *= -1
    return pose


@st.composite
def pose_files(draw):
    """Bytes of a .npy file, more or less."""
    matrix = draw(poses())
    rows, columns = draw(st.sampled_from([(3, 4), (3, 4), (4, 4), (2, 4), (3, 3)]))
    with numpy.errstate(all="ignore"):
        kind = draw(st.sampled_from(["<f8", "<f8", "<f4", ">f8", "<f2", "<i4", "<c16"]))
        data = bytearray(saved(matrix[:rows, :columns].astype(kind)))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 4]))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.sampled_from([len(data), len(data), len(data) - 1, 60, 3]))])


def one_line(error):
    assert "\n" not in str(error)
    assert len(str(error)) < 600


@quick
@given(pose_files())
def test_any_bytes_are_a_pose_or_one_line(data):
    try:
        pose = read_pose(data, "who", ((3, 4), (4, 4)))
    except UserError as error:
        one_line(error)
        return
    turn = pose[:3, :3]
    torch.testing.assert_close(turn @ turn.T, torch.eye(3, dtype=pose.dtype), atol=0.02, rtol=0)
    assert pose.isfinite().all()


@pytest.fixture
def folder(tmp_path):
    """A picture, grey but for one black pixel."""
    image = Image.new("RGB", (60, 40), (90, 90, 90))
    image.putpixel((33, 12), (0, 0, 0))
    image.save(tmp_path / "a.png")
    return tmp_path


def views(folder, frame=None, **layout):
    """What `read_views` makes of one frame."""
    entry = {"file_path": "./a.png", "transform_matrix": POSE.tolist()} | (frame or {})
    (folder / "transforms.json").write_text(json.dumps(layout | {"frames": [entry]}), encoding="utf-8")
    return list(read_views(folder))


def seen_at(view):
    """Degrees right and up of the optical axis at which the black pixel's centre is seen."""
    rgb, camera = view
    row, column = divmod(int(rgb[0].sum(-1).argmin()), camera.width)
    half = math.tan(camera.fov / 2)
    x = ((column + 0.5) / camera.width * 2 - 1) * half
    y = (1 - (row + 0.5) / camera.height * 2) * half * camera.height / camera.width
    return math.degrees(math.atan(x)), math.degrees(math.atan(y))


def pinhole(fx, fy, cx, cy):
    """The same by the pinhole's own equations, at the black pixel's centre."""
    return math.degrees(math.atan((33.5 - cx) / fx)), math.degrees(math.atan((cy - 12.5) / fy))


LENSES = {
    "in the middle": {"fl_x": 50, "w": 60},
    "all said": {"fl_x": 50, "fl_y": 50, "cx": 30, "cy": 20, "w": 60, "h": 40},
    "off-centre": {"fl_x": 50, "fl_y": 50, "cx": 33, "cy": 19, "w": 60, "h": 40},
    "not square": {"fl_x": 50, "fl_y": 40, "cx": 30, "cy": 20, "w": 60, "h": 40},
    "made smaller": {"fl_x": 200, "fl_y": 200, "cx": 120, "cy": 80, "w": 240, "h": 160},
    "both said": {"fl_x": 50, "w": 60, "camera_angle_x": 0.1},
}


@pytest.mark.parametrize("lens", LENSES.values(), ids=LENSES)
@pytest.mark.parametrize("own", [True, False])
def test_a_pixel_of_nerfstudios_cameras_is_seen_where_its_lens_says(folder, lens, own):
    ((rgb, camera),) = views(folder, lens) if own else views(folder, **lens)
    assert rgb.shape[1:3] == (camera.height, camera.width)
    scale = 60 / lens["w"]
    fx, fy = lens["fl_x"] * scale, lens.get("fl_y", lens["fl_x"]) * scale
    wanted = pinhole(fx, fy, lens.get("cx", 30 / scale) * scale, lens.get("cy", 20 / scale) * scale)
    tolerance = 0.8 if fx != fy else 0.3  # resampling moves a pixel by up to half of one, 0.6 degrees
    assert seen_at((rgb, camera)) == pytest.approx(wanted, abs=tolerance)


def test_camera_angle_x_is_the_angle_across_the_width(folder):
    ((_, camera),) = views(folder, camera_angle_x=0.7)
    assert (camera.fov, camera.width, camera.height) == (0.7, 60, 40)
    numpy.testing.assert_allclose(camera.camera_to_world[0].numpy(), POSE, atol=1e-6)
    ((_, own),) = views(folder, {"camera_angle_x": 0.5}, camera_angle_x=0.7)
    assert own.fov == 0.5
    place, _ = project(torch.zeros(1, 3), own)
    assert place.abs().max() < 1e-5


def test_a_split_is_named_and_read(folder):
    views(folder, camera_angle_x=0.7)
    (folder / "transforms.json").rename(folder / "transforms_test.json")
    with pytest.raises(UserError, match=r"name one of its splits, --views .*transforms_test\.json"):
        list(read_views(folder))
    assert len(list(read_views(folder / "transforms_test.json"))) == 1


@pytest.mark.parametrize(
    ("frame", "layout", "said"),
    [
        ({}, {}, "neither camera_angle_x nor fl_x"),
        ({}, {"fl_x": 50}, "neither camera_angle_x nor fl_x with w"),
        ({}, {"camera_angle_x": "wide"}, "camera_angle_x = wide"),
        ({}, {"camera_angle_x": 49.1}, "radians"),
        ({}, {"camera_angle_x": math.nan}, "camera_angle_x = nan"),
        ({}, {"fl_x": 0, "w": 60}, "above 0"),
        ({}, {"fl_x": 10**400, "w": 60}, "a finite number"),
        ({}, {"fl_x": 50, "w": 60, "h": 90}, "60x40 pixels, its camera says 60x90"),
        ({}, {"fl_x": 50, "fl_y": 5, "w": 60}, "far from square"),
        ({}, {"fl_x": 50, "w": 60, "cx": 10}, "crop the pictures"),
        ({}, {"fl_x": 50, "w": 60, "cx": 1e9}, "crop the pictures"),
        ({}, {"fl_x": 50, "w": 60, "k1": 0.2}, "k1 = 0.2 bends"),
        ({}, {"fl_x": 50, "w": 60, "camera_model": "OPENCV_FISHEYE"}, "OPENCV_FISHEYE"),
        ({}, {"fl_x": 50, "w": 60, "camera_model": {}}, "camera_model"),
        ({"file_path": 3}, {"camera_angle_x": 0.7}, "file_path"),
        ({"file_path": "\0"}, {"camera_angle_x": 0.7}, "file_path"),
        ({"file_path": "x" * 5000}, {"camera_angle_x": 0.7}, "file_path"),
        ({"file_path": "."}, {"camera_angle_x": 0.7}, "cannot be read as a picture"),
        ({"transform_matrix": [[1, 2], [3]]}, {"camera_angle_x": 0.7}, "transform_matrix"),
        ({"transform_matrix": {}}, {"camera_angle_x": 0.7}, "transform_matrix"),
        ({"transform_matrix": [[1] * 4] * 5}, {"camera_angle_x": 0.7}, r"shape \(5, 4\)"),
        ({"transform_matrix": [[math.nan] * 4] * 4}, {"camera_angle_x": 0.7}, "nan or inf"),
        ({"transform_matrix": (2 * POSE).tolist()}, {"camera_angle_x": 0.7}, "does not end in"),
        ({"transform_matrix": (2 * POSE)[:3].tolist()}, {"camera_angle_x": 0.7}, "no rotation"),
    ],
)
def test_what_no_camera_is_made_of_is_named(folder, frame, layout, said):
    with pytest.raises(UserError, match=said) as caught:
        views(folder, frame, **layout)
    one_line(caught.value)


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe", b"version https://git-lfs", b"[" * 100_000, b"[]", b'{"frames": 3}']
)
def test_what_is_no_transforms_json_is_named(folder, text):
    (folder / "transforms.json").write_bytes(text)
    with pytest.raises(UserError, match=r"transforms\.json: (no JSON|not as NeRF)") as caught:
        list(read_views(folder))
    one_line(caught.value)


anything = st.recursive(
    st.none() | st.booleans() | numbers | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=4)
)
KEYS = ("camera_angle_x", "fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "camera_model", "file_path", "transform_matrix")
entries = st.dictionaries(st.sampled_from(KEYS), anything | st.floats(0.2, 100), max_size=4)


@quick
@given(pose=poses(), frame=entries, layout=entries)
def test_any_transforms_json_is_cameras_or_one_line(folder, pose, frame, layout):
    given_frame = {"file_path": "a.png", "transform_matrix": pose.tolist()} | frame
    (folder / "transforms.json").write_text(
        json.dumps({"camera_angle_x": 0.7} | layout | {"frames": [given_frame]}), encoding="utf-8"
    )
    try:
        for rgb, camera in read_views(folder):
            check_cameras(camera, "read")
            assert rgb.shape == (1, camera.height, camera.width, 3)
    except UserError as error:
        one_line(error)


texts = st.one_of(
    st.text(alphabet="0123456789.,-+einfa ", max_size=12),
    st.lists(numbers.map(str) | st.integers(-90, 400).map(str), min_size=1, max_size=3).map(",".join),
)


@quick
@given(azimuth=texts, elevation=texts, distance=texts)
def test_any_moves_are_cameras_or_one_line(azimuth, elevation, distance):
    try:
        lists = [parse_numbers(text, "--azimuth") for text in (azimuth, elevation, distance)]
        check_cameras(cameras_at(make_poses(*lists), 20.0, 8), "moved")
    except UserError as error:
        one_line(error)


@pytest.mark.parametrize(
    "options", [["--distance", "1e30"], ["--azimuth=nan"], ["--elevation", "0,inf"], ["--input-elevation", "nan"]]
)
def test_views_refuses_moves_that_lead_nowhere(folder, options, capfd):
    assert main(["views", str(folder / "a.png"), "--out", str(folder / "out"), *options]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1].startswith("zero3d: --")
    assert not (folder / "out").exists()
