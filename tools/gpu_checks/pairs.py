"""benchmarks/engines.py: a step of the engine with each representation and renderer."""

from __future__ import annotations

import json

import engines  # benchmarks/engines.py

from gpu_checks.rows import Bench, Found
from zero3d.interfaces import Renderer

SMALL = ("--resolution", "6", "--views", "1", "--detail", "8", "--steps", "1", "--fit", "30")
WHOLE = ("--resolution", "64", "--views", "4", "--steps", "8", "--fit", "200")


def without(bench: Bench) -> None:
    """As `run`, where nerfacc's kernels could not be built: to try again would take minutes."""

    def missing() -> Renderer:
        raise ValueError("not built")

    engines.RENDERERS["nerfacc"] = missing
    run(bench)


def run(bench: Bench) -> None:
    def work() -> Found:
        path = bench.shared / "engines.json"
        engines.main(["--device", bench.device.type, *(SMALL if bench.tiny else WHOLE), "--json", str(path)])
        result = json.loads(path.read_text(encoding="utf-8"))
        figures = {}
        for row in result["rows"]:
            key = f"{row['state']}: {row['representation']} on {row['renderer']}, ms"
            figures[key] = row.get("step_ms", row.get("missing", "no figure"))
        times = [figure for figure in figures.values() if isinstance(figure, float)]
        return Found(figures, len(times) >= 6, f"{result['views']} views of {result['resolution']}^2")

    bench.check("engines.py, a step", work, 45.0)
