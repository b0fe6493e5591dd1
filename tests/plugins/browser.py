"""A page in headless Chromium, through its debugging protocol: what a part of it looks like, what it said and asked for."""

import base64
import io
import itertools
import json
import os
import shutil
import subprocess
import time
import urllib.request
from dataclasses import dataclass

import numpy
from PIL import Image

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
PATIENCE_S = 60


@dataclass
class Seen:
    """(H, W, 3) uint8 of the first canvas in the part; errors; addresses that were asked for; JavaScript's answer."""

    picture: numpy.ndarray
    errors: list
    asked: list
    answer: object = None


def look_at(page, selector, folder, script="null"):
    """Open the file with the network off, wait for its viewers, run `script`, then take the canvas below `selector`."""
    from websockets.sync.client import connect

    profile = folder / "profile"
    command = [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    with (folder / "browser.log").open("wb") as log:
        browser = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        until = time.monotonic() + PATIENCE_S
        port = profile / "DevToolsActivePort"
        while not (port.is_file() and port.read_text(encoding="utf-8").count("\n")):
            assert time.monotonic() < until, (folder / "browser.log").read_text(encoding="utf-8", errors="replace")
            time.sleep(0.05)
        address = f"http://127.0.0.1:{port.read_text(encoding='utf-8').split()[0]}/json/list"
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
            target = next(t for t in json.load(answer) if t["type"] == "page")
        with connect(target["webSocketDebuggerUrl"], max_size=None) as socket:
            return _look(socket, page, selector, script, until)
    finally:
        browser.terminate()
        browser.wait(30)


def _look(socket, page, selector, script, until):
    numbers, events = itertools.count(1), []

    def ask(method, **params):
        number = next(numbers)
        socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(socket.recv(timeout=PATIENCE_S))
            if message.get("id") == number:
                return message["result"]
            events.append(message)

    def value(expression):
        found = ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")

    for domain in ("Runtime", "Log", "Page", "Network"):
        ask(f"{domain}.enable")
    ask("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    ask("Emulation.setDeviceMetricsOverride", width=1240, height=900, deviceScaleFactor=1, mobile=False)
    ask("Page.navigate", url=page.as_uri())
    while value("document.documentElement.dataset.viewers") != "started":
        assert time.monotonic() < until, f"no viewer started: {[e for e in events if 'Log' in e.get('method', '')]}"
        time.sleep(0.1)
    answer = value(script)
    place = f"document.querySelector({json.dumps(selector + ' canvas')})"
    data = value(f"{place}.toDataURL('image/png')").partition(",")[2]
    picture = numpy.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))
    errors = [e["params"]["exceptionDetails"]["text"] for e in events if e.get("method") == "Runtime.exceptionThrown"]
    logged = [e["params"]["entry"] for e in events if e.get("method") == "Log.entryAdded"]
    errors += [entry["text"] for entry in logged if entry["level"] == "error"]
    said = [e["params"] for e in events if e.get("method") == "Runtime.consoleAPICalled"]
    errors += [str(entry["args"]) for entry in said if entry["type"] == "error"]
    asked = [e["params"]["request"]["url"] for e in events if e.get("method") == "Network.requestWillBeSent"]
    return Seen(picture, errors, [url for url in asked if not url.startswith(("data:", "blob:"))], answer)
