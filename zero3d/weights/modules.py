"""Modules of any library, filled with tensors by name, each of which must fit."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.errors import RecipeError

ALIGNED = 64
"""Bytes; what PyTorch's own memory is aligned to."""


@contextmanager
def without_bars() -> Iterator[None]:
    """transformers, if it is there, draws no bar while it loads a module; a download's, outside of this, stay."""
    bars: Any = sys.modules.get("transformers.utils.logging")
    if bars is None or not bars.is_progress_bar_enabled():
        yield
        return
    bars.disable_progress_bar()
    try:
        yield
    finally:
        bars.enable_progress_bar()


def check_fit(
    path: Path, part: str, module: nn.Module, state: Mapping[str, Tensor], place: str = "denoiser.weights"
) -> None:
    """Hold a part's tensors against its module's, by name and shape.

    Raises:
        RecipeError: a tensor missing, left over, or of another shape; it is named.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items() if not _derived(name)}
    for name in sorted(wanted.keys() | state.keys()):
        if _derived(name):
            continue
        found = tuple(state[name].shape) if name in state else None
        if found != wanted.get(name):
            raise RecipeError(
                f"{place}: {path}: {part}'s {name} is {found or 'missing'}, the configuration wants "
                f"{wanted.get(name) or 'no such tensor'}; it is another network, or of another size "
                f"({place.rsplit('.', 1)[0]}.config)"
            )


def filled(
    path: Path,
    part: str,
    module: nn.Module,
    state: Mapping[str, Tensor],
    dtype: torch.dtype,
    place: str = "denoiser.weights",
) -> nn.Module:
    """`module`, made on the meta device, with these tensors in `dtype`: no memory is taken but theirs. Those that need
    not be `aligned` stay mapped.

    Raises:
        RecipeError: as `check_fit`.
    """
    check_fit(path, part, module, state, place)
    own = {name: tensor.to(dtype) for name, tensor in state.items()}
    module.load_state_dict(own, strict=False, assign=True)
    _count_positions(module)
    return aligned(module)


def aligned(module: nn.Module) -> nn.Module:
    """`module`, its tensors on a processor copied where they are transposed or at an odd address, as in a mapped file: else
    the last digits of what it computes depend on the file's form."""
    for owner in module.modules():
        for tensor in (*owner.parameters(recurse=False), *owner.buffers(recurse=False)):
            if tensor.device.type == "cpu" and (tensor.data_ptr() % ALIGNED or not tensor.is_contiguous()):
                tensor.data = tensor.detach().clone(memory_format=torch.contiguous_format)
    return module


def _derived(name: str) -> bool:
    """transformers counts positions in a buffer that no checkpoint needs."""
    return name.endswith("position_ids")


def _count_positions(module: nn.Module) -> None:
    """Position counters were made without memory; count again."""
    for owner in module.modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if buffer.is_meta:
                assert _derived(name), name
                setattr(owner, name, torch.arange(buffer.shape[-1]).expand(buffer.shape))
