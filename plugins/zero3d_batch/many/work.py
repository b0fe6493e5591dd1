"""The job: one run, from where it stands to its end, and its row."""

from __future__ import annotations

import functools
import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch
from PIL import Image

from zero3d import folder
from zero3d.films import to_uint8
from zero3d.geometry import orbit
from zero3d.html_pages import as_jpeg
from zero3d.plugins import load_plugins
from zero3d.registry import Registry
from zero3d_batch.many.items import digest, quoted, state_of
from zero3d_batch.many.rows import THUMBNAIL, figures, step_seconds, thumbnail, write_row

if TYPE_CHECKING:
    from zero3d.run import Session

CALL = "zero3d_batch.many.work:one_run"
VIEWS = 4
"""Pictures around the object in a row."""
ELEVATION_DEG = 20.0


def one_run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Run, or resume, what `payload` says (see Drive.job); of one that is done nothing is made.

    Raises:
        UserError: it cannot be run.
    """
    if payload["offline"]:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from zero3d import run as runs

    started, out, row = time.monotonic(), Path(payload["out"]), Path(payload["row"])
    state = state_of(out, payload["source"], row)
    if state == "done":
        return {"seconds": None}
    registry, before = _registry(tuple(payload["plugins"])), 0.0
    if state == "half":
        before = step_seconds(out)
        session = runs.resume(str(out), registry)
    else:
        session = runs.run(payload["recipe"], registry, [*payload["overrides"], f"out={quoted(str(out))}"])
    seconds = round(before + time.monotonic() - started, 2)
    kept = out / folder.picture_name(next(iter(session.recipe.images), ""), session.recipe.images)
    found = {
        "status": "done",
        "made_of": digest(payload["source"]),
        "seconds": seconds,
        "device": str(session.parts.device),
        **figures(out),
    }
    write_row(row, {**payload["item"], **found, "picture": thumbnail(kept), "views": _views(session)})
    return {"seconds": seconds}


@functools.lru_cache(maxsize=1)
def _registry(plugins: tuple[str, ...]) -> Registry:
    return load_plugins(plugins)


def _views(session: Session) -> str:
    """The finished object from around, as a data URI; a model that cannot be drawn has none."""
    try:
        subject = session.subject()
        camera = subject.input_camera
        pictures = []
        with torch.no_grad():
            for k in range(VIEWS):
                around = orbit(
                    ELEVATION_DEG, 360 * k / VIEWS, subject.resolution, camera.distance.cpu(), camera.fovs.cpu()
                )
                picture = Image.fromarray(to_uint8(subject.decode(subject.draw(around).image)[0]))
                pictures.append(numpy.asarray(picture.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BICUBIC)))
        return as_jpeg(Image.fromarray(numpy.concatenate(pictures, axis=1)))
    except Exception:  # the model is there all the same
        traceback.print_exc(file=sys.stderr)
        return ""
