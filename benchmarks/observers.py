"""What the diagnostic observers cost: a step with one beside a step without, in turn, in one run of nano's recipe.

    python benchmarks/observers.py

Processor time, not the clock's, so that other work on the machine does not count. `measuring`: a step in which the
observer does what it does every `every` steps, as a multiple of a plain step. `on average`: the same over a run at the
default `every`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from zero3d import checkpoint
from zero3d.interfaces import Observer, RunView
from zero3d.plugins import load_plugins
from zero3d.run import Session, open_session, run

OBSERVERS = ("gradients", "guidance_preview", "azimuth_loss", "tensorboard")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", default="examples/mug.png")
    parser.add_argument("--pairs", type=int, default=40, help="steps with and steps without, of each observer (40)")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="keys of recipes/nano.yaml")
    arguments = parser.parse_args()
    registry = load_plugins()
    with tempfile.TemporaryDirectory() as folder:
        overrides = [f"image={arguments.image}", f"out={folder}/run", "device=cpu", "observers={}", "export={}"]
        run("recipes/nano.yaml", registry, [*overrides, *arguments.overrides, "steps=20"], tell=lambda line: None)
        session = open_session(Path(folder) / "run", registry, teach=True)
        first = checkpoint.load(session.engine, session.folder)
        session.engine.total_steps = 10**6  # so that no step is the last
        for name in OBSERVERS:
            kind = registry.get("observer", name, "observers")
            options = kind.Config(every=1)
            plain, measuring = pairs(session, kind(options), first, arguments.pairs)
            ratio, every = measuring / plain, kind.Config().every
            print(
                f"{name:17s}a step {1000 * plain:6.1f} ms, measuring {ratio:5.2f} times that; "
                f"every {every} steps on average {1 + (ratio - 1) / every:.3f}"
            )


def pairs(session: Session, observer: Observer, index: int, count: int) -> tuple[float, float]:
    """Median seconds of a plain step and of one with the observer; the same step is done again and again."""
    engine = session.engine
    view = RunView(
        session.folder,
        engine.total_steps,
        index,
        engine.picture,
        engine.input_camera,
        engine.draw,
        session.parts.decode,
        session.parts.cameras.resolution,
    )
    observer.on_start(view)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(2 * count + 2):
        watched = bool(turn % 2)
        started = time.process_time()
        figures = engine.step(index, (lambda terms: observer.on_terms(view, terms)) if watched else None)
        if watched:
            observer.on_step(view, engine.at(index), dict(figures))
        if turn >= 2:  # the first of each warms up
            seconds[watched].append(time.process_time() - started)
    observer.on_end(view, False)
    return statistics.median(seconds[False]), statistics.median(seconds[True])


if __name__ == "__main__":
    main()
