"""The errors a user can cause: one line that names the place, the value and the fix.

The command line prints the line on stderr and exits with the error's `exit_code`; every other exception is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

LONGEST_WORD, LONGEST_LINE = 300, 1500
"""Characters; what is longer is cut in the middle: a line begins with the place and ends with the remedy."""


def one_line(text: str) -> str:
    """The text in one line that a terminal shows as it is, of a bounded length."""
    words = (_cut(word, LONGEST_WORD) for word in text.split())
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(words))
    return _cut(shown, LONGEST_LINE)


def _cut(text: str, longest: int) -> str:
    head = longest * 2 // 3
    return text if len(text) <= longest else f"{text[:head]}[...]{text[head - longest :]}"


class UserError(Exception):
    """A mistake the user can mend. `str(error)` is one line: place, value, remedy."""

    exit_code: ClassVar[int] = 2
    """Of the command line: 2 for what is seen before the work starts, 1 for what ends it on the way."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it in a notebook: the line, and not the way through the program."""
        return [f"{type(self).__name__}: {self}"]


class RecipeError(UserError):
    """A recipe (or an override of it) asks for something that does not exist or cannot work."""


class PictureError(UserError):
    """The picture or its mask cannot be used as given."""


class RunError(UserError):
    """A run's folder, checkpoint or device cannot be used as asked."""


class WriteError(RunError):
    """A file cannot be written: a full disk, a limit, a folder that is not ours. What was there before is untouched."""

    exit_code: ClassVar[int] = 1


class PluginError(UserError):
    """A plug-in cannot be loaded as asked: `--plugin` names none, it fails, or it was written for another API."""


class ExportError(UserError):
    """No model can be made from the field as it is."""


class StepError(UserError):
    """A step of the optimisation went wrong: the line names the step and the term. The last checkpoint before it is kept."""

    exit_code: ClassVar[int] = 1


def did_you_mean(value: str, known: Iterable[str], otherwise: str = "") -> str:
    """` Did you mean 'x'?` for the nearest of `known`, or `otherwise` where none is near; then the whole list."""
    names = sorted(known)
    near = difflib.get_close_matches(value, names, n=1, cutoff=0.6)
    hint = f" Did you mean '{near[0]}'?" if near else otherwise
    return f"{hint} Known: {', '.join(names) or 'none'}."
