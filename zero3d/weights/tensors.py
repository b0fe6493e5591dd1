"""Files of tensors by name, read one tensor at a time; nothing pickled is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from zero3d.errors import RecipeError
from zero3d.weights.impostors import is_pickled, refuse_impostor
from zero3d.weights.pickled import PickledTensors


class SafeTensors(Mapping[str, Tensor]):
    """The tensors of a safetensors file, each mapped when asked for. `metadata`: its header's texts."""

    step = None

    def __init__(self, path: Path, place: str = "denoiser.weights") -> None:
        """Reads the header alone. `place`: the recipe's key, with which an error's line begins.

        Raises:
            RecipeError: no valid safetensors file.
        """
        from safetensors import SafetensorError, safe_open

        try:
            file: Any = safe_open(path, framework="pt")
            self._names = list(file.keys())
            self.metadata: dict[str, str] = file.metadata() or {}
        except (OSError, SafetensorError) as error:
            reason = str(error).splitlines()[0]
            raise RecipeError(f"{place}: {path}: no valid safetensors file ({reason}); download it again") from None
        self._file = file

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        tensor: Tensor = self._file.get_tensor(name)
        return tensor

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one tensor, from the header."""
        return tuple(self._file.get_slice(name).get_shape())


def open_tensors(path: Path, place: str = "denoiser.weights") -> PickledTensors | SafeTensors:
    """The tensors of a file of either form, by its first bytes; no tensor is read yet.

    Raises:
        RecipeError: neither form, or damaged; one line that says what it is.
    """
    refuse_impostor(path, place)
    return PickledTensors(path, place) if is_pickled(path) else SafeTensors(path, place)
