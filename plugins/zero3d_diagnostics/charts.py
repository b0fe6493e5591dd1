"""Line charts and heat maps as PNG, drawn with Pillow: a run needs no plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import Image, ImageDraw, ImageFont

from zero3d.files import replacing

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f")
STOPS = numpy.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], float)
"""Five colours of viridis (matplotlib), dark to bright."""
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 900, 300, 80, 40, 30
LINE = 16
"""Pixels of a line of text."""


@dataclass
class Series:
    """A line of a chart: (step, value) points, by step."""

    label: str
    points: list[tuple[int, float]]


@dataclass(frozen=True)
class Map:
    """A heat map: `values` (rows, columns), NaN where there is none, row 0 at the bottom; edges of both axes."""

    title: str
    values: numpy.ndarray
    column_edges: Sequence[float]
    row_edges: Sequence[float]


def line_charts(path: Path, charts: Sequence[tuple[str, Sequence[Series], bool]], steps: int) -> None:
    """One chart below the other: (title, lines, whether its axis is logarithmic), steps 0 to `steps` across."""
    sheet = Image.new("RGB", (WIDTH, HEIGHT * len(charts)), "white")
    for row, (title, lines, logarithmic) in enumerate(charts):
        sheet.paste(_chart(title, lines, logarithmic, steps), (0, HEIGHT * row))
    save_png(sheet, path)


def _chart(title: str, lines: Sequence[Series], logarithmic: bool, steps: int) -> Image.Image:
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, right, bottom = ImageDraw.Draw(picture), WIDTH - 240, HEIGHT - BOTTOM
    draw.text((LEFT, 12), title, "black", _font())

    def scaled(value: float) -> float | None:
        if not logarithmic:
            return value
        return math.log10(value) if value > 0 else None

    values = [v for series in lines for _, value in series.points if (v := scaled(value)) is not None]
    low, high = (min(values), max(values)) if logarithmic and values else (-1.0, 1.0)
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5

    def place(step: int, value: float) -> tuple[float, float]:
        across = LEFT + (right - LEFT) * step / max(steps, 1)
        return across, bottom - (bottom - TOP) * (value - low) / (high - low)

    for k in range(5):
        tick = low + (high - low) * k / 4
        y = place(0, tick)[1]
        draw.line((LEFT, y, right, y), "#dddddd")
        label = f"{10**tick if logarithmic else tick:.3g}"
        draw.text((LEFT - 6, y), label, "black", _font(), anchor="rm")
    for step in (0, steps):
        draw.text((place(step, low)[0], bottom + 4), str(step), "black", _font(), anchor="mt")
    for number, series in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        points = [place(step, v) for step, value in series.points if (v := scaled(value)) is not None]
        if len(points) > 1:
            draw.line(points, colour, 2)
        for x, y in points:
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), colour)
        draw.text((right + 12, TOP + LINE * number), series.label, colour, _font())
    return picture


def heat_maps(path: Path, rows: Sequence[Sequence[Map]], cell: int = 28) -> None:
    """A sheet of maps, each with its own range in the title; a cell without a value is white."""
    drawn = [[_heat_map(each, cell) for each in row] for row in rows]
    width = max(sum(picture.width for picture in row) for row in drawn)
    sheet = Image.new("RGB", (width, sum(row[0].height for row in drawn)), "white")
    y = 0
    for row in drawn:
        x = 0
        for picture in row:
            sheet.paste(picture, (x, y))
            x += picture.width
        y += row[0].height
    save_png(sheet, path)


def _heat_map(shown: Map, cell: int) -> Image.Image:
    rows, columns = shown.values.shape
    picture = Image.new("RGB", (LEFT + max(columns * cell, 320) + 40, TOP + rows * cell + BOTTOM), "white")
    draw = ImageDraw.Draw(picture)
    known = shown.values[~numpy.isnan(shown.values)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
    draw.text((LEFT, 12), f"{shown.title}: {low:.3g} to {high:.3g}", "black", _font())
    for r in range(rows):
        for c in range(columns):
            value = shown.values[r, c]
            x, y = LEFT + c * cell, TOP + (rows - 1 - r) * cell
            fill = (255, 255, 255) if math.isnan(value) else colour_of((value - low) / max(high - low, 1e-30))
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill, outline="#eeeeee")
    for r, edge in enumerate(shown.row_edges):
        draw.text((LEFT - 6, TOP + (rows - r) * cell), f"{edge:g}", "black", _font(), anchor="rm")
    for c, edge in enumerate(shown.column_edges):
        if c % 2 == 0:
            draw.text((LEFT + c * cell, TOP + rows * cell + 4), f"{edge:g}", "black", _font(), anchor="mt")
    return picture


def colour_of(share: float) -> tuple[int, int, int]:
    """Of a value in [0, 1], dark to bright."""
    at = min(max(share, 0.0), 1.0) * (len(STOPS) - 1)
    low = min(int(at), len(STOPS) - 2)
    red, green, blue = (STOPS[low] + (STOPS[low + 1] - STOPS[low]) * (at - low)).round().astype(int)
    return int(red), int(green), int(blue)


def save_png(picture: Image.Image, path: Path) -> None:
    """Atomically."""
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default()
