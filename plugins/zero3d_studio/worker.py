"""A run's process: `python -m zero3d_studio.worker PARENT run ...` is `zero3d run ...` that ends with its parent."""

from __future__ import annotations

import os
import signal
import sys

from zero3d.cli import main
from zero3d.processes import end_with_parent


def work() -> int:
    """`zero3d` with the words after PARENT. When the parent has died the run gets what Ctrl-C would be: it saves itself."""
    parent, sys.argv[1:] = int(sys.argv[1]), sys.argv[2:]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever was inherited
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    end_with_parent()
    if os.getppid() != parent:  # it died before we looked
        return 1
    return main()


if __name__ == "__main__":
    sys.exit(work())
