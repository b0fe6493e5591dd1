"""HTML pages of one file: they load nothing, and all that is in them is escaped text, or pictures and films as data."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from collections.abc import Iterable

from PIL import Image

CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
"""What HTML has no place for."""
POLICY = (
    "default-src 'none'; script-src {script}; style-src {style}; img-src data: blob:; media-src data:; "
    "connect-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""Nothing but the page's own script and style, by their hashes, and data within it. (GLB textures pass through blob:.)"""


def text(value: object) -> str:
    """Anything as the text of a page, also within an attribute's quotes."""
    return html.escape(CONTROL.sub("\ufffd", str(value)))


def page(title: str, style: str, body: Iterable[str], script: str = "") -> str:
    """A whole page. `style`: CSS, the only one: `style` attributes have no effect. `body`: HTML. `script`: at its end."""
    policy = POLICY.format(script=_hash(script) if script else "'none'", style=_hash(style))
    parts = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>",
        *body,
        f"<script>{script}</script>" if script else "",
        "</body>\n</html>\n",
    ]
    return "\n".join(parts)


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a media type as the address of a picture or film."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def as_jpeg(picture: Image.Image, quality: int = 85) -> str:
    """A picture as a data URI, without its alpha."""
    held = io.BytesIO()
    picture.convert("RGB").save(held, "JPEG", quality=quality)
    return data_uri("image/jpeg", held.getvalue())


def _hash(content: str) -> str:
    """As a Content-Security-Policy names a script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
