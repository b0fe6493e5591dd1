"""The jobs that an executor is tried with. Their workers need no torch, a second of each that dies."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import UserError

RAISED = {"user": UserError("thing: 3; take 2"), "bug": RuntimeError("two\nlines")}


def work(payload: Mapping[str, Any]) -> Any:
    """What the jobs of the laws call."""
    do, folder = payload["do"], Path(payload.get("folder", "."))
    if do == "raise":
        raise RAISED[payload["value"]]
    if do == "die":
        tries = len(list(folder.glob(f"died-{payload['times']}-*")))
        if tries < payload["times"]:
            (folder / f"died-{payload['times']}-{os.getpid()}-{tries}").touch()
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
            time.sleep(60)
    if do == "wait":
        (folder / f"at-{os.getpid()}").touch()
        time.sleep(payload["seconds"])
    return payload.get("value")
