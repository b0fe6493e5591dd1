"""`zero3d benchmark`: rows, resume, shards, failures, frames; tables and the published rows beside them."""

import csv
import json
import re
from pathlib import Path

import numpy
import pytest
import trimesh
import yaml

from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.interfaces import Outcome
from zero3d.mesh_files import normalise, save_mesh
from zero3d.mesh_placing import turned
from zero3d.plugins import load_plugins
from zero3d_benchmark import protocol as protocols
from zero3d_benchmark.reading import from_plain, read
from zero3d_benchmark.report import table
from zero3d_benchmark.run import job, placing, views
from zero3d_benchmark.run.truth import Truth

REGISTRY = load_plugins()
PROTOCOL = {
    "id": "small",
    "size": 32,
    "input": {"elevation_deg": [10, 50], "azimuth_deg": [0, 360], "distance": [1.6, 2.4], "count": 1},
    "targets": {"elevation_deg": [20], "azimuth_deg": [0, 90, 180], "distance": [2.0]},
    "metrics": {
        "psnr": {"type": "psnr"},
        "chamfer": {"type": "chamfer", "points": 1000},
        "iou": {"type": "iou", "voxels": 24},
    },
    "floors": True,
}
SIDES = {"bar": (1.0, 0.3, 0.2), "slab": (0.5, 1.0, 0.25), "tower": (0.3, 0.25, 1.0)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three true boxes, what an outside method made of two of them as the input's camera sees them, a protocol, a file."""
    root = tmp_path_factory.mktemp("benchmark")
    for folder in ("truth", "made"):
        (root / folder).mkdir()
    for name, sides in SIDES.items():
        save_mesh(trimesh.creation.box(sides), root / "truth" / f"{name}.ply")
    (root / "small.yaml").write_text(yaml.safe_dump(PROTOCOL), encoding="utf-8")
    plain = {
        "protocol": str(root / "small.yaml"),
        "set": {"type": "mesh_folder", "path": str(root / "truth")},
        "methods": {"known": {"oracle": True}, "outside": {"predictions": str(root / "made")}},
        "executor": None,
    }
    (root / "file.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    (root / "made" / "bar.ply").touch()  # so that it can be opened before the truth's cameras are known
    opened = from_plain(plain, "file.yaml", REGISTRY)
    for one in opened.objects:
        if one.name != "tower":
            azimuth = Truth(one, opened.protocol, root / "cache").azimuth_deg
            save_mesh(turned(one.mesh(), -azimuth), root / "made" / f"{one.name}.ply")
    return root


def benchmark(files, out, *words):
    return main(["benchmark", str(files / "file.yaml"), f"out={out}", f"cache={files / 'cache'}", *words])


@pytest.fixture(scope="module")
def whole(files):
    assert benchmark(files, files / "whole") == 1, "an object failed"
    return files / "whole"


def told(folder):
    """The table without what differs from one run to the next."""
    read = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    for row in read["rows"]:
        row["seconds"] = None
    return read


def test_every_method_has_a_row_an_object_and_a_failure_is_one_of_them(whole):
    rows = {row["method"]: row for row in told(whole)["rows"]}
    assert {name: (row["objects"], row["failed"]) for name, row in rows.items()} == {
        "known": (3, 0),
        "outside": (3, 1),
        "floor": (3, 0),
    }
    (failure,) = told(whole)["failures"]
    assert (failure["method"], failure["object"]) == ("outside", "tower")
    assert "no tower.glb" in failure["error"]
    floor, known, outside = (rows[name]["figures"] for name in ("floor", "known", "outside"))
    assert known["psnr"]["mean"] == "inf"
    assert known["iou"]["mean"] == floor["iou"]["mean"] == 1
    assert known["chamfer"]["mean"] == floor["chamfer"]["mean"] < 0.05
    assert outside["iou"]["mean"] == pytest.approx(1, abs=0.02), "turned as its camera saw it, it is turned back"
    assert outside["psnr"]["mean"] > 20


def test_the_manifest_says_what_the_rows_rest_on(whole):
    said = json.loads((whole / "manifest.json").read_text(encoding="utf-8"))
    assert set(said["objects"]) == set(SIDES)
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in said["objects"].values())
    assert said["protocol"]["id"] == "small"
    assert said["methods"]["known"] == {"oracle": True, "up": "y", "turned": True, "tell_elevation": True}
    assert said["versions"]["numpy"] == numpy.__version__


def test_tables_agree_and_the_page_needs_no_other_file(whole):
    read = told(whole)
    rows = list(csv.DictReader((whole / "table.csv").open(encoding="utf-8")))
    outside = next(row for row in rows if row["method"] == "outside")
    assert float(outside["chamfer"]) == read["rows"][1]["figures"]["chamfer"]["mean"]
    assert outside["chamfer_n"] == "2"
    best = f"{float(outside['chamfer']):.4f}"
    assert f"**{best}**" in (whole / "table.md").read_text(encoding="utf-8"), "what knows the truth is no method"
    tex = (whole / "table.tex").read_text(encoding="utf-8")
    assert f"\\textbf{{{best}}}" in tex
    assert tex.count("rule") == 3
    page = (whole / "index.html").read_text(encoding="utf-8")
    assert "data:image/jpeg;base64," in page
    assert re.findall(r"(?:src|href|url)=?['(]?([a-z]+):", page) == ["data"]
    assert (whole / "grid.png").stat().st_size > 1000


def test_a_killed_benchmark_goes_on_and_scores_nothing_twice(files, whole, tmp_path, monkeypatch, capsys):
    calls = []

    def dies(payload):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append((payload["method"], payload["object"]))
        return job.score(payload)

    monkeypatch.setattr("zero3d_benchmark.run.loop.score", dies)
    assert benchmark(files, tmp_path / "out") == 130
    first = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "objects").glob("*/*.json")}
    assert len(first) == 4
    monkeypatch.setattr(
        "zero3d_benchmark.run.loop.score", lambda p: calls.append((p["method"], p["object"])) or job.score(p)
    )
    assert benchmark(files, tmp_path / "out") == 1
    assert "4 of 9 are scored already" in capsys.readouterr().err
    assert len(calls) == len(set(calls)) == 9
    assert {path: path.stat().st_mtime_ns for path in first} == first
    assert told(tmp_path / "out")["rows"] == told(whole)["rows"]
    assert benchmark(files, tmp_path / "out", "--retry") == 1
    assert calls[9:] == [("outside", "tower")], "a failure is tried again where that is asked for"


def test_shards_joined_are_the_whole(files, whole, tmp_path, capsys):
    for part in ("1/2", "2/2"):
        benchmark(files, tmp_path / part[0], "--shard", part)
    rows = [{row.name for row in (tmp_path / n / "objects/known").glob("*.json")} for n in "12"]
    assert rows[0] | rows[1] == {f"{name}.json" for name in SIDES}
    assert not rows[0] & rows[1]
    assert main(["benchmark", "--merge", str(tmp_path / "1"), str(tmp_path / "2"), f"out={tmp_path / 'both'}"]) == 1
    assert told(tmp_path / "both") == told(whole)
    assert "2 objects, seed 0" in told(tmp_path / "1")["notes"]
    (tmp_path / "1/objects/known/bar.json").unlink()
    words = ["--merge", str(tmp_path / "1"), f"out={tmp_path / 'part'}", f"data={tmp_path / 'moved'}"]
    capsys.readouterr()
    assert main(["benchmark", *words]) == 1
    assert "no grid of pictures" in capsys.readouterr().err, "tables need no data"
    assert "1 rows are not there yet" in told(tmp_path / "part")["notes"]
    benchmark(files, tmp_path / "other", "seed=1", "objects=1")
    capsys.readouterr()
    assert main(["benchmark", "--merge", str(tmp_path / "1"), str(tmp_path / "other"), f"out={tmp_path / 'no'}"]) == 2
    assert "seed: 0 there, 1 here" in capsys.readouterr().err


def test_workers_score_as_this_process_does(files, whole, tmp_path):
    words = ["executor={type: processes, workers: 1}", "objects=[slab]"]
    assert benchmark(files, tmp_path, *words) == 0
    own = json.loads((tmp_path / "objects/outside/slab.json").read_text(encoding="utf-8"))
    there = json.loads((whole / "objects/outside/slab.json").read_text(encoding="utf-8"))
    assert own["figures"] == there["figures"]


@pytest.fixture(scope="module")
def ball(tmp_path_factory):
    """The ellipsoid of a ball that is neither centred nor of size 1, seen from the side, scored where it stands.

    It lies as far from the camera as the origin: how far a thing is, no picture tells.
    """
    root = tmp_path_factory.mktemp("ball")
    (root / "truth").mkdir()
    mesh = trimesh.creation.icosphere(subdivisions=4, radius=0.3)
    right, up = orbit(35.0, 70.0, 8).camera_to_world[0, :3, :2].T.double().numpy()
    mesh.apply_translation(0.15 * right - 0.1 * up)
    save_mesh(mesh, root / "truth" / "ball.ply")
    own = {"stage": "none", "place": [], "floors": False, "size": 96, "targets": None}
    shown = {"elevation_deg": [35], "azimuth_deg": [70], "distance": [1.6]}
    plain = {**PROTOCOL, **own, "input": shown, "metrics": {"iou": {"type": "iou"}, "chamfer": {"type": "chamfer"}}}
    (root / "as-is.yaml").write_text(yaml.safe_dump(plain), encoding="utf-8")
    smaller = {"representation.resolution": 48, "export.mesh.resolution": 64, "renderer": {"type": "volume"}}
    method = {"methods": {"ellipsoid": {"reconstructor": "ellipsoid", "options": smaller}}}
    rest = {"protocol": str(root / "as-is.yaml"), "set": {"type": "mesh_folder", "path": str(root / "truth")}}
    (root / "file.yaml").write_text(yaml.safe_dump({**method, **rest, "executor": None}), encoding="utf-8")
    assert main(["benchmark", str(root / "file.yaml"), f"out={root / 'out'}"]) == 0
    return root / "out"


def test_what_a_method_made_is_put_back_where_the_object_stands(ball, tmp_path):
    row = json.loads((ball / "objects/ellipsoid/ball.json").read_text(encoding="utf-8"))
    assert row["figures"]["iou"] > 0.75
    assert row["figures"]["chamfer"] < 0.03
    words = [f"protocol={ball.parent / 'as-is.yaml'}", "set.type=mesh_folder", f"data={ball.parent / 'truth'}"]
    theirs = ["--predictions", str(ball / "predictions/ellipsoid"), "executor=null"]
    assert main(["benchmark", *theirs, *words, f"out={tmp_path / 'again'}"]) == 0
    again = json.loads((tmp_path / "again/objects/ellipsoid/ball.json").read_text(encoding="utf-8"))
    assert again["figures"] == pytest.approx(row["figures"], abs=1e-3), "what is kept scores as it did"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["protocol=sv3d"], "Did you mean 'sv3d-50'?"),
        (["set.type=mesh_foldr"], "Did you mean 'mesh_folder'?"),
        (["set.upp=z"], "Did you mean 'up'?"),
        (["sed=3"], "sed: no such option. Did you mean 'seed'?"),
        (["methods.known={oracel: true}"], "methods.known.oracel: no such option. Did you mean 'oracle'?"),
        (["methods.known={oracle: true, recipe: a.yaml}"], "give one of recipe, reconstructor"),
        (["methods.floor={oracle: true}"], "methods.floor: the label is kept"),
        (["methods.x={reconstructor: elipsoid}"], "Did you mean 'ellipsoid'?"),
        (["methods.x={recipe: nowhere.yaml}"], "methods.x: nowhere.yaml: no such"),
        (["methods.x={recipe: recipes/nano.yaml, options: {stepps: 3}}"], "Did you mean 'steps'?"),
        (["methods.x={predictions: nowhere}"], "methods.x.predictions: nowhere: no such folder"),
        (["methods.x={views: zero124}"], "Did you mean 'zero123'"),
        (["metrics.psnr={type: psnr}"], "metrics.psnr: protocol small has one of that name"),
        (["metrics.lpips={type: lpips, trunk: nowhere.pth}"], "metrics.lpips: nowhere.pth: no such file"),
        (["objects=[bra]"], "Did you mean 'bar'?"),
        (["protocol=zero123"], "Did you mean 'zero123-gso' or 'zero123-rtmv'?"),
        (["set={}", "data=meshes"], "reads none; name a set that does, such as set.type=mesh_folder"),
        (["data={gso: x}"], "data: gso; where mesh_folder lies is not said"),
        (["data=3"], "data: 3; a folder, or a map"),
        (["tables=[bar]"], "tables: ['bar']; a map of label -> keys"),
        (["methods=[bar]", "--predictions", "made"], "methods: "),
        (["objects=[bar, bar]"], "objects: 'bar' stands there twice"),
        (["--predictions", "a/x", "--predictions", "b/x"], "x is given twice"),
        (["methods.x={views: zero123, arguments: [--stepps, 3]}"], "methods.x: arguments: zero3d views does not take"),
        (["methods.x={views: zero123, options: {weights: mk.py}}"], "methods.x: "),
        (["--ray-address", "head"], "address: 'head'; host:port"),
        (["objects=0"], "objects: 0; how many"),
        (["--shard", "3/2"], "shard: '3/2'; i/n"),
        (["data=nowhere"], "nowhere"),
        (["executor.type=proceses"], "Did you mean 'processes'?"),
        (["out=file.yaml"], "is a file; name a folder"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(files, tmp_path, words, line, capsys, monkeypatch):
    monkeypatch.setattr("zero3d_benchmark.run.loop.score", None)
    (tmp_path / "file.yaml").touch()
    words = [word.replace("out=file.yaml", f"out={tmp_path / 'file.yaml'}") for word in words]
    out = [] if any(word.startswith("out=") for word in words) else [f"out={tmp_path / 'out'}"]
    executor = ["executor={type: processes}"] if any("executor." in word for word in words) else []
    assert main(["benchmark", str(files / "file.yaml"), *out, *executor, *words]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_benchmark_is_left_alone(files, whole, tmp_path, capsys):
    before = (whole / "manifest.json").read_bytes()
    assert benchmark(files, whole, "methods.known={predictions: " + str(files / "made") + "}") == 2
    assert "holds another benchmark" in capsys.readouterr().err
    assert (whole / "manifest.json").read_bytes() == before
    (tmp_path / "mine.txt").touch()
    assert benchmark(files, tmp_path) == 2
    assert "holds no benchmark and is not empty" in capsys.readouterr().err


def test_published_rows_stand_beside_runs_of_their_own_protocol_alone():
    golden = json.loads(Path("tests/data/metrics.json").read_text(encoding="utf-8"))["published"]["rows"]
    shown = {name: table.published(protocols.load(name, "test")) for name in protocols.names()}
    assert shown["zero3d-solids"] == []
    for name, kinds in {
        "syncdreamer-30": {"syncdreamer30-3d", "syncdreamer30-nvs"},
        "sv3d-50": {"sv3d50-3d"},
        "zero123-gso": {"zero123-3d", "zero123-nvs-gso"},
    }.items():
        figures = protocols.load(name, "test").published.figures
        wanted = {(r["method"], r[k]) for r in golden if r["protocol"] in kinds for k in figures.values() if k in r}
        found = {(line.method, figure.mean) for line in shown[name] for figure in line.figures.values()}
        assert found <= wanted
        assert name == "zero123-gso" or found == wanted
    mcc = next(line for line in shown["zero123-gso"] if line.method == "MCC")
    assert {name: figure.mean for name, figure in mcc.figures.items()} == {"chamfer": 0.123, "iou": 0.2343}
    assert mcc.star
    assert not any(line.star for line in shown["syncdreamer-30"])
    one = next(line for line in shown["zero123-gso"] if line.method == "Zero-1-to-3")
    assert set(one.figures) == {"psnr", "ssim", "lpips", "fid", "chamfer", "iou"}, (
        "Tables 1 and 3 of one source are one line"
    )


def test_every_protocol_can_be_made_and_says_what_it_leaves_open():
    for name in protocols.names():
        made = protocols.load(name, "test")
        assert made.id == name
        assert made.title
        assert made.source
        assert protocols.measures(made, REGISTRY).all
        assert made.notes or not made.nearest


def test_rendered_pictures_are_cached_and_random_cameras_depend_on_the_object_alone(files, tmp_path):
    plain = yaml.safe_load((files / "file.yaml").read_text(encoding="utf-8"))
    opened = from_plain(plain, "file.yaml", REGISTRY, runs=False)
    first = [Truth(one, opened.protocol, tmp_path) for one in opened.objects]
    again = [Truth(one, opened.protocol, tmp_path) for one in opened.objects[::-1]][::-1]
    assert [t.azimuth_deg for t in first] == [t.azimuth_deg for t in again]
    assert len({round(t.azimuth_deg, 3) for t in first}) == 3
    kept = first[0].input.path
    changed = kept.stat().st_mtime_ns
    assert (again[0].input.rgba == first[0].input.rgba).all()
    assert kept.stat().st_mtime_ns == changed
    camera = first[0].targets[1].camera
    assert camera.camera_to_world[0] == pytest.approx(orbit(20.0, 90.0, 32).camera_to_world[0], abs=1e-5)
    assert first[0].mesh.extents.max() == pytest.approx(1)
    assert normalise(first[0].one.mesh()).bounds == pytest.approx(first[0].mesh.bounds)


def test_a_denoiser_draws_the_targets_from_where_they_stand(files, tmp_path):
    """Through `zero3d views`; of pictures alone no shape is scored."""
    words = ["objects=[bar]", "methods={nano: {views: zero123, arguments: [--steps, '4', --scale, '1']}}"]
    assert benchmark(files, tmp_path, *words) == 0
    row = json.loads((tmp_path / "objects/nano/bar.json").read_text(encoding="utf-8"))
    assert set(row["figures"]) == {"psnr"}
    assert 5 < row["figures"]["psnr"] < 40
    opened = from_plain(yaml.safe_load((files / "file.yaml").read_text(encoding="utf-8")), "x", REGISTRY, runs=False)
    truth = Truth(opened.objects[0], opened.protocol, files / "cache")
    shown = truth.input.camera
    moves = [views.relative(truth, shot.camera) for shot in truth.targets]
    beside = [truth.azimuth_deg + move[0] - wanted for move, wanted in zip(moves, (0, 90, 180), strict=True)]
    assert [(apart + 180) % 360 - 180 for apart in beside] == pytest.approx([0, 0, 0], abs=1e-3)
    assert [move[1] for move in moves] == pytest.approx([20 - truth.elevation_deg] * 3, abs=1e-4)
    assert [move[2] for move in moves] == pytest.approx([2 - float(shown.distance[0])] * 3, abs=1e-5)


def test_the_shipped_files_are_spelled_right_and_the_paper_has_its_four_tables(tmp_path):
    plain = yaml.safe_load(Path("benchmarks/paper.yaml").read_text(encoding="utf-8"))
    assert len(plain["tables"]) == 4
    for keys in plain["tables"].values():
        assert set(keys["methods"]) <= set(plain["methods"])
        protocols.load(keys["protocol"], "test")
    named = {label for keys in plain["tables"].values() for label in keys["methods"]}
    assert named == set(plain["methods"])
    solids = yaml.safe_load(Path("benchmarks/solids.yaml").read_text(encoding="utf-8"))
    assert len(from_plain(solids, "solids.yaml", REGISTRY).objects) == 20


def test_a_recipe_alone_is_a_benchmark_of_one_method():
    found = read("nano", ["objects=2", "steps=3", "set.first_seed=1000005", "seed=4"], REGISTRY)
    assert found.options.seed == 4
    assert [one.name for one in found.objects] == ["1000005", "1000006"]
    (method,) = found.methods.items()
    assert (method[0], method[1].recipe, method[1].options) == ("nano", "nano", {"steps": "3"})


def test_an_outside_methods_folder_needs_no_file(files, whole, tmp_path):
    words = [f"protocol={files / 'small.yaml'}", "set.type=mesh_folder", f"data={files / 'truth'}", "executor=null"]
    theirs = f"theirs={files / 'made'}"
    assert main(["benchmark", "--predictions", theirs, *words, "objects=[slab]", f"out={tmp_path / 'out'}"]) == 0
    rows = (tmp_path / "out/objects/theirs/slab.json", whole / "objects/outside/slab.json")
    own, there = (json.loads(row.read_text(encoding="utf-8"))["figures"] for row in rows)
    assert own == there


def test_a_job_whose_workers_died_is_a_row(files, tmp_path, monkeypatch):
    def dead(jobs):
        for number, one in enumerate(jobs):
            yield (
                Outcome(one, error="its worker was killed 3 times")
                if not number
                else Outcome(one, job.score(one.payload))
            )

    monkeypatch.setattr("zero3d_benchmark.run.loop.here", dead)
    assert benchmark(files, tmp_path, "objects=1") == 1
    assert [(f["method"], f["error"]) for f in told(tmp_path)["failures"]] == [
        ("known", "its worker was killed 3 times")
    ]


@pytest.mark.parametrize("steps", [[name] for name in protocols.PLACES if name != "zeroshape_search"], ids=str)
def test_the_truth_placed_as_a_prediction_lies_on_itself(steps):
    """However the input's camera stands; and every protocol's steps leave the meshes alone."""
    truth = trimesh.creation.box((1.0, 0.6, 0.3)).subdivide()
    truth.vertices *= 1 + truth.vertices @ [[0.5], [0.3], [0.8]]  # no turn of it is like another
    truth.apply_translation([0.3, -0.2, 0.1])
    before = numpy.array(truth.vertices)
    mesh, true = placing.place(truth, truth, steps, placing.Placing(azimuth_deg=70.0, seed=0))
    if steps[0].startswith("bbox_"):  # of one of the two alone
        mesh, true = normalise(mesh), normalise(true)
    slack = 0.05 if steps[0] in ("icp", "sv3d_icp", "zeroshape") else 1e-9  # random points
    if steps != ["sv3d_icp"]:  # whose turn is done twice, as published
        assert numpy.asarray(mesh.vertices) == pytest.approx(numpy.asarray(true.vertices), abs=slack)
    assert numpy.array_equal(truth.vertices, before)
