"""What text teachers share: a prompt becomes an embedding a direction, each view gets its own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d.interfaces import COND
from zero3d.values import Cameras, Prompt, Subject
from zero3d_stable_diffusion.base import CrossAttending, check_options
from zero3d_stable_diffusion.words.cache import Embeddings
from zero3d_stable_diffusion.words.debias import Debias
from zero3d_stable_diffusion.words.views import BRANCHES, DIRECTIONS, ViewWords, shares, texts_of


@dataclass
class TextConfig(ViewWords):
    """Options of every text teacher (see StableDiffusionConfig)."""

    weights: str = ""
    dtype: str = "auto"
    samples_at_once: int = 0
    variant: str = ""
    revision: str = ""
    offline: bool = False
    tokenizer: str = ""
    embeddings: str = ""
    debias: str = ""
    debias_words: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.check_words()
        check_options(self)
        if self.debias_words and not self.debias:
            raise ValueError(f"debias_words: {self.debias_words}; they are of debias, which names no model")


@dataclass(frozen=True)
class TextCondition:
    """`directions` (4, L, D), in the order of DIRECTIONS; `others`: "null", "negative" and "plain" -> (L, D). `texts`: what
    was said."""

    directions: Tensor
    others: dict[str, Tensor]
    texts: dict[str, str]


class TextDenoiser(CrossAttending):
    """A teacher of words: "cond" is each view's own direction; every branch is there for any number of views."""

    needs = frozenset({"prompt"})
    branches = BRANCHES
    _store: Embeddings
    _debias: Debias | None = None
    _device = torch.device("cpu")

    @property
    @abstractmethod
    def text_width(self) -> int:
        """Numbers of each token of an embedding."""

    @abstractmethod
    def _encode(self, texts: Sequence[str]) -> Tensor:
        """(N, L, D): load the text encoder, run it, let it go."""

    def _open_words(self, made_by: str, known: Any) -> None:
        config = self.config
        self.overhead_deg = config.overhead_deg
        self.uses = frozenset({"negative"} if config.unconditional == "negative" else ())
        path = Path(config.embeddings).expanduser() if config.embeddings else None
        self._store = Embeddings(path, made_by, self.text_width)
        self._debias = Debias(config.debias, config.offline, known) if config.debias else None

    def condition(self, subject: Subject) -> TextCondition:
        assert subject.prompt is not None, "needs a prompt"
        texts = self.texts(subject.prompt)
        missing = self._store.missing(texts.values())
        if missing:
            self._store.add(dict(zip(missing, self._encode(missing), strict=True)))
        found = {name: self._store[text].to(self._device) for name, text in texts.items()}
        directions = torch.stack([found.pop(name) for name in DIRECTIONS])
        return TextCondition(directions, found, texts)

    def texts(self, prompt: Prompt) -> dict[str, str]:
        """Branch -> its text; a word that pulls towards another view is left out where `debias` is set."""
        said = self._debias(prompt.text, self.config.debias_words) if self._debias else None
        return texts_of(prompt, self.config, said)

    def _context(self, branch: str, condition: TextCondition, cameras: Cameras) -> Tensor:
        views = len(cameras)
        if branch == COND:
            mix = shares(cameras, self.config).to(condition.directions)
            return torch.einsum("bk,kld->bld", mix, condition.directions)
        if branch in condition.others:
            return condition.others[branch].expand(views, -1, -1)
        return condition.directions[DIRECTIONS.index(branch)].expand(views, -1, -1)
