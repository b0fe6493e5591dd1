"""Dream Fields: a view is as good as CLIP finds it like the words, or like the picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.errors import RecipeError
from zero3d.interfaces import EncoderTeacher, Guidance
from zero3d.values import Cameras, Step, Subject, View, ViewGradient
from zero3d_clip.augment import BACKGROUNDS, blurred, crops
from zero3d_clip.encoder import ClipEncoder

READS: Mapping[str, frozenset[str]] = {
    "prompt": frozenset({"prompt"}),
    "picture": frozenset({"picture"}),
    "both": frozenset({"prompt", "picture"}),
}
FOCAL, RADIUS = 1111 / 800, 4.0
"""The lens (in widths of the picture) and distance (in half sides of the scene) that the authors count opacity from."""
COMMON = 1.2
"""Their constant, so that the target at focal 1.2 and radius 4 is 1.2 of the number given."""


@dataclass
class ClipConfig:
    """Options of `clip`.

    target: what views are compared with: prompt, picture (the mean likeness to the pictures by their weights), or both,
    added. crops: of each view, 1 to 64. crop: their side as a share of the view's, 0.1 to 1. backgrounds: what is put
    behind a crop, each equally often: noise, checkerboard, texture; none leaves the view's own. blur: [low, high] deviation
    of the background's blur, pixels, 0 to 50. transmittance: weight of the reward for empty pixels, 0 to 100. opacity:
    [first, last] mean opacity below which the reward is no longer paid, 0 to 1, going from first to last exponentially over
    `opacity_steps` steps (0: the last at once). extent: half the side of the scene, world units, which with the lens and
    the distance says how much of a view the opacity is of. published: composite the rendered colour times opacity once
    more, as the authors' code does.
    """

    target: str = "prompt"
    crops: int = 8
    crop: float = 0.9167
    backgrounds: list[str] = field(default_factory=lambda: list(BACKGROUNDS))
    blur: list[float] = field(default_factory=lambda: [0.0, 10.0])
    transmittance: float = 0.5
    opacity: list[float] = field(default_factory=lambda: [0.5, 0.1])
    opacity_steps: int = 500
    extent: float = 1.0
    published: bool = False

    def __post_init__(self) -> None:
        if self.target not in READS:
            raise ValueError(f"target: {self.target!r}; one of {', '.join(READS)}")
        for name in self.backgrounds:
            if name not in BACKGROUNDS:
                raise ValueError(f"backgrounds: {name!r}; of {', '.join(BACKGROUNDS)}, or [] for the view's own")
        for name, low, high in (
            ("crops", 1, 64),
            ("crop", 0.1, 1),
            ("transmittance", 0, 100),
            ("opacity_steps", 0, 10**9),
            ("extent", 1e-3, 1e3),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low:g} to {high:g}")
        if len(self.blur) != 2 or not 0 <= self.blur[0] <= self.blur[1] <= 50:
            raise ValueError(f"blur: {self.blur}; [low, high] within 0 to 50 pixels")
        if len(self.opacity) != 2 or not all(0 < share <= 1 for share in self.opacity):
            raise ValueError(f"opacity: {self.opacity}; [first, last], each above 0, at most 1")


class ClipGuidance(Guidance):
    """Dream Fields: L = -mean over crops of <z(crop), z(target)> - lambda min(1 - tau, 1 - mean opacity), for each view.

    Jain et al. 2022, arXiv 2112.01455, equations 4 to 6, and google-research/dreamfields. tau goes exponentially from 0.5 to
    0.1 over 500 steps, times focal^2 / (distance / 4)^2 / 1.2, at most 1. With one whole crop, no backgrounds, no
    transmittance and weight 10 it is stable-dreamfusion's CLIP guidance.
    """

    name: ClassVar[str] = "clip"
    Config: ClassVar[type[Any]] = ClipConfig
    asks: ClassVar[str | None] = "encoder"
    needs = frozenset({"image", "opacity", "background"})

    def __init__(self, config: ClipConfig, teacher: EncoderTeacher) -> None:
        """
        Raises:
            RecipeError: words are the target, and the CLIP of this package reads none as it is set.
        """
        super().__init__(config, teacher)
        self.reads = READS[config.target]
        self.uses = frozenset({"pictures"}) if "picture" in self.reads else frozenset()
        encoder = teacher.encoder
        if "prompt" in self.reads and isinstance(encoder, ClipEncoder) and encoder.wordless:
            raise RecipeError(
                f"guidance clip: compares with the prompt, but the encoder as set reads pictures alone; {encoder.wordless}, "
                "or guidance.clip.target=picture"
            )
        self._encoded: tuple[Subject, Tensor] | None = None

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        target = self._target().to(view.image.device)
        wanted = self.wanted_opacity(cameras, step)
        colour, clear, cosines, rewards, shown = [], [], [], [], []
        with torch.enable_grad():
            for index in range(len(view.image)):
                image, opacity = (t[index].detach().requires_grad_() for t in (view.image, view.opacity))
                seen = self._augmented(image, opacity, view.extra["background"][index].detach(), step)
                cosine = (self.teacher.encoder.encode_pictures(seen) @ target).mean()
                reward = torch.minimum(1 - wanted[index].to(opacity), 1 - opacity.mean())
                loss = -cosine - self.config.transmittance * reward
                found = torch.autograd.grad(loss, (image, opacity), allow_unused=True, materialize_grads=True)
                colour.append(found[0])
                clear.append(found[1])
                shown.append(seen[0].detach())
                cosines.append(float(cosine.detach()))
                rewards.append(float(reward.detach()))
        figures = {"cosine": _mean(cosines), "transmittance": _mean(rewards), "opacity": float(wanted.mean())}
        gradients = {"image": torch.stack(colour), "opacity": torch.stack(clear)}
        return ViewGradient(gradients, figures, {"view": torch.stack(shown)})

    def wanted_opacity(self, cameras: Cameras, step: Step) -> Tensor:
        """tau of each camera, (B,): the mean opacity from which on emptiness is rewarded no more."""
        first, last = self.config.opacity
        share = min(1.0, step.index / self.config.opacity_steps) if self.config.opacity_steps else 1.0
        tau = first * (last / first) ** share
        focal = 0.5 / torch.tan(cameras.fovs / 2) / FOCAL
        distance = cameras.distance / self.config.extent / RADIUS
        wanted: Tensor = tau * (focal / distance).square() / COMMON
        return wanted.clamp(max=1)

    def _augmented(self, image: Tensor, opacity: Tensor, behind: Tensor, step: Step) -> Tensor:
        """The crops of one view before their backgrounds, (crops, S, S, 3)."""
        options = self.config
        size = self.teacher.encoder.picture_resolution or max(1, round(options.crop * min(image.shape[:2])))
        if not options.backgrounds:
            return crops(image, options.crop, options.crops, size, step)
        object_alone = image - (1 - opacity) * behind  # premultiplied by its opacity
        cut = crops(torch.cat([object_alone, opacity], dim=-1), options.crop, options.crops, size, step)
        foreground, solid = cut[..., :3], cut[..., 3:]
        backgrounds = torch.stack([self._background(size, step) for _ in range(options.crops)]).to(image)
        return (foreground * solid if options.published else foreground) + backgrounds * (1 - solid)

    def _background(self, size: int, step: Step) -> Tensor:
        generator = step.generator("background")
        kinds = self.config.backgrounds
        kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
        low, high = self.config.blur
        deviation = low + float(torch.rand((), generator=generator)) * (high - low)
        return blurred(BACKGROUNDS[kind](size, generator), deviation)

    def _target(self) -> Tensor:
        """(D,): its inner product with a view's vector is the likeness."""
        subject = self.teacher.subject
        if self._encoded is None or self._encoded[0] is not subject:
            with torch.no_grad():
                self._encoded = (subject, self._encode(subject))
        return self._encoded[1]

    def _encode(self, subject: Subject) -> Tensor:
        encoder, found = self.teacher.encoder, []
        if "prompt" in self.reads:
            assert subject.prompt
            found.append(encoder.encode_texts([subject.prompt.text])[0])
        if "picture" in self.reads:
            total = sum(posed.weight for posed in subject.pictures)
            vectors = [p.weight / total * encoder.encode_pictures(p.picture.rgb[None])[0] for p in subject.pictures]
            found.append(torch.stack(vectors).sum(dim=0))
        return torch.stack(found).sum(dim=0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
