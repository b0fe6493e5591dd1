"""Draw docs/report.png: a run's report.html, and below it two runs compared, as a browser shows them.

python docs/make_report_picture.py runs/demo runs/other
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from zero3d_report.compare import write_comparison
from zero3d_report.report import write_report

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
WIDTH, HEIGHT, SHOWN = 1240, (1140, 760), 840


def main() -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None or len(sys.argv) != 3:
        sys.exit("give two runs' folders, and have Chromium installed")
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_report(sys.argv[1], place / "report.html")
        write_comparison(sys.argv[1:3], place / "compare.html")
        parts = [shot(browser, place, name, height) for name, height in zip(("report", "compare"), HEIGHT, strict=True)]
    sheet = Image.new("RGB", (WIDTH, sum(part.height for part in parts)), "white")
    sheet.paste(parts[0], (0, 0))
    sheet.paste(parts[1], (0, parts[0].height))
    sheet.thumbnail((SHOWN, 10_000))
    out = Path(__file__).parent / "report.png"
    sheet.save(out, optimize=True)
    print(f"wrote {out}")


def shot(browser: str, place: Path, name: str, height: int) -> Image.Image:
    words = [f"--user-data-dir={place / 'profile'}", f"--window-size={WIDTH},{height}", "--virtual-time-budget=40000"]
    picture = place / f"{name}.png"
    subprocess.run([browser, *FLAGS, *words, f"--screenshot={picture}", (place / f"{name}.html").as_uri()], check=True)
    with Image.open(picture) as opened:
        return opened.convert("RGB")


if __name__ == "__main__":
    main()
