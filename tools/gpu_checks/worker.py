"""One group of checks in a process of its own: gets ready, waits for a line on its input, works, prints rows."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from gpu_checks.rows import Bench, say

MODULES = {
    "drawing": "drawing",
    "runs": "runs",
    "cpu run": "runs",
    "teacher": "teacher",
    "nerfacc": "marching",
    "engines": "pairs",
    "gsplat": "splats",
}


def main() -> None:
    group, device, shared, tiny = sys.argv[1:]
    import torch

    bench = Bench(torch.device(device), tiny == "tiny", Path(shared), group)
    module = importlib.import_module(f"gpu_checks.{MODULES[group]}")
    if device == "cuda" and group != "cpu run":
        torch.zeros(1, device="cuda")
    say(f"{group}: ready")
    if sys.stdin.readline().strip() == "without":
        module.without(bench)
    elif group == "cpu run":
        module.on_the_cpu(bench)
    else:
        module.run(bench)


if __name__ == "__main__":
    main()
