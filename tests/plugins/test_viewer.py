"""The live viewer: who may see it, how often it is sent, how it holds and ends a run, what stands on the page."""

import argparse
import json
import math
import socket
import stat
import threading
import time
from contextlib import closing

import numpy
import pytest
import torch

from tests.core.conftest import registry, toy_recipe  # noqa: F401 (fixtures)
from tests.core.test_run import assert_same, final_state
from tests.plugins.browser import BROWSER
from tests.plugins.live_browser import browser
from tests.plugins.visits import messages, visit, wait_for
from zero3d import RecipeError, RunError, UserError, folder
from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.interfaces import RadianceField, Representation, SplatCloud, SurfaceRepresentation
from zero3d.mesh_files import load_mesh, save_mesh
from zero3d.run import export, resume, run
from zero3d.testing import SphereField
from zero3d.testing.bench import small_engine, watch
from zero3d.testing.sphere import SphereConfig
from zero3d_viewer import observer as observer_module
from zero3d_viewer.command import View, serve
from zero3d_viewer.control import Control, Pace, Rate
from zero3d_viewer.curves import MOST, Curves
from zero3d_viewer.observer import Viewer, ViewerConfig
from zero3d_viewer.page import Page
from zero3d_viewer.server import FILE, Address, Server
from zero3d_viewer.shapes import Mesh, Splats, field_splats, shape_of, surface


def quiet(line):
    pass


class TestControl:
    def test_a_run_that_is_held_goes_on_step_by_step(self):
        control, done, idles = Control(), [], []

        def steps():
            for index in range(5):
                done.append(index)
                control.wait(lambda: False, lambda: idles.append(1), 0.002)

        control.pause()
        thread = threading.Thread(target=steps)
        thread.start()

        def reaches(count):
            end = time.monotonic() + 5
            while time.monotonic() < end and len(done) < count:
                time.sleep(0.002)
            time.sleep(0.02)
            return len(done) == count

        assert reaches(1), "held after its first step"
        assert idles, "and meanwhile the page is kept up"
        control.step()
        control.step()
        assert reaches(3)
        control.pause(False)
        thread.join(5)
        assert done == [0, 1, 2, 3, 4]

    def test_step_holds_a_run_that_runs(self):
        control = Control()
        control.step()
        assert control.paused
        asked = []
        control.wait(lambda: asked.append(1) or len(asked) > 2, quiet_idle, 0.001)
        assert len(asked) == 3, "no step was granted: only the one that runs is finished"

    @pytest.mark.parametrize("end", ["stop", "halted"])
    def test_a_held_run_can_be_ended(self, end):
        control = Control()
        control.pause()
        if end == "stop":
            control.stop()
        control.wait(lambda: end == "halted", quiet_idle, 0.001)
        assert control.stopped == (end == "stop")


def quiet_idle():
    pass


class TestPace:
    @pytest.mark.parametrize(("cost", "gap"), [(0.001, 0.2), (0.1, 0.5), (1.0, 5.0), (3.0, 8.0)])
    def test_neither_the_rate_nor_the_share_is_passed(self, cost, gap):
        now = [0.0]
        pace, starts = Pace(5, 0.2, lambda: now[0]), []
        while now[0] < 40:
            if pace.due():
                starts.append(now[0])
                with pace.working():
                    now[0] += cost
            now[0] += 0.001
        gaps = numpy.diff(starts)
        assert gaps.min() >= gap - 1e-9
        assert gaps.max() < gap + 0.01

    def test_rate_is_that_of_the_last_seconds(self):
        now = [0.0]
        rate = Rate(3.0, lambda: now[0])
        for _ in range(100):
            now[0] += 0.125
            rate.count()
        assert rate.now == pytest.approx(8)
        now[0] += 10
        assert rate.now == 0


@pytest.fixture
def taken():
    """A port that somebody has."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


@pytest.fixture
def server():
    made = Server(Address(port=0), "view")
    yield made
    made.close()


class TestOptions:
    @pytest.mark.parametrize(("options", "said"), [
        ({"host": "0.0.0.0"}, "host: .*ssh -L"),
        ({"host": "192.168.1.5", "token": ""}, "host: .*token=auto"),
        ({"token": "short"}, "token: 16"),
        ({"token": "sixteen letters, "}, "token: 16"),
        ({"port": 65536}, "port: 65536"),
        ({"origins": ["evil"]}, "origins: 'evil'"),
        ({"rate": 6}, "rate: 6"),
        ({"show": "film"}, "show: 'film'"),
        ({"detail": 4}, "detail: 4"),
        ({"splats": 1}, "splats: 1"),
    ])  # fmt: skip
    def test_mistakes(self, options, said):
        with pytest.raises(ValueError, match=said):
            ViewerConfig(**options)

    def test_what_is_fine(self):
        ViewerConfig(host="0.0.0.0", token="auto", origins=["http://127.0.0.1:8000"])
        ViewerConfig(host="::1", port=0)

    def test_without_viser_it_is_one_line(self, monkeypatch):
        monkeypatch.setattr("zero3d_viewer.server.find_spec", lambda name: None)
        with pytest.raises(RecipeError, match=r"observers.viewer: needs .*pip install 'zero3d\[viewer\]'"):
            Viewer(ViewerConfig())
        with pytest.raises(RecipeError, match="view: needs"):
            View(View.Config()).run(argparse.Namespace())


class Corner(SurfaceRepresentation):
    """A tetrahedron of one colour."""

    name, channels = "corner", 3

    def initialise(self, step):
        pass

    def surface(self):
        corners = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
        faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
        return corners, faces, torch.tensor([0.8, 0.2, 0.4]).expand(4, 3)


class TestShapes:
    def test_a_ball_is_splats_at_its_surface_in_its_colour(self):
        field = SphereField(SphereConfig(density=400.0))
        found = field_splats(field, 32, 10**6)
        cell = float((field.box[1] - field.box[0]).max()) / 32
        radii = numpy.linalg.norm(found.centres - numpy.array([0, 0, 0]), axis=1)
        density = field.density(torch.from_numpy(found.centres)).detach()
        assert (density > 0).all(), "none stands in empty space"
        assert radii.max() - radii.min() < 4 * cell, "none inside, where nothing shows"
        colours = field.features(torch.from_numpy(found.centres)).detach().numpy()
        assert numpy.allclose(found.colours, colours, atol=1e-6)
        expected = 1 - torch.exp(-density * cell).numpy()
        assert numpy.allclose(found.opacities, expected, atol=1e-3)
        few = field_splats(field, 32, 50)
        assert len(few.centres) == 50

    def test_what_only_a_renderer_shows(self):
        assert shape_of(Latent(), 16, 100) is None

    def test_a_mesh_is_a_glb_that_reads_back(self, tmp_path):
        found = shape_of(Corner(None), 16, 100)
        assert isinstance(found, Mesh)
        path = tmp_path / "a.glb"
        path.write_bytes(found.glb)
        mesh = load_mesh(path)
        assert numpy.allclose(sorted(mesh.vertices.tolist()), sorted(Corner(None).surface()[0].tolist()))
        assert mesh.visual.vertex_colors[0][:3].tolist() == [204, 51, 102]
        outwards = mesh.vertices - mesh.vertices.mean(axis=0)
        assert mesh.volume == pytest.approx(1 / 6)
        assert ((outwards * mesh.vertex_normals).sum(axis=1) > 0).all()
        assert surface(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3)) is None

    def test_gaussians_are_their_own_splats(self):
        from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig

        cloud = GaussianCloud(GaussiansConfig(points=3))
        with torch.no_grad():
            cloud.quaternions[:] = torch.tensor([math.sqrt(0.5), 0, 0, math.sqrt(0.5)])  # a quarter turn about z
            cloud.log_scales[:] = torch.tensor([0.3, 0.1, 0.2]).log()
            cloud.opacity_logits[:] = torch.tensor([2.0, 0.0, -9.0])
        assert isinstance(cloud, SplatCloud)
        assert isinstance(cloud, RadianceField)
        found = shape_of(cloud, 16, 100)
        assert isinstance(found, Splats)
        assert len(found.centres) == 2, "the third is too faint to see"
        assert numpy.allclose(found.covariances[0], numpy.diag([0.01, 0.09, 0.04]), atol=1e-6)
        assert numpy.allclose(found.colours, 0.5)
        assert numpy.allclose(found.opacities, [1 / (1 + math.exp(-2)), 0.5])


class Latent(Representation):
    """Four channels."""

    name, channels = "latent", 4

    def __init__(self):
        super().__init__(None)

    def initialise(self, step):
        pass


class TestCurves:
    def test_thinned_they_keep_their_shape(self, tmp_path):
        curves = Curves()
        with open(tmp_path / folder.METRICS, "w", encoding="utf-8") as file:
            for step in range(3 * MOST):
                told = {"step": step, "guidance.a.gradient": 1.0 + step, "seconds": 3}
                told |= {"regularizers.b.value": step / 10} if step >= 10 else {}
                file.write(json.dumps(told) + "\n")
            file.write('{"step": 17, "half\n[1]\n{"no": 1}\n')
        curves.read(tmp_path, before=2 * MOST)
        assert curves.names(".gradient") == ["guidance.a.gradient"]
        steps, values = curves.table(".gradient")
        assert len(steps) <= MOST
        assert steps[-1] > 2 * MOST - 5
        assert numpy.array_equal(values, steps + 1)
        _, values = curves.table(".value")
        assert (values[steps >= 10] > 0).all(), "a logarithmic axis has no room for others"
        assert numpy.isnan(values[steps < 10]).all(), "nothing was said then"
        assert numpy.allclose(values[steps >= 10], steps[steps >= 10] / 10)


class TestRun:
    @pytest.fixture
    def pressing(self, monkeypatch):
        """`pressing(step, what)`: a button of the page, pressed while that step is done."""
        wanted = {}

        def on_step(self, run, step, metrics):
            if step.index in wanted:
                wanted.pop(step.index)(self.control)
            return real(self, run, step, metrics)

        real = Viewer.on_step
        monkeypatch.setattr(Viewer, "on_step", on_step)
        return lambda step, what: wanted.__setitem__(step, what)

    def test_stopped_and_exported_it_resumes_to_the_byte(self, registry, toy_recipe, tmp_path, pressing):  # noqa: F811
        run(str(toy_recipe), registry, [f"out={tmp_path / 'whole'}"], tell=quiet)
        said, viewer = [], "observers.viewer={port: 0}"
        pressing(12, Control.stop)
        with pytest.raises(KeyboardInterrupt):
            run(str(toy_recipe), registry, [f"out={tmp_path / 'cut'}", viewer], tell=said.append)
        assert final_state(tmp_path / "cut")[1] == "13"
        assert any("stopped after step 13 of 30" in line and "zero3d resume" in line for line in said)
        assert any("nothing to export" in line for line in said), "the exports' turn came"
        assert not (tmp_path / "cut" / FILE).exists()
        resume(str(tmp_path / "cut"), registry, tell=quiet)
        assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))

    def test_a_held_run_can_be_looked_at_and_stepped(self, tmp_path, pressing):
        """Watched from outside while it is held, it ends as it would have."""
        plain, watched = small_engine(), small_engine()
        for engine in (plain, watched):
            engine.initialise()
        for name in ("plain", "watched"):
            (tmp_path / name).mkdir()
        watch(plain, [], tmp_path / "plain")
        viewer, found = Viewer(ViewerConfig(port=0, token="auto", show="model")), {}
        pressing(0, Control.pause)

        def look():
            path = tmp_path / "watched" / FILE
            wait_for(path.is_file)
            found["mode"], told = stat.S_IMODE(path.stat().st_mode), json.loads(path.read_text(encoding="utf-8"))
            with visit(told["url"]) as one:
                found["messages"] = messages(one, "GaussianSplatsMessage")
                viewer.control.step()
                viewer.control.pause(False)

        thread = threading.Thread(target=look)
        thread.start()
        watch(watched, [viewer], tmp_path / "watched")
        thread.join(10)
        kinds = {m["type"] for m in found["messages"]}
        assert {"CameraFrustumMessage", "GaussianSplatsMessage", "GuiButtonMessage"} <= kinds
        assert found["mode"] == 0o600, "it holds the token"
        for name, value in plain.parts.representation.state_dict().items():
            assert torch.equal(value, watched.parts.representation.state_dict()[name])

    def test_a_port_in_use_is_told_before_anything_is_made(self, registry, toy_recipe, tmp_path, monkeypatch, taken):  # noqa: F811
        from zero3d.run.opening import session
        from zero3d.run.starting import start

        def never(*arguments):
            raise AssertionError("weights were loaded first")

        viewer, out = [f"observers.viewer.port={taken}"], tmp_path / "out"
        with monkeypatch.context() as patch:
            patch.setattr(start, "load_parts", never)
            with pytest.raises(RunError, match=f"observers.viewer: port {taken} is in use; .*port=0"):
                run(str(toy_recipe), registry, viewer, tell=quiet)
        assert not out.exists()
        run(str(toy_recipe), registry, ["steps=3", "observers.viewer.port=0"], tell=quiet)
        before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
        monkeypatch.setattr(session, "load_parts", never)
        with pytest.raises(RunError, match=f"port {taken} is in use"):
            resume(str(out), registry, quiet, [*viewer, "steps=5"])
        assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def test_a_run_of_a_port_in_use_is_exported_and_resumed_elsewhere(
        self,
        registry,  # noqa: F811
        toy_recipe,  # noqa: F811
        tmp_path,
        pressing,
        taken,
        capsys,
    ):
        """Its recipe names a port that is taken since."""
        out = tmp_path / "out"
        pressing(1, Control.stop)
        with pytest.raises(KeyboardInterrupt):
            run(str(toy_recipe), registry, ["steps=4", "observers.viewer.port=0"], tell=quiet)
        recipe = (out / "recipe.yaml").read_text(encoding="utf-8")
        assert "port: 0" in recipe
        recipe = recipe.replace("port: 0", f"port: {taken}")
        (out / "recipe.yaml").write_text(recipe, encoding="utf-8")
        export(str(out), registry, tell=quiet)
        with pytest.raises(RunError, match="in use"):
            resume(str(out), registry, quiet)
        resume(str(out), registry, quiet, ["observers.viewer.port=0"])
        assert final_state(out)[1] == "4"
        assert "viewer: http" in capsys.readouterr().err
        assert (out / "recipe.yaml").read_text(encoding="utf-8") == recipe, "for this time alone"

    def test_stages_are_watched_at_one_address(self, registry, toy_recipe, tmp_path, capsys, monkeypatch):  # noqa: F811
        opened = []
        monkeypatch.setattr(observer_module, "open_page", opened.append)
        stages = "stages: {near: {steps: 2}, far: {steps: 2}}\n"
        toy_recipe.write_text(toy_recipe.read_text(encoding="utf-8") + stages, encoding="utf-8")
        for out in ("one", "two"):
            viewer = "observers.viewer={port: 0, token: auto, open: true}"
            run(str(toy_recipe), registry, [f"out={tmp_path / out}", viewer], tell=quiet)
        urls = [line for line in capsys.readouterr().err.splitlines() if line.startswith("viewer: ")]
        assert len(urls) == 4
        assert urls[0] == urls[1] != urls[2] == urls[3]
        assert opened == [urls[0][8:], urls[2][8:]], "once a run"

    def test_stages_that_are_left_are_checked_and_watched_elsewhere(
        self,
        registry,  # noqa: F811
        toy_recipe,  # noqa: F811
        tmp_path,
        pressing,
        taken,
    ):
        stages = f"stages: {{near: {{steps: 2}}, far: {{steps: 2, observers: {{viewer: {{port: {taken}}}}}}}}}\n"
        toy_recipe.write_text(toy_recipe.read_text(encoding="utf-8") + stages, encoding="utf-8")
        with pytest.raises(RunError, match="in use"):
            run(str(toy_recipe), registry, tell=quiet)
        out = tmp_path / "out"
        assert not out.exists()
        pressing(1, Control.stop)
        near = ["stages.near.steps=4", "stages.near.observers.viewer.port=0", "stages.far.observers.viewer.port=0"]
        with pytest.raises(KeyboardInterrupt):
            run(str(toy_recipe), registry, near, tell=quiet)
        for recipe in out.rglob("recipe.yaml"):
            recipe.write_text(recipe.read_text(encoding="utf-8").replace("port: 0", f"port: {taken}"), encoding="utf-8")
        with pytest.raises(RunError, match="in use"):
            resume(str(out / "1-near"), registry, quiet)
        resume(str(out / "1-near"), registry, quiet, ["observers.viewer.port=0"])
        assert [final_state(out / name)[1] for name in ("1-near", "2-far")] == ["4", "2"]

    def test_an_observer_that_remembered_something_is_left_out(self, registry, toy_recipe, tmp_path, monkeypatch):  # noqa: F811
        monkeypatch.setattr(Viewer, "state_dict", lambda self: {"shown": 3})
        run(str(toy_recipe), registry, ["steps=3", "observers.viewer.port=0"], tell=quiet)
        resume(str(tmp_path / "out"), registry, quiet, ["steps=5", "observers.viewer=null"])
        assert final_state(tmp_path / "out")[1] == "5"

    def test_nobody_looks_and_nothing_is_made(self, tmp_path, monkeypatch):
        def never(*arguments):
            raise AssertionError("made for nobody")

        monkeypatch.setattr(observer_module, "shape_of", never)
        monkeypatch.setattr(Page, "curves", never)
        engine = small_engine()
        engine.initialise()
        watch(engine, [Viewer(ViewerConfig(port=0, rate=5))], tmp_path)


class TestView:
    def test_a_port_in_use_is_told_in_the_commands_words(self, tmp_path, taken, capsys):
        save_mesh(trimesh_ball(), tmp_path / "a.glb")
        assert main(["view", str(tmp_path / "a.glb"), "--port", str(taken)]) == 2
        assert (
            capsys.readouterr().err
            == f"zero3d: view: port {taken} is in use; give another, or --port 0 for a free one\n"
        )

    def test_without_a_browser_it_says_where(self, tmp_path, monkeypatch, capsys):
        def stop(seconds):
            raise KeyboardInterrupt

        save_mesh(trimesh_ball(), tmp_path / "a.glb")
        monkeypatch.setattr("webbrowser.open", lambda url: False)
        monkeypatch.setattr("time.sleep", stop)
        assert main(["view", str(tmp_path / "a.glb"), "--open"]) == 130
        told = capsys.readouterr()
        assert f"no browser here; open {told.out.strip()}\n" in told.err

    def test_two_models_side_by_side(self, tmp_path, registry, toy_recipe):  # noqa: F811
        ball = trimesh_ball()
        save_mesh(ball, tmp_path / "a.glb")
        save_mesh(ball, tmp_path / "b.ply")
        from zero3d_viewer.command import _open

        shown = [_open(tmp_path / name, False, registry) for name in ("a.glb", "b.ply")]
        with closing(serve(shown, Address(port=0))) as server, visit(server.url) as one:
            places = {m["name"]: m for m in messages(one, "ReplayDoneMessage")
                      if m["type"] in ("FrameMessage", "GlbMessage")}  # fmt: skip
        assert {"/a.glb", "/b.ply", "/a.glb/mesh1", "/b.ply/mesh1"} <= places.keys()

    def test_mistakes_are_one_line(self, tmp_path, toy_recipe, registry, capsys):  # noqa: F811
        (tmp_path / "empty").mkdir()
        for words, said in {
            ("view", str(tmp_path / "empty")): "no run's folder",
            ("view", str(tmp_path / "nothing.glb")): "no such run or model file",
            ("view", str(tmp_path / "a.spz"), "--port", "-1"): "view: --port: -1",
            ("view", "a", "--host", "0.0.0.0"): "; add --token auto, or keep",
            ("view", "a", "--origin", "evil"): "view: --origin: 'evil'",
        }.items():
            assert main(list(words)) == 2
            assert said in capsys.readouterr().err

    def test_a_run_of_another_version_is_refused(self, tmp_path, toy_recipe, registry):  # noqa: F811
        from safetensors import safe_open
        from safetensors.torch import save_file

        from zero3d_viewer.command import _open

        run(str(toy_recipe), registry, ["steps=2"], tell=quiet)
        path = tmp_path / "out" / folder.CHECKPOINT
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata()
        save_file(tensors, path, metadata | {"format": "99"})
        with pytest.raises(UserError, match="format '99'"):
            _open(tmp_path / "out", False, registry)


def trimesh_ball():
    import trimesh

    ball = trimesh.creation.icosphere(2, 0.5)
    ball.visual.vertex_colors = (200, 40, 40, 255)
    return ball


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
def test_a_browser_draws_the_object_in_its_colour_where_it_stands(server):
    """A red ball and a green one, the red one on the left."""
    page = Page(server.viser)
    for name, place, colour in (("red", -0.7, [0.8, 0.1, 0.1]), ("green", 0.7, [0.1, 0.6, 0.2])):
        ball = SphereField(SphereConfig(density=200.0))
        shape = field_splats(ball, 20, 4000)
        shape = Splats(shape.centres, shape.covariances, numpy.full_like(shape.colours, colour), shape.opacities)
        page.show(page.exhibit(name, place), shape)
    page.look_from(0.0, 2.0)
    page.frusta(page.exhibit("red"), "input", orbit(0.0, 0.0, 8))

    def where(picture, channel):
        """Columns, of 1, at which that colour reigns."""
        colours = picture.astype(float)
        others = numpy.delete(colours, channel, axis=-1).max(axis=-1)
        return numpy.nonzero(colours[..., channel] - others > 70)[1] / picture.shape[1]

    with browser((800, 500)) as tab:
        tab.open(server.url)
        picture = tab.picture_when(lambda p: min(len(where(p, 0)), len(where(p, 1))) > 2000)
    red, green = where(picture, 0), where(picture, 1)
    assert min(len(red), len(green)) > 2000
    assert numpy.median(red) < 0.45 < numpy.median(green)
