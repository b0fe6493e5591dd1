"""A headless Chromium that stays open on a live page: its picture when it is good, its buttons pressed."""

import base64
import contextlib
import io
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
from PIL import Image
from websockets.sync.client import connect

from tests.plugins.browser import BROWSER, FLAGS


class Page:
    """One tab."""

    def __init__(self, socket, size):
        self._socket, self._count = socket, 0
        self("Page.enable")
        self("Emulation.setDeviceMetricsOverride", width=size[0], height=size[1], deviceScaleFactor=1, mobile=False)

    def __call__(self, method, **parameters):
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, url):
        self("Page.navigate", url=url)

    def ask(self, script):
        """The value of a JavaScript expression."""
        return self("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def click(self, text):
        """Press the button that says so."""
        found = f"[...document.querySelectorAll('button')].find(b => b.innerText.trim() === {json.dumps(text)})"
        assert self.ask(f"(() => {{ const b = {found}; b && b.click(); return !!b; }})()"), f"no button {text!r}"

    def picture(self):
        """(H, W, 3) uint8."""
        data = base64.b64decode(self("Page.captureScreenshot", format="png")["data"])
        return numpy.asarray(Image.open(io.BytesIO(data)).convert("RGB"))

    def picture_when(self, good, seconds=40.0, every=0.5):
        """The first picture that is good, or the last one there was time for."""
        end, picture = time.monotonic() + seconds, None
        while time.monotonic() < end and (picture is None or not good(picture)):
            time.sleep(every)
            with contextlib.suppress(RuntimeError):  # between two pages there is nothing to take
                picture = self.picture()
        assert picture is not None, "the browser gives no picture"
        return picture


@contextlib.contextmanager
def browser(size=(900, 600)):
    """A Page of a Chromium that ends with the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [
                BROWSER,
                *FLAGS,
                "--remote-debugging-port=0",
                f"--user-data-dir={profile}",
                f"--window-size={size[0]},{size[1]}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            told, end = Path(profile) / "DevToolsActivePort", time.monotonic() + 30
            while not told.is_file() or not told.read_text(encoding="utf-8").strip():
                assert time.monotonic() < end, "the browser does not start"
                time.sleep(0.1)
            port = told.read_text(encoding="utf-8").split()[0]
            yield from _tab(port, size)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _tab(port, size):
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=20) as answer:
        tab = next(one for one in json.load(answer) if one["type"] == "page")
    with connect(tab["webSocketDebuggerUrl"], max_size=2**26, open_timeout=20) as socket:
        yield Page(socket, size)
