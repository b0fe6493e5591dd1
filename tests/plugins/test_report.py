"""The page of a run: in every run, in one file, safe whatever was typed; the model stands where the camera saw it."""

import base64
import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
import torch
import trimesh
import yaml

from tests.core import toy
from tests.core.conftest import TOY_RECIPE, toy_recipe  # noqa: F401 (a fixture)
from tests.plugins.browser import BROWSER, look_at
from zero3d import UserError, folder
from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh, save_mesh
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.registry import Registered
from zero3d.run import export, resume, run
from zero3d_report.page.plots import MOST, chart, thinned
from zero3d_report.reading.facts import Stage, read_run
from zero3d_report.reading.models import model_of
from zero3d_report.reading.splats import DISC, discs, is_splats
from zero3d_report.report import write_report

WEB = Path("plugins/zero3d_report/web")
VOID = {"meta", "img", "br", "hr", "input", "link", "line", "rect"}


class Balanced(html.parser.HTMLParser):
    """Every tag that opens closes, in order; what is in `script`, `style` and the text, and all attributes."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.words, self.tags, self.blocks = [], [], [], {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.blocks.setdefault(self.open[-1], []).append(data)
        else:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(path):
    text = path.read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"'`)<\\]*", text))
    assert {address.split("/")[2] for address in addresses} <= {"www.w3.org"}, "it asks the network"
    assert text.startswith("<!DOCTYPE html>")
    return Balanced(text)


@pytest.fixture(scope="module")
def registry():
    found = load_plugins()
    for component in toy.COMPONENTS:
        found.add(Registered(component, "toy", "tests", "0"))
    return found


def two_halves():
    """A box, red above and blue below, from the front; its longest side is 1."""
    mesh = trimesh.creation.box((0.5, 0.8, 1.0)).subdivide().subdivide()
    high = mesh.triangles_center[:, 2] > 0
    colours = numpy.where(high[:, None], (220, 30, 20, 255), (20, 40, 200, 255)).astype(numpy.uint8)
    faces = mesh.faces.reshape(-1)
    return trimesh.Trimesh(
        mesh.vertices[faces],
        numpy.arange(len(faces)).reshape(-1, 3),
        vertex_colors=numpy.repeat(colours, 3, axis=0),
        process=False,
    )


@pytest.fixture(scope="module")
def finished(registry, tmp_path_factory):
    """A toy run with a prompt that means harm, and a mesh as if it had been exported."""
    place = tmp_path_factory.mktemp("report")
    return toy_run(place, registry)


def toy_run(place, registry, name="out", more=""):
    from PIL import Image

    rgba = numpy.zeros((64, 64, 4), numpy.uint8)
    rgba[16:48, 16:48] = (200, 30, 30, 255)
    Image.fromarray(rgba, "RGBA").save(place / "red.png")
    recipe = place / "toy.yaml"
    recipe.write_text(TOY_RECIPE.format(image=place / "red.png", out=place / name) + more, encoding="utf-8")
    run(str(recipe), registry, ["steps=8", "seed=5"], tell=lambda line: None)
    out = place / name
    save_mesh(two_halves(), out / "mesh.glb")
    report = {"vertices": 1152, "faces": 384, "watertight": False, "components": 3, "files": ["mesh.glb"]}
    (out / "mesh.report.yaml").write_text(yaml.safe_dump(report), encoding="utf-8")
    return out


class TestEveryRun:
    def test_has_one_and_is_told_where(self, registry, toy_recipe, tmp_path):  # noqa: F811
        told = []
        run(str(toy_recipe), registry, ["steps=3"], tell=told.append)
        assert re.fullmatch(r"wrote .*report\.html \(0\.\d MB\)", told[-1])
        page = page_of(tmp_path / "out" / "report.html")
        assert "finished, 3 steps" in page.text
        assert "no model was exported" in page.text
        assert f"From {toy_recipe}, with steps=3" in page.text
        assert "script" not in page.blocks, "a page without a viewer runs nothing"

    @pytest.mark.parametrize("override", ["observers={report: null}", "observers=null"])
    def test_but_one_that_wants_none(self, registry, toy_recipe, tmp_path, override):  # noqa: F811
        run(str(toy_recipe), registry, ["steps=2", override], tell=lambda line: None)
        assert not (tmp_path / "out" / "report.html").exists()
        resume(str(tmp_path / "out"), registry, lambda line: None, ["steps=3"])
        assert not (tmp_path / "out" / "report.html").exists()

    def test_it_goes_with_the_run_that_it_tells_of(self, registry, toy_recipe, tmp_path):  # noqa: F811
        run(str(toy_recipe), registry, ["steps=2"], tell=lambda line: None)
        run(str(toy_recipe), registry, ["steps=2", "overwrite=true", "observers=null"], tell=lambda line: None)
        assert not (tmp_path / "out" / "report.html").exists()

    def test_a_report_that_fails_is_a_warning(self, registry, toy_recipe, tmp_path, monkeypatch, capsys):  # noqa: F811
        def fail(*rest):
            raise ZeroDivisionError("what nobody thought of")

        monkeypatch.setattr("zero3d_report.report.write_report", fail)
        told = []
        session = run(str(toy_recipe), registry, ["steps=2"], tell=told.append)
        assert told[-1].startswith(
            "warning: no report.html (ZeroDivisionError: what nobody thought of); make it with: "
        )
        assert session.engine.total_steps == 2

        monkeypatch.setattr("zero3d.run.optimise.fit", fail)
        with pytest.raises(ZeroDivisionError):
            run(str(toy_recipe), registry, ["steps=2", "overwrite=true"], tell=told.append)
        assert "warning: no report.html" in capsys.readouterr().err, "that of a run that ended early, too"

    def test_export_writes_it_again(self, registry, toy_recipe, tmp_path):  # noqa: F811
        run(str(toy_recipe), registry, ["steps=2"], tell=lambda line: None)
        (tmp_path / "out" / "report.html").unlink()
        export(str(tmp_path / "out"), registry, tell=lambda line: None)
        assert (tmp_path / "out" / "report.html").is_file()

    def test_stages_have_one_for_all(self, registry, toy_recipe, tmp_path):  # noqa: F811
        text = toy_recipe.read_text(encoding="utf-8") + "stages: {near: {steps: 3}, far: {steps: 4}}\n"
        toy_recipe.write_text(text, encoding="utf-8")
        run(str(toy_recipe), registry, tell=lambda line: None)
        page = page_of(tmp_path / "out" / "report.html")
        assert "finished, 7 steps" in page.text
        assert "Stage 1-near: on the way 3 of 3 steps" in page.text
        assert "Stage 2-far: on the way 4 of 4 steps" in page.text
        assert not list((tmp_path / "out").glob("*-*/report.html"))
        assert main(["report", str(tmp_path / "out" / "1-near"), "--out", str(tmp_path / "of-stage.html")]) == 0
        assert "Stage 2-far" in page_of(tmp_path / "of-stage.html").text, "a stage's is its run's"


class TestPage:
    def test_holds_what_is_known(self, finished):
        write_report(finished)
        page = page_of(finished / "report.html")
        for word in (
            "is not watertight",
            "in 3 pieces",
            "seed 5",
            "losses",
            "gradient norms",
            "evaluated in 8 of 8 steps",
        ):
            assert word in page.text, word
        digest = folder.file_sha256(finished / "mesh.glb")
        assert digest in page.text
        (model,) = [block for block in page.blocks["script"] if len(block) < 600_000]
        assert base64.b64decode(model) == (finished / "mesh.glb").read_bytes()
        (shown,) = [attrs for tag, attrs in page.tags if "data-model" in attrs]
        assert float(shown["data-elevation"]) == pytest.approx(numpy.deg2rad(10), abs=1e-5), "the picture's camera"

    def test_its_policy_lets_nothing_else_run(self, finished):
        import hashlib

        write_report(finished)
        page = page_of(finished / "report.html")
        (policy,) = [a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none';")
        own = max(page.blocks["script"], key=len)
        assert base64.b64encode(hashlib.sha256(own.encode()).digest()).decode() in policy

    def test_escapes_what_was_typed(self, registry, tmp_path):
        evil = '</pre></script><script>alert(1)</script><img src=x onerror="alert(2)">\x1b & "'
        out = toy_run(tmp_path, registry)
        for name in ("recipe.yaml", "manifest.json"):
            path = out / name
            data = yaml.safe_load(path.read_text(encoding="utf-8"))
            data |= {"prompt": evil, "notes": [evil], "image": evil, "overrides": [evil], "packages": {evil: evil}}
            data.pop("notes" if name == "recipe.yaml" else "prompt")
            path.write_text(json.dumps(data), encoding="utf-8")
        (out / "mesh.report.yaml").write_text(yaml.safe_dump({evil: evil, "files": ["mesh.glb"]}), encoding="utf-8")
        (out / "metrics.jsonl").write_text(json.dumps({"step": 0, f"{evil}.value": 1.0}) + "\n", encoding="utf-8")
        write_report(out)
        page = page_of(out / "report.html")
        assert not [attrs for _, attrs in page.tags if "onerror" in attrs]
        assert not any("alert" in block for block in page.blocks["script"])
        assert page.text.count("alert(1)") >= 6, "it is there, as text"
        assert "\x1b" not in page.text

    def test_of_a_run_that_was_stopped(self, registry, toy_recipe, tmp_path):  # noqa: F811
        run(str(toy_recipe), registry, ["steps=9"], tell=lambda line: None)
        out = tmp_path / "out"
        lines = (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        (out / "metrics.jsonl").write_text("".join(lines[:4]) + lines[4][:20], encoding="utf-8")
        write_report(out)
        assert f"stopped after step 4 of 9; go on with: zero3d resume {out}" in page_of(out / "report.html").text

    def test_of_another_version(self, registry, tmp_path):
        """Keys nobody knows, of other types than ours, files that are damaged."""
        out = toy_run(tmp_path, registry)
        odd = {"made_by": "zero3d run", "notes": 3, "packages": [1], "weights": {"a": 5}, "input_elevation_deg": "high"}
        (out / "manifest.json").write_text(json.dumps(odd | {"overrides": {}, "recipe": 7}), encoding="utf-8")
        (out / "recipe.yaml").write_text("steps: many\nmotor: {type: warp}\nimages: [1]\nexport: 3\n", encoding="utf-8")
        (out / "metrics.jsonl").write_bytes(b'{"step": "x"}\n[1]\n\xff\n{"step": 1, "a": true, "seconds": "late"}\n')
        (out / "mesh.report.yaml").write_text("[1, 2", encoding="utf-8")
        (out / "picture.png").write_bytes(b"no picture")
        (out / "mesh.glb").write_bytes(b"no mesh")
        (out / "turntable.mp4").write_bytes(b"no film")
        (out / "eval.json").write_text("[]", encoding="utf-8")
        write_report(out)
        assert "motor" in page_of(out / "report.html").text

    @pytest.mark.parametrize("made", ["nothing", "empty", "file", "foreign"])
    def test_of_what_is_no_run(self, tmp_path, made, capsys):
        place = tmp_path / "place"
        if made == "file":
            place.write_text("x", encoding="utf-8")
        elif made != "nothing":
            place.mkdir()
        if made == "foreign":
            (place / "recipe.yaml").write_text("a: 1\n", encoding="utf-8")
            (place / "manifest.json").write_text("{}", encoding="utf-8")
        assert main(["report", str(place)]) == 2
        assert re.fullmatch(r"zero3d: .*name the folder that `zero3d run` wrote.*\n", capsys.readouterr().err)

    def test_out_must_be_a_file(self, finished, tmp_path, capsys):
        picture = tmp_path / "cat.png"
        picture.write_bytes(b"the only copy")
        for out in (tmp_path, tmp_path / "none" / "a.html", picture):
            assert main(["report", str(finished), "--out", str(out)]) == 2
            assert "--out" in capsys.readouterr().err
        assert picture.read_bytes() == b"the only copy"

    def test_a_large_model_is_linked(self, registry, tmp_path, monkeypatch):
        out = toy_run(tmp_path, registry, "a run")
        monkeypatch.setattr("zero3d_report.report.LARGEST", 1000)
        write_report(out, tmp_path / "page.html")
        page = page_of(tmp_path / "page.html")
        assert [a["href"] for tag, a in page.tags if tag == "a"] == ["a%20run/mesh.glb"]
        assert "too large to be held in this page" in page.text
        assert "script" not in page.blocks


class TestFacts:
    def test_the_clock_begins_anew_with_each_sitting(self, tmp_path):
        lines = [{"step": k, "seconds": s} for k, s in enumerate([1.0, 2.0, 0.5, 1.5, 0.25])]
        (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        assert Stage(tmp_path, "", {}, {}).seconds == 2.0 + 1.5 + 0.25

    def test_no_run(self, tmp_path):
        with pytest.raises(UserError, match="no run's folder"):
            read_run(tmp_path)

    @pytest.mark.parametrize("kind", ["obj", "ply", "stl"])
    def test_other_formats_become_the_same_glb(self, tmp_path, kind):
        from zero3d_report.reading.facts import Export

        save_mesh(two_halves(), tmp_path / f"mesh.{kind}")
        model = model_of(Export("mesh", {}, (tmp_path / f"mesh.{kind}",)))
        (tmp_path / "shown.glb").write_bytes(model.data)
        shown = load_mesh(tmp_path / "shown.glb")
        assert numpy.allclose(shown.bounds, two_halves().bounds, atol=1e-5)
        if kind != "stl":  # which has no colours
            high = shown.triangles_center[:, 2] > 0
            assert abs(shown.visual.face_colors[high][:, :3].astype(int) - (220, 30, 20)).max() <= 2


class TestCharts:
    def test_a_spike_among_many_points_stays(self):
        points = [(float(k), 1.0) for k in range(10_000)]
        points[777] = (777.0, 50.0)
        kept = thinned(points)
        assert len(kept) <= MOST
        assert (777.0, 50.0) in kept
        assert [p[0] for p in kept] == sorted(p[0] for p in kept)

    def test_places(self):
        """From 0 to 10 across, 1 to 3 up: the middle is in the middle."""
        drawn = chart("t", {"a": [(0, 1.0), (5, 2.0), (10, 3.0)]})
        places = [tuple(map(float, p.split(","))) for p in re.search(r'points="([^"]*)"', drawn)[1].split()]
        (x0, y0), (x1, y1), (x2, y2) = places
        assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
        assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
        assert y0 > y2, "up is more"

    def test_a_wide_range_is_logarithmic(self):
        drawn = chart("t", {"a": [(0, 0.001), (1, 0.1), (2, 10.0)]})
        ys = [float(p.split(",")[1]) for p in re.search(r'points="([^"]*)"', drawn)[1].split()]
        assert ys[1] == pytest.approx((ys[0] + ys[2]) / 2, abs=0.1)

    @pytest.mark.parametrize("points", [[], [(0, float("nan"))], [(0, float("inf"))]])
    def test_nothing_to_draw(self, points):
        assert chart("t", {"a": points}) == ""

    @pytest.mark.parametrize("value", [0.0, -3.0, 1e30])
    def test_a_line_of_one_value(self, value):
        assert "nan" not in chart("t", {"a": [(0, value), (1, value)]})
        assert "circle" in chart("t", {"a": [(4, value)]})


class TestSplats:
    def test_a_cloud_of_ours(self, tmp_path):
        """Written by the exporter that runs use; places, sizes and colours are the cloud's."""
        from zero3d.interfaces import ExportSubject
        from zero3d.testing import fresh_step
        from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
        from zero3d_gaussians.exporter import SplatFile, SplatFileConfig

        cloud = GaussianCloud(GaussiansConfig(points=3, opacity=0.99))
        with torch.no_grad():
            cloud.initialise(fresh_step())
            cloud.means.copy_(torch.tensor([[0.0, 0.3, -0.2], [0.4, 0.15, -0.1], [0.0, -0.4, 0.4]]))
            cloud.log_scales.copy_(torch.tensor([[0.12] * 3, [0.06] * 3, [0.05, 0.1, 0.025]]).log())
            cloud.sh_base.copy_(torch.eye(3)[:, None] * 3 - 1.5)
        subject = ExportSubject(cloud, lambda cameras: None, lambda image: image, True, orbit(0.0, 0.0, 8), 8)
        for kind in ("ply", "splat"):
            path = tmp_path / f"model.{kind}"
            SplatFile(SplatFileConfig(format=kind)).export(subject, path)
            assert is_splats(path)
            data, shown, total = discs(path)
            made = numpy.sort(numpy.frombuffer(data, DISC), order="radius")[::-1]
            assert (shown, total) == (3, 3)
            assert numpy.allclose(made["place"][0], [0.3, -0.2, 0.0], atol=1e-6), "glTF axes"
            assert numpy.allclose(made["radius"], [0.12, 0.06, 0.05], rtol=1e-4)
            assert numpy.allclose(made["rgba"][:, :3].argmax(axis=1), [0, 1, 2])

    @pytest.mark.parametrize("cut", [100, 700])
    def test_damaged(self, tmp_path, cut):
        names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2"]
        head = "\n".join(["ply", "format binary_little_endian 1.0", "element vertex 20"])
        head += "".join(f"\nproperty float {name}" for name in names) + "\nend_header\n"
        path = tmp_path / "a.ply"
        path.write_bytes((head.encode() + bytes(800))[:cut])
        with pytest.raises(UserError, match=r"a\.ply"):
            discs(path)


class TestVendored:
    def test_the_licence_travels_with_it(self):
        package = json.loads((WEB / "package.json").read_text(encoding="utf-8"))
        assert package["dependencies"]["three"] in (WEB / "__init__.py").read_text(encoding="utf-8")
        assert "Permission is hereby granted" in (WEB / "LICENSE-three.txt").read_text(encoding="utf-8")
        script = (WEB / "viewer.js").read_text(encoding="utf-8")
        assert "SPDX-License-Identifier: MIT" in script
        assert "</script" not in script.lower()
        assert len(script) < 700_000

    @pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
    def test_building_it_again_gives_the_same_bytes(self, tmp_path):
        for name in ("package.json", "package-lock.json", "entry.js"):
            shutil.copy(WEB / name, tmp_path)
        patience = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000"]
        fetched = subprocess.run(
            ["npm", "ci", *patience], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8"
        )
        if fetched.returncode:
            pytest.skip(f"npm cannot fetch three.js here: {fetched.stderr[-200:]}")
        subprocess.run(["npm", "run", "build"], cwd=tmp_path, capture_output=True, check=True)
        assert (tmp_path / "viewer.js").read_bytes() == (WEB / "viewer.js").read_bytes()


@pytest.mark.skipif(not BROWSER, reason="needs Chromium: apt-get install chromium")
def test_chromium_shows_the_object_in_its_place(finished, tmp_path):
    """Offline, from file://: as the ray caster draws the same mesh from the picture's camera."""
    write_report(finished, tmp_path / "page.html")
    seen = look_at(tmp_path / "page.html", "[data-model]", tmp_path)
    assert seen.errors == []
    assert set(seen.asked) == {(tmp_path / "page.html").as_uri()}
    side = len(seen.picture)
    ours = MeshScene(load_mesh(finished / "mesh.glb")).draw(orbit(10.0, 0.0, side), light=None).image[0].numpy()
    apart = abs(seen.picture / 255 - ours)
    assert apart.mean() < 0.01, "outlines may differ by a pixel"
    middle = side // 2
    assert abs(seen.picture[middle - side // 8, middle].astype(int) - (220, 30, 20)).max() <= 2
    assert abs(seen.picture[middle + side // 8, middle].astype(int) - (20, 40, 200)).max() <= 2
