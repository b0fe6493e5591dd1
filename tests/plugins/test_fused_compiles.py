"""Triton's kernels pass its compiler for NVIDIA's chips, which needs no GPU: its interpreter takes more than that does."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("triton")

COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from zero3d_voxels.cuda import march_triton

WHOLE = {"rays", "samples", "nx", "ny", "nz", "by", "bx"}
REAL = {"density_shift", "thickness", "size", "threshold", "least"}
OTHERS = {"counts": "*i32", "filled": "*u8"}

def kind(name, constants):
    if name in constants:
        return "constexpr"
    return "i32" if name in WHOLE else "fp32" if name in REAL else OTHERS.get(name, "*fp32")

for kernel in (march_triton.forward, march_triton.backward):
    for chip, channels, sigmoid, weights in ((80, 3, True, True), (90, 4, False, False)):
        constants = {"C": channels, "CHANNELS": 4, "SIGMOID": sigmoid, "WEIGHTS": weights, "RAYS": 64}
        signature = {name: kind(name, constants) for name in kernel.arg_names}
        source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
        made = triton.compile(source, target=GPUTarget("cuda", chip, 32))
        assert f".target sm_{chip}" in made.asm["ptx"], "no code for that chip"
        print(kernel.__name__, chip)
"""


def test_the_march_compiles_for_ampere_and_hopper(tmp_path):
    surroundings = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    surroundings |= {"TRITON_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE], capture_output=True, text=True, env=surroundings, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["forward", "80", "forward", "90", "backward", "80", "backward", "90"]
