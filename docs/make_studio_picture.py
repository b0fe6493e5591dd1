"""Draw docs/studio.png: the studio as a browser shows it, with a picture dropped and a finished run.

python docs/make_studio_picture.py examples/mug.png runs/demo
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from PIL import Image

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
SIZE, SHOWN = (1400, 1010), 1000


def main() -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None or len(sys.argv) != 3:
        sys.exit("give a picture and a run's folder, and have Chromium installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        shutil.copytree(sys.argv[2], Path(place, "runs", "studio", Path(sys.argv[2]).name))
        picture = Path(sys.argv[1]).resolve()
        command = [sys.executable, "-m", "zero3d", "studio", "--port", "0"]
        studio = subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, encoding="utf-8")
        try:
            assert studio.stdout
            url = studio.stdout.readline().strip()
            ident = send(url, picture)
            shot = Path(place, "shot.png")
            words = [
                f"--user-data-dir={place}/profile",
                f"--window-size={SIZE[0]},{SIZE[1]}",
                "--virtual-time-budget=20000",
            ]
            subprocess.run([browser, *FLAGS, *words, f"--screenshot={shot}", f"{url}#{ident}"], check=True)
            sheet = Image.open(shot).convert("RGB")
        finally:
            studio.terminate()
            studio.wait(30)
    sheet.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    out = Path(__file__).parent / "studio.png"
    sheet.quantize(255).save(out, optimize=True)
    print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)")


def send(url: str, picture: Path) -> str:
    """Have the studio take a picture once it has its recipes; what it is called there."""
    while not json.load(urllib.request.urlopen(f"{url}api/state", timeout=60))["recipes"]:
        time.sleep(0.5)
    headers = {"Origin": url.rstrip("/"), "Content-Type": "image/png"}
    request = urllib.request.Request(f"{url}api/pictures?name={picture.name}", picture.read_bytes(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["ident"])


if __name__ == "__main__":
    main()
