"""The benchmark of the engines, in the smallest form: every pair gets a time here, and the figures come out as JSON."""

import importlib.util
import json

import pytest

SPEC = importlib.util.spec_from_file_location("engines", "benchmarks/engines.py")
engines = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(engines)
SMALL = ["--device", "cpu", "--resolution", "6", "--views", "1", "--detail", "8", "--steps", "2", "--fit", "60"]


def test_every_pair_is_timed_in_both_states(tmp_path, capsys):
    engines.main([*SMALL, "--json", str(tmp_path / "engines.json")])
    result = json.loads((tmp_path / "engines.json").read_text())
    rows = {(row["state"], row["representation"], row["renderer"]): row for row in result["rows"]}
    assert len(rows) == 2 * len(engines.PAIRS) == 10
    for row in rows.values():
        assert row["step_ms"] > 0
        assert row["ratio"] == pytest.approx(rows[row["state"], "voxels", "volume"]["step_ms"] / row["step_ms"])
    assert rows["solid", "voxels", "nerfacc"]["filled"] < rows["start", "voxels", "nerfacc"]["filled"]
    assert capsys.readouterr().out.count("| `nerfacc` |") == 4


def test_a_pair_that_cannot_be_had_says_why(capsys, monkeypatch):
    def missing():
        raise ValueError("type: nerfacc is not installed")

    monkeypatch.setitem(engines.RENDERERS, "nerfacc", missing)
    engines.main(SMALL)
    told = capsys.readouterr().out
    assert told.count("nerfacc is not installed") == 4
    assert told.count(" ms |") == 6
