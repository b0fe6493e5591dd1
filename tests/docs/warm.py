"""Python processes that begin with torch imported, forked from one that has: a second less for each of many commands."""

import atexit
import json
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path


class WarmPython:
    """`run` does what `python WORDS` does in a folder, and gives the same; elsewhere than on Linux, by a process as ever."""

    def __init__(self, folder):
        """`folder`: for what they print."""
        self._prints = [Path(folder) / "stdout", Path(folder) / "stderr"]
        self._options = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}, "text": True, "encoding": "utf-8"}
        self._server = None
        if sys.platform == "linux":  # macOS's own libraries do not outlive a fork, nor do threads
            command, pipe = [sys.executable, __file__], subprocess.PIPE
            self._server = subprocess.Popen(command, stdin=pipe, stdout=pipe, **self._options)

    def run(self, words, cwd):
        if self._server is None:
            command = [sys.executable, *words]
            return subprocess.run(command, cwd=cwd, capture_output=True, check=False, **self._options)
        asked = {"words": [*map(str, words)], "cwd": str(cwd), "prints": [*map(str, self._prints)]}
        print(json.dumps(asked), file=self._server.stdin, flush=True)
        code = int(self._server.stdout.readline())
        return subprocess.CompletedProcess(words, code, *(path.read_text(encoding="utf-8") for path in self._prints))

    def close(self):
        if self._server is not None:
            self._server.communicate()


def serve():
    import torch  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(perform(**json.loads(line)))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def perform(words, cwd, prints):
    """In the fork: the exit status of `python WORDS`."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(prints, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.chdir(cwd)
    code = 0
    try:
        if words[0] == "-m":
            sys.argv, sys.path[0] = words[1:], cwd
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = words, str(Path(words[0]).resolve().parent)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
