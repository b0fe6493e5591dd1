"""zero3d from Python: the same run as the command line's, as an object that a notebook shows."""

import base64
import html
import io
import json
import re
import subprocess
import sys

import numpy
import pytest
import torch
import trimesh
from PIL import Image

from zero3d import RecipeError, RunError, UserError, api, folder
from zero3d.api.overrides import words
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh, save_mesh
from zero3d.plugins import load_plugins
from zero3d.recipe import RecipeText, read_yaml
from zero3d.run import field_drawer
from zero3d.run import run as run_of_core

SMALL = {
    "denoiser": {"type": "gaussian", "resolution": 16},
    "start": {"type": "ellipsoid"},
    "input.elevation_deg": 20,
    "representation.resolution": 16,
    "cameras.resolution": 16,
    "renderer": {"type": "volume", "step_ratio": 2.0},
    "observers": {"preview": {"every": 2, "size": 16, "views": 2}, "turntable": {"frames": 8, "size": 32}},
    "export": {"mesh": {"type": "marching_cubes", "resolution": 16}},
    "checkpoint.every": 2,
    "optimizer.lr": 0.02,  # a schedule in percent would follow the total
    "regularizers.opaque": None,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """nano in small, from a picture in memory."""
    place = tmp_path_factory.mktemp("api")
    with Image.open("examples/mug.png") as picture:
        return api.run("nano", picture, place / "mug", SMALL, progress=False, steps=3, device="cpu")


def test_nothing_is_imported_before_it_is_called():
    code = "import sys; from zero3d import api; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "value",
    [
        None, True, -3, 1e-5, 2.0, 1e30, "", "null", "a: {b}", "é \U0001f600 \n\t\"'", "1e3", [1, [2.5, "x"]],
        {"0%": 0, "50%": {"jump": 10}}, {"type": "text", "prompt": "a red, round mug # not blue"},
    ],
)  # fmt: skip
def test_a_value_of_python_arrives_in_the_recipe_as_it_is(value):
    assert read_yaml(RecipeText("r", "a: 1"), words({"b.c": value}))["b"]["c"] == value


def test_other_values_arrive_as_plain_ones(tmp_path):
    values = {"a": tmp_path, "b": numpy.float64(0.5), "c": numpy.arange(3), "d": (1, 2), "e": torch.tensor([1.5])}
    read = read_yaml(RecipeText("r", "{}"), words(values))
    assert read == {"a": str(tmp_path), "b": 0.5, "c": [0, 1, 2], "d": [1, 2], "e": [1.5]}
    with pytest.raises(RecipeError, match=r"^guidance\.sds: .* is a object; give None, a bool"):
        words({"guidance": {"sds": object()}})


def test_it_is_the_run_of_the_command_line(finished, tmp_path):
    asked = words({"image": "examples/mug.png", "out": tmp_path / "out", **SMALL, "steps": 3, "device": "cpu"})
    session = run_of_core("nano", load_plugins(), asked, lambda line: None)
    assert (session.folder / "mesh.glb").read_bytes() == (finished.folder / "mesh.glb").read_bytes()
    mine, theirs = (read_yaml(place / "recipe.yaml") for place in (finished.folder, session.folder))
    assert {**mine, "out": "", "image": ""} == {**theirs, "out": "", "image": ""}


def test_what_a_run_holds(finished):
    lines = [json.loads(line) for line in (finished.folder / "metrics.jsonl").read_text("utf-8").splitlines()]
    assert finished.metrics["step"] == [0, 1, 2]
    assert finished.metrics["guidance.sds.distance"] == [line["guidance.sds.distance"] for line in lines]
    assert {len(column) for column in finished.metrics.values()} == {3}
    assert finished.manifest["made_by"] == "zero3d run"
    assert finished.recipe["steps"] == 3
    assert list(finished.pictures) == ["picture", "previews/step_000002", "previews/step_000003"]
    assert finished.pictures["previews/step_000003"].size == (3 * 16, 3 * 16)
    assert finished.files == (finished.folder / "mesh.glb",)
    truth = load_mesh(finished.folder / "mesh.glb")
    assert isinstance(finished.mesh, trimesh.Trimesh)
    assert numpy.array_equal(finished.mesh.vertices, truth.vertices)
    assert numpy.array_equal(finished.mesh.visual.vertex_colors, truth.visual.vertex_colors)
    assert repr(finished) == f"Run({str(finished.folder)!r}, 3 of 3 steps)"


def test_a_view_is_what_the_engine_draws(finished):
    draw, subject = field_drawer(finished.folder, load_plugins())
    camera = subject.input_camera
    wanted = draw(camera.resized(24, 24)).image[0]
    seen = torch.from_numpy(numpy.array(finished.view(size=24))) / 255
    assert (seen - wanted).abs().max() <= 0.5 / 255 + 1e-5
    cameras = orbit(10.0, torch.tensor([0.0, 90.0]), 20)
    first, second = finished.view(cameras)
    assert first.size == (20, 20)
    assert numpy.array_equal(
        numpy.asarray(second), numpy.asarray(finished.view(azimuth=90, elevation=10, size=20, distance=2))
    )
    assert not numpy.array_equal(numpy.asarray(first), numpy.asarray(second))
    assert numpy.array_equal(
        numpy.asarray(finished.view(size=numpy.float64(24))), numpy.asarray(finished.view(size=24))
    )


def test_mistakes_of_a_view_name_the_argument(finished):
    given = {
        "azimuth": ["x", None, float("nan"), float("inf"), "9" * 9, True, [1, 2]],
        "elevation": [91, "10", 10**400],
    }
    given |= {"size": [32.5, 8, "32", float("nan"), None], "distance": [0, "2", -1], "cameras": [90, "front"]}
    for name, values in given.items():
        for value in values:
            with pytest.raises(UserError, match=rf"view: {name}: "):
                finished.view(**{name: value})
    for wrong in (None, 3, ["a"]):
        with pytest.raises(UserError, match=r"open_run: .*name a run's folder"):
            api.open_run(wrong)


def test_going_on_ends_where_an_uninterrupted_run_does(finished, tmp_path, capsys):
    with Image.open("examples/mug.png") as picture:
        pixels = numpy.asarray(picture)
    cut = api.run("nano", pixels, tmp_path / "cut", SMALL, progress=False, steps=2, device="cpu")
    before = cut.view(size=16)
    for wrong in ({"seed": 3}, {"observers": None}):
        with pytest.raises(RecipeError, match=r"resume takes steps=N and observers\.NAME=\.\.\. alone"):
            api.resume(cut.folder, overrides=wrong)
    more = cut.resume(3, {"observers.preview": {"every": 1, "size": 16}})
    assert [path.name for path in sorted((more.folder / "previews").iterdir())][-1] == "step_000003.png"
    told = capsys.readouterr()
    assert more.state == "3 of 3 steps"
    assert (more.folder / "mesh.glb").read_bytes() == (finished.folder / "mesh.glb").read_bytes()
    assert before != cut.view(size=16)
    assert "3/3" in told.err  # the bar, which began at what was done
    assert "wrote" in told.out
    finer = api.export(cut.folder, {"export.mesh.resolution": 24}, progress=False)
    assert len(finer.mesh.faces) > len(finished.mesh.faces)


def test_eval_gives_the_figures_and_keeps_them(finished, tmp_path):
    found = finished.eval(mesh=finished.folder / "mesh.glb", points=3000)
    assert found["iou"] == pytest.approx(1)
    assert json.loads((finished.folder / "eval.json").read_text("utf-8")) == found
    for arguments, line in (({}, "eval: nothing to compare with"), ({"meshes": "x"}, "eval: unrecognized arguments")):
        with pytest.raises(UserError, match=line):
            finished.eval(**arguments)


class Pieces:
    """The srcdoc of every frame, and every picture, of some HTML."""

    def __init__(self, text):
        self.frames = [html.unescape(found) for found in re.findall(r'srcdoc="([^"]*)"', text)]
        data = re.findall(r'src="data:image/png;base64,([^"]*)"', text)
        self.pictures = [Image.open(io.BytesIO(base64.b64decode(one))) for one in data]


def test_a_notebook_shows_input_preview_turntable_and_mesh(finished):
    text = finished._repr_html_()
    shown = Pieces(text)
    assert [picture.size for picture in shown.pictures] == [finished.pictures["picture"].size, (48, 48), (32, 32)]
    model = base64.b64decode(re.search(r'base64_data="([^"]*)"', shown.frames[0])[1])
    read = trimesh.load(io.BytesIO(model), file_type="glb", force="mesh")
    assert len(read.faces) == len(finished.mesh.faces)
    assert numpy.allclose(read.bounds, trimesh.load(finished.files[0], force="mesh").bounds, atol=1e-6)  # y is up
    assert "sRGBEncoding;" in shown.frames[0]
    assert not re.search(r'(?:src|href)="http', text)


def test_a_run_without_a_mesh_shows_its_report_shut_in(finished, tmp_path):
    import shutil

    place = tmp_path / "<b>run"
    shutil.copytree(finished.folder, place)
    (place / "mesh.glb").unlink()
    text = api.open_run(place)._repr_html_()
    assert 'sandbox="allow-scripts"' in text
    assert Pieces(text).frames == [(place / "report.html").read_text("utf-8")]
    assert "<b>run" not in text.replace(html.escape(text), "")
    (place / "report.html").unlink()
    with pytest.raises(UserError, match="no exported mesh"):
        _ = api.open_run(place).mesh
    assert "no exported mesh" in api.open_run(place)._repr_html_()


def test_colours_of_a_mesh_are_linear_in_the_viewer(tmp_path):
    mesh = trimesh.creation.box()
    mesh.visual.vertex_colors = numpy.tile([188, 10, 255, 255], (8, 1))
    save_mesh(mesh, tmp_path / "box.glb")
    page = api.Mesh.read(tmp_path / "box.glb").page()
    model = base64.b64decode(re.search(r'base64_data="([^"]*)"', page)[1])
    read = trimesh.load(io.BytesIO(model), file_type="glb", force="mesh")
    assert abs(int(read.visual.vertex_colors[0, 0]) - 128) <= 1  # sRGB 188 is half of the light


def test_a_table_of_figures():
    figures = api.Figures.of([{"step": k, "a<b": 0.5 * k, **({"late": 1} if k > 97 else {})} for k in range(100)])
    assert figures["late"] == [None] * 98 + [1, 1]
    assert [row["step"] for row in figures.rows(every=40)] == [0, 40, 80, 99]
    text = figures._repr_html_()
    assert "<th>a&lt;b</th>" in text
    assert text.count("<tr>") == 1 + 11
    assert "100 steps, 11 shown" in text
    assert "0 steps" in api.Figures()._repr_html_()


def test_a_mistake_is_one_line_and_ipython_shows_no_more(tmp_path):
    for call, line in (
        (lambda: api.run("nanoo"), "no such recipe. Did you mean 'nano'"),
        (lambda: api.run("nano", "nowhere.png", tmp_path / "out", progress=False), "nowhere.png"),
        (lambda: api.run("nano", 3), "image: int; give a path"),
        (
            lambda: api.run("nano", numpy.zeros((4, 4, 3))),
            r"image: ndarray float64 \(4, 4, 3\); give a path, a PIL picture, or a uint8",
        ),
        (lambda: api.run({"steps": 2}), "recipe: {'steps': 2}; a name such as"),
        (lambda: api.check("nano", plugins="nowhere"), "--plugin .*nowhere: no such folder"),
        (lambda: api.open_run(tmp_path), "no run's folder"),
        (lambda: api.resume(tmp_path), "no run's folder"),
        (lambda: api.reconstruct("nothing"), "no reconstructor called 'nothing'"),
        (lambda: api.check("nano", stepz=3), "stepz"),
    ):
        with pytest.raises(UserError, match=line) as caught:
            call()
        shown = caught.value._render_traceback_()
        assert shown == [f"{type(caught.value).__name__}: {caught.value}"]
        assert "\n" not in shown[0]
    assert not (tmp_path / "out").exists()


def test_plan_and_check_say_what_the_command_line_says(tmp_path, capsys):
    planned = api.plan("nano", "examples/mug.png", tmp_path / "out", steps=7)
    assert planned[0].recipe.options.steps == 7
    assert re.search(r"steps +7 on ", repr(planned))
    assert not (tmp_path / "out").exists()
    assert api.check("nano", steps=7)[0].startswith("nano: good, once it is given a picture. 7 steps on ")


def test_a_reconstruction(tmp_path):
    made = api.reconstruct(
        "ellipsoid", "examples/mug.png", tmp_path / "made", {"input.elevation_deg": 20, "export.mesh.resolution": 16},
        progress=False, **{"representation.resolution": 16},
    )  # fmt: skip
    assert made.state == "0 of 0 steps"
    assert made.mesh.is_watertight


def test_a_stage_opens_its_whole_run(tmp_path):
    with pytest.raises(RunError):
        api.open_run(tmp_path / "none")
    assert folder.read_metrics(tmp_path) == []
