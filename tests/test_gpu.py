"""The script for a rented GPU: its table, its rows when checks fail, what it announces, and a whole try on the CPU."""

import json
import os
import subprocess
import sys
import time
from importlib.metadata import distributions
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import gpu  # noqa: E402
from gpu_checks import rows, table  # noqa: E402


@pytest.fixture
def bench(tmp_path):
    return rows.Bench(torch.device("cpu"), True, tmp_path, "group")


def printed(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_failed_check_is_a_row_and_the_next_one_is_made(bench, capsys):
    def broken():
        raise ValueError("two\nlines")

    def absent():
        rows.need("json", "no_such_package")

    bench.check("broken", broken)
    bench.check("absent", absent)
    bench.check("slow", lambda: time.sleep(5), limit_s=0.05)
    bench.check("good", lambda: rows.Found({"image": 1e-6}, True, errors=True))
    found = printed(capsys)
    assert [row["ok"] for row in found] == [False, None, False, True]
    assert found[0]["note"] == "ValueError: two lines"
    assert found[1]["note"] == "not here: no_such_package"
    assert found[2]["note"].startswith("TimeoutError")
    assert found[2]["seconds"] < 2
    assert found[3]["figures"] == {"image": 1e-6}


def test_errors_are_shares_of_the_largest_value_and_shapes_must_agree():
    assert rows.error(torch.tensor([1.0, -3.0]), torch.tensor([1.0, -4.0])) == pytest.approx(0.25)
    assert rows.error(torch.tensor([1.0, -3.0]), torch.tensor([1.0, -4.0]), 10.0) == pytest.approx(0.1)
    with pytest.raises(AssertionError, match="shapes"):
        rows.error(torch.zeros(2, 1), torch.zeros(2))


def row(**changes):
    plain = {"group": "drawing", "check": "a|b", "ok": True, "figures": {}, "note": "", "seconds": 2.4, "errors": False}
    return {**plain, **changes}


@pytest.mark.parametrize(
    ("figures", "errors", "expected"),
    [
        ({"image": 1e-6, "depth": 0.25}, True, "2 tensors, the largest error 0.25 (depth)"),
        ({"ms": 12.3456, "peak MB": None, "flash": True, "count": 12345}, False, "ms 12.3, flash yes, count 12,345"),
        ({"ms": 0.00001234}, False, "ms 1.2e-05"),
        ({"GB": 1234567.0, "s": 4321.0}, False, "GB 1.2e+06, s 4,321"),
        ({"none": "no figure"}, False, "none no figure"),
    ],
)
def test_figures_of_a_row(figures, errors, expected):
    assert table.cell(row(figures=figures, errors=errors)) == expected


def test_the_table_stands_between_its_markers(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- gpu: begin -->\nformer\n<!-- gpu: end -->\nafter\n", encoding="utf-8")
    truth = {
        "about": {"device": "A GPU", "torch": "2.11", "triton": "3.6"},
        "rows": [row(check="one", beside=["building gsplat"]), row(check="two", ok=False, note="why"), row(ok=None)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    assert gpu.main(["table", str(tmp_path / "truth.json"), "--readme", str(readme)]) == 0
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- gpu: begin -->\nA GPU, torch 2.11, triton 3.6; 3 checks, 1 that do not hold.")
    assert text.endswith("|\n<!-- gpu: end -->\nafter\n")
    assert "former" not in text
    assert "| drawing | one | yes |  | building gsplat | 2 |" in text
    assert "| drawing | two | **no** | why |  | 2 |" in text
    assert "| a/b |  |" in text
    readme.write_text("no markers", encoding="utf-8")
    with pytest.raises(ValueError, match="no markers"):
        table.write(readme, truth)


def test_the_benchmarks_page_has_the_tables_markers():
    assert table.MARKERS.search((ROOT / "benchmarks/README.md").read_text(encoding="utf-8"))


def test_plugins_are_found_where_zero3d_is_not_installed(tmp_path):
    gpu.announce(tmp_path)
    (found,) = distributions(path=[str(tmp_path)])
    points = {point.name: point.value for point in found.entry_points if point.group == "zero3d"}
    assert points["voxels"] == "zero3d_voxels"
    assert len(points) > 20


def test_a_session_ends_what_runs_too_long_and_says_so(tmp_path, monkeypatch, capsys):
    """Two groups, the first of which never ends."""
    (tmp_path / "endless.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    monkeypatch.setattr(gpu, "ABOUT", "print({})")
    monkeypatch.setattr(gpu, "LEAST_S", 0.5)
    monkeypatch.setattr(gpu, "END_S", 0.5)
    monkeypatch.setattr(
        gpu.Session, "worker", lambda self, group, device: self.start(group, [str(tmp_path / "endless.py")])
    )
    started = time.monotonic()
    words = [
        "truth",
        "--device",
        "cpu",
        "--groups",
        "drawing",
        "teacher",
        "--seconds",
        "6",
        "--to",
        str(tmp_path / "out"),
    ]
    assert gpu.main(words) == 0
    assert time.monotonic() - started < 30
    found = json.loads((tmp_path / "out/truth.json").read_text(encoding="utf-8"))["rows"]
    assert [one["group"] for one in found] == ["drawing", "teacher"]
    assert "ended after" in found[0]["note"]
    assert found[1]["note"] == "not begun: the time was over"
    assert "2 that do not hold" in capsys.readouterr().out
    assert "drawing: begun" in (tmp_path / "out/truth.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_everything_runs_in_tiny_sizes_on_the_cpu(tmp_path):
    """Two minutes: compilers."""
    command = [sys.executable, "tools/gpu.py", "truth", "--device", "cpu", "--to", str(tmp_path), "--seconds", "580"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    wrong = [(one["group"], one["check"], one["note"]) for one in found["rows"] if one["ok"] is False]
    assert not wrong
    made = {one["group"] for one in found["rows"]}
    assert made == {"drawing", "nerfacc", "gsplat", "teacher", "runs", "cpu run", "engines"}
    assert len(found["rows"]) > 35
    assert "fused against volume" in table.table(found)
