"""The laws of an image source."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy
import torch

from zero3d.errors import UserError
from zero3d.interfaces import ImageSource, SourcePicture
from zero3d.picture import FRAMINGS, frame
from zero3d.testing.laws.common import Laws

NOWHERE = "/nowhere/at/all.png"
PATHS = ("path", "file", "folder")
SIZE = 32


def check_image_source(
    component: type[ImageSource], config: Any = None, missing: Any = None, mask: str | None = None
) -> None:
    """The laws of an image source. Call it from a test; the first broken one is an AssertionError of one line.

    - `read` gives (H, W, 4) uint8, notes of one line each, and where the picture came from; loading again gives the same.
    - With a mask (`masked`, the default) something is opaque, and every framing makes a square picture of it, finite and
      in [0, 1], whose mask is not empty. Without, alpha says nothing.
    - What is missing is a UserError of one line, and so is an `input.mask` that it does not know, if it refuses one.

    Args:
        component: your class.
        config: its options, the defaults if None.
        missing: options that name something that is not there. None: `config` with its option `path`, `file` or
            `folder` set to a file that is not there, if it has one.
        mask: the recipe's `input.mask` for `read`.
    """
    laws = Laws(component)
    config = laws.default(component, config)
    with laws.runs("it gives a picture", "read() fails"):
        first = component(config).read(mask)
        again = component(config).read(mask)
    rgba = first.rgba
    good = rgba.ndim == 3 and rgba.shape[-1] == 4 and rgba.dtype == numpy.uint8
    laws("a picture is (H, W, 4) uint8", good, f"{rgba.shape} {rgba.dtype}")
    equal = rgba.shape == again.rgba.shape and bool((rgba == again.rgba).all())
    laws("the same options give the same picture", equal, "loading again gives another")
    one_line = all(isinstance(note, str) and len(note.splitlines()) == 1 for note in first.notes)
    laws("notes are of one line each", isinstance(first.notes, tuple) and one_line, f"notes = {first.notes!r}")
    laws("it says where the picture came from", bool(first.origin), f"origin = {first.origin!r}")
    if first.masked:
        _framed(laws, first)
    _missing(laws, component, config, missing)
    _mask(laws, component, config)


def _framed(laws: Laws, source: SourcePicture) -> None:
    law = "a picture with a mask can be framed"
    laws(law, bool((source.rgba[..., 3] > 127).any()), "no pixel is opaque; masked=False if nobody has looked for one")
    for framing in FRAMINGS:
        with laws.runs(law, f"framing {framing!r} fails"):
            picture = frame(source.rgba, framing, SIZE).picture
        both = torch.cat([picture.rgb, picture.mask], dim=-1)
        square = both.shape == (SIZE, SIZE, 4)
        laws(law, square and bool(torch.isfinite(both).all()), f"{framing!r} gives {tuple(both.shape)}, or nan")
        inside = float(both.min()) >= 0 and float(both.max()) <= 1
        laws(law, inside and bool((picture.mask > 0.5).any()), f"{framing!r} leaves [0, 1], or an empty mask")


def _missing(laws: Laws, component: type[ImageSource], config: Any, missing: Any) -> None:
    if missing is None:
        names = [field.name for field in dataclasses.fields(config) if field.name in PATHS]
        if not names:
            return
        missing = dataclasses.replace(config, **dict.fromkeys(names, NOWHERE))
    laws.says("what is missing is a UserError of one line", lambda: component(missing).read(None))


def _mask(laws: Laws, component: type[ImageSource], config: Any) -> None:
    law = "an unknown input.mask is a UserError of one line, or not its business"
    try:
        component(config).read("no such mask")
    except UserError as error:
        laws(law, len(str(error).splitlines()) == 1, f"the message is not one line: {str(error)!r}")
    except Exception as error:
        laws.broken(law, f"{type(error).__name__} is raised; raise a PictureError of one line")
