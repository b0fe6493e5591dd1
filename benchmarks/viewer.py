"""What the viewer costs a run of nano's recipe: steps without it, with nobody looking, and looked at, in turn.

    python benchmarks/viewer.py

`looked at`: by a program of its own that takes every byte over a websocket, as a browser does, but draws nothing. Ratios of
the median block: of processor time, of all threads of the run's process, so that other work on the machine does not
count, and of the clock's.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from zero3d import checkpoint
from zero3d.plugins import load_plugins
from zero3d.run import open_session, run
from zero3d_viewer.observer import Viewer, ViewerConfig

CLIENT = """
import sys, viser
from websockets.sync.client import connect
with connect(sys.argv[1], subprotocols=[f"viser-v{viser.__version__}"], max_size=2**26) as socket:
    taken = 0
    try:
        while True:
            taken += len(socket.recv())
    finally:
        print(taken)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="examples/mug.png")
    parser.add_argument("--rounds", type=int, default=8, help="blocks of each kind (8)")
    parser.add_argument("--steps", type=int, default=40, help="steps a block (40)")
    parser.add_argument("--rate", type=float, default=ViewerConfig().rate, help="pictures a second at the most")
    arguments = parser.parse_args()
    registry = load_plugins()
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"image={arguments.image}", f"out={folder}/run", "device=cpu", "observers=null", "export={}"]
        run("recipes/nano.yaml", registry, [*overrides, "steps=20"], tell=lambda line: None)
        session = open_session(Path(folder) / "run", registry, teach=True)
        first = checkpoint.load(session.engine, session.folder)
        session.engine.total_steps = 10**6  # so that no step is the last
        view, engine = session.view(first), session.engine
        viewer = Viewer(ViewerConfig(port=0, rate=arguments.rate))
        viewer.on_start(view)

        def block(watched: bool) -> tuple[float, float]:
            clock, work = time.perf_counter(), time.process_time()
            for _ in range(arguments.steps):
                figures = engine.step(first, (lambda terms: viewer.on_terms(view, terms)) if watched else None)
                if watched:
                    viewer.on_step(view, engine.at(first), dict(figures))
            seconds = time.perf_counter() - clock, time.process_time() - work
            return seconds[0] / arguments.steps, seconds[1] / arguments.steps

        block(True)
        times: dict[str, list[tuple[float, float]]] = {"without": [], "nobody looks": [], "looked at": []}
        for _ in range(arguments.rounds):
            times["without"].append(block(False))
            times["nobody looks"].append(block(True))
            with looking(viewer):
                times["looked at"].append(block(True))
        viewer.on_end(view, False)
    clock, work = ({name: statistics.median(t[i] for t in own) for name, own in times.items()} for i in (0, 1))
    for name in times:
        print(
            f"{name:13s} a step {1000 * work[name]:6.1f} ms of processor, {work[name] / work['without']:.3f} times; "
            f"{1000 * clock[name]:6.1f} ms by the clock, {clock[name] / clock['without']:.3f} times"
        )


@contextlib.contextmanager
def looking(viewer: Viewer) -> Iterator[None]:
    """A client of another process, for the block."""
    address = viewer.server.url.replace("http", "ws", 1)
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not viewer.server.clients:
            time.sleep(0.02)
        yield
    finally:
        client.terminate()
        client.wait()
        while viewer.server.clients:
            time.sleep(0.02)


if __name__ == "__main__":
    main()
