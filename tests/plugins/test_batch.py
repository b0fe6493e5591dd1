"""`zero3d batch` and `zero3d sweep`: every run once, whatever fails or is killed; mistakes before anything runs."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from PIL import Image
from safetensors.torch import load_file

from tests.core.conftest import TOY_RECIPE
from tests.plugins.test_batch_executors import alive, within
from zero3d.cli import main
from zero3d.errors import UserError
from zero3d_batch.grid import Axis, read_axes, values_of
from zero3d_batch.many import call
from zero3d_batch.many.naming import Names, subject_of
from zero3d_batch.pages import gallery
from zero3d_batch.pictures import wanted_pictures

ROOT = Path(__file__).parents[2]
PLUGIN = ["--plugin", str(Path(__file__).with_name("batch_toy.py"))]
COLOURS = {"red": (200, 30, 30), "green": (20, 200, 40), "blue10": (10, 10, 220), "blue9": (90, 90, 220)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with toy.yaml and pictures/, which is the working folder; one of the pictures is none."""
    (tmp_path / "pictures").mkdir()
    for name, colour in COLOURS.items():
        rgba = numpy.zeros((64, 64, 4), numpy.uint8)
        rgba[16:48, 16:48] = (*colour, 255)
        Image.fromarray(rgba, "RGBA").save(tmp_path / "pictures" / f"{name}.png")
    (tmp_path / "pictures" / "bad<b>.png").write_text("no picture", encoding="utf-8")
    text = re.sub("^(image|out):.*\n", "", TOY_RECIPE, flags=re.M).format()
    (tmp_path / "toy.yaml").write_text(text + "observers: {killer: {}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(out):
    with open(out / "table.csv", encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def batch(*words):
    return main(["batch", "toy.yaml", "pictures", "out=runs", "--executor", "inline", *words, *PLUGIN])


def test_a_batch(place, capsys):
    (place / "pictures" / "red.yaml").write_text("input: {elevation_deg: 30}\nseed: 5\n", encoding="utf-8")
    assert batch("steps=12") == 1  # one is no picture
    told = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in told if line.startswith("[")] == [
        "bad_b:",
        "blue9:",
        "blue10:",
        "green:",
        "red:",
    ]
    rows = table(place / "runs")
    assert [row["status"] for row in rows.values()] == ["failed", "done", "done", "done", "done"]
    assert "is no picture" in rows["bad_b"]["error"]
    assert (rows["red"]["seed"], rows["green"]["seed"]) == ("5", "")
    recipe = (place / "runs" / "red" / "recipe.yaml").read_text(encoding="utf-8")
    assert "elevation_deg: 30" in recipe
    assert "framing: keep" in recipe  # the rest of the block stays
    kept = json.loads((place / "runs" / "table.json").read_text(encoding="utf-8"))
    lines = (place / "runs" / "red" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert kept[4]["losses"]["regularizers.bright.value"] == json.loads(lines[11])["regularizers.bright.value"]
    assert (place / "runs" / "table.md").read_text(encoding="utf-8").count("\n") == 7
    page = (place / "runs" / "index.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/jpeg;base64,') == page.count("src=") == 4 * 2  # picture and views; no other file
    assert "5 runs: 1 failed, 4 done" in page
    assert "bad&lt;b&gt;.png" in page
    assert "bad<b>" not in page
    assert 'href="red/"' in page

    before = {path: path.stat().st_mtime_ns for path in place.glob("runs/*/checkpoint/*")}
    assert batch("steps=12") == 1  # again: only what failed is tried
    assert "4 of 5 runs are done already" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in place.glob("runs/*/checkpoint/*")}
    assert batch("steps=13") == 2
    assert re.search(r"blue9 was made with other keys \(steps: 12 there, 13 here\)", capsys.readouterr().err)
    Image.new("RGBA", (32, 32), "red").save(place / "pictures" / "bad<b>.png")
    assert batch("steps=13", "overwrite=true") == 0
    assert {row["status"] for row in table(place / "runs").values()} == {"done"}


def test_a_large_gallery_has_further_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "LONGEST_PAGE", 2)
    gallery.write_gallery(tmp_path, [{"name": f"n{n}"} for n in range(5)])
    pages = [(tmp_path / name).read_text(encoding="utf-8") for name in ("index.html", "index-2.html", "index-3.html")]
    assert [re.findall('href="(n.)/"', page) for page in pages] == [["n0", "n1"], ["n2", "n3"], ["n4"]]
    assert all('<a href="index-3.html">3</a>' in page for page in pages)


def test_shards_share_pictures_and_table(place, capsys):
    (place / "pictures" / "bad<b>.png").unlink()
    assert batch("steps=1", "--shard", "2/3", "--dry-run") == 0
    assert capsys.readouterr().out.split()[:2] == ["new", str(place / "runs" / "blue10")]
    assert not (place / "runs").exists()
    assert batch("steps=1", "--shard", "2/3") == 0
    assert [row["status"] for row in table(place / "runs").values()] == ["waiting", "done", "waiting", "waiting"]
    assert batch("steps=1", "--shard", "1/3") == batch("steps=1", "--shard", "3/3") == 0
    assert {row["status"] for row in table(place / "runs").values()} == {"done"}


def test_a_killed_worker_and_a_killed_driver_cost_no_run(place):
    """A worker is killed in the middle of a run, then the driver; called again, each run is done once, and as if alone."""
    (place / "pictures" / "bad<b>.png").unlink()
    (place / "runs").mkdir()
    (place / "runs" / "blue9.kill").touch()
    (place / "runs" / "green.driver").touch()
    words = ["batch", "toy.yaml", "pictures", "out=runs", "--workers", "1", "--gpus", "0", *PLUGIN]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}  # for the toy
    command = [sys.executable, "-m", "zero3d", *words]
    first = subprocess.run(command, check=False, stderr=subprocess.DEVNULL, env=here)
    assert first.returncode == -9
    worker = int((place / "runs" / "green.driver").read_text(encoding="utf-8"))
    within(20, lambda: not alive(worker))
    (place / "runs" / "green.driver").unlink()
    done = {name: (place / "runs" / name / "metrics.jsonl").read_bytes() for name in ("blue9", "blue10")}
    assert batch() == 0
    rows = table(place / "runs")
    assert {name: row["attempts"] for name, row in rows.items()} == {
        "blue9": "2",
        "blue10": "1",
        "green": "1",
        "red": "1",
    }
    assert all((place / "runs" / name / "metrics.jsonl").read_bytes() == kept for name, kept in done.items())
    for name in ("blue9", "green"):
        lines = (place / "runs" / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(line)["step"] for line in lines] == list(range(30))
    alone = place / "alone"
    assert main(["run", "toy.yaml", "image=pictures/green.png", f"out={alone}", *PLUGIN]) == 0
    runs = (alone, place / "runs" / "green", place / "runs" / "blue9")  # the toy looks at no picture
    states = [load_file(run / "checkpoint" / "state.safetensors") for run in runs]
    for other in states[1:]:
        assert states[0].keys() == other.keys()
        assert all(numpy.array_equal(states[0][key], other[key]) for key in other)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["toy.yaml", "pictures", "out=runs", "stepz=3"], "stepz: no such key. Did you mean 'steps'?"),
        (["toy.yaml", "pictures", "out=runs", "optimizer.lr=-3"], "optimizer.lr: -3; 0 to 10000"),
        (["toy.yaml", "pictures", "--shard", "1/2"], "--shard: all shares have one folder; name it, out=FOLDER"),
        (["toy.yaml", "pictures", "out=runs", "--out", "b"], "out: given as out= and as --out; name one folder"),
        (["toy.yaml", "nowhere", "out=runs"], "nowhere: no such picture, folder or list"),
        (["toy.yaml", "out=runs"], "no pictures; give a folder"),
        (["toy.yaml", ".", "out=runs"], ".: no picture in this folder"),
        (["toy.yaml", "pictures", "image=a.png", "out=runs"], "the pictures are given without image="),
        (["toy.yaml", "pictures", "out=runs", "--shard", "4/3"], "--shard 4/3: i/n with i from 1 to n"),
        (["toy.yaml", "pictures", "out=toy.yaml"], "out: toy.yaml is a file; name a folder"),
        (["toy.yaml", "pictures", "out=runs", "--executor", "prozesses"], "no executor called 'prozesses'."),
        (["toy.yaml", "pictures", "out=runs", "--executor", "inline", "--workers", "2"], "workers: no such option."),
        (["toy.yaml", "pictures", "out=runs", "--workers", "0"], "--executor processes: workers: 0; 1 to"),
        (["toy.yaml", "list.csv", "out=runs"], "list.csv: no column image"),
        (["toy.yaml", "keys.csv", "out=runs"], "stepz: no such key."),
    ],
)
def test_mistakes_are_told_before_anything_runs(place, capsys, words, told):
    (place / "list.csv").write_text("picture,steps\na.png,3\n", encoding="utf-8")
    (place / "keys.csv").write_text("image,stepz\npictures/red.png,\npictures/green.png,3\n", encoding="utf-8")
    assert main(["batch", *words, *PLUGIN]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not (place / "runs").exists()


def test_pictures_of_lists_patterns_and_tables(place):
    (place / "list.txt").write_text("# mine\npictures/red.png\n\npictures/gone.png\n", encoding="utf-8")
    (place / "table.csv").write_text(
        'image, seed, cameras\npictures/red.png, 3,\npictures/green.png,,"{type: round}"\n', encoding="utf-8"
    )
    names = lambda *given: [one.name for one in wanted_pictures(given)]  # noqa: E731
    assert names("list.txt") == ["red", "gone"]
    assert names("pictures/[rg]*.png") == ["green", "red"]
    assert names("pictures/red.png", "pictures") == ["red", "bad_b", "blue9", "blue10", "green"]  # each once
    assert [one.overrides for one in wanted_pictures(["table.csv"])] == [("seed=3",), ("cameras={type: round}",)]


def test_runs_go_to_a_folder_of_their_own_name(place, capsys):
    """As a single run's: none named, a number where it is taken; the same command with it goes on."""
    batch, sweep = (
        ["batch", "toy.yaml", "pictures/red.png"],
        ["sweep", "toy.yaml", "image=pictures/red.png", "seed=0,1"],
    )
    words = ["steps=1", "--executor", "inline", *PLUGIN]
    for command in (batch, sweep, sweep):
        assert main([*command, "--dry-run", *PLUGIN]) == 0
        assert main([*command, *words]) == 0
    assert {own.name for own in (place / "runs").iterdir()} == {
        "batch-toy-red",
        "sweep-toy-red",
        "sweep-toy-red-2",
    }
    assert "out: runs/sweep-toy-red-2; the same command with out=runs/sweep-toy-red-2" in capsys.readouterr().err
    assert main([*sweep, "--out", "runs/sweep-toy-red-2/", *words]) == 0  # options between words, too
    assert "2 of 2 runs are done already" in capsys.readouterr().err


def test_two_in_the_same_instant_take_two_folders(place, capsys, monkeypatch):
    """The second one begins when the first has chosen, and made nothing yet."""
    sweep = ["sweep", "toy.yaml", "image=pictures/red.png", "steps=1", "--executor", "inline", *PLUGIN]
    checked, codes = call.checked, []

    def meanwhile(*arguments):
        monkeypatch.setattr(call, "checked", checked)
        codes.append(main(sweep))
        return checked(*arguments)

    monkeypatch.setattr(call, "checked", meanwhile)
    assert main(sweep) == 0
    assert codes == [0]
    assert {own.name for own in (place / "runs").iterdir()} == {"sweep-toy-red", "sweep-toy-red-2"}
    assert main([*sweep, "seed=no"]) == 2
    assert len(list((place / "runs").iterdir())) == 2, "a sweep that cannot begin leaves no folder"


@pytest.mark.parametrize(
    ("pictures", "name"),
    [
        (["pictures/"], "pictures"),
        (["pictures/*.png"], "pictures"),
        (["pictures/red.png", "pictures/green.png"], "pictures"),
        (["pictures/green.png"], "green.png"),
        (["pictures/**/*.png"], "pictures"),
    ],
)
def test_what_pictures_are_called_together(place, pictures, name):
    assert subject_of(pictures) == name


def test_names_differ_on_any_system():
    names = Names()
    given = [
        ("a", "a.png"),
        ("A", "A.jpg"),
        ("a", "a.png"),
        ("index", "index.html"),
        ("index.html",),
        ("table.csv",),
        ("CON",),
        ("..",),
    ]
    found = [names.of(*candidates) for candidates in given]
    assert found == ["a", "A.jpg", "a.png", "index", "index.html_", "table.csv-2", "CON_", "run"]


def test_values_of_a_sweep():
    assert values_of("seed", "0..3") == ("0", "1", "2", "3")
    assert values_of("seed", "-1..0,7") == ("-1", "0", "7")
    assert values_of("x", "[1, 2],{0%: 1, 50%: [2, 3]}") == ("[1, 2]", "{0%: 1, 50%: [2, 3]}")
    assert values_of("prompt", 'a dog,"a cat, asleep",the dog\'s, one\\, two') == (
        "a dog",
        '"a cat, asleep"',
        "the dog's",
        "one, two",
    )
    assert read_axes(["steps=3", "a.x.scale=1,2", "b.x.scale=1,2", "seed=0..1"]) == (
        ["steps=3"],
        [
            Axis("a.x.scale", ("1", "2"), "a.x.scale"),
            Axis("b.x.scale", ("1", "2"), "b.x.scale"),
            Axis("seed", ("0", "1"), "seed"),
        ],
    )
    for text, told in {"1,,2": "an empty value", "3..1": "from 3 to 1", "1,2,1": "1 twice"}.items():
        with pytest.raises(UserError, match=told):
            values_of("seed", text)


def test_a_sweep(place, capsys):
    words = ["sweep", "toy.yaml", "image=pictures/[rg]*.png", "guidance.pull.target=0.5,1", "seed=0..1", "steps=9"]
    words += ["out=runs", "--executor", "inline", *PLUGIN]
    assert main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == "8 runs: 2 image x 2 target x 2 seed"
    assert not (place / "runs").exists()
    assert main(words) == 0
    rows = table(place / "runs")
    assert list(rows)[:3] == ["green_target-0.5_seed-0", "green_target-0.5_seed-1", "green_target-1_seed-0"]
    recipe = (place / "runs" / "red_target-0.5_seed-1" / "recipe.yaml").read_text(encoding="utf-8")
    assert "target: 0.5" in recipe
    assert "seed: 1" in recipe
    page = (place / "runs" / "index.html").read_text(encoding="utf-8")
    assert page.count('src="data:') == page.count("src=") == 8 * 2  # each beside its picture
    assert page.count("<polyline") == 8  # one loss
    assert re.findall(r"<h2>(.*?)</h2>", page) == ["image green", "image red", "Losses", "Figures"]
    assert page.count("<th>0.5</th>") == 2  # down; seeds are across
    before = {path: path.stat().st_mtime_ns for path in place.glob("runs/*/checkpoint/*")}
    assert main([*words[:4], "seed=0..2", *words[5:]]) == 0  # a larger grid: what is done stays
    assert len(table(place / "runs")) == 12
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("seed=0,x", "seed: 'x'; write a whole number"),
        ("seed=0,-1", "seed: -1; not negative"),
        ("guidance.pull.tarket=1,2", "tarket: guidance 'pull' has no such option. Did you mean 'target'?"),
        ("seed=3..1", "write a range upwards"),
        ("seed=0..100000", "100,001 values; a sweep has at most 100,000 runs"),
        ("image=", "toy.yaml: image: missing; give a picture, for example image=examples/mug.png"),
        ("image=no*.png", "image=no*.png: no picture matches"),
    ],
)
def test_values_are_checked_before_anything_runs(place, capsys, word, told):
    words = ["image=pictures/red.png"] * (not word.startswith("image"))
    assert main(["sweep", "toy.yaml", *words, word, "out=runs", "--executor", "inline", *PLUGIN]) == 2
    assert told in capsys.readouterr().err
    assert not (place / "runs").exists()
