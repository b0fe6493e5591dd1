"""Embeddings of texts in a file, so that a text encoder of many gigabytes runs once for all runs, or elsewhere.

A safetensors file: the text itself is a tensor's name, the tensor (L, D) or (1, L, D) what the U-Net attends to. Its
header may say `made_by`, the model's name; another model's is then refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.files import replacing
from zero3d.weights import SafeTensors, refuse_impostor

PLACE = "denoiser.embeddings"
PREFIX = "text: "
"""Before each text in a file that is written here: "" cannot be told from nothing otherwise. Files may do without."""


class Embeddings:
    """What a file holds, and what is added to it. `path` None: nothing is kept."""

    def __init__(self, path: Path | None, made_by: str, width: int) -> None:
        """Reads the header of a file that is there.

        Raises:
            RecipeError: no folder for it, no safetensors file, of another model, or of another width.
        """
        self.path, self._made_by = path, made_by
        self._held: dict[str, Tensor] = {}
        self._file: SafeTensors | None = None
        if path is not None and not path.parent.is_dir():
            raise RecipeError(f"{PLACE}: {path}: no folder {path.parent}; make it, or name another file")
        if path is None or not path.exists():
            return
        refuse_impostor(path, PLACE)
        self._file = SafeTensors(path, PLACE)
        other = self._file.metadata.get("made_by", made_by)
        if other != made_by:
            raise RecipeError(
                f"{PLACE}: {path} was made by {other}, this is {made_by}; name another file, which is written"
            )
        for name in self._file:
            shape = self._file.shape(name)
            if shape[-1:] != (width,) or len(shape) not in (2, 3):
                raise RecipeError(
                    f"{PLACE}: {path}: {name!r} is {shape}, this model attends to tokens of {width} numbers; "
                    "it is of another model"
                )

    def __contains__(self, text: str) -> bool:
        return text in self._held or (self._file is not None and (PREFIX + text in self._file or text in self._file))

    @property
    def known(self) -> list[str]:
        """The texts of the file."""
        return [name.removeprefix(PREFIX) for name in self._file or ()]

    def __getitem__(self, text: str) -> Tensor:
        """(L, D), float32."""
        if text not in self._held:
            assert self._file is not None
            found = self._file[PREFIX + text if PREFIX + text in self._file else text]
            self._held[text] = found.float().reshape(-1, found.shape[-1])
        return self._held[text]

    def missing(self, texts: Iterable[str]) -> list[str]:
        """Those it has not, each once."""
        return [text for text in dict.fromkeys(texts) if text not in self]

    def add(self, made: Mapping[str, Tensor]) -> None:
        """Keep these; the file is written anew, with all that it had.

        Raises:
            WriteError: the file cannot be written.
        """
        kept = {text: self[text] for text in self.known}
        self._held |= {text: value.float() for text, value in made.items()}
        if self.path is None:
            return
        from safetensors.torch import save_file

        every = {PREFIX + text: value.contiguous().to(torch.float32) for text, value in (kept | self._held).items()}
        with replacing(self.path) as temporary:
            save_file(every, temporary, metadata={"made_by": self._made_by})
        self._file = SafeTensors(self.path, PLACE)
