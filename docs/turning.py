"""turn.html of the built site: a model of nano's that turns, with the viewer of report.html; one file, no network."""

from pathlib import Path

from zero3d_report.page.html import model_block, page
from zero3d_report.reading.models import Model
from zero3d_report.report import viewer

MODEL = Path(__file__).parent / "gallery" / "mug.glb"
"""Of make_gallery.py: `zero3d run nano image=examples/mug.png`, exported with fewer faces."""
START = """
Zero3DViewer.start().then(() => {
  const turn = [...document.querySelectorAll("button")].find((button) => button.textContent === "turn");
  if (turn && !matchMedia("(prefers-reduced-motion: reduce)").matches) turn.click();
});
"""


def turning_page() -> str:
    """HTML that a page shows in a frame."""
    shown = viewer("model", Model(MODEL, "glb", MODEL.read_bytes()), "", 20.0, "model", MODEL)
    body = [shown[: shown.index("<figcaption>")] + "</figure>"]
    return page("zero3d: a model of nano's", body, [model_block("model", MODEL.read_bytes())], START)


def write(app, exception):
    """For Sphinx, when the site is built."""
    if exception is None and app.builder.format == "html":
        (Path(app.outdir) / "turn.html").write_text(turning_page(), encoding="utf-8")
