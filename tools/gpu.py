"""All that zero3d does on a GPU, seen on a rented machine in minutes: values, gradients, times.

On a machine with a registry, fetch the wheels that the GPU machine lacks:

    python tools/gpu.py wheels --to .carry

There, in the checkout (torch, triton, numba, scipy, scikit-image, transformers and nvcc are enough; no network):

    python tools/gpu.py truth --wheels .carry --to "$OUT" --seconds 230
    python tools/gpu.py table "$OUT/truth.json"       # the table in benchmarks/README.md

Groups of checks are processes of their own, so that none can stop another; compilers work beside them from the start.
Rows are printed and written as they come; when the time is over, what still runs is ended, and the file says so.
`--device cpu` tries everything in tiny sizes.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
WHEELS = (
    *("diffusers", "pluggy", "omegaconf", "trimesh", "manifold3d", "embreex", "libigl", "xatlas"),
    *("nerfacc==0.5.3", "gsplat==1.5.3", "jaxtyping", "wadler-lindig"),
)
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
LIMITS = {"drawing": 60, "nerfacc": 40, "gsplat": 45, "teacher": 80, "runs": 90, "engines": 50}
"""Seconds of each group on a GPU, in the order in which those that are ready get it."""
BUILDS = {"nerfacc": ("nerfacc.cuda._backend", 4), "gsplat": ("gsplat.cuda._backend", 9)}
"""Modules whose import compiles, and with how many jobs."""
AFTER = {"nerfacc": "nerfacc", "engines": "nerfacc", "gsplat": "gsplat"}
"""The build that a group waits for."""
LEAST_S = 8.0
"""No group begins with less time left."""
END_S = 3.0
"""Kept to end processes and write."""
LERP = """inline __device__ __host__ float lerp(float a, float b, float t)
{
    return a + t * (b - a);
}"""
ABOUT = """
import json, importlib.util, torch
spec = importlib.util.find_spec("triton")
cuda = torch.cuda.is_available()
print(json.dumps({"device": torch.cuda.get_device_name(0) if cuda else "CPU", "torch": torch.__version__,
    "cuda": torch.version.cuda, "triton": __import__("triton").__version__ if spec else None}))
"""


def fetch(folder: Path, python: str) -> None:
    """Download wheels for a Linux machine with that Python."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--dest", str(folder)]
    command += ["--python-version", python, "--implementation", "cp"]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    for name in WHEELS:
        subprocess.run([*command, name], check=True)


def install(wheels: Path, target: Path) -> None:
    """Unpack the carried wheels into `target` without asking any registry."""
    files = [str(path) for path in sorted(wheels.glob("*.whl"))]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*command, "--upgrade", "--target", str(target), *files], check=True)
    mend(target)


def mend(target: Path) -> None:
    """C++20, which newer torch asks for, has a `lerp` of its own where nerfacc 0.5.3 defines another."""
    path = target / "nerfacc/cuda/csrc/include/utils_math.cuh"
    if path.exists():
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(LERP, f"#if __cplusplus < 202002L\n{LERP}\n#endif"), encoding="utf-8")


def announce(target: Path) -> None:
    """What an installation would say of zero3d: its entry points, without which no plug-in is found."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    folder = target / f"zero3d-{project['version']}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (folder / "METADATA").write_text(head, encoding="utf-8")
    points = "".join(f"{name} = {module}\n" for name, module in project["entry-points"]["zero3d"].items())
    (folder / "entry_points.txt").write_text(f"[zero3d]\n{points}", encoding="utf-8")


def toolkit() -> dict[str, str]:
    """Where nvcc, headers and libraries of CUDA 13 may lie: torch's own packages hold those a small toolkit lacks."""
    homes = [Path(nvcc).resolve().parent.parent] if (nvcc := shutil.which("nvcc")) else []
    homes = [*homes, *sorted(Path("/usr/local").glob("cuda*"))]
    home = next((h for h in homes if (h / "bin/nvcc").exists() and (h / "include/cuda_runtime.h").exists()), None)
    if home is None:
        return {}
    package = importlib.util.find_spec("nvidia")
    packages = [Path(folder) / "cu13" for folder in (package.submodule_search_locations or [] if package else [])]
    headers = [h / part for h in (home, *packages) for part in ("include/cccl", "include")]
    libraries = [h / part for h in (home, *packages) for part in ("lib64", "lib", "lib/stubs")]
    found = {"CUDA_HOME": str(home), "PATH": f"{home / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    for name, folders in (("CPLUS_INCLUDE_PATH", headers[:1] + headers[2:]), ("LIBRARY_PATH", libraries)):
        there = [str(folder) for folder in folders if folder.is_dir()]
        found[name] = os.pathsep.join([*there, *filter(None, [os.environ.get(name)])])
    return found


class Truth:
    """The file of rows: written again after each, so that what is known is never lost."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.log = folder / "truth.json", (folder / "truth.log").open("w", encoding="utf-8")
        self.data: dict[str, Any] = {"about": {}, "rows": []}
        self._lock = threading.Lock()

    def add(self, row: dict[str, Any]) -> None:
        with self._lock:
            self.data["rows"].append(row)
            figures = ", ".join(
                f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row["figures"].items()
            )
            word = {True: "ok", False: "NO", None: "--"}[row["ok"]]
            print(
                f"{word} {row['group']}: {row['check']} [{row['seconds']} s] {figures} {row['note']}".strip(),
                flush=True,
            )
            self.write()

    def write(self) -> None:
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.data, indent=1), encoding="utf-8")
        os.replace(temporary, self.path)

    def tell(self, line: str) -> None:
        with self._lock:
            self.log.write(line.rstrip() + "\n")
            self.log.flush()


class Process:
    """A child with its own process group; `output` is read as it comes."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], truth: Truth, beside: Any) -> None:
        self.name, self.truth, self.beside = name, truth, beside
        self.begun, self.rows, self.tail = time.monotonic(), 0, [""]
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            cwd=ROOT,
            stdin=pipe,
            stdout=pipe,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert self.child.stdout is not None
        self.reader = threading.Thread(target=self._read, args=(self.child.stdout,), daemon=True)
        self.reader.start()

    def _read(self, output: IO[str]) -> None:
        for line in output:
            row = None
            if line.startswith('{"group"'):
                with contextlib.suppress(ValueError):
                    row = json.loads(line)
            if row is None:
                self.tail = [*self.tail[-200:], line.strip()]
                self.truth.tell(f"{self.name}: {line}")
            else:
                self.rows += 1
                self.truth.add({**row, "beside": self.beside()})

    def go(self, word: str) -> None:
        self.begun = time.monotonic()
        assert self.child.stdin is not None
        with contextlib.suppress(OSError):  # it has died; its own words are in the log
            self.child.stdin.write(word + "\n")
            self.child.stdin.flush()

    def running(self) -> bool:
        return self.child.poll() is None

    def end(self) -> None:
        if self.running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        self.reader.join(2.0)

    def last_words(self) -> str:
        """Its errors, or its last line."""
        errors = [line for line in self.tail if "error" in line.lower()]
        return " / ".join((errors or self.tail)[:1] + (errors or self.tail)[-3:])[:600]


class Session:
    """One run of `truth`: builds beside, groups one after another on the device."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.until = time.monotonic() + arguments.seconds
        self.device, self.tiny = arguments.device, arguments.device == "cpu"
        self.groups = [name for name in LIMITS if name in arguments.groups]
        self.shared = Path(tempfile.mkdtemp(prefix="zero3d-gpu-"))
        self.truth = Truth(arguments.to)
        self.environment = {**os.environ, **self._surroundings(arguments.wheels)}
        self.builds: dict[str, Process] = {}
        self.waiting: dict[str, Process] = {}
        self.known: set[str] = set()

    def left(self) -> float:
        return self.until - time.monotonic() - END_S

    def _surroundings(self, wheels: Path | None) -> dict[str, str]:
        """Where children find everything, and what compilers need to know."""
        site = self.shared / "site"
        if wheels:
            install(wheels, site)
        announce(site)
        folders = (ROOT, ROOT / "plugins", ROOT / "tools", ROOT / "benchmarks", site)
        path = [*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])]
        few = "1" if self.tiny else "4"
        found = {"PYTHONPATH": os.pathsep.join(path), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": few}
        found |= {"NUMBA_NUM_THREADS": few, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
        found |= toolkit()
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
            answer = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=20, encoding="utf-8")
            found["TORCH_CUDA_ARCH_LIST"] = answer.stdout.split()[0]
        return found

    def _beside(self) -> list[str]:
        return [name for name, build in self.builds.items() if build.running()]

    def start(self, name: str, command: list[str], **more: str) -> Process:
        return Process(name, command, {**self.environment, **more}, self.truth, self._beside)

    def worker(self, group: str, device: str) -> Process:
        size = "tiny" if self.tiny else "whole"
        return self.start(group, ["-m", "gpu_checks.worker", group, device, str(self.shared), size])

    def run(self) -> None:
        if not self.tiny:
            for name, (module, jobs) in BUILDS.items():
                if name in {AFTER.get(group) for group in self.groups}:
                    command = ["-c", f"import {module} as b; assert b._C is not None, 'no kernels'"]
                    self.builds[f"building {name}"] = self.start(f"building {name}", command, MAX_JOBS=str(jobs))
        if "runs" in self.groups:
            self.builds["cpu run"] = self.worker("cpu run", "cpu")
            self.builds["cpu run"].go("go")
            if self.tiny:
                self.builds["cpu run"].child.wait()
        if not self.tiny:  # each imports and meets the device while others work
            self.waiting = {group: self.worker(group, self.device) for group in self.groups}
        about = subprocess.run(
            [sys.executable, "-c", ABOUT], capture_output=True, text=True, encoding="utf-8", check=False
        )
        with contextlib.suppress(ValueError):
            self.truth.data["about"] = json.loads(about.stdout)
        todo = list(self.groups)
        while todo and self.left() > LEAST_S:
            self._report_builds()
            ready = [group for group in todo if self._built(group) is not None]
            if not ready:
                time.sleep(0.2)
                continue
            todo.remove(ready[0])
            self._group(ready[0])
        self._report_builds()
        for group in todo:
            self._note(group, "not begun: the time was over", 0.0)

    def _built(self, group: str) -> bool | None:
        """Whether what it needs was built; None while it is being built."""
        build = self.builds.get(f"building {AFTER.get(group)}")
        if build is None:
            return True
        return None if build.running() else build.child.returncode == 0

    def _group(self, group: str) -> None:
        built = self._built(group)
        if not built and group != "engines":
            self._note(group, f"not built: {self.builds[f'building {AFTER[group]}'].last_words()}", 0.0)
            return
        worker = self.waiting.get(group) or self.worker(group, self.device)
        worker.go("go" if built else "without")
        limit = self.left() if self.tiny else min(LIMITS[group], self.left())
        over = time.monotonic() + limit
        while worker.running() and time.monotonic() < over:
            self._report_builds()
            time.sleep(0.1)
        late = worker.running()
        worker.end()
        if late or worker.child.returncode or not worker.rows:
            why = (
                f"ended after {limit:.0f} s" if late else f"exit code {worker.child.returncode}: {worker.last_words()}"
            )
            self._note(group, why, time.monotonic() - worker.begun)

    def _report_builds(self) -> None:
        for name, build in self.builds.items():
            if name.startswith("building") and name not in self.known and not build.running():
                self.known.add(name)
                ok = build.child.returncode == 0
                seconds = round(time.monotonic() - build.begun, 1)
                note = "" if ok else build.last_words()
                row = {"group": "build", "check": name, "ok": ok, "figures": {"s": seconds}, "note": note}
                self.truth.add({**row, "seconds": seconds})

    def _note(self, group: str, note: str, seconds: float) -> None:
        row = {"group": group, "check": "the whole group", "ok": False, "figures": {}, "note": note}
        self.truth.add({**row, "seconds": round(seconds, 1)})

    def close(self) -> None:
        for name, build in self.builds.items():
            if build.running():
                self._note(name, "still at work when the time was over", time.monotonic() - build.begun)
        for process in (*self.builds.values(), *self.waiting.values()):
            process.end()
        self.truth.write()
        shutil.rmtree(self.shared, ignore_errors=True)


@contextlib.contextmanager
def closing(session: Session) -> Iterator[None]:
    """End all children whatever happens, also when this is told to end."""
    signal.signal(signal.SIGTERM, lambda signum, stack: sys.exit(143))
    try:
        yield
    finally:
        session.close()


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    wheels = actions.add_parser("wheels", help="download what the GPU machine lacks")
    wheels.add_argument("--to", type=Path, default=Path(".carry"))
    wheels.add_argument("--python", default="3.12")
    truth = actions.add_parser("truth", help="run the checks")
    truth.add_argument("--wheels", type=Path, help="folder of carried wheels; none: all is installed")
    truth.add_argument("--to", type=Path, default=Path("runs/gpu"))
    truth.add_argument("--seconds", type=float, default=230.0, help="all in all")
    truth.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: tiny sizes, to try it out")
    truth.add_argument("--groups", nargs="+", choices=list(LIMITS), default=list(LIMITS))
    table = actions.add_parser("table", help="write the table of a truth.json into benchmarks/README.md")
    table.add_argument("truth", type=Path)
    table.add_argument("--readme", type=Path, default=ROOT / "benchmarks" / "README.md")
    arguments = parser.parse_args(words)
    if arguments.action == "wheels":
        fetch(arguments.to, arguments.python)
        return 0
    if arguments.action == "table":
        from gpu_checks.table import write

        write(arguments.readme, json.loads(arguments.truth.read_text(encoding="utf-8")))
        return 0
    session = Session(arguments)
    with closing(session):
        session.run()
    rows = session.truth.data["rows"]
    print(
        f"{len(rows)} rows, {sum(row['ok'] is False for row in rows)} that do not hold: {session.truth.path}",
        flush=True,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
