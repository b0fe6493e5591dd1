"""Several runs on one page."""

import json

import pytest
import yaml

from tests.plugins.browser import BROWSER, look_at
from tests.plugins.test_report import page_of, registry, toy_run  # noqa: F401 (a fixture)
from zero3d.cli import main
from zero3d_report.compare import different, write_comparison


@pytest.fixture(scope="module")
def two(registry, tmp_path_factory):  # noqa: F811
    """Two runs of one picture: another weight, another seed; the second was measured."""
    place = tmp_path_factory.mktemp("compare")
    first = toy_run(place, registry, "first")
    second = toy_run(place, registry, "second", "device: cpu\n".replace("device: cpu", "negative: ''"))
    recipe = yaml.safe_load((second / "recipe.yaml").read_text(encoding="utf-8"))
    recipe["regularizers"]["bright"]["weight"] = 7
    (second / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    (second / "eval.json").write_text(json.dumps({"psnr": 21.5, "psnr_floor": 40.0, "notes": []}), encoding="utf-8")
    return [first, second]


def test_page(two, tmp_path, capsys):
    assert main(["compare", *map(str, two), f"out={tmp_path / 'both.html'}"]) == 0
    assert "both.html" in capsys.readouterr().out
    page = page_of(tmp_path / "both.html")
    assert "Measured against the truth first second psnr 21.5" in page.text
    assert "regularizers.bright.weight.0%" in page.text
    assert page.text.count("input: image") == 1, "they have the same"
    lines = [attrs["stroke"] for tag, attrs in page.tags if tag == "polyline"]
    assert set(lines) == {"#1f77b4", "#d62728"}
    assert lines.count("#1f77b4") == lines.count("#d62728"), "each chart has a line of each run"
    assert [a["data-group"] for _, a in page.tags if "data-model" in a] == ["compared", "compared"]


def test_differences_are_of_values_alone():
    recipes = [{"a": {"b": 1, "c": 2}, "out": "x", "d": {}}, {"a": {"b": 1, "c": 3, "e": [1]}, "out": "y", "d": {}}]
    assert different(recipes) == {"a.c": ["2", "3"], "a.e": ["", "[1]"]}


def test_of_different_subjects(registry, two, tmp_path, capsys):  # noqa: F811
    other = toy_run(tmp_path, registry, "other")
    (other / "picture.png").write_bytes((other / "picture.png").read_bytes() + b"\0")
    words = ["compare", str(two[0]), str(other), "--out", str(tmp_path / "page.html")]
    assert main(words) == 2
    assert "are of different subjects (their pictures differ); --force" in capsys.readouterr().err
    assert main([*words, "--force"]) == 0
    assert "are of different subjects" in page_of(tmp_path / "page.html").text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one"], "no run's folder"),
        (["a", "b", "out=x.html", "--out", "y.html"], "given 2 times"),
        (["a", "b"], "no run's folder"),
        (["a", "b", "out=cat.png"], "cat.png: no page's name"),
    ],
)
def test_mistakes(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    assert said in capsys.readouterr().err


def test_one_run_is_not_compared_with_itself(two, capsys):
    again = two[0].parent / "." / ".." / two[0].parent.name / two[0].name
    assert main(["compare", str(two[0]), str(two[1]), str(again)]) == 2
    assert "given twice; name another run" in capsys.readouterr().err


@pytest.mark.skipif(not BROWSER, reason="needs Chromium: apt-get install chromium")
def test_one_camera_moves_all(two, tmp_path):
    write_comparison(list(map(str, two)), tmp_path / "page.html")
    script = """(() => {
      const [one, other] = [...document.querySelectorAll('[data-model]')].map((e) => e.viewer);
      const before = other.camera.position.toArray();
      one.camera.position.set(2, 0, 0); one.controls.update();
      return [before, other.camera.position.toArray(), document.querySelectorAll('.buttons').length];
    })()"""
    seen = look_at(tmp_path / "page.html", "[data-model=model-1]", tmp_path, script)
    before, after, bars = seen.answer
    assert seen.errors == []
    assert before[2] > 1.9
    assert after == pytest.approx([2, 0, 0], abs=1e-6)
    assert bars == 1
    middle = seen.picture.shape[0] // 2
    assert abs(seen.picture[middle - 40, middle].astype(int) - (220, 30, 20)).max() <= 2, "drawn anew, from its side"
