"""Pictures and films as data of a page, no larger than they are looked at."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy
from PIL import Image

from zero3d.html_pages import as_jpeg, data_uri
from zero3d_report.page.html import figure, image

FILM_BYTES = 3_000_000
"""A film above this is linked; some of its frames stand in the page."""
FRAMES = 8
"""Of a film that is linked, and of previews."""
Unreadable = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
"""What Pillow raises for a damaged file."""


def as_png(picture: Image.Image) -> str:
    held = io.BytesIO()
    picture.save(held, format="PNG")
    return data_uri("image/png", held.getvalue())


def opened(path: Path, largest: int) -> Image.Image:
    """At most so many pixels a side.

    Raises:
        OSError, ValueError, ...: `Unreadable`.
    """
    with Image.open(path) as picture:
        picture.load()
        made = picture.convert("RGBA") if picture.mode in ("RGBA", "LA", "PA", "P") else picture.convert("RGB")
    made.thumbnail((largest, largest))
    return made


def input_figures(label: str, path: Path) -> list[str]:
    """The picture as the run keeps it, and its mask."""
    try:
        picture = opened(path, 440)
    except Unreadable as error:
        return [figure("", f"{path.name}: cannot be shown ({type(error).__name__})", "picture")]
    made = [figure(image(as_png(picture), f"input {label}"), f"input: {label}", "picture")]
    if picture.mode == "RGBA":
        made.append(figure(image(as_png(picture.getchannel("A")), f"mask of {label}"), "its mask", "picture"))
    return made


def evenly(items: Sequence[Path], most: int) -> list[Path]:
    """Some of many, the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round((k + 1) * len(items) / most) - 1] for k in range(most)]


def preview_figures(paths: Sequence[Path]) -> list[str]:
    made = []
    for path in evenly(paths, FRAMES):
        try:
            uri = as_jpeg(opened(path, 640))
        except Unreadable:
            continue
        step = path.stem.removeprefix("step_").lstrip("0") or "0"
        made.append(figure(image(uri, f"preview at step {step}"), f"step {step}"))
    return made


def film_figure(path: Path) -> str:
    """The turning object: the film, or some of its frames where it is large."""
    data = path.read_bytes() if path.stat().st_size <= FILM_BYTES else b""
    if data:
        tag = (
            f'<video controls loop muted autoplay playsinline width="220" src="{data_uri("video/mp4", data)}"></video>'
        )
        return figure(tag, f"{path.name} ({len(data) / 1000:.0f} kB)")
    frames = "".join(image(as_jpeg(Image.fromarray(frame)), "the object turning") for frame in _frames(path))
    return figure(
        frames, f"{path.name} is {path.stat().st_size / 1e6:.1f} MB: some of its frames; open the file itself"
    )


def _frames(path: Path) -> list[numpy.ndarray]:
    """(H, W, 3) uint8, 160 pixels wide; none where the film cannot be read."""
    import av

    try:
        with av.open(str(path)) as container:
            total = container.streams.video[0].frames or FRAMES
            every = max(1, total // FRAMES)
            chosen = [f for k, f in enumerate(container.decode(video=0)) if k % every == 0][:FRAMES]
            return [f.to_ndarray(format="rgb24", width=160, height=160 * f.height // f.width) for f in chosen]
    except (av.error.FFmpegError, OSError, IndexError):
        return []
