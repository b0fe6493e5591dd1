"""What may crash or never end runs in a process of its own, one program a file; Ctrl-C is heard meanwhile.

The programs import neither zero3d nor each other, so that they start at once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent


class Endless(Exception):
    """The program was ended: it took longer than it may."""


def answer(program: str, arguments: Sequence[object], data: bytes, limit_s: float) -> bytes | None:
    """What `program` (a file beside this one) writes for `data`; None if it failed or crashed.

    Raises:
        Endless: after `limit_s` seconds.
        OSError: no process can be started.
    """
    command = [sys.executable, "-P", str(FOLDER / f"{program}.py"), *map(str, arguments)]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        raise Endless from None
    return None if done.returncode else done.stdout
