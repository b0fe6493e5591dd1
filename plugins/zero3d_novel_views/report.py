"""What a file or folder of weights holds, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from zero3d import RecipeError


def weight_lines(
    what: str,
    files: Sequence[Path],
    states: Mapping[str, Callable[[], Mapping[str, Tensor]]],
    check: Callable[[str], None],
) -> Iterator[str]:
    """A line for all `files` that are loaded, and one for each part: its tensors, and what `check` says of them."""
    size = sum(file.stat().st_size for file in files)
    yield f"{what}, {size / 1e9:.2f} GB to load"
    for part, state in states.items():
        yield _line(part, state(), _fits(check, part))


def _fits(check: Callable[[str], None], part: str) -> str:
    try:
        check(part)
    except RecipeError as error:
        return "does not fit: " + str(error).split(": ", 2)[-1]
    return "fits"


def _line(part: str, state: Mapping[str, Tensor], fits: str) -> str:
    kinds = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in state.values())
    count = sum(tensor.numel() for tensor in state.values())
    return f"{part:14s}{len(state):5d} tensors {count:13,d} parameters {'/'.join(kinds)}  {fits}"
