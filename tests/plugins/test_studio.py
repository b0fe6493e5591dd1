"""`zero3d studio`: from a picture to a download; the queue, cancelled and resumed; what is refused, and to whom."""

import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
import urllib.request
import zipfile
import zlib

import numpy
import pytest
from PIL import Image

from tests.plugins.studio_toy import BASE, ORIGIN, PLUGIN, client, png, raw, send, square, start, toy_studio, when
from zero3d.cli import main
from zero3d.gate import Gate
from zero3d.plugins import load_plugins
from zero3d.run import plan
from zero3d.values import ElevationEstimate
from zero3d_studio import jobs
from zero3d_studio.jobs import STOPPED
from zero3d_studio.page import ASSETS, asset
from zero3d_studio.recipes import choice_of
from zero3d_studio.studio import Limits

TOKEN = "a-token-of-many-letters"
LIMITS = Limits(upload=300_000, pixels=1_000_000, waiting=3)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        made = toy_studio(tmp_path_factory.mktemp("studio") / "in", patch, LIMITS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def web(studio):
    return client(studio)


def pixels(answer):
    assert answer.status_code == 200, answer.text
    return numpy.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.fixture(scope="module")
def finished(studio, web):
    """The name of a run that was made through the page, with half of the mask erased."""
    added = send(web, name="../..\\évil\0 <b>cat</b>.PNG").json()
    assert added["found"]
    assert (added["width"], added["height"]) == (64, 64)
    mask = pixels(web.get(f"/api/pictures/{added['ident']}/mask"))
    assert mask.shape == (64, 64)
    assert (mask > 127).sum() == 32 * 32
    painted = numpy.full((64, 64, 4), 255, numpy.uint8)
    painted[..., 3] = mask
    painted[:, 32:, 3] = 0
    headers = {"content-type": "image/png"}
    told = web.put(f"/api/pictures/{added['ident']}/mask", content=png(painted), headers=headers).json()
    assert told["found"]
    asked = {"picture": added["ident"], "recipe": "toy", "elevation_deg": 35, "steps": 20, "seed": 5}
    name = web.post("/api/runs", json=asked).json()["name"]
    when(web, name, lambda told: not told["alive"])
    return name


class TestARun:
    def test_it_is_what_was_asked_for(self, studio, web, finished):
        told = web.get(f"/api/runs/{finished}").json()
        assert (told["state"], told["done"], told["total"], told["resumable"]) == ("done", 20, 20, False), told
        run = studio.runs.path / finished
        kept = numpy.asarray(Image.open(run / "picture.png"))
        assert (kept[16:48, 16:32, 3] == 255).all()
        assert (kept[..., 3] > 0).sum() == 32 * 16
        assert (kept[20, 20] == (200, 30, 30, 255)).all()
        recipe = (run / "recipe.yaml").read_text(encoding="utf-8")
        assert "elevation_deg: 35" in recipe
        assert "seed: 5" in recipe
        assert "mask: alpha" in recipe
        assert finished.isascii()
        assert not set(finished) & set("./\\<>")

    def test_it_is_seen_and_downloaded(self, studio, web, finished):
        told = web.get(f"/api/runs/{finished}").json()
        assert told["report"]
        assert told["preview"] == "previews/step_000020.png"
        assert pixels(web.get(f"/runs/{finished}/{told['preview']}")).ndim == 3
        report = web.get(f"/runs/{finished}/report.html")
        assert report.headers["content-type"].startswith("text/html")
        assert "<h1>" in report.text
        assert report.headers["content-security-policy"].startswith("sandbox allow-scripts ")
        files = zipfile.ZipFile(io.BytesIO(web.get(f"/api/runs/{finished}/zip").content))
        assert files.testzip() is None
        names = set(files.namelist())
        assert {
            f"{finished}/{name}" for name in ("report.html", "recipe.yaml", "metrics.jsonl", "picture.png")
        } <= names
        assert web.get(f"/runs/{finished}/recipe.yaml").headers["content-disposition"].startswith("attachment")
        assert not list((studio.runs.path / ".studio").glob("*.zip")), "it is made for one answer"

    def test_it_is_listed_by_a_later_studio(self, studio, web, finished, monkeypatch, tmp_path):
        assert finished in [run["name"] for run in web.get("/api/runs").json()]
        later = toy_studio(tmp_path / "in", monkeypatch)
        os.rename(studio.runs.path / finished, later.runs.path / "moved")
        try:
            told = client(later).get("/api/runs/moved").json()
        finally:
            os.rename(later.runs.path / "moved", studio.runs.path / finished)
            later.close()
        assert (told["state"], told["done"], told["total"], told["report"]) == ("done", 20, 20, True)

    def test_its_elevation_is_estimated_unless_it_is_given(self, tmp_path, monkeypatch):
        studio = toy_studio(tmp_path / "in", monkeypatch, LIMITS)
        web = client(studio)
        ident, runs = send(web).json()["ident"], []
        for given in ({}, {"elevation_deg": None}, {"elevation_deg": 30}):
            asked = {"picture": ident, "recipe": "toy", "steps": 1, **given}
            runs.append(web.post("/api/runs", json=asked).json()["name"])
        words = [" ".join(studio.queue.get(name).words) for name in runs]
        assert ["input.elevation_deg" in line for line in words] == [False, False, True]
        studio.close()

    def test_the_estimate_that_is_shown_is_the_runs(self, tmp_path, monkeypatch):
        """Of the mask as it is now; one that is painted meanwhile is not that of a run which waits."""
        waits = [sys.executable, "-c", "import time; time.sleep(600)"]
        monkeypatch.setattr(jobs, "_started", lambda *_: subprocess.Popen(waits, start_new_session=True))
        studio = toy_studio(tmp_path / "in", monkeypatch, LIMITS)
        studio.choices.found.append(studio.choices.nano)
        web = client(studio)
        ident = send(web).json()["ident"]

        def told(recipe):
            return web.post("/api/elevation", json={"picture": ident, "recipe": recipe}).json()

        assert told("toy") == {"degrees": 20.0, "std_deg": None}, "nothing in the toy estimates it"
        first, read = told("nano"), studio.pictures.rgba(ident)
        words = [f"image={read}", "input.mask=alpha", f"out={tmp_path}/out"]
        planned = plan("nano", load_plugins(), words)
        assert planned.recipe.images["front"].config.path == str(read)
        assert (
            f"{ElevationEstimate(first['degrees'], first['std_deg'])}; input.elevation_deg=… overrides" in planned.notes
        )
        monkeypatch.setattr("zero3d_studio.studio.elevation_of", None)
        assert told("nano") == first, "it is not made twice"
        monkeypatch.undo()
        monkeypatch.setattr(jobs, "_started", lambda *_: subprocess.Popen(waits, start_new_session=True))
        name = web.post("/api/runs", json={"picture": ident, "recipe": "nano"}).json()["name"]
        before, half = read.read_bytes(), numpy.zeros((64, 64, 4), numpy.uint8)
        for left in (40, 32, 24):
            half[16:48, left:48] = 255
            web.put(f"/api/pictures/{ident}/mask", content=png(half), headers={"content-type": "image/png"})
        assert told("nano") != first, "another mask"
        assert studio.queue.get(name).reads.read_bytes() == before
        assert len(list(read.parent.glob("*.rgba.png"))) == 3, (
            "the waiting run's, the present one and the one before it"
        )
        lacking = web.post("/api/elevation", json={"picture": ident, "recipe": "lacking"})
        assert (lacking.status_code, lacking.json()["error"][:26]) == (400, "lacking cannot be run here")
        assert web.post("/api/elevation", json={"picture": ident, "recipe": "toy", "seed": 1}).status_code == 400
        studio.close()

    def test_cancelled_it_goes_on_where_it_was_and_others_wait(self, tmp_path, monkeypatch):
        studio = toy_studio(tmp_path / "in", monkeypatch, LIMITS, viewer=True)
        web = client(studio)
        name = start(web, steps=200_000)
        second, third = start(web), start(web)
        assert len({name, second, third}) == 3
        assert web.get(f"/api/runs/{third}").json()["place"] == 1
        ident = send(web).json()["ident"]
        full = web.post("/api/runs", json={"picture": ident, "recipe": "toy"})
        assert full.status_code == 400
        assert "3 runs wait or run already" in full.json()["error"]
        for waiting in (second, third):
            assert web.post(f"/api/runs/{waiting}/stop").status_code == 200
            assert web.get(f"/api/runs/{waiting}").json()["state"] == STOPPED
        told = when(web, name, lambda told: told["viewer"] and told["done"] > 3)
        url = f"http://127.0.0.1:{told['viewer']['port']}/"
        with urllib.request.urlopen(url, timeout=20) as page:
            assert page.headers["content-security-policy"] == f"frame-ancestors 'self' {BASE}"
        assert "viewer.json" not in studio.runs.files(studio.runs.path / name)
        assert web.get(f"/runs/{name}/viewer.json").status_code == 404
        web.post(f"/api/runs/{name}/stop")
        told = when(web, name, lambda told: not told["alive"])
        assert (told["state"], told["resumable"], told["viewer"]) == (STOPPED, True, None), told
        done = told["done"]
        own = studio.runs.path / name / "recipe.yaml"
        told_of = own.read_text(encoding="utf-8")
        assert BASE in told_of
        own.write_text(told_of.replace(BASE, "http://127.0.0.1:1"), encoding="utf-8")  # of a former studio's page
        assert web.post(f"/api/runs/{name}/resume").status_code == 200
        assert web.post(f"/api/runs/{name}/resume").status_code == 400, "it is at work"
        told = when(web, name, lambda told: told["viewer"] and told["done"] > done)
        with urllib.request.urlopen(f"http://127.0.0.1:{told['viewer']['port']}/", timeout=20) as page:
            assert page.headers["content-security-policy"] == f"frame-ancestors 'self' {BASE}"
        studio.close()  # as Ctrl-C does
        told = web.get(f"/api/runs/{name}").json()
        assert told["state"] == STOPPED
        assert told["done"] > done
        assert any("go on with: zero3d resume" in line for line in told["log"])
        steps = [
            json.loads(line)["step"]
            for line in (studio.runs.path / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        assert steps == list(range(told["done"])), "each step once"
        assert web.post(f"/api/runs/{name}/resume").json()["error"] == "the studio is ending"

    def test_it_saves_itself_when_the_studio_is_killed(self, studio, tmp_path):
        code = (
            "import sys, time; from pathlib import Path; from zero3d_studio.jobs import Queue, Job\n"
            "queue = Queue(1, 1); queue.add(Job('a', sys.argv[2:], Path(sys.argv[1]))); time.sleep(600)"
        )
        Image.fromarray(square()).save(tmp_path / "red.png")
        places = [f"image={tmp_path / 'red.png'}", f"out={tmp_path / 'out'}"]
        words = [
            *PLUGIN,
            "run",
            str(studio.runs.path.parent / "toy.yaml"),
            *places,
            "steps=1000000",
            "observers.report=null",
        ]
        parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log"), *words])
        until = time.monotonic() + 90
        while not (tmp_path / "out" / "metrics.jsonl").is_file():
            assert time.monotonic() < until, (tmp_path / "log").read_text(encoding="utf-8")
            time.sleep(0.1)
        parent.kill()
        parent.wait()
        while "go on with: zero3d resume" not in (tmp_path / "log").read_text(encoding="utf-8"):
            assert time.monotonic() < until, (tmp_path / "log").read_text(encoding="utf-8")
            time.sleep(0.1)


class TestWhatIsAsked:
    @pytest.mark.parametrize(
        ("asked", "line"),
        [
            ({"recipe": "lacking"}, "lacking cannot be run here: weights"),
            ({"elevation_deg": 91}, "elevation_deg: 91;"),
            ({"elevation_deg": "20"}, "elevation_deg: '20'"),
            ({"elevation_deg": True}, "elevation_deg: True"),
            ({"steps": 0}, "steps: 0;"),
            ({"steps": 1.5}, "steps: 1.5;"),
            ({"seed": -1}, "seed: -1;"),
            ({"prompt": "${oc.env:HOME}"}, "prompt: words"),
            ({"prompt": "a" * 1001}, "prompt: words"),
            ({"prompt": ["a"]}, "prompt: words"),
            ({"recipe": "worded", "prompt": " "}, "prompt: missing; worded needs words"),
            ({"image": "/etc/passwd"}, "image: no such key"),
        ],
    )
    def test_a_mistake_is_one_line(self, web, asked, line):
        ident = send(web).json()["ident"]
        answer = web.post("/api/runs", json={"picture": ident, "recipe": "toy", **asked})
        assert answer.status_code == 400
        assert line in answer.json()["error"]

    def test_what_is_not_there(self, web):
        ident = send(web).json()["ident"]
        assert web.post("/api/runs", json={"picture": "0" * 16, "recipe": "toy"}).status_code == 404
        assert web.post("/api/runs", json={"picture": ident, "recipe": "nothing"}).status_code == 404
        assert web.post("/api/runs/nothing/resume").status_code == 404
        assert web.post("/api/runs/nothing/stop").status_code == 400
        assert web.post("/api/runs/nothing/burn").status_code == 404
        assert web.get("/api/runs/nothing").status_code == 404
        for body in (b"[]", b"{", b"[" * 60_000, b"\xff"):
            answer = web.post("/api/runs", content=body, headers={"content-type": "application/json"})
            assert answer.status_code == 400, body[:9]
        assert (
            web.post("/api/runs", content=b" " * 70_000, headers={"content-type": "application/json"}).status_code
            == 413
        )

    def test_the_recipes_are_those_of_the_command_line(self, tmp_path, capsys):
        for name in ("nano", "magic123", "views", "train-nano", "mvdream"):
            shutil.copy(f"recipes/{name}.yaml", tmp_path)
        assert main(["recipes", "--json", "--folder", str(tmp_path)]) == 0
        found = {one.name: one for summary in json.loads(capsys.readouterr().out) if (one := choice_of(summary, "x"))}
        assert not found["nano"].why
        assert found["nano"].steps == 40
        assert found["magic123"].prompt
        assert found["magic123"].why
        assert not {"views", "train-nano", "mvdream"} & set(found), "no single picture makes these"


class TestAPicture:
    def test_a_plain_background_is_told_and_a_mask_is_kept(self, web):
        added = send(web, png(square(64, (250, 250, 250)))).json()
        assert added["found"]
        assert "plain background" in added["notes"][0]
        mask = pixels(web.get(f"/api/pictures/{added['ident']}/mask"))
        assert mask[32, 32] == 255
        assert mask[2, 2] == 0
        assert (pixels(web.get(f"/api/pictures/{added['ident']}/colours"))[2, 2] == 250).all()

    def test_one_without_an_object_is_painted(self, studio, web):
        grey = numpy.full((40, 60, 3), 128, numpy.uint8)
        added = send(web, png(grey)).json()
        assert not added["found"]
        assert "paint over the object" in added["notes"][0]
        assert not pixels(web.get(f"/api/pictures/{added['ident']}/mask")).any()
        refused = web.post("/api/runs", json={"picture": added["ident"], "recipe": "toy"})
        assert refused.status_code == 400
        assert "no mask yet" in refused.json()["error"]
        place, headers = f"/api/pictures/{added['ident']}/mask", {"content-type": "image/png"}
        empty = numpy.zeros((40, 60, 4), numpy.uint8)
        assert "mask is empty" in web.put(place, content=png(empty), headers=headers).json()["error"]
        empty[10:30, 10:30] = 255
        assert web.put(place, content=png(empty), headers=headers).json()["found"]
        rgba = studio.pictures.rgba(added["ident"])
        assert (numpy.asarray(Image.open(rgba))[..., 3] > 127).sum() == 400
        assert not pixels(web.get(place)).any(), "as it was found"
        for wrong in (png(empty[1:]), b"\x89PNG\r\n\x1a\n", b"no", png(numpy.zeros((2000, 2000), numpy.uint8))):
            assert web.put(place, content=wrong, headers=headers).status_code == 400
        assert (numpy.asarray(Image.open(rgba))[..., 3] > 127).sum() == 400, "what is refused changes nothing"

    def test_a_turned_one_lies_upright(self, web):
        picture = Image.fromarray(numpy.full((40, 60, 3), 128, numpy.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6
        added = send(web, png(picture, format="JPEG", exif=exif), kind="image/jpeg").json()
        assert (added["width"], added["height"], added["found"]) == (40, 60, False), added

    def test_only_the_newest_are_kept(self, tmp_path, monkeypatch):
        from zero3d_studio import pictures

        monkeypatch.setattr(pictures, "KEPT", 2)
        studio = toy_studio(tmp_path / "in", monkeypatch)
        web = client(studio)
        idents = [send(web).json()["ident"] for _ in range(4)]
        kept = [web.get(f"/api/pictures/{ident}/mask").status_code for ident in idents]
        assert kept == [404, 404, 200, 200]
        assert len(list((studio.runs.path / ".studio" / "pictures").iterdir())) == 6
        studio.close()


def bomb(width, height):
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


class TestFuzz:
    def test_no_picture_is_one_line(self, web):
        rng = random.Random(0)
        whole = png(numpy.random.default_rng(0).integers(0, 255, (48, 48, 3), numpy.uint8))
        jpeg = png(square(64, (250, 250, 250)), format="JPEG")
        sent = [
            b"",
            b"x",
            rng.randbytes(5000),
            bomb(30_000, 30_000),
            bomb(2**31 - 1, 2**31 - 1),
            bomb(0, 0),
            bomb(1, 10**6),
        ]
        sent += [png(numpy.zeros((1001, 1000), numpy.uint8)), png(square(8)), b"RIFF\0\0\0\0WEBP" + rng.randbytes(50)]
        sent += [
            b"\0\0\0\x18ftypheic" + rng.randbytes(300),
            b"II*\0" + rng.randbytes(300),
            b"GIF89a" + rng.randbytes(99),
        ]
        sent += [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"P6 9 9 255 "]
        sent += [data[: rng.randrange(8, len(data))] for data in (whole, jpeg) for _ in range(6)]
        good = [
            bytes(b ^ (rng.random() < 0.01) * rng.randrange(256) for b in data)
            for data in (whole, jpeg)
            for _ in range(6)
        ]
        for number, data in enumerate([*sent, *good]):
            answer = send(web, data, kind="application/octet-stream")
            assert answer.status_code in ((400, 200) if number >= 16 else (400,)), (number, data[:20], answer.text)
            if answer.status_code == 400:
                line = answer.json()["error"]
                assert 0 < len(line) < 400
                assert not [word for word in ("\n", "Traceback", "/") if word in line], line

    @pytest.mark.parametrize(
        "name", ["../../etc/passwd", "a\0b", "..", "ünï🐱.png", "x" * 5000, "<img src=x>", "\u202egnp.exe", ""]
    )
    def test_a_name_is_only_shown(self, web, studio, name):
        before = set(studio.runs.path.rglob("*"))
        answer = send(web, name=name)
        assert answer.status_code == 200
        added = answer.json()
        assert len(added["name"]) <= 80
        assert added["name"].isprintable()
        new = set(studio.runs.path.rglob("*")) - before
        assert {path.parent.name for path in new} == {"pictures"}
        assert all(added["ident"] in path.name for path in new)
        free = studio.runs.free("toy", name, set())
        assert free.isascii()
        assert free.replace("-", "").replace("_", "").isalnum()
        assert len(free) < 100

    def test_the_kind_and_the_size_are_bounded(self, web):
        for kind in ("text/html", "multipart/form-data; boundary=x", "application/json", ""):
            assert send(web, kind=kind).status_code == 415, kind
        assert send(web, b"\x89PNG\r\n\x1a\n" + b"\0" * 300_000).status_code == 413
        pieces = iter([b"\x89PNG\r\n\x1a\n", *[b"\0" * 50_000] * 20])
        headers = {"content-type": "image/png"}
        assert web.post("/api/pictures", content=pieces, headers=headers).status_code == 413, "without a length"


class TestWhoMayAsk:
    CHANGES = (
        ("POST", "/api/pictures?name=a"),
        ("PUT", "/api/pictures/0/mask"),
        ("POST", "/api/runs"),
        ("POST", "/api/runs/a/stop"),
        ("POST", "/api/runs/a/resume"),
        ("DELETE", "/api/runs/a"),
    )

    @pytest.mark.parametrize(("method", "path"), CHANGES)
    def test_what_changes_comes_from_this_page(self, studio, method, path):
        web = client(studio, headers={})
        for headers, status in [
            ({}, 403),
            ({"origin": "null"}, 403),
            ({"origin": "http://evil.example"}, 403),
            ({"origin": "http://127.0.0.1:8001"}, 403),
            ({"origin": "http://evil.example", "host": "evil.example"}, 403),
            ({"origin": BASE, "host": "127.0.0.1.evil.example:8000"}, 403),
        ]:
            assert web.request(method, path, headers=headers).status_code == status, headers
        assert web.request(method, path, headers=ORIGIN).status_code in (400, 404, 405, 415), "past the gate"

    def test_only_this_host_is_read(self, studio):
        web = client(studio, headers={})
        assert web.get("/").status_code == 200
        assert web.get("/api/state", headers={"host": "evil.example"}).status_code == 403
        assert web.get("/api/state", headers={"origin": "http://evil.example"}).status_code == 403

    def test_a_token_becomes_a_cookie(self, studio):
        gate = Gate(TOKEN, (), "zero3d_studio_1")
        web = client(studio, gate, base_url="http://studio.example", headers={})
        assert web.get("/").status_code == 401
        assert web.get(f"/?token={TOKEN}x").status_code == 401
        entered = web.get(f"/?token={TOKEN}")
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert web.get("/").status_code == 200, "the cookie is kept"
        assert web.post("/api/runs", json={}).status_code == 403, "a cookie alone changes nothing"
        assert web.post("/api/runs", json={}, headers={"origin": "http://studio.example"}).status_code == 404
        assert web.get("/x%0d%0aset-cookie:a?token=" + TOKEN).headers.get_list("set-cookie") == [cookie]

    def test_the_page_asks_nobody_else(self, web):
        answer = web.get("/")
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "*;" not in policy.replace("http://127.0.0.1:*;", "")
        for name in ("index.html", *ASSETS):
            text = asset(name)
            served = web.get("/" if name == "index.html" else f"/page/{name}")
            assert served.status_code == 200
            assert served.text == text
            for word in ("http:", "https:", "//cdn", "@import", "innerHTML", "style="):
                assert word not in text.replace("http://${location.hostname}", ""), (name, word)
        assert web.get("/page/__init__.py").status_code == 404
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert web.get(path).status_code == 404


class TestNothingElseIsRead:
    @pytest.mark.parametrize("inner", [
        "../toy.yaml", "..%2ftoy.yaml", "%2e%2e/%2e%2e/toy.yaml", "/etc/passwd", "//etc/passwd", "..\\toy.yaml", "%00",
        "report.html%00.png", "previews/../../../toy.yaml", "./report.html", "previews", "", "link.yaml", "linked/toy.yaml",
        ".zero3d.lock", "viewer.json", ".hidden",
    ])  # fmt: skip
    def test_by_a_path(self, studio, web, finished, inner):
        run = studio.runs.path / finished
        for name, target in (("link.yaml", run.parents[1] / "toy.yaml"), ("linked", run.parents[1])):
            if not (run / name).is_symlink():
                (run / name).symlink_to(target)
        for name in ("viewer.json", ".hidden", ".zero3d.lock"):
            (run / name).write_text("secret", encoding="utf-8")
        status, body = raw(web, f"/runs/{finished}/{inner}")
        assert status == 404, body[:99]
        inside = zipfile.ZipFile(io.BytesIO(web.get(f"/api/runs/{finished}/zip").content)).namelist()
        assert not [name for name in inside if "link" in name or "viewer.json" in name or "/." in name]

    @pytest.mark.parametrize("name", ["..", ".", "%2e%2e", ".studio", "..%2f..", "linked", "plain", "a%00", "x" * 3000])
    def test_by_a_name(self, studio, web, name):
        runs = studio.runs.path
        (runs / "plain").mkdir(exist_ok=True)
        other = runs.parent / "other"
        other.mkdir(exist_ok=True)
        (other / "manifest.json").write_text("{}", encoding="utf-8")
        (other / "report.html").write_text("secret", encoding="utf-8")
        if not (runs / "linked").is_symlink():
            (runs / "linked").symlink_to(other)
        for path in (f"/runs/{name}/report.html", f"/api/runs/{name}/zip", f"/api/runs/{name}"):
            status, body = raw(web, path)
            assert status in (404, 405), (path, body[:99])
        assert raw(web, f"/api/runs/{name}/resume", "POST")[0] in (404, 405)
        assert name not in [run["name"] for run in web.get("/api/runs").json()]


class TestTheCommand:
    def test_a_mistake_is_one_line(self, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").write_text("", encoding="utf-8")
        for words, line in [
            (["--port", "70000"], "--port: 70000"),
            (["--token", "short"], "--token: 16 or more"),
            (["--jobs", "0"], "--jobs: 0; 1 to 64"),
            (["--jobs", "2", "--viewer-port", "8001"], "--viewer-port: 8001;"),
            (["--megapixels", "900"], "--megapixels: 900"),
            (["--folder", "file"], "--folder: file: a link or a file"),
            (["--recipes", "nothing"], "--recipes: nothing: no folder"),
        ]:
            assert main(["studio", *words]) == 2
            told = capsys.readouterr().err
            assert line in told
            assert told.count("\n") == 1, told

    def test_a_port_in_use_and_a_missing_package(self, tmp_path, capsys, monkeypatch):
        import socket

        from zero3d_studio import command

        monkeypatch.chdir(tmp_path)
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            assert main(["studio", "--port", str(taken.getsockname()[1])]) == 2
        told = capsys.readouterr().err
        assert "is in use; give another, or --port 0" in told
        assert told.count("\n") == 1
        monkeypatch.setattr(command, "find_spec", lambda name: None)
        assert main(["studio"]) == 2
        assert "pip install 'zero3d[studio]'" in capsys.readouterr().err
