"""The doctor's look at Python, the dependencies, PyTorch and its device, numba's cache and the video encoder."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from zero3d_authoring.finding import FAIL, NOTE, OK, Finding

CUDA_WHEELS = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"


def environment() -> list[Finding]:
    """All checks. One that itself fails is a finding, not a crash."""
    checks: list[Callable[[], Finding]] = [_python, _dependencies, _torch, _numba_cache, _video]
    found = []
    for check in checks:
        try:
            found.append(check())
        except Exception as error:  # a half-installed library raises anything
            subject = check.__name__.strip("_").replace("_", " ")
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            found.append(Finding(FAIL, subject, reason, "pip install --force-reinstall zero3d"))
    return found


def _python() -> Finding:
    found = f"{sys.version.split()[0]}, {sys.executable}"
    if sys.flags.optimize > 1:
        return Finding(
            NOTE, "python", f"{found}, optimized (-OO): no component can say what it is", "unset PYTHONOPTIMIZE"
        )
    return Finding(OK, "python", found)


def _dependencies() -> Finding:
    """Every requirement of the distribution zero3d that holds here, in the version asked for."""
    return unmet(requires("zero3d") or [])


def unmet(requirements: list[str]) -> Finding:
    """Which of these requirement lines (PEP 508) is missing or of another version."""
    from packaging.requirements import Requirement

    wrong, held = [], 0
    for line in requirements:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"{requirement.name}{requirement.specifier} is missing")
            continue
        held += 1
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} is {found}, not {requirement.specifier}")
    if wrong:
        return Finding(FAIL, "dependencies", "; ".join(wrong), "pip install -U zero3d")
    return Finding(OK, "dependencies", f"{held} as asked for")


def _torch() -> Finding:
    """Does this PyTorch compute on the device that the machine has?"""
    import torch

    said = f"{torch.__version__}, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name(0)
        try:
            half = torch.ones(64, 64, device="cuda") @ torch.full((64, 64), 0.5, device="cuda")
            if float(half.sum()) != 64**3 / 2:
                raise RuntimeError("a product of matrices is wrong")
        except RuntimeError as error:
            return Finding(FAIL, "torch", f"{said}, but {name} does not compute: {error}", CUDA_WHEELS)
        return Finding(OK, "torch", f"{said}, CUDA {torch.version.cuda} on {name}")
    if Path("/dev/nvidia0").exists():
        why = "is a build without CUDA" if torch.version.cuda is None else "does not reach the NVIDIA device"
        mend = (
            CUDA_WHEELS if torch.version.cuda is None else "see nvidia-smi: the driver may be older than PyTorch asks"
        )
        return Finding(NOTE, "torch", f"{said}, {why}; device=auto is the CPU", mend)
    device = "Metal (device=mps) and the CPU" if torch.backends.mps.is_available() else "the CPU"
    return Finding(OK, "torch", f"{said}, computes on {device}")


def _numba_cache() -> Finding:
    """Where numba keeps compiled kernels; if it can keep them nowhere, `fused` cannot be compiled at all."""
    import numba

    try:
        place = numba.njit(cache=True)(_kernel).stats.cache_path
    except RuntimeError as error:
        return Finding(FAIL, "numba", f"{numba.__version__}: {error}", "set NUMBA_CACHE_DIR to a folder you may write")
    return Finding(OK, "numba", f"{numba.__version__}, keeps compiled kernels in {place}")


def _kernel(x: float) -> float:
    return x


def _video() -> Finding:
    """The H.264 encoder that turntables are written with."""
    import av

    try:
        av.codec.Codec("libx264", "w")
    except ValueError as error:  # av.codec.codec.UnknownCodecError is one
        mend = "pip install --force-reinstall av, or observers.turntable=null"
        return Finding(FAIL, "video", f"av {av.__version__} has no H.264 encoder ({error})", mend)
    return Finding(OK, "video", f"av {av.__version__} with H.264")
