"""The errors a user can cause: one line that names the place, the value and the fix.

The command line prints the line on stderr and exits with code 2; every other exception is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can mend. `str(error)` is one line: place, value, remedy."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class RecipeError(UserError):
    """A recipe (or an override of it) asks for something that does not exist or cannot work."""


class PictureError(UserError):
    """The picture or its mask cannot be used as given."""


class RunError(UserError):
    """A run's folder, checkpoint or device cannot be used as asked."""


class PluginError(UserError):
    """A plug-in cannot be loaded as asked: `--plugin` names none, it fails, or it was written for another API."""


class ExportError(UserError):
    """No model can be made from the field as it is."""


def did_you_mean(value: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest of `known` (or nothing), then the whole list."""
    names = sorted(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"{hint} Known: {', '.join(names) or 'none'}."
