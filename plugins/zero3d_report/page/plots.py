"""Line charts as SVG, drawn without a library or a script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from zero3d.html_pages import text

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 240, 62, 10, 12, 34
MOST = 400
"""Points of a line that are drawn."""
WIDE = 20.0
"""From this ratio of the largest to the smallest value on, the axis is logarithmic."""
Points = Sequence[tuple[float, float]]


def chart(title: str, lines: Mapping[str, Points], colours: Mapping[str, str] | None = None) -> str:
    """A figure: (step, value) points of each line, a legend below. Empty without a finite point."""
    lines = {label: [p for p in points if math.isfinite(p[1])] for label, points in lines.items()}
    lines = {label: points for label, points in lines.items() if points}
    if not lines:
        return ""
    colours = colours or {label: COLOURS[n % len(COLOURS)] for n, label in enumerate(lines)}
    scale = _Scale([p for points in lines.values() for p in points])
    drawn = [_line(thinned(points), scale, colours[label], label) for label, points in lines.items()]
    picture = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{text(title)}">'
        f"{''.join(scale.axes())}{''.join(drawn)}</svg>"
    )
    keys = "".join(
        f'<li><svg viewBox="0 0 12 12" aria-hidden="true"><rect width="12" height="12" fill="{colours[label]}"/></svg> '
        f"{text(label)}</li>"
        for label in lines
    )
    return f'<figure><h3>{text(title)}</h3>{picture}<ul class="legend">{keys}</ul></figure>'


def thinned(points: Points) -> Points:
    """At most MOST points; of each stretch the lowest and the highest, so that no spike is lost."""
    if len(points) <= MOST:
        return points
    kept: list[tuple[float, float]] = []
    parts = MOST // 2
    for k in range(parts):
        part = points[k * len(points) // parts : (k + 1) * len(points) // parts]
        kept += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return kept


class _Scale:
    """From (step, value) to places in the picture."""

    def __init__(self, points: Points) -> None:
        steps, values = [p[0] for p in points], [p[1] for p in points]
        self.first, self.last = min(steps), max(max(steps), min(steps) + 1)
        low, high = min(values), max(values)
        self.logarithmic = low > 0 and high / low > WIDE
        self.low, self.high = (math.log10(low), math.log10(high)) if self.logarithmic else (low, high)
        if self.high - self.low <= 1e-12 * max(1.0, abs(self.high)):
            self.low, self.high = self.low - 0.5 * (abs(self.low) or 1), self.high + 0.5 * (abs(self.high) or 1)

    def across(self, step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - self.first) / (self.last - self.first)

    def down(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - self.low) / (self.high - self.low)

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        value = math.log10(point[1]) if self.logarithmic else point[1]
        return self.across(point[0]), self.down(value)

    def axes(self) -> list[str]:
        made = []
        for k in range(5):
            value = self.low + (self.high - self.low) * k / 4
            y = self.down(value)
            shown = 10**value if self.logarithmic else value
            made.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#e3e7ec"/>')
            made.append(_label(LEFT - 6, y + 4, f"{shown:.3g}", "end"))
        for k, anchor in enumerate(("start", "middle", "end")):
            step = self.first + (self.last - self.first) * k / 2
            made.append(_label(self.across(step), HEIGHT - BOTTOM + 16, f"{step:.0f}", anchor))
        return [*made, _label((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 3, "step", "middle")]


def _label(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="11" text-anchor="{anchor}" fill="#51606f">{text(words)}</text>'


def _line(points: Points, scale: _Scale, colour: str, label: str) -> str:
    places = [scale.place(p) for p in points]
    name = f"<title>{text(label)}</title>"
    if len(places) == 1:
        return f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{colour}">{name}</circle>'
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5">{name}</polyline>'
