"""The contact sheet: a row for each pose, a column for each sample, the input before them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
from PIL import Image, ImageDraw, ImageFont

MARGIN = 8
LABEL = 18
"""Height of a label, pixels."""
LEAST_SIDE = 128
"""Smaller pictures are enlarged, so that labels fit under them."""


def contact_sheet(given: numpy.ndarray, rows: Sequence[Sequence[numpy.ndarray]], labels: Sequence[str]) -> Image.Image:
    """uint8 pictures (H, W, 3); the input stands left of the first row."""
    side = max(LEAST_SIDE, given.shape[0])
    columns = 1 + max(len(row) for row in rows)
    step = side + MARGIN
    sheet = Image.new("RGB", (columns * step + MARGIN, len(rows) * (step + LABEL) + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(12)

    def put(pixels: numpy.ndarray, row: int, column: int, label: str) -> None:
        left, top = MARGIN + column * step, MARGIN + row * (step + LABEL)
        sheet.paste(Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC), (left, top))
        pen.rectangle((left, top, left + side - 1, top + side - 1), outline="#cccccc")
        pen.text((left, top + side + 2), label, fill="black", font=font)

    put(given, 0, 0, "input")
    for row, (pictures, label) in enumerate(zip(rows, labels, strict=True)):
        for column, pixels in enumerate(pictures):
            put(pixels, row, column + 1, label if column == 0 else f"sample {column}")
    return sheet
