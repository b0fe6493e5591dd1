"""Benchmarks in the smallest form: of the engines, whose every pair gets a time, and of nano on meshes of one's own."""

import importlib.util
import json
import sys

import pytest
import torch

from zero3d_procedural.evaluation import HeldOutConfig, HeldOutObjects


def benchmark(name):
    if "benchmarks" not in sys.path:
        sys.path.append("benchmarks")  # where they find each other
    spec = importlib.util.spec_from_file_location(name, f"benchmarks/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


engines, nano_solids, splat = benchmark("engines"), benchmark("nano_solids"), benchmark("splat")
SMALL = ["--device", "cpu", "--resolution", "6", "--views", "1", "--detail", "8", "--steps", "2", "--fit", "60"]


def test_every_pair_is_timed_in_both_states(tmp_path, capsys):
    engines.main([*SMALL, "--json", str(tmp_path / "engines.json")])
    result = json.loads((tmp_path / "engines.json").read_text(encoding="utf-8"))
    rows = {(row["state"], row["representation"], row["renderer"]): row for row in result["rows"]}
    assert len(rows) == 2 * len(engines.PAIRS) == 12
    for row in rows.values():
        assert row["step_ms"] > 0
        assert row["ratio"] == pytest.approx(rows[row["state"], "voxels", "volume"]["step_ms"] / row["step_ms"])
    assert rows["solid", "voxels", "nerfacc"]["filled"] < rows["start", "voxels", "nerfacc"]["filled"]
    assert 0 < rows["solid", "gaussians", "splat"]["filled"] < 1
    assert capsys.readouterr().out.count("| `nerfacc` |") == 4


def test_a_pair_that_cannot_be_had_says_why(capsys, monkeypatch):
    def missing():
        raise ValueError("type: nerfacc is not installed")

    monkeypatch.setitem(engines.RENDERERS, "nerfacc", missing)
    engines.main(SMALL)
    told = capsys.readouterr().out
    assert told.count("nerfacc is not installed") == 4
    assert told.count(" ms |") == 8


def test_the_gate_of_nano_in_3d_names_what_is_missed():
    columns = {"chamfer_20000": "less", "iou": "more", "normal_consistency": "more"}

    def found(*means):
        figures = {name: {"mean": mean} for name, mean in zip(columns, means, strict=True)}
        return nano_solids.missed({"columns": columns, "rows": [{"method": "nano", "figures": figures}]})

    assert found(0.055, 0.51, 0.81) == []
    assert found(0.061, 0.51, 0.77) == ["chamfer_20000 0.0610, not 0.06", "normal_consistency 0.7700, not 0.78"]


def test_objects_are_seen_as_the_evaluation_set_shows_them():
    seed = nano_solids.FIRST_SEED
    mesh, elevation, look = nano_solids.procedural_look(seed)
    (one,) = HeldOutObjects(HeldOutConfig(objects=1, size=32)).objects()
    rgba = torch.from_numpy(nano_solids.picture_of(mesh, elevation, 32, **look)).float() / 255
    assert torch.equal(rgba, one.view(0).rgba)


def test_gaussians_are_timed_against_their_reference():
    (row,) = splat.compare([(300, 0.05, 48)], 1)
    assert row["ratio"] == pytest.approx(row["dense"]["both"] / row["kernel"]["both"])
    assert 0 < row["megabytes"]["kernel"] < row["megabytes"]["dense"]
    own = {"forward": 0.1, "both": 0.3}
    shown = {
        "threads": 1,
        "machine": "m",
        "clock": "wall",
        "speed": [row],
        "step_ms": {"nano": 2.0, "nano-gaussians": 1.0},
    }
    text = splat.report({**shown, "growth": [{"case": "base", **own}, {"case": "more", **own, "both": 0.6}]})
    assert "| more | 2.00x |" in text


@pytest.mark.parametrize("teacher", ["stable_diffusion", "image_variations"])
def test_a_teachers_cost_is_measured_without_its_files(teacher, tmp_path, capsys, monkeypatch):
    file = tmp_path / "cost.json"
    small = ["--tiny", "--repeat", "1", "--warmup", "0", "--evaluations", "1", "--samples", "1", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["denoiser.py", "--teacher", teacher, *small, "--json", str(file)])
    assert benchmark("denoiser").main() == 0
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["teacher"] == teacher
    assert result["parameters_m"] > 1
    assert ("guidance step with Perp-Neg (4 branches)" in result["parts"]) == (teacher == "stable_diffusion")
    assert all(part["seconds"] > 0 for part in result["parts"].values())
    assert "SJC" in capsys.readouterr().out


@pytest.mark.parametrize(("teacher", "views"), [("mvdream", 4), ("imagedream", 4), ("zero123plus", 6), ("sv3d", 21)])
def test_teachers_of_several_views_are_asked_for_whole_groups(teacher, views, tmp_path, monkeypatch):
    file = tmp_path / "cost.json"
    small = ["--tiny", "--repeat", "1", "--warmup", "0", "--evaluations", "1", "--samples", "1", "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["denoiser.py", "--teacher", teacher, *small, "--json", str(file)])
    assert benchmark("denoiser").main() == 0
    result = json.loads(file.read_text(encoding="utf-8"))
    assert result["samples"] == views
    assert f"evaluation of {views} samples" in result["parts"]
    assert 0.5 < result["parameters_m"] < 20


@pytest.mark.parametrize(("teacher", "told"), [("gaussian", "has no untrained form"), ("mvdrem", "mvdream")])
def test_a_teacher_without_an_untrained_form_is_one_line(teacher, told, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["denoiser.py", "--teacher", teacher, "--tiny", "--device", "cpu"])
    with pytest.raises(SystemExit) as caught:
        benchmark("denoiser").main()
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_settings_are_compared_object_by_object(monkeypatch, capsys):
    compare = benchmark("compare")
    offsets = {"nano": 0.0, "nano export.mesh.hull=false": 1.0}

    def figures(setting, seed, folder):
        assert folder.is_dir()
        return dict.fromkeys(compare.COLUMNS, seed + offsets[setting] * (1 if seed == 5 else 3))

    monkeypatch.setattr(compare, "figures_of", figures)
    compare.main([*offsets, "--objects", "2", "--first-seed", "5"])
    _, _, first, second = capsys.readouterr().out.splitlines()
    assert first == "| `nano` | 5.5000 | 5.5000 | 5.5000 | 5.50 | 5.5 |"
    assert second.startswith(
        "| `nano export.mesh.hull=false` | 7.5000 (+2.0000 ± 1.0000) | 7.5000 (+2.0000 ± 1.0000) |"
    )
