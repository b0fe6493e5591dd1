"""Where bfloat16 is fast: a processor without instructions for it computes it forty times slower than float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch

NATIVE = ("avx512_bf16", "amx_bf16")
"""Any of these among a processor's capabilities, as torch names them, will do."""


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices in bfloat16 itself; False for a CPU that an older torch cannot ask."""
    if device.type == "cpu":
        return _on_this_processor()
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def bfloat16_where_native(device: torch.device) -> AbstractContextManager[Any]:
    """Autocast to bfloat16 on a device that has it, nothing elsewhere."""
    return torch.autocast(device.type, torch.bfloat16) if native_bfloat16(device) else nullcontext()


@cache
def _on_this_processor() -> bool:
    ask = getattr(torch.cpu, "get_capabilities", None)
    capabilities = ask() if ask else {}
    return any(capabilities.get(name, False) for name in NATIVE)
