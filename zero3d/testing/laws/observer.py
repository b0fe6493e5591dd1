"""The laws of an observer."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zero3d.folder import METRICS
from zero3d.interfaces import Observer
from zero3d.testing.laws.common import Laws, copied, same
from zero3d.testing.laws.state import check_kept

if TYPE_CHECKING:
    from zero3d.engine import Engine


def check_observer(component: type[Observer], config: Any = None) -> None:
    """The laws of an observer. Call it from a test with your class; the first broken one is an AssertionError of one line.

    It watches a run of four steps through the real engine: a ball, one guidance, one regularizer, 8 x 8 pixels.

    - A run that is watched ends as the same run unwatched, bit by bit: representation, random streams, figures.
    - It survives a run without terms, whose steps log nothing of interest; one that is interrupted; and one that is
      resumed, where it starts anew in the middle.
    - It writes below the run's folder alone, what `writes` declares ("turntable.mp4", or "previews/" for a folder), and
      leaves no temporary file.
    - What `on_terms` returns are finite floats under names.

    Args:
        component: your class.
        config: its options, the defaults if None: take small ones, for a quick test.
    """
    laws = Laws(component)
    config = laws.default(component, config)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary).resolve()
        elsewhere = root / "elsewhere"
        elsewhere.mkdir()
        with contextlib.chdir(elsewhere):
            observer = component(config)
            _changes_nothing(laws, observer, root)
            check_kept(laws, observer)
            _survives(laws, component, config, root)
        outside = [str(path.relative_to(root)) for path in elsewhere.rglob("*")]
        known = {"elsewhere", "unwatched", "watched", "silent", "interrupted"}
        outside += [path.name for path in root.iterdir() if path.name not in known]
        laws("it writes below the run's folder alone", not outside, f"{', '.join(sorted(outside))} is beside it")
        for run in ("watched", "silent", "interrupted"):
            _files(laws, component, root / run)


def _run(engine: Engine, observers: list[Observer], folder: Path) -> list[dict[str, Any]]:
    from zero3d.testing.bench import watch  # the engine, which the command line need not load to start

    folder.mkdir()
    engine.initialise()
    watch(engine, observers, folder)
    return [json.loads(line) for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]


def _changes_nothing(laws: Laws, observer: Observer, root: Path) -> None:
    from zero3d.testing.bench import small_engine

    law = "a watched run ends as one unwatched"
    plain, watched = small_engine(), small_engine()
    expected = _run(plain, [], root / "unwatched")
    with laws.runs("it watches a run", "it fails in a run of four steps"):
        found = _run(watched, [observer], root / "watched")
    states = [copied(engine.parts.representation.state_dict()) for engine in (plain, watched)]
    laws(law, same(*states), "the representation differs; draw with run.draw, change nothing")
    streams = [engine.generators.state_dict() for engine in (plain, watched)]
    laws(law, same(*streams), "random streams differ; use a torch.Generator of your own")
    for before, after in zip(expected, found, strict=True):
        changed = [name for name, value in before.items() if after.get(name) != value]
        laws(law, not changed, f"step {before['step']}: {', '.join(changed)} is another in metrics.jsonl")
        own = {name: value for name, value in after.items() if name not in before}
        for name, value in own.items():
            good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            laws("figures of on_terms are finite floats", good, f"{name!r} is {value!r}")


def _survives(laws: Laws, component: type[Observer], config: Any, root: Path) -> None:
    from zero3d.testing.bench import STEPS, small_engine, watch

    with laws.runs("it survives a run without terms", "it fails where no term says anything"):
        _run(small_engine(terms=False), [component(config)], root / "silent")
    engine, folder = small_engine(), root / "interrupted"
    folder.mkdir()
    engine.initialise()
    with laws.runs("it survives an interrupted run", "it fails where on_end(finished=False) is called"):
        watch(engine, [component(config)], folder, stop=2)
    with laws.runs("it goes on in a resumed run", "it fails where first_step is not 0"):
        watch(engine, [component(config)], folder, first=2, stop=STEPS)


def _files(laws: Laws, component: type[Observer], folder: Path) -> None:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if name == METRICS or path.is_dir():
            continue
        declared = any(name.startswith(w) if w.endswith("/") else name == w for w in component.writes)
        laws("it declares what it writes", declared, f"{name} is not in writes = {component.writes}")
        laws("it leaves no temporary file", ".tmp" not in path.name, f"{name} is left")
