"""Recipes by name from any folder, and the folder of a run that names none."""

import json
import shutil
import threading
from pathlib import Path

import pytest

from zero3d.cli import main
from zero3d.errors import RecipeError, RunError
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe, read_yaml, recipe_file, recipes, run_name
from zero3d.run import plan
from zero3d.run.starting.new_folder import free_out, reserving

FILES = {path.stem: path.resolve() for path in Path("recipes").glob("*.yaml")}
EXAMPLE = Path("examples/mug.png").resolve()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_that_came_with_it_are_found_and_mean_their_files_anywhere(elsewhere):
    assert {name: path.resolve() for name, path in recipes().items()} == FILES
    for name, path in FILES.items():
        assert recipe_file(name).samefile(path)
    assert read_yaml("views") == read_yaml(FILES["views"])
    assert load_recipe("nano", load_plugins()).place("steps") == "nano: steps", "errors say what was typed"


def test_a_file_is_what_looks_like_one(elsewhere):
    for name in ("nano", "own", "nano.yaml"):
        (elsewhere / name).write_text("steps: 7\n", encoding="utf-8")
    assert recipe_file("nano").resolve() == FILES["nano"], "no file in the way changes what a name means"
    assert recipe_file("nano.yaml") == Path("nano.yaml")
    assert read_yaml("./nano") == read_yaml("nano.yaml") == read_yaml(Path("own")) == {"steps": 7}
    with pytest.raises(RecipeError, match=r"'own': no such recipe.* given as \./own"):
        recipe_file("own")


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ("nanno", ["Did you mean 'nano'?", "`zero3d recipes`"]),
        ("", ["'': no such recipe"]),
        ("x" * 5000, ["no such recipe"]),
        ("recipes/nano.yaml", ["no such file", "called nano"]),
        ("nanno.yaml", ["no such file", "Did you mean 'nanna.yaml'?"]),
    ],
)
@pytest.mark.parametrize("command", [["run"], ["plan"], ["recipe", "check"], ["train"]], ids=" ".join)
def test_every_command_refuses_another_name_in_one_line(command, given, parts, elsewhere, capsys):
    (elsewhere / "nanna.yaml").write_text("steps: 7\n", encoding="utf-8")
    assert main([*command, given]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert [part for part in parts if part not in line] == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ({"image": "/home/me/My cat (2).png"}, "r-My-cat-2"),
        ({"image": {"type": "file", "path": "a/b.c.jpg"}}, "r-b-c"),
        ({"image": {"type": "text", "prompt": "a red mug. On wood", "model": "x"}}, "r-a-red-mug-On-wood"),
        ({"images": "views/"}, "r-views"),
        ({"images": {"front": {"path": "cat.png"}, "back": "b.png"}}, "r-cat"),
        ({"image": 5}, "r-5"),
        ({"image": "cat.png", "prompt": "a cat"}, "r-cat"),
        ({"prompt": "an astronaut riding a horse, and very many words more"}, "r-an-astronaut-riding-a-horse-and-very"),
        ({"prompt": "一只猫"}, "r-一只猫"),
        ({"prompt": "x" * 500}, f"r-{'x' * 40}"),
        ({"prompt": "../../etc"}, "r-etc"),
        ({"prompt": "..."}, "r"),
        ({}, "r"),
    ],
)
def test_a_run_is_called_by_its_recipe_and_its_subject(source, name):
    assert run_name("r", source) == name


def test_two_runs_at_once_take_two_folders_and_leave_none_behind(elsewhere):
    """Sixteen threads ask for one name: each has a folder of its own, and all are gone in the end."""
    barrier, taken = threading.Barrier(16), []

    def start():
        with reserving("nano") as take:
            barrier.wait()
            taken.append(take({"image": "cat.png"}))
            barrier.wait()

    threads = [threading.Thread(target=start) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = {"runs/nano-cat", *(f"runs/nano-cat-{number}" for number in range(2, 17))}
    assert {Path(folder).as_posix() for folder in taken} == names
    assert list(elsewhere.iterdir()) == []


def test_a_folder_that_is_taken_is_left_alone(elsewhere):
    (elsewhere / "runs" / "nano-cat").mkdir(parents=True)
    (elsewhere / "runs" / "nano-cat-2").write_text("a file", encoding="utf-8")
    source = {"image": "cat.png"}
    assert Path(free_out("nano", source)).as_posix() == "runs/nano-cat-3"
    shutil.rmtree("runs")
    Path("runs").write_text("a file", encoding="utf-8")
    with reserving("nano") as take, pytest.raises(RunError, match="name a folder, out=FOLDER"):
        take(source)


TOY = """
steps: 1
device: cpu
input: {elevation_deg: 20}
cameras: {type: sphere, resolution: 16}
denoiser: {type: gaussian, resolution: 16}
representation: {type: voxels, resolution: 8, box: 0.75}
renderer: {type: volume, step_ratio: 1.0}
guidance: {sds: {guidance_scale: 1}}
"""


def test_a_run_without_out_says_where_it_is_and_the_next_one_takes_a_number(elsewhere, capsys):
    (elsewhere / "toy.yaml").write_text(TOY, encoding="utf-8")
    registry = load_plugins()
    for folder in ("runs/toy-mug", "runs/toy-mug-2"):
        assert plan("toy.yaml", registry, [f"image={EXAMPLE}"]).folder == Path(folder)
        assert not Path(folder).exists(), "a plan writes nothing"
        assert main(["run", "toy.yaml", f"image={EXAMPLE}"]) == 0
        assert capsys.readouterr().err.splitlines()[0] == f"out: {Path(folder)}"
        assert read_yaml(Path(folder, "recipe.yaml"))["out"] == str(Path(folder))
        assert json.loads(Path(folder, "manifest.json").read_text(encoding="utf-8"))
    assert main(["run", "toy.yaml", f"image={EXAMPLE}", "out=mine"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == "out: mine"
    assert main(["resume", "runs/toy-mug", "steps=2"]) == 0


def test_a_run_that_is_refused_leaves_no_folder_and_one_line(elsewhere, capsys):
    (elsewhere / "toy.yaml").write_text(TOY, encoding="utf-8")
    for overrides in (["image=none.png"], [f"image={EXAMPLE}", "guidance.sds.min_t=2"], []):
        assert main(["run", "toy.yaml", *overrides]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert [path.name for path in elsewhere.iterdir()] == ["toy.yaml"]
