"""What the jobs of the tests of executors call."""

import json
import os
import signal
import time
from pathlib import Path

from zero3d.errors import UserError


def work(payload):
    """One thing of several, by `do`; each call leaves a line in folder/calls."""
    folder = Path(payload["folder"])
    with open(folder / "calls", "a", encoding="utf-8") as file:
        file.write(f"{payload['name']} {os.getpid()}\n")
    do = payload["do"]
    if do == "print":
        print("said by Python")
        os.system("echo said by the shell")
        return {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}
    if do == "refuse":
        raise UserError("thing: 3; take 2")
    if do == "raise":
        raise RuntimeError("two\nlines")
    if do == "unwritable":
        return {1, 2}
    if do == "die" and sum(line.startswith(f"{payload['name']} ") for line in calls(folder)) <= payload["times"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "wait":
        (folder / f"waits-{os.getpid()}").write_text(json.dumps(os.getpid()), encoding="utf-8")
        try:
            time.sleep(payload.get("seconds", 600))
        except KeyboardInterrupt:
            (folder / "interrupted").touch()
            raise
    return payload["name"]


def calls(folder):
    path = Path(folder) / "calls"
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
