"""What the processor tells and does, forced by ZERO3D_TEST_BFLOAT16: no result may depend on it.

`off` computes as on a processor of 2013 (AVX2: no bfloat16, no AVX-512) and has torch say that it is one; `on` has torch say
that it computes bfloat16, whatever it is. Unset, nothing is changed. Subprocesses compute as their parent does.
"""

import os
import signal
import sys
import threading

FORCED = os.environ.get("ZERO3D_TEST_BFLOAT16", "")
OLD = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}

if FORCED not in ("", "on", "off"):
    raise SystemExit(f"ZERO3D_TEST_BFLOAT16: {FORCED!r}; on or off")
if FORCED == "off":
    if "torch" in sys.modules:
        raise SystemExit("ZERO3D_TEST_BFLOAT16=off: torch is loaded already and has chosen its kernels")
    os.environ.update(OLD)

# Ctrl-C is ignored in what a shell runs in the background, and in its children.
if threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
import torch  # noqa: E402


class Processor:
    """What torch is asked for by those who want to know whether bfloat16 is native."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch

    def says(self, native: bool) -> None:
        known = getattr(torch.cpu, "get_capabilities", dict)()
        names = [name for name in known if "bf16" in name] or ["avx512_bf16", "amx_bf16"]
        self._patch.setattr(torch.cpu, "get_capabilities", lambda: {**known, **dict.fromkeys(names, native)}, False)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            self._patch.setattr(torch.cpu, name, lambda: native, False)


@pytest.fixture
def processor(monkeypatch):
    """`processor.says(True)`: it has bfloat16, for this test."""
    return Processor(monkeypatch)


@pytest.fixture(autouse=True)
def _forced(monkeypatch):
    if FORCED:
        Processor(monkeypatch).says(FORCED == "on")
