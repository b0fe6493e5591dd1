"""What the teacher was shown and what it made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from zero3d.films import to_uint8
from zero3d.interfaces import Observer, RunView
from zero3d.values import StepTerms, TermGradient
from zero3d_diagnostics.charts import LINE, save_png


@dataclass
class GuidancePreviewConfig:
    """`every`: steps between previews. `size`: pixels of each panel, 16 to 1024. `views`: at most so many a guidance."""

    every: int = 100
    size: int = 128
    views: int = 4

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")
        if not 16 <= self.size <= 1024:
            raise ValueError(f"size: {self.size}; 16 to 1024 pixels")
        if not 1 <= self.views <= 64:
            raise ValueError(f"views: {self.views}; 1 to 64")


class GuidancePreview(Observer):
    """Every some steps, guidance/step_N.png: the rendered view, noised, denoised, and the difference, side by side.

    A row a guidance and view: the view as drawn, x + sigma n, D(x + sigma n), and 0.5 + (D - x) / 2, where grey means
    content; all as RGB, cut to [0, 1]. A guidance that hands out no pictures (`ImageGradient.pictures`) shows the view
    alone. A row costs three decodings by the teacher (nothing for one that works on pixels).
    """

    name: ClassVar[str] = "guidance_preview"
    Config: ClassVar[type[Any]] = GuidancePreviewConfig
    writes: ClassVar[tuple[str, ...]] = ("guidance/",)

    def on_terms(self, run: RunView, terms: StepTerms) -> Mapping[str, float]:
        done = terms.step.index + 1
        if done % self.config.every and done != run.steps:
            return {}
        rows = [
            (self._caption(term, terms, view), panels(run, term, terms, view))
            for term in terms.terms
            if term.label.startswith("guidance.")
            for view in range(min(self.config.views, len(terms.cameras[term.acts_on])))
        ]
        if rows:
            folder = run.folder / "guidance"
            folder.mkdir(exist_ok=True)
            save_png(self._sheet(rows), folder / f"step_{done:06d}.png")
        return {}

    def _caption(self, term: TermGradient, terms: StepTerms, view: int) -> str:
        cameras = terms.cameras[term.acts_on]
        azimuth, elevation = (float(torch.rad2deg(angle[view])) for angle in (cameras.azimuth, cameras.elevation))
        return f"{term.label}  azimuth {azimuth:.0f}  elevation {elevation:.0f}"

    def _sheet(self, rows: list[tuple[str, dict[str, Tensor]]]) -> Image.Image:
        size, columns = self.config.size, max(len(shown) for _, shown in rows)
        sheet = Image.new("RGB", (size * columns, (size + LINE) * len(rows)), "white")
        draw = ImageDraw.Draw(sheet)
        for row, (caption, shown) in enumerate(rows):
            top = row * (size + LINE)
            text = f"{caption}  ({', '.join(shown)})" if row == 0 else caption
            draw.text((2, top + 2), text, "black", ImageFont.load_default())
            for column, panel in enumerate(shown.values()):
                picture = Image.fromarray(to_uint8(panel)).resize((size, size), Image.Resampling.BICUBIC)
                sheet.paste(picture, (column * size, top + LINE))
        return sheet


def panels(run: RunView, term: TermGradient, terms: StepTerms, view: int) -> dict[str, Tensor]:
    """By name, the RGB pictures (H, W, 3) of one view: "view", and "noised", "denoised", "difference" if handed out."""
    one = slice(view, view + 1)
    with torch.no_grad():
        shown = {"view": run.decode(terms.views[term.acts_on].image[one])[0]}
        if term.decode is None or not {"view", "noised", "denoised"} <= term.pictures.keys():
            return shown
        seen, noised, denoised = (term.decode(term.pictures[name][one])[0] for name in ("view", "noised", "denoised"))
    return {**shown, "noised": noised, "denoised": denoised, "difference": 0.5 + (denoised - seen) / 2}
