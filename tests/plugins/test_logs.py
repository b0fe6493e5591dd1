"""A run's figures elsewhere: Weights & Biases without a network or a key, and `zero3d metrics`."""

import csv
import json
import struct

import pytest

from tests.core.conftest import toy_recipe  # noqa: F401 (a fixture)
from tests.core.test_run import interrupt_after
from tests.plugins.test_diagnostics import registry  # noqa: F401 (a fixture)
from zero3d import RecipeError, UserError, folder
from zero3d.cli import main
from zero3d.recipe import read_yaml
from zero3d.run import resume, run
from zero3d_diagnostics.logs.sending import tag
from zero3d_diagnostics.logs.wandb import ID, WandbConfig, WeightsAndBiases, _has_key


def quiet(line):
    pass


def records(place):
    """What `wandb sync` would send, session after session: the messages of a LevelDB log of protocol buffers."""
    from wandb.proto import wandb_internal_pb2

    for path in sorted(place.glob("wandb/offline-run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns):
        data, at, whole = path.read_bytes(), 7, b""
        assert data[:4] == b":W&B"
        while at + 7 <= len(data):
            left = 32768 - at % 32768
            if left < 7:
                at += left
                continue
            _, length, kind = struct.unpack("<IHB", data[at : at + 7])
            whole += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):  # whole, or the last part
                record = wandb_internal_pb2.Record()
                record.ParseFromString(whole)
                yield record
                whole = b""


def said(items):
    """Key -> value of a record's items."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.fixture
def wandb_home(tmp_path, monkeypatch):
    """Everything that wandb would write beside the run, in a folder of the test's own."""
    place = tmp_path / "wandb-home"
    place.mkdir()
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(place))
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    return place


EXPORT = "export={mesh: {type: marching_cubes, resolution: 16}}"
FIELD = (
    *("representation={type: voxels, resolution: 8}", "renderer={type: volume}", "steps=6", "checkpoint.every=2"),
    *("cameras={type: sphere, resolution: 16, views: 1}", "start={type: ellipsoid}", EXPORT),
)


def test_offline_it_has_all_there_is(registry, toy_recipe, tmp_path, wandb_home, monkeypatch):  # noqa: F811
    observers = "observers={preview: {every: 3, size: 16, views: 1}, wandb: {mode: offline, project: mugs, name: red}}"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            run(str(toy_recipe), registry, [*FIELD, observers], tell=quiet)
    out = tmp_path / "out"
    own = (out / ID).read_text("utf-8").strip()
    resume(str(out), registry, tell=quiet)
    found = list(records(out))
    begun = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert {(one.run_id, one.project, one.display_name) for one in begun} == {(own, "mugs", "red")}
    config = {key: value for one in begun for key, value in said(one.config.update).items()}
    recipe = read_yaml(out / "recipe.yaml")
    assert {key: config[key] for key in recipe} == recipe
    sent = {}
    for record in found:
        if record.WhichOneof("record_type") == "history":
            values = said(record.history.item)
            sent.setdefault(values["_step"], {}).update(values)
    lines = folder.read_metrics(out)
    assert [line["step"] for line in lines] == list(range(6))
    for line in lines:
        for name, value in line.items():
            if name not in ("step", "seconds"):
                assert sent[line["step"]][tag(name)] == value
    assert {step for step, values in sent.items() if values.get("previews._type") == "image-file"} == {3, 6}
    assert sent[6]["export.mesh._type"] == "object3D-file"
    (model,) = out.glob(f"wandb/offline-run-*/files/{sent[6]['export.mesh.path']}")
    assert model.read_bytes() == (out / "mesh.glb").read_bytes()
    assert [path.name for path in tmp_path.rglob(".netrc")] == []


def test_disabled_it_writes_nothing(registry, toy_recipe, tmp_path, wandb_home):  # noqa: F811
    run(str(toy_recipe), registry, ["steps=2", "observers={wandb: {mode: disabled}}"], tell=quiet)
    assert not (tmp_path / "out" / "wandb").exists()
    assert list(wandb_home.iterdir()) == []


def test_online_without_a_key_and_without_the_package_is_one_line(wandb_home, monkeypatch):
    with pytest.raises(RecipeError, match=r"observers\.wandb: mode online needs a key; run `wandb login`"):
        WeightsAndBiases(WandbConfig())
    key = "machine {} login user password " + "0" * 40 + "\n"
    for host, given in {"github.com": "", "api.wandb.ai": "", "wandb.example": "https://wandb.example:8080"}.items():
        (wandb_home / ".netrc").write_text(key.format(host), encoding="utf-8")
        (wandb_home / ".netrc").chmod(0o600)
        monkeypatch.setenv("WANDB_BASE_URL", given)
        assert _has_key() is (host != "github.com"), "a password for git alone is none"
    (wandb_home / ".netrc").write_text("machine", encoding="utf-8")
    assert not _has_key()
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert WeightsAndBiases(WandbConfig()).config.mode == "online"
    monkeypatch.setattr("zero3d_diagnostics.logs.sending.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"observers\.wandb: .*pip install 'zero3d\[wandb\]'"):
        WeightsAndBiases(WandbConfig())


@pytest.mark.parametrize(
    ("options", "line"),
    [({"mode": "on"}, "mode: 'on'; one of online"), ({"project": "a/b"}, "project: 'a/b'"), ({"every": 0}, "every: 0")],
)
def test_wrong_options_are_one_line(options, line):
    with pytest.raises(ValueError, match=line):
        WandbConfig(**options)


@pytest.fixture
def two_runs(tmp_path):
    """A run, and one with two stages, as far as `zero3d metrics` reads them."""
    for name, recipe in (("one", "steps: 5\n"), ("two", "stages: {near: {}, far: {}}\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "recipe.yaml").write_text(recipe, encoding="utf-8")
        (tmp_path / name / "manifest.json").write_text('{"made_by": "zero3d run"}', encoding="utf-8")
    lines = [{"step": k, "guidance.sds.distance": k / 4, "seconds": float(k)} for k in range(5)]
    lines[1]["guidance.sds.distance"] = None
    (tmp_path / "one/metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    for stage in folder.stage_folders(tmp_path / "two"):
        stage.mkdir()
        (stage / "metrics.jsonl").write_text('{"step": 0, "other": 1}\n', encoding="utf-8")
    return tmp_path


def test_metrics_as_csv(two_runs, capsys, monkeypatch):
    monkeypatch.chdir(two_runs)
    assert main(["metrics", "one", "two", "--csv", "both.csv", "--every", "3"]) == 0
    assert "wrote both.csv (5 lines, 3 figures)" in capsys.readouterr().out
    with open("both.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    stages = [stage.name for stage in folder.stage_folders(two_runs / "two")]
    assert [(row["run"], row["stage"], row["step"]) for row in rows] == [
        *(("one", "", step) for step in "034"),
        *(("two", stage, "0") for stage in stages),
    ]
    assert [row["guidance.sds.distance"] for row in rows] == ["0.0", "0.75", "1.0", "", ""]
    assert main(["metrics", "one", "--csv", "--keys", "seconds", "guidance.*"]) == 0
    assert capsys.readouterr().out.splitlines()[:3] == [
        "run,step,seconds,guidance.sds.distance", "one,0,0.0,0.0", "one,1,1.0,"
    ]  # fmt: skip


def test_metrics_in_short_and_what_is_wrong(two_runs, capsys, monkeypatch):
    monkeypatch.chdir(two_runs)
    assert main(["metrics", "one"]) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["guidance.sds.distance", "4", "0", "1", "0", "1"] in shown
    for arguments, line in (
        (["one", "--keys", "guidance.sds.distanse"], "Did you mean 'guidance.sds.distance'?"),
        (["one", "--every", "0"], "--every 0; at least 1"),
        (["none"], "no run's folder"),
        (["one", "--csv", "nowhere/x.csv"], "nowhere/x.csv; name a .csv file in a folder that is there"),
        (["one", "--csv", "cat.png"], "cat.png; name a .csv file"),
    ):
        assert main(["metrics", *arguments]) == 2
        assert line in capsys.readouterr().err
    with pytest.raises(UserError):
        folder.open_run("none")
