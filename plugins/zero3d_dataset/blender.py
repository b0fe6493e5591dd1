"""The renderer `blender`: Cycles, in a process of its own that talks JSON lines (see blender_script.py).

Run with bpy 5.0.1, on a CPU; the published data were drawn by Blender 3.2.2 with the same settings, on GPUs.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from zero3d_dataset.renderer import MeshError, ObjectRenderer, Order

SCRIPT = Path(__file__).with_name("blender_script.py")


class BlenderGone(Exception):
    """The process ended or said something else than an answer; one line."""


class Blender(ObjectRenderer):
    """Keeps one Blender open; a new one is started after it died over an object."""

    def __init__(self, python: Path, samples: int = 128, device: str = "cpu") -> None:
        self._python, self._samples, self._device = python, samples, device
        self._process: subprocess.Popen[str] | None = None
        self._log: Any = None
        self.version = ""

    def start(self) -> None:
        """Open Blender if it is not.

        Raises:
            BlenderGone: the interpreter cannot be run or has no bpy.
        """
        if self._process is not None:
            return
        self._log = tempfile.TemporaryFile("w+", errors="replace", encoding="utf-8")  # noqa: SIM115 (closed by close)
        try:
            self._process = subprocess.Popen(
                [str(self._python), str(SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                env={name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
                encoding="utf-8",
            )
        except OSError as error:
            raise BlenderGone(f"cannot be run ({error.strerror})") from None
        self.version = str(self._answer().get("ready", ""))

    def draw(self, order: Order) -> Iterator[numpy.ndarray]:
        try:
            self.start()
        except BlenderGone as error:
            raise MeshError(f"Blender: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            request = {
                "mesh": str(order.mesh.absolute()),
                "out": folder,
                "poses": order.cameras.camera_to_world.double().tolist(),
                "size": order.cameras.width,
                "fov": float(order.cameras.fovs[0]),
                "light": {"energy": order.light.energy, "location": order.light.location},
                "y_up": order.y_up,
                "samples": self._samples,
                "device": self._device,
            }
            try:
                answer = self._ask(request)
            except BlenderGone as error:
                self.close()
                raise MeshError(f"Blender: {error}") from None
            if "error" in answer:
                raise MeshError(f"Blender: {answer['error']}")
            for index in range(len(order.cameras)):
                try:
                    picture = Image.open(Path(folder, f"{index:03d}.png"))
                    yield numpy.asarray(picture.convert("RGBA"))
                except OSError as error:
                    raise MeshError(f"Blender: picture {index:03d} cannot be read ({error})") from None

    def close(self) -> None:
        """End the process: at once where it does not end by itself."""
        if self._process is None:
            return
        process, self._process = self._process, None
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):  # it had died before it read all
                    pipe.close()
        process.kill()
        process.wait()
        self._log.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise BlenderGone(self._last_words()) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        try:
            answer = json.loads(line)
            if isinstance(answer, dict):
                return answer
        except ValueError:
            pass
        if line:
            raise BlenderGone(f"said {line.strip()[:200]!r}, which is no answer")
        raise BlenderGone(self._last_words())

    def _last_words(self) -> str:
        """The exit code and the last line on stderr of the process that has ended."""
        assert self._process is not None
        code = self._process.wait()
        self._log.seek(0)
        lines = [line.strip() for line in self._log.read().splitlines() if line.strip()]
        return f"ended with code {code}" + (f" ({lines[-1][:200]})" if lines else "")
