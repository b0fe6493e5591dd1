"""`zero3d benchmark`: where the truth stands, how it is lit, which metrics a table has, what is told where one has none."""

import json
import math
from pathlib import Path

import numpy
import pytest
import trimesh
import yaml
from PIL import Image

from tests.plugins import evaluation_sets_data as data
from tests.plugins.clip_tiny import save_folder
from zero3d.cli import main
from zero3d.errors import UserError
from zero3d.geometry import orbit
from zero3d.mesh_files import normalise, save_mesh
from zero3d.plugins import load_plugins
from zero3d.recipe.schema import typed
from zero3d_benchmark import methods, options
from zero3d_benchmark import protocol as protocols
from zero3d_benchmark.report import formats, table
from zero3d_benchmark.run.job import shown
from zero3d_benchmark.run.placing import Placing, place
from zero3d_benchmark.run.truth import Truth
from zero3d_evaluation_sets.folder import MeshFolder
from zero3d_evaluation_sets.gso.component import Gso

REGISTRY = load_plugins()
SHOWN = {"elevation_deg": [20], "azimuth_deg": [30], "distance": [2.0]}
TARGETS = {"elevation_deg": [20], "azimuth_deg": [0, 120, 240], "distance": [2.0]}
METRICS = {"psnr": {"type": "psnr"}, "iou": {"type": "iou", "voxels": 16}}
SMALL = {"id": "small", "size": 48, "input": SHOWN, "targets": TARGETS, "metrics": METRICS}


def written(folder, **changes):
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory):
    """A coloured box, and the same as an outside method's that stands as the data do."""
    root = tmp_path_factory.mktemp("boxes")
    for folder in ("truth", "made"):
        (root / folder).mkdir()
        box = trimesh.creation.box((1.0, 0.6, 0.3))
        box.visual.vertex_colors = numpy.tile([200, 90, 40, 255], (8, 1)).astype(numpy.uint8)
        save_mesh(box, root / folder / "box.glb")
    written(root)
    return root


def run(root, out, *words, method=""):
    known = f"methods={{same: {{predictions: {root / 'made'}, turned: false{method}}}}}"
    kept = ["executor=null", f"protocol={root / 'small.yaml'}", f"set={{type: mesh_folder, path: {root / 'truth'}}}"]
    return main(["benchmark", known, *kept, f"out={out}", *words])


def row(out, method="same", name="box"):
    return json.loads((out / f"objects/{method}/{name}.json").read_text(encoding="utf-8"))


def test_a_mesh_that_its_set_has_placed_stays_there(tmp_path):
    """By 225 degrees, where a box's own box is another: SyncDreamer's script normalises first, then turns."""
    data.syncdreamer(tmp_path / "data", "school_bus2", 225)
    lying = data.SOLID[:, [2, 1, 0]] * (1, 1, -1)
    data.obj(tmp_path / "data/school_bus2/model.obj", lying)
    (one,) = Gso(Gso.Config(path=str(tmp_path / "data"))).objects()
    protocol = protocols.load("syncdreamer-30", "test")
    truth = Truth(one, protocol, tmp_path / "cache")
    expected = data.about_z(data.normalised(lying), -225)
    assert abs(expected[:, None] - truth.mesh.vertices[None]).max(-1).min(0) == pytest.approx(0, abs=1e-5)
    made, true = place(one.mesh(), truth.mesh, protocol.place, Placing(truth.azimuth_deg, 0))
    assert protocols.measures(protocol, REGISTRY).shapes["iou"].shape(made, true)["iou_mesh2sdf"] == 1
    assert numpy.ptp(expected, axis=0).max() < 0.97
    assert numpy.ptp(normalise(one.mesh()).vertices, axis=0).max() == pytest.approx(1)


def test_a_perfect_mesh_loses_nothing_to_light(boxes, tmp_path):
    assert run(boxes, tmp_path / "lit") == 0
    assert run(boxes, tmp_path / "bare", method=", baked: true") == 0
    lit, bare = row(tmp_path / "lit")["figures"], row(tmp_path / "bare")["figures"]
    assert lit["iou"] == 1
    assert lit["psnr"] > 45 > bare["psnr"] + 10
    assert "meshes are drawn under the targets' light: same" in (tmp_path / "lit/table.md").read_text(encoding="utf-8")
    assert "meshes are drawn bare: same" in (tmp_path / "bare/table.md").read_text(encoding="utf-8")


def test_a_metric_with_an_encoder_is_loaded_with_it(boxes, tmp_path, capsys):
    save_folder(tmp_path / "clip")
    metric = "metrics.clip_similarity={type: clip_similarity, encoder: 'clip:%s'}"
    assert run(boxes, tmp_path / "out", metric % (tmp_path / "clip")) == 0
    assert row(tmp_path / "out")["figures"]["clip_similarity"] > 0.99
    capsys.readouterr()
    assert run(boxes, tmp_path / "no", metric % (tmp_path / "nowhere")) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "protocol small: metrics.clip_similarity: encoder.weights: " in said
    assert not (tmp_path / "no").exists()


def test_weights_of_another_kind_are_one_line_before_anything_runs(boxes, tmp_path, capsys):
    (tmp_path / "vgg.pth").write_bytes(b"no tensors")
    metric = f"metrics.lpips={{type: lpips, net: vgg, trunk: {tmp_path / 'vgg.pth'}}}"
    assert run(boxes, tmp_path / "out", metric) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("zero3d: protocol small: metrics.lpips: ")
    assert not (tmp_path / "out").exists()


def test_where_there_is_no_true_mesh_it_is_told(boxes, tmp_path, capsys):
    data.rtmv(tmp_path / "data")
    protocol = written(tmp_path, input={"views": [0]}, targets={"views": [1]})
    words = [f"protocol={protocol}", f"set={{type: rtmv, group: google_scanned, path: {tmp_path / 'data'}}}"]
    (tmp_path / "made").mkdir()
    save_mesh(trimesh.creation.box((0.5, 0.6, 0.3)), tmp_path / "made/google_scanned_00003.ply")
    words += [f"methods={{same: {{predictions: {tmp_path / 'made'}}}}}"]
    assert run(boxes, tmp_path / "out", *words) == 0
    assert set(row(tmp_path / "out", name="google_scanned_00003")["figures"]) == {"psnr"}
    assert "1 rows with no true mesh" in (tmp_path / "out/table.md").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(boxes, tmp_path / "no", *words, "metrics={psnr: null}") == 2
    assert "none of 1 objects has a true mesh" in capsys.readouterr().err
    assert run(boxes, tmp_path / "no", *words, "set.group=abc") == 2
    assert "rtmv: group: 'abc': no scene of it" in capsys.readouterr().err


def test_metrics_of_a_protocol_are_left_out(boxes, tmp_path, capsys):
    assert run(boxes, tmp_path / "out", "metrics={psnr: null}") == 0
    assert set(row(tmp_path / "out")["figures"]) == {"iou"}
    capsys.readouterr()
    for words, told in {
        "metrics={psnrr: null}": "metrics.psnrr: protocol small has none to leave out. Did you mean 'psnr'?",
        "metrics={psnr: null, iou: null}": "metrics: none is left",
    }.items():
        assert run(boxes, tmp_path / "no", words) == 2
        assert told in capsys.readouterr().err


def test_the_papers_methods_lack_nothing_but_their_weights():
    plain = yaml.safe_load(Path("benchmarks/paper.yaml").read_text(encoding="utf-8"))
    protocol = protocols.load("zero123-gso", "test")
    for label, given in plain["methods"].items():
        method = typed(options.MethodOptions, given, label)
        with pytest.raises(UserError, match=r"no file|no folder|not in the cache|nor in the hub's cache"):
            methods.check_method(method, f"methods.{label}", REGISTRY, [], protocol)


def of(tmp_path, name, data, count, figures):
    """The table of one row under a shipped protocol."""
    said = {"methods": {"mine": {}}, "objects": dict.fromkeys(map(str, range(count)), ""), "seed": 0}
    said |= {"set": {"options": {"type": data}}, "protocol": {}}
    (tmp_path / "objects/mine").mkdir(parents=True, exist_ok=True)
    (tmp_path / "manifest.json").write_text(json.dumps(said), encoding="utf-8")
    for number in range(2):
        scored = {
            "method": "mine",
            "object": str(number),
            "error": None,
            "figures": {k: v + number for k, v in figures.items()},
        }
        (tmp_path / f"objects/mine/{number}.json").write_text(json.dumps(scored), encoding="utf-8")
    protocol = protocols.load(name, "test")
    return table.make(tmp_path, protocol, protocols.measures(protocol, REGISTRY))


def test_published_rows_stand_beside_their_own_objects_and_figures(tmp_path):
    ours = of(tmp_path, "zero123-gso", "gso", 2, {"psnr": 20.0})
    assert {line.method for line in ours.published} >= {"DietNeRF", "Zero-1-to-3"}
    assert not {"MCC", "Point-E"} & {line.method for line in ours.published}, "Table 3 has no figure of pictures"
    assert list(ours.columns) == ["psnr", "ssim", "lpips", "fid"], (
        "what the paper printed and nobody measured comes along"
    )
    assert "mine (nearest recipe)" in formats.as_markdown(ours)
    tex = formats.as_latex(ours)
    assert "20.5000} $\\pm$ 0.7071" in tex
    assert "& failed" in tex
    assert "{p{0.95\\linewidth}}" in tex
    (row,) = [line for line in tex.splitlines() if line.startswith("mine")]
    assert row.count("&") == len(ours.columns) + 2
    shapes = of(tmp_path, "zero123-gso", "gso", 2, {"chamfer": 0.1})
    assert list(shapes.columns) == ["chamfer", "iou"]
    assert "Table 1" not in "".join(line.source for line in shapes.published)
    other = of(tmp_path, "syncdreamer-30", "mesh_folder", 2, {"chamfer": 0.1})
    assert not other.published
    assert any("left out: they are of the set gso" in note for note in other.notes)
    fewer = of(tmp_path, "syncdreamer-30", "gso", 2, {"chamfer": 0.1})
    assert fewer.published
    assert any("of other objects: 30 of them, here 2" in note for note in fewer.notes)


def test_a_distance_of_sets_tells_of_how_many_pictures(boxes, tmp_path):
    save_folder(tmp_path / "clip")
    metric = f"metrics.fid={{type: fid, features: clip, weights: {tmp_path / 'clip'}}}"
    assert run(boxes, tmp_path / "out", metric) == 0
    said = (tmp_path / "out/table.md").read_text(encoding="utf-8")
    assert "of 3 pictures a method; below 2,048 FID reads too high" in said


def test_the_grid_shows_the_first_target_of_both(boxes, tmp_path):
    assert run(boxes, tmp_path / "out") == 0
    made = Image.open(tmp_path / "out/objects/same/box.png").convert("RGB")
    (one,) = MeshFolder(MeshFolder.Config(path=str(boxes / "truth"))).objects()
    truth = Truth(one, protocols.load(str(boxes / "small.yaml"), "test"), tmp_path / "out/cache")
    true = Image.fromarray(shown(truth)[1]).resize(made.size)
    assert numpy.abs(numpy.asarray(made, float) - numpy.asarray(true, float)).mean() < 2


def test_means_and_deviations_are_those_of_the_sample_and_equal_pictures_do_not_count():
    assert table.summarised([1.0, 2.0, 4.0]) == table.Figure(7 / 3, pytest.approx(math.sqrt(7 / 3)), 3)
    assert table.summarised([3.0]) == table.Figure(3.0, None, 1)
    assert table.summarised([math.inf, 20.0]) == table.Figure(20.0, None, 1)
    assert table.summarised([math.inf]).mean == math.inf


def test_zeroshape_measures_along_the_pictures_axes_and_its_floor_has_two_samples():
    """However high the camera stands: extents across and down the picture are those that the camera's own axes give."""
    tower = trimesh.creation.box((0.3, 0.5, 1.0)).subdivide()
    _, true = place(tower, tower, ["zeroshape"], Placing(70.0, 0, elevation_deg=45.0))
    right, up = orbit(45.0, 70.0, 8).camera_to_world[0, :3, :2].T.double().numpy()
    seen = numpy.array([numpy.ptp(tower.vertices @ axis) for axis in (right, up)])
    assert numpy.ptp(true.vertices[:, :2], axis=0) == pytest.approx(seen / seen.max(), rel=0.03)
    mesh, true = place(tower, tower, ["zeroshape"], Placing(70.0, 0))
    assert not numpy.array_equal(mesh.vertices, true.vertices)


def test_all_tables_of_a_file_are_made_each_in_its_folder(boxes, tmp_path):
    written = tmp_path / "file.yaml"
    plain = {"protocol": str(boxes / "small.yaml"), "set": {"type": "mesh_folder"}, "executor": None}
    plain["methods"] = {"same": {"predictions": str(boxes / "made"), "turned": False}, "known": {"oracle": True}}
    plain["tables"] = {
        "shapes": {"metrics": {"psnr": None}},
        "both": {"methods": ["known"]},
        "gone": {"protocol": "no"},
    }
    written.write_text(yaml.safe_dump(plain), encoding="utf-8")
    data = f"data={{mesh_folder: {boxes / 'truth'}}}"
    assert main(["benchmark", str(written), "table=all", "tables.gone=null", data, f"out={tmp_path / 'out'}"]) == 0
    tables = {
        name: json.loads((tmp_path / "out" / name / "table.json").read_text("utf-8")) for name in ("shapes", "both")
    }
    assert {name: set(made["columns"]) for name, made in tables.items()} == {
        "shapes": {"iou"},
        "both": {"psnr", "iou"},
    }
    assert [row["method"] for row in tables["both"]["rows"]] == ["known"]


def test_methods_without_a_file(boxes, tmp_path):
    words = ["methods={known: {oracle: true}}", "set.type=mesh_folder", f"data={boxes / 'truth'}", "executor=null"]
    assert main(["benchmark", f"protocol={boxes / 'small.yaml'}", *words, f"out={tmp_path / 'out'}"]) == 0


def test_views_print_nothing_into_the_benchmarks_own_lines(boxes, tmp_path, capfd):
    words = "methods={nano: {views: zero123, arguments: [--steps, '4', --scale, '1']}}"
    assert run(boxes, tmp_path / "out", words) == 0
    said = capfd.readouterr()
    assert "zero3d-nv" not in said.out + said.err
    assert said.err.splitlines() == ["1/1 nano box"]


def test_a_recipes_options_are_nested_or_dotted():
    """`methods.nano.options.start.resolution=32` on the command line arrives nested."""
    nested = options.MethodOptions(
        recipe="nano", options={"start": {"resolution": 32}, "steps": 3, "guidance.sds": {"type": "csd"}}
    )
    _, overrides = methods.recipe_of(nested, REGISTRY)
    assert overrides == ["start.resolution=32", "steps=3", 'guidance.sds={"type": "csd"}']
