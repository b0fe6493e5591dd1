"""The loop of a benchmark: jobs that are not done yet, handed to the executor; rows that a dead worker left out."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zero3d.errors import RunError
from zero3d.files import cannot_write, write_text
from zero3d.files.lock import only_writer
from zero3d.interfaces import Job, Outcome
from zero3d.registry import Registry
from zero3d_benchmark.options import FLOOR, Benchmark
from zero3d_benchmark.run import folder
from zero3d_benchmark.run.job import CALL, score


def carry_out(benchmark: Benchmark, registry: Registry, retry: bool, tell: Callable[[str], None]) -> Path:
    """Score what is not scored yet, object by object; the folder.

    Raises:
        UserError: the folder is another benchmark's, or cannot be written.
    """
    out = Path(str(benchmark.options.out)).absolute()
    shard = (benchmark.options.shard or "").replace("/", "-of-")
    manifest = folder.manifest_of(benchmark)
    folder.joined(folder.read_manifest(out), manifest, f"out: {benchmark.options.out}")  # before anything is made
    labels = [*benchmark.methods, *([FLOOR] if benchmark.protocol.floors and benchmark.measures.shapes else [])]
    locks = out / f".lock{shard and '-' + shard}"
    try:
        for label in labels:
            for place in (folder.row(out, label, "x"), folder.features(out, label, "x")):
                place.parent.mkdir(parents=True, exist_ok=True)
        locks.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from None
    with only_writer(locks, f"out: {benchmark.options.out}"), contextlib.ExitStack() as stack:
        with _alone(out, f"out: {benchmark.options.out}"):  # other shards may begin at the same time
            both = folder.joined(folder.read_manifest(out), manifest, f"out: {benchmark.options.out}")
            folder.write_manifest(out, both)
        jobs = list(_jobs(benchmark, registry, out, labels, manifest["objects"], retry))
        done = len(labels) * len(benchmark.mine) - len(jobs)
        if done:
            tell(f"{done} of {done + len(jobs)} are scored already")
        run = here if benchmark.executor is None else benchmark.executor.run
        outcomes = run(jobs)
        stack.callback(getattr(outcomes, "close", lambda: None))  # which ends the workers, whatever happens here
        for number, outcome in enumerate(outcomes, start=1):
            _tell(outcome, number, len(jobs), tell)
            payload = outcome.job.payload
            place = folder.row(out, payload["method"], payload["object"])
            if outcome.error is not None and not place.is_file():
                row = {"method": payload["method"], "object": payload["object"], "error": outcome.error}
                write_text(place, json.dumps({**row, "seconds": round(outcome.seconds, 2)}, indent=1) + "\n")
    shutil.rmtree(locks, ignore_errors=True)
    return out


@contextlib.contextmanager
def _alone(out: Path, place: str) -> Iterator[None]:
    """The only writer of the manifest; waits a little for others."""
    with contextlib.ExitStack() as held:
        for left in range(50, -1, -1):
            try:
                held.enter_context(only_writer(out, place))
                break
            except RunError:
                if not left:
                    raise
                time.sleep(0.1)
        yield


def here(jobs: Iterable[Job]) -> Iterator[Outcome]:
    """Every job in this process, one after another."""
    for job in jobs:
        yield Outcome(job, score(job.payload))


def merge(places: Sequence[Path], out: Path) -> None:
    """Bring the rows of several folders of one benchmark into `out`; of a row that several have, a success, then the first.

    Raises:
        RunError: they are of different benchmarks, or one is none.
    """
    manifest = folder.read_manifest(out)
    for place in places:
        found = folder.read_manifest(place)
        if found is None:
            raise RunError(f"--merge {place}: no benchmark's folder")
        manifest = folder.joined(manifest, found, f"--merge {place}")
    assert manifest is not None
    out.mkdir(parents=True, exist_ok=True)
    with only_writer(out, f"out: {out}"):
        folder.write_manifest(out, {**manifest, "shard": None})
        for place in places:
            for row in folder.rows(place):
                _take(place, out, row)
            if (place / folder.CACHE).is_dir():
                shutil.copytree(place / folder.CACHE, out / folder.CACHE, dirs_exist_ok=True)


def _take(place: Path, out: Path, row: Mapping[str, Any]) -> None:
    method, name = row["method"], row["object"]
    mine = folder.row(out, method, name)
    if mine.is_file() and (row["error"] is not None or folder.read_row(mine)["error"] is None):
        return
    pairs = [(where(place, method, name), where(out, method, name)) for where in (folder.features, folder.prediction)]
    theirs = folder.row(place, method, name)
    pairs += [
        (theirs.with_suffix(".png"), mine.with_suffix(".png")),
        (theirs, mine),
    ]  # the row last: it says all is there
    for source, target in pairs:
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def _jobs(
    benchmark: Benchmark,
    registry: Registry,
    out: Path,
    labels: Sequence[str],
    digests: Mapping[str, str],
    retry: bool,
) -> Iterator[Job]:
    written = json.dumps(folder.plain_of(benchmark))
    for one in benchmark.mine:
        for label in labels:
            place = folder.row(out, label, one.name)
            if place.is_file():
                if not retry or folder.read_row(place)["error"] is None:
                    continue
                place.unlink()
            payload = {
                "out": str(out),
                "method": label,
                "object": one.name,
                "digest": digests[one.name],
                "benchmark": written,
                "plugins": sorted(set(registry.local.values())),
            }
            yield Job(f"{label} {one.name}", CALL, payload)


def _tell(outcome: Outcome, number: int, count: int, tell: Callable[[str], None]) -> None:
    error = outcome.error or (outcome.value or {}).get("error")
    tell(f"{number}/{count} {outcome.job.name}{': ' + error if error else ''}")
