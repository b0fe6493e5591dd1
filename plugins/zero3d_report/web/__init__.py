"""What a page is given beside its text: three.js' viewer in one script (built from entry.js), and the style.

`viewer.js` holds three.js 0.187.0 (MIT, LICENSE-three.txt). To build it again, where npm is:
`npm ci --ignore-scripts && npm run build` in this folder.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files


@cache
def asset(name: str) -> str:
    """The text of a file of this folder."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
