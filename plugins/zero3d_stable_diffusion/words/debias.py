"""Prompt debiasing: words that pull towards one view are left out of the others' texts (arXiv 2303.15413, section 4.3).

A masked language model fills "This image is depicting a [MASK] view of PROMPT". With p the shares of the four view
words, a word of the prompt is dropped from view v's text if p_full(v) / ((p_full(v) + p_without(v)) / 2) is below
0.95: if with the word v is less likely than without."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.weights import HUB_ID, HubFolder, Published, without_bars
from zero3d_stable_diffusion.words.views import DIRECTIONS

PLACE = "denoiser.debias"
SENTENCE = "This image is depicting a {} view of {}"
LEAST = 0.95
FILES = ("*.json", "vocab.txt", "model.safetensors", "pytorch_model.bin")


class Debias:
    """A checked masked language model, not yet loaded."""

    def __init__(self, model: str, offline: bool, known: Sequence[Published]) -> None:
        """`model`: a folder or a hub id.

        Raises:
            RecipeError: nothing is there, or it lacks a configuration, a vocabulary or weights.
        """
        path = Path(model).expanduser()
        self._hub = None
        if path.is_dir():
            self.root = path
        elif HUB_ID.fullmatch(model):
            self._hub = HubFolder(model, "", offline, known, ("*.json", "vocab.txt"), PLACE)
            self.root = self._hub.root
        else:
            raise RecipeError(f"{PLACE}: {model!r} is no folder and no hub id such as google-bert/bert-base-uncased")
        if not (self.root / "config.json").is_file():
            raise RecipeError(f"{PLACE}: {self.root} has no config.json; give a masked language model of transformers'")
        if not any((self.root / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json")):
            raise RecipeError(f"{PLACE}: {self.root} has no vocabulary (tokenizer.json, vocab.txt); download it again")
        weights = [name for name in ("model.safetensors", "pytorch_model.bin") if (self.root / name).is_file()]
        if self._hub is None and not weights:
            raise RecipeError(f"{PLACE}: {self.root} has no model.safetensors; download it again")

    def __call__(self, prompt: str, only: Sequence[int] = ()) -> dict[str, str]:
        """Direction -> the prompt without the words that speak against it. `only`: the words that may go, counted
        from 0.

        Raises:
            RecipeError: damaged files, no masked language model, no such word, or a view word that is no single token.
        """
        words = prompt.split(" ")
        beyond = [index for index in only if not 0 <= index < len(words)]
        if beyond:
            raise RecipeError(f"denoiser.debias_words: {beyond[0]}; the prompt has words 0 to {len(words) - 1}")
        tokenizer, model = self._load()
        ids = self._view_ids(tokenizer)
        full = _shares(tokenizer, model, ids, prompt)
        kept = {name: list(words) for name in DIRECTIONS}
        for index in only or range(len(words)):
            without = _shares(tokenizer, model, ids, " ".join(words[:index] + words[index + 1 :]))
            ratio = full / torch.lerp(without, full, 0.5)
            for name, value in zip(DIRECTIONS, ratio.tolist(), strict=True):
                if value < LEAST:
                    kept[name][index] = ""
        del model
        gc.collect()
        return {name: " ".join(word for word in some if word) for name, some in kept.items()}

    def _load(self) -> tuple[Any, Any]:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        if self._hub is not None:
            self._hub.fetch(list(FILES))
        try:
            tokenizer = AutoTokenizer.from_pretrained(self.root, local_files_only=True, trust_remote_code=False)
            with without_bars():
                model: Any = AutoModelForMaskedLM.from_pretrained(
                    self.root, local_files_only=True, trust_remote_code=False
                )
        except Exception as error:  # transformers raises a dozen types
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise RecipeError(
                f"{PLACE}: {self.root}: cannot be loaded ({reason}); give a masked language model"
            ) from None
        if tokenizer.mask_token_id is None:
            raise RecipeError(f"{PLACE}: {self.root}: its tokenizer has no mask token; give a masked language model")
        return tokenizer, model.float().eval()

    def _view_ids(self, tokenizer: Any) -> list[int]:
        found = {name: tokenizer(f" {name}", add_special_tokens=False).input_ids for name in DIRECTIONS}
        for name, ids in found.items():
            if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
                raise RecipeError(
                    f"{PLACE}: {self.root}: {name!r} is no single word of its vocabulary; take another model"
                )
        return [ids[0] for ids in found.values()]


@torch.no_grad()
def _shares(tokenizer: Any, model: Any, ids: list[int], prompt: str) -> Tensor:
    """(4,): how likely each view word is in the mask's place, among the four."""
    told = tokenizer(SENTENCE.format(tokenizer.mask_token, prompt), truncation=True, return_tensors="pt")
    (place,) = torch.where(told.input_ids[0] == tokenizer.mask_token_id)
    likely: Tensor = model(**told).logits[0, place[0]].softmax(dim=-1)[ids]
    return likely / likely.sum()
