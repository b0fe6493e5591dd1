"""The page's own files, written by hand: nothing is built, nothing comes from elsewhere."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

ASSETS = {
    "style.css": "text/css; charset=utf-8",
    "studio.js": "text/javascript; charset=utf-8",
    "mask.js": "text/javascript; charset=utf-8",
}


@cache
def asset(name: str) -> str:
    """The text of a file of this folder."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
