"""`zero3d benchmark`: methods on objects with known truth, by a published protocol."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d.errors import RecipeError, RunError, UserError
from zero3d.interfaces import Command

if TYPE_CHECKING:
    from zero3d_benchmark.options import Benchmark
    from zero3d_benchmark.protocol import Measures, Protocol

EXAMPLES = """
  zero3d benchmark benchmarks/solids.yaml out=runs/solids
  zero3d benchmark nano protocol=zero3d-solids objects=3 out=runs/three
  zero3d benchmark benchmarks/paper.yaml table=gso-3d data=GSO out=runs/gso --shard 2/8
  zero3d benchmark --predictions theirs=MESHES protocol=sv3d-50 set.type=gso data=GSO out=runs/theirs
  zero3d benchmark --merge runs/gso-1 runs/gso-2 out=runs/gso
  zero3d benchmark --protocols
"""


class BenchmarkCommand(Command):
    """Score methods on objects with known truth, by a published protocol."""

    name: ClassVar[str] = "benchmark"
    examples: ClassVar[str] = EXAMPLES

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", help="a benchmark's file, or a recipe as its only method")
        parser.add_argument(
            "overrides", nargs="*", default=[], metavar="key=value", help="out=FOLDER data=YOURS objects=3 ..."
        )
        parser.add_argument("--shard", metavar="i/n", help="only the i-th of n parts of the objects")
        line = "an outside method's results: OBJECT.glb or OBJECT/000.png in it; may be repeated"
        parser.add_argument("--predictions", action="append", default=[], metavar="[LABEL=]FOLDER", help=line)
        parser.add_argument("--merge", action="append", nargs="+", metavar="FOLDER", help="join folders into out=")
        line = "the head of a Ray cluster that runs the jobs (the executor ray)"
        parser.add_argument("--ray-address", metavar="HOST:PORT", help=line)
        parser.add_argument("--retry", action="store_true", help="score anew what has failed")
        parser.add_argument("--protocols", action="store_true", help="list the protocols and stop")

    def run(self, arguments: argparse.Namespace) -> int:
        if arguments.protocols:
            return _list()
        if arguments.merge:
            return _merge(arguments)
        if arguments.file and "=" in arguments.file and not Path(arguments.file).exists():  # no file, but an override
            arguments.overrides.insert(0, arguments.file)
            arguments.file = None
        named = any(word.startswith(("methods=", "methods.")) for word in arguments.overrides)
        if not arguments.file and not arguments.predictions and not named:
            raise RecipeError(
                "zero3d benchmark: no file; name a benchmark's file or a recipe, or --merge, or --protocols"
            )
        from zero3d_benchmark.reading import read_all

        extra = [f"shard={arguments.shard}"] if arguments.shard else []
        if arguments.ray_address:
            extra += [f"executor={json.dumps({'type': 'ray', 'address': arguments.ray_address})}"]
        overrides = [*arguments.overrides, *extra]
        benchmarks = read_all(arguments.file, overrides, arguments.registry, arguments.predictions)
        for benchmark in benchmarks:
            _check_out(benchmark)
        from zero3d_benchmark.run.loop import carry_out

        code = 0
        for benchmark in benchmarks:
            out = carry_out(benchmark, arguments.registry, arguments.retry, _say)
            code = max(code, _report(out, benchmark.protocol, benchmark.measures, benchmark))
        return code


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _list() -> int:
    from zero3d_benchmark.protocol import load, names

    for name in names():
        protocol = load(name, "--protocols")
        print(f"{name:<16} {protocol.title}{' (nearest recipe)' if protocol.nearest else ''}")
    return 0


def _check_out(benchmark: Benchmark) -> None:
    out = benchmark.options.out
    if not out:
        raise RunError("out: missing; say where the results go, for example out=runs/benchmark")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise RunError(f"out: {folder} is a file; name a folder")
    parent = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    try:
        with tempfile.TemporaryDirectory(dir=parent):
            return
    except OSError as error:
        raise RunError(f"out: {folder} cannot be written ({error.strerror}); take another folder") from None


def _merge(arguments: argparse.Namespace) -> int:
    from zero3d_benchmark.protocol import change_metrics, load, measures
    from zero3d_benchmark.reading import from_plain
    from zero3d_benchmark.run.folder import MANIFEST, read_manifest
    from zero3d_benchmark.run.loop import merge

    words = [word for group in arguments.merge for word in group]
    words += [arguments.file or "", *arguments.overrides]
    given = dict(word.partition("=")[::2] for word in words if word.startswith(("out=", "data=")))
    places = [Path(word) for word in words if word and word.partition("=")[0] not in ("out", "data")]
    if "out" not in given:
        raise RunError("out: missing; say where the joined results go, for example out=runs/joined")
    if not places:
        raise RunError("--merge: no folders; name those to join")
    out = Path(given["out"])
    merge(places, out)
    manifest: dict[str, Any] = read_manifest(out) or {}
    plain = manifest.get("benchmark")
    if not isinstance(plain, dict):
        raise RunError(f"{out / MANIFEST}: does not say what was run")
    plain = {**plain, "shard": None, **({"data": given["data"]} if "data" in given else {})}
    try:
        benchmark = from_plain(plain, str(out / MANIFEST), arguments.registry, runs=False)
    except UserError as error:  # the data may lie elsewhere
        _say(f"note: no grid of pictures: {error}")
        protocol = load(plain["protocol"], str(out / MANIFEST))
        change_metrics(protocol, plain.get("metrics") or {}, str(out / MANIFEST))
        return _report(out, protocol, measures(protocol, arguments.registry), None)
    return _report(out, benchmark.protocol, benchmark.measures, benchmark)


def _report(out: Path, protocol: Protocol, measured: Measures, benchmark: Benchmark | None) -> int:
    """Write tables and page, print the table; 1 if an object failed, else 0."""
    from zero3d_benchmark.report import formats, page, table

    made = table.make(out, protocol, measured)
    formats.write(made, out)
    page.write(out, made, benchmark)
    print(formats.as_markdown(made))
    print(f"written to {out}: table.json, .csv, .md, .tex, grid.png, index.html")
    return 1 if made.failures else 0
