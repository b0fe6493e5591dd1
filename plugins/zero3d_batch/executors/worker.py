"""A worker process: `python -m zero3d_batch.executors.worker PARENT`; jobs come by stdin, ends go by stdout, a line each."""

from __future__ import annotations

import json
import os
import signal
import sys

from zero3d.processes import end_with_parent
from zero3d_batch.executors.jobs import perform, printed_to


def main() -> int:
    """Jobs until stdin ends. SIGINT ends a job as Ctrl-C would, and the worker with it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever was inherited
    end_with_parent()
    if os.getppid() != int(sys.argv[1]):  # it died before we looked
        return 1
    jobs, ends = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")  # our own: a job may read and print
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]
    try:
        for line in jobs:
            job = json.loads(line)
            with printed_to(job["log"]):
                ended = perform(job["call"], job["payload"])
            ends.write(json.dumps(ended).encode() + b"\n")
            ends.flush()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
