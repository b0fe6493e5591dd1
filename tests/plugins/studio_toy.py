"""A studio in a folder of its own with the toy recipe, asked without a network."""

import asyncio
import io
import re
import time
from pathlib import Path
from urllib.parse import unquote

import numpy
from fastapi.testclient import TestClient
from PIL import Image

from tests.core.conftest import TOY_RECIPE
from zero3d.gate import Gate
from zero3d.plugins import load_plugins
from zero3d_studio import studio as module
from zero3d_studio.app import make_app
from zero3d_studio.recipes import Choice
from zero3d_studio.studio import Limits, Studio

PLUGIN = ["--plugin", str(Path(__file__).with_name("batch_toy.py"))]
BASE = "http://127.0.0.1:8000"
ORIGIN = {"origin": BASE}


class ToyChoices:
    """In place of those that a process lists."""

    wrong = ""

    def __init__(self, folder, always=()):
        self.found = [
            Choice("toy", str(folder / "toy.yaml"), "A toy", 30, "CPU", "", False, ""),
            Choice("worded", str(folder / "toy.yaml"), "A toy with words", 30, "CPU", "", True, ""),
            Choice("lacking", "zero123", "Not here", 30, "GPU", "zero123-xl", False, "weights: 'zero123-xl': not here"),
        ]
        self.nano = Choice("nano", "nano", "One that estimates", 100, "CPU", "", False, "")

    def get(self, name):
        return {one.name: one for one in self.found}[name]


def toy_studio(folder, patch, limits=None, viewer=False):
    """`patch`: a MonkeyPatch."""
    patch.setattr(module, "Choices", ToyChoices)
    text = re.sub("^(image|out|input):.*\n", "", TOY_RECIPE, flags=re.M).format()
    folder.mkdir()
    (folder / "toy.yaml").write_text(
        text + "input: {framing: keep}\nobservers: {preview: {every: 10, size: 32}}\n", encoding="utf-8"
    )
    made = Studio(folder / "runs", load_plugins(PLUGIN[1:]), limits or Limits(), "127.0.0.1", PLUGIN, folder)
    made.viewer = viewer
    return made


def client(studio, gate=None, **options):
    options = {"base_url": BASE, "headers": ORIGIN, **options}
    return TestClient(
        make_app(studio, gate or Gate()), raise_server_exceptions=False, follow_redirects=False, **options
    )


def png(picture, **options):
    """A file's bytes of an array or a picture."""
    made = io.BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, numpy.ndarray) else picture
    picture.save(made, **{"format": "PNG", **options})
    return made.getvalue()


def square(side=64, background=None):
    """A red square, on a plain background or on nothing."""
    rgba = numpy.zeros((side, side, 4), numpy.uint8)
    if background is not None:
        rgba[:] = (*background, 255)
    rgba[side // 4 : -side // 4, side // 4 : -side // 4] = (200, 30, 30, 255)
    return rgba if background is None else rgba[..., :3]


def send(web, data=None, name="cat.png", kind="image/png"):
    data = png(square()) if data is None else data
    return web.post("/api/pictures", params={"name": name}, content=data, headers={"content-type": kind})


def start(web, **asked):
    ident = send(web).json()["ident"]
    answer = web.post("/api/runs", json={"picture": ident, "recipe": "toy", **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()["name"]


def when(web, name, good, seconds=90):
    """What is told of a run once it is good."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        told = web.get(f"/api/runs/{name}").json()
        if good(told):
            return told
        time.sleep(0.1)
    raise AssertionError(told)


def raw(web, path, method="GET"):
    """Status and body of a request whose path no client has tidied."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8000"), (b"origin", BASE.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    asyncio.run(web.app(scope, receive, send))
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent)
