"""The oracle gate of benchmarks/oracle.py: what it counts, and that recipes/nano.yaml's settings meet it."""

import importlib.util
import json

import pytest

spec = importlib.util.spec_from_file_location("oracle", "benchmarks/oracle.py")
oracle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oracle)

AT_IT = {"chamfer_20000": 0.0155, "iou": 0.74, "psnr": 28.0, "seconds": 120.0}


@pytest.mark.parametrize(
    ("figures", "passes"),
    [
        ({}, True),
        ({"chamfer_20000": 0.0156}, False),
        ({"iou": 0.739}, False),
        ({"psnr": 27.9}, False),
        ({"seconds": 121}, False),
    ],
)
def test_each_figure_alone_can_miss_it(figures, passes):
    """Another gate is another promise: CONTRIBUTING.md and benchmarks/README.md state these numbers."""
    assert oracle.met({"chamfer": 1.0, **AT_IT, **figures}) is passes


@pytest.mark.slow
def test_nanos_settings_meet_it(tmp_path, capsys):
    """On the processor that ZERO3D_TEST_BFLOAT16 names, too."""
    report = tmp_path / "oracle.json"
    code = oracle.main(["--json", str(report)])
    told = capsys.readouterr().out
    assert code == 0, told
    assert len(json.loads(report.read_text(encoding="utf-8"))["shapes"]) == 5


def test_ingredients_are_added_one_after_the_other(monkeypatch, capsys):
    """Each row has the settings of those above it, and the means of the shapes that were asked for."""
    asked = []

    def reconstruct(name, recipe, folder, overrides):
        asked.append((name, tuple(overrides)))
        iou = len(overrides) / 10 + (0.05 if name == "table" else 0)
        return {"chamfer_20000": 0.01, "iou": iou, "normals": 0.9, "psnr": 30.0, "busy": 7.0}

    monkeypatch.setattr(oracle, "reconstruct", reconstruct)
    monkeypatch.setattr(oracle, "INGREDIENTS", {"plain": (), "one": ("a=1",), "two": ("b=2", "c=3")})
    assert oracle.main(["--ingredients", "--shape", "mug", "--shape", "table", "seed=3"]) == 0
    settings = [("seed=3",), ("seed=3", "a=1"), ("seed=3", "a=1", "b=2", "c=3")]
    assert asked == [(name, setting) for setting in settings for name in ("mug", "table")]
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| one")]
    assert rows == ["| one | 0.0100 | 0.225 | 0.900 | 30.0 | 7.0 | mug 0.200, table 0.250 |"]
