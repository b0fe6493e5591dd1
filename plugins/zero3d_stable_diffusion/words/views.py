"""Texts for each direction of view, and which of them a camera gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zero3d.interfaces import COND, FRONT, NEGATIVE, NULL, PLAIN, SIDE
from zero3d.values import Cameras, Prompt

BACK, OVERHEAD = "back", "overhead"
DIRECTIONS = (FRONT, SIDE, BACK, OVERHEAD)
BRANCHES = (COND, NULL, NEGATIVE, PLAIN, *DIRECTIONS)
"""What a text teacher predicts: the view's own direction, no text, the negative prompt, the prompt without a direction,
and each direction for any view."""
FORMS = {
    "suffix": {name: "{}, " + name + " view" for name in DIRECTIONS},
    "prefix": {name: ("backside" if name == BACK else name) + " view of {}" for name in DIRECTIONS},
    "none": dict.fromkeys(DIRECTIONS, "{}"),
}
"""How a direction is said (threestudio's two ways)."""


@dataclass
class ViewWords:
    """How a prompt becomes texts. Angles in degrees; azimuth 0 is the front.

    view_words: suffix ("a cat, front view"), prefix ("front view of a cat") or none. front_deg: a view is from the
    front where |azimuth| is less. back_deg: from the back where it is above 180 less this. overhead_deg: from
    overhead where the elevation is above it, whatever the azimuth. blend: the condition moves from front to side to
    back with the azimuth, as threestudio's for Perp-Neg, in place of jumping at those angles. texts: {direction:
    text} in the prompt's place, directions front, side, back and overhead. unconditional: what "null" is, empty ("")
    or negative (the recipe's negative prompt, as the field's pipelines do)."""

    view_words: str = "suffix"
    front_deg: float = 45.0
    back_deg: float = 45.0
    overhead_deg: float = 60.0
    blend: bool = False
    texts: dict[str, str] = field(default_factory=dict)
    unconditional: str = "empty"

    def check_words(self) -> None:
        """Raises ValueError: an option out of range; the message begins with its name."""
        if self.view_words not in FORMS:
            raise ValueError(f"view_words: {self.view_words!r}; one of {', '.join(FORMS)}")
        for name in ("front_deg", "back_deg"):
            if not 0 <= getattr(self, name) <= 180:
                raise ValueError(f"{name}: {getattr(self, name)}; 0 to 180 degrees")
        if self.front_deg + self.back_deg > 180:
            raise ValueError(f"back_deg: {self.back_deg}; at most {180 - self.front_deg:g}, where the front ends")
        if not -90 <= self.overhead_deg <= 90:
            raise ValueError(f"overhead_deg: {self.overhead_deg}; -90 to 90 degrees, 90 for never")
        unknown = sorted(set(self.texts) - set(DIRECTIONS))
        if unknown:
            raise ValueError(f"texts: {unknown[0]!r} is no direction; {', '.join(DIRECTIONS)}")
        if self.unconditional not in ("empty", "negative"):
            raise ValueError(f"unconditional: {self.unconditional!r}; empty or negative")


def texts_of(prompt: Prompt, words: ViewWords, said: Mapping[str, str] | None = None) -> dict[str, str]:
    """Branch -> its text, for every branch but "cond". `said`: direction -> what stands for the prompt there."""
    form, said = FORMS[words.view_words], said or {}
    texts = {name: words.texts.get(name) or form[name].format(said.get(name, prompt.text)) for name in DIRECTIONS}
    null = prompt.negative if words.unconditional == "negative" else ""
    return {NULL: null, NEGATIVE: prompt.negative, PLAIN: prompt.text, **texts}


def shares(cameras: Cameras, words: ViewWords) -> Tensor:
    """(B, 4): how much of each direction's text a view gets, in the order of DIRECTIONS; rows sum to 1.

    One direction alone, or with `blend` r = 1 - |azimuth| / 90 of the front and the rest of the side, then
    2 - |azimuth| / 90 of the side and the rest of the back. Overhead is never blended.
    """
    around = torch.rad2deg(cameras.azimuth.abs())
    above = torch.rad2deg(cameras.elevation) > words.overhead_deg
    if words.blend:
        turn = around / 90
        front = (1 - turn).clamp(min=0)
        back = (turn - 1).clamp(min=0)
        level = torch.stack([front, 1 - front - back, back, torch.zeros_like(turn)], dim=1)
    else:
        which = torch.full_like(around, DIRECTIONS.index(SIDE), dtype=torch.long)
        which[around < words.front_deg] = DIRECTIONS.index(FRONT)
        which[around > 180 - words.back_deg] = DIRECTIONS.index(BACK)
        level = torch.nn.functional.one_hot(which, len(DIRECTIONS)).to(around)
    overhead = torch.zeros_like(level)
    overhead[:, DIRECTIONS.index(OVERHEAD)] = 1
    return torch.where(above[:, None], overhead, level)
