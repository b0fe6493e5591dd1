"""Draws docs/viewer.png: the viewer's page during a run of nano's recipe, in headless Chromium.

python docs/make_viewer.py
"""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.plugins.live_browser import browser  # noqa: E402

RUN = ("run", str(ROOT / "recipes/nano.yaml"), f"image={ROOT / 'examples/mug.png'}", "input.elevation_deg=20")
WATCHED = ("steps=400", "export={}", "observers={viewer: {port: 0, detail: 64, splats: 60000}}")
MOST_BYTES = 200_000


def main():
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        process = subprocess.Popen([sys.executable, "-m", "zero3d", *RUN, f"out={out}", *WATCHED])
        while not (out / "viewer.json").is_file():
            time.sleep(0.2)
            if process.poll() is not None:
                raise SystemExit("the run ended before it could be seen")
        with browser((1200, 760)) as page:
            page.open(json.loads((out / "viewer.json").read_text(encoding="utf-8"))["url"])
            end = time.monotonic() + 120
            while time.monotonic() < end and "step 120 " not in str(page.ask("document.body.innerText")):
                if (metrics := out / "metrics.jsonl").is_file() and metrics.read_bytes().count(b"\n") >= 120:
                    break
                time.sleep(1)
            while "Teacher" not in str(page.ask("document.body.innerText")) and time.monotonic() < end:
                time.sleep(0.5)
            page.click("Pause")
            page.ask("[...document.querySelectorAll('.mantine-Notification-root')].forEach(e => e.remove())")
            time.sleep(20)  # the scene fades in
            picture = page.picture()
        process.send_signal(signal.SIGINT)
        process.wait()
    shown = Image.fromarray(picture).quantize(255, dither=Image.Dither.NONE)
    shown.save(ROOT / "docs/viewer.png", optimize=True)
    size = (ROOT / "docs/viewer.png").stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"docs/viewer.png has {size} bytes, over {MOST_BYTES}")


if __name__ == "__main__":
    main()
