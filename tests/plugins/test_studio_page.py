"""The studio's page in a browser: a picture, its mask painted, a run begun, its report; on a desk and on a phone."""

import json
import subprocess
import sys
import threading
import time

import numpy
import pytest
import uvicorn
from PIL import Image

from tests.plugins.browser import BROWSER
from tests.plugins.live_browser import browser
from tests.plugins.studio_toy import png, square, toy_studio
from zero3d.gate import Address, Gate, listen
from zero3d_studio import jobs
from zero3d_studio.app import make_app

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
WATCH = """
window.bad = [];
addEventListener("securitypolicyviolation", e => bad.push(`${e.violatedDirective} ${e.blockedURI}`));
addEventListener("error", e => bad.push(e.message));
addEventListener("unhandledrejection", e => bad.push(String(e.reason)));
"""
REPORT = """<!DOCTYPE html><title>r</title><body bgcolor="#c81e1e"><script>
let reached = true; try { top.document.title; } catch { reached = false; }
document.body.bgColor = reached ? "#000000" : "#1ec81e";</script>"""


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A studio that is served, and its address; a run of it does nothing, and one is there already."""
    waits = [sys.executable, "-c", "import time; time.sleep(600)"]
    monkeypatch.setattr(
        jobs, "_started", lambda words, log: subprocess.Popen(waits, stderr=subprocess.DEVNULL, start_new_session=True)
    )
    studio = toy_studio(tmp_path / "in", monkeypatch)
    studio.choices.found.append(studio.choices.nano)
    former = studio.runs.path / "former"
    former.mkdir()
    (former / "recipe.yaml").write_text("steps: 7", encoding="utf-8")
    (former / "metrics.jsonl").write_text('{"step": 6}\n', encoding="utf-8")
    (former / "manifest.json").write_text("{}", encoding="utf-8")
    (former / "report.html").write_text(REPORT, encoding="utf-8")
    (former / "mesh.glb").write_bytes(b"glTF")
    listening = listen(Address(port=0), "test")
    config = uvicorn.Config(make_app(studio, Gate()), ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield studio, f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join(20)
    studio.close()


def until(page, script, seconds=30):
    end = time.monotonic() + seconds
    while not page.ask(script):
        assert time.monotonic() < end, (script, page.ask("document.body.innerText"), page.ask("bad"))
        time.sleep(0.05)


def drag(page, x, y, dx):
    for kind, moved in (("mousePressed", 0), ("mouseMoved", dx), ("mouseReleased", dx)):
        page("Input.dispatchMouseEvent", type=kind, x=x + moved, y=y, button="left", buttons=1, clickCount=1)


def test_a_model_is_made_on_the_page(served, tmp_path):
    studio, url = served
    (tmp_path / "cat.png").write_bytes(png(square(128, (250, 250, 250))))
    with browser((1000, 900)) as page:
        page("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        page.open(url)
        until(page, "document.querySelectorAll('#recipes input').length === 4 && !$('frame').hidden")
        frame = page.ask("JSON.stringify($('frame').getBoundingClientRect())")
        box = json.loads(frame)
        shown = page.picture_when(lambda p: abs(int(p[int(box["y"]) + 40, int(box["x"]) + 40, 1]) - 200) < 9, 10)
        inside = shown[int(box["y"]) + 40, int(box["x"]) + 40]
        assert inside.tolist() == [30, 200, 30], "the report runs, and reaches nothing of the page"
        assert (
            page.ask("[...document.querySelectorAll('#recipes input')].map(i => i.disabled).join()")
            == "false,false,true,false"
        )
        assert page.ask("[...$('links').children].map(a => a.textContent).join()") == "mesh.glb,Report,All of it (ZIP)"

        document = page("DOM.getDocument")["root"]["nodeId"]
        node = page("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
        page("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / "cat.png")])
        until(page, "!$('editor').hidden && Boolean(editor.mask)")
        assert "plain background" in page.ask("$('notes').textContent")
        box = json.loads(page.ask("JSON.stringify($('canvas').getBoundingClientRect())"))
        scale = box["width"] / 128
        picture = page.picture().astype(int)
        inner, outer = (picture[int(box["y"] + y * scale), int(box["x"] + y * scale)] for y in (64, 8))
        assert abs(inner - (200, 30, 30)).max() < 12, "the object as it is"
        assert outer[1] - outer[0] > 40, "the rest tinted"
        page.ask("document.querySelector('input[value=erase]').click()")
        drag(page, box["x"] + 40 * scale, box["y"] + 64 * scale, 40 * scale)
        until(page, "$('estimate').textContent === '20° unless you move it: toy does not estimate it'")
        until(page, "picture.version === 1")  # what was painted is there already, and looked at
        page.ask("document.querySelector('input[value=nano]').click()")
        until(page, "$('estimate').textContent.startsWith('estimated')")
        told = studio.elevation({"picture": page.ask("picture.ident"), "recipe": "nano"})
        guess = f"{round(told['degrees'])}°"
        assert page.ask("$('estimate').textContent") == (
            f"estimated: about {guess}, give or take {round(told['std_deg'])}"
        )
        assert page.ask("[$('degrees').textContent, $('elevation').value + '°'].join()") == f"{guess},{guess}"
        page.ask("$('elevation').value = 33; $('elevation').dispatchEvent(new Event('input'))")
        assert page.ask("$('degrees').textContent") == "33°"
        page.click("As estimated")
        assert page.ask("$('degrees').textContent") == guess
        page.ask("$('elevation').value = 33; $('elevation').dispatchEvent(new Event('input'))")
        page.ask("document.querySelector('input[value=toy]').click()")
        until(page, "$('estimate').textContent.startsWith('20° unless')")
        assert page.ask("$('degrees').textContent") == "33°"
        page.click("Make it")
        until(page, "chosen === 'toy-cat' && $('state').textContent.startsWith('runs')")
        job = studio.queue.get("toy-cat")
        assert {"input.elevation_deg=33.0", "input.mask=alpha"} <= set(job.words)
        alpha = numpy.asarray(Image.open(job.reads))[..., 3]
        assert alpha[64, 60] == 0
        assert alpha[40, 60] == alpha[90, 60] == 255
        page.click("Cancel")
        until(page, "$('state').textContent.startsWith('stopped')")

        page.ask("$('canvas').focus(); editor.changed = false; editor.spot = null")
        for key in ("ArrowLeft", " "):
            page("Input.dispatchKeyEvent", type="keyDown", key=key)
        assert page.ask("editor.changed && editor.spot[0] < 64"), "by keys alone"
        (tmp_path / "cat.png").write_text("no picture", encoding="utf-8")
        page("DOM.setFileInputFiles", nodeId=node, files=[str(tmp_path / "cat.png")])
        until(page, "$('wrong').textContent.startsWith('cat.png: no PNG, JPEG')")
        asked = page.ask("performance.getEntriesByType('resource').map(e => e.name)".join(["JSON.stringify(", ")"]))
        assert all(one.startswith((url, "data:")) for one in json.loads(asked)), asked
        assert page.ask("JSON.stringify(bad)") == "[]"
        page("Page.reload")
        until(page, "typeof editor === 'object' && Boolean(editor.mask)")
        for width in (390, 1000):
            page("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
            assert page.ask("document.documentElement.scrollWidth") <= width
