"""`zero3d plugins`: the list, a component's page, the doctor, and new plug-ins of every kind that work as written."""

import json
import os
import subprocess
import sys
import types
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml

from zero3d import Schedule, hookimpl
from zero3d.cli import main
from zero3d.interfaces import INTERFACES, Regularizer
from zero3d.plugins import load_plugins, loading
from zero3d.recipe import make_block
from zero3d.registry import Registered, Registry
from zero3d_authoring import doctor, environment
from zero3d_authoring.finding import FAIL, NOTE, OK
from zero3d_authoring.options import described, options_of
from zero3d_authoring.scaffold import BLOCKS, KINDS, MEASURES, _range, distils, registered_kind, render, write_plugin
from zero3d_authoring.show import example, show
from zero3d_training.options import load_train_recipe

INSTALLED = load_plugins()
ENTRIES = INSTALLED.all()
NAMES = {kind: f"my_{kind}" for kind in KINDS}
PACKS = {
    "ours": ("guidance", "regularizer"),
    "model": ("dataset", "guidance", "trainable_denoiser"),
    "looks": ("background", "camera_sampler", "encoder", "image_source", "observer", "reconstructor", "regularizer"),
    "measures": ("evaluation_set", "executor", "metric"),
    "bodies": ("command", "denoiser", "exporter", "renderer", "representation"),
}
"""Several components in one package."""


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """kind, or name of a pack -> the folder of a new plug-in."""
    root = tmp_path_factory.mktemp("new")
    one = {kind: write_plugin(INSTALLED, NAMES[kind], [kind], root / kind) for kind in KINDS}
    return one | {name: write_plugin(INSTALLED, name, kinds, root / name) for name, kinds in PACKS.items()}


def environment_of(folders):
    paths = [str(folder / "src") for folder in folders]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def test_there_is_a_template_for_every_kind_of_the_registry():
    assert set(KINDS) == {interface.kind for interface in INTERFACES} | {"trainable_denoiser"}
    assert {registered_kind(kind) for kind in KINDS} == {interface.kind for interface in INTERFACES}
    assert set().union(*PACKS.values()) == set(KINDS), "and some package of several has each"


def test_the_tests_of_a_new_plugin_of_every_kind_pass(written):
    """Among them the conformance kit, and a few steps of the plug-in's recipe; of the large packages those alone."""
    asked = {key: f / "tests/test_recipe_runs.py" if key in ("looks", "bodies") else f for key, f in written.items()}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--import-mode=importlib", "-p", "no:cacheprovider", *asked.values()],
        cwd=written["command"].parent,
        env=environment_of(written.values()),
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(done.stdout.rpartition(" passed")[0].split()[-1]) >= 4 * (len(KINDS) + 5)


def test_new_plugins_are_typed_as_the_core_is(written):
    """One mypy for all, each package by its own name and the tests by their folder's."""
    root = written["command"].parent
    paths = os.pathsep.join(map(str, [root, *(folder / "src" for folder in written.values()), Path.cwd()]))
    options = ["--strict", "--explicit-package-bases", "--namespace-packages", "--ignore-missing-imports"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--config-file=", "--cache-dir", ".mypy_cache", root],
        env={**os.environ, "MYPYPATH": paths},
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_new_plugins_are_formatted_and_free_of_lint(written):
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [*ruff, *words, written["command"].parent], capture_output=True, text=True, check=False, encoding="utf-8"
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_listed_shown_and_its_recipe_is_good_without_install(written, kind, capsys):
    local = ["--plugin", str(written[kind])]
    assert main(["plugins", "--json", *local]) == 0
    listed = json.loads(capsys.readouterr().out)["components"]
    (record,) = [one for one in listed if one["name"] == NAMES[kind]]
    assert (record["kind"], record["package"], record["version"]) == (
        registered_kind(kind),
        f"zero3d-{NAMES[kind]}".replace("_", "-"),
        "0.1.0",
    )
    assert record["path"] == str(written[kind].resolve())
    assert main(["plugins", "show", registered_kind(kind), NAMES[kind], *local]) == 0
    assert record["doc"] in capsys.readouterr().out
    if kind == "dataset":  # its recipe is a training's
        load_train_recipe(str(written[kind] / "train.yaml"), load_plugins([str(written[kind])]))
        return
    if kind in MEASURES:  # theirs is a benchmark's file
        return
    recipe = str(written[kind] / "recipe.yaml")
    assert main(["recipe", "check", recipe, "image=examples/mug.png", "device=cpu", *local]) == 0
    assert ": good" in capsys.readouterr().out
    without = main(["recipe", "check", recipe, "image=examples/mug.png", "device=cpu"])
    assert without == (0 if kind in ("command", "image_source") else 2), "a recipe that uses it needs it"
    if kind == "image_source":
        assert main(["recipe", "check", recipe, "device=cpu"]) == 2


def test_every_file_of_a_new_plugin_is_filled_in(written):
    for key, folder in written.items():
        kinds = PACKS.get(key, (key,))
        files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        names = {str(path.relative_to(folder)) for path in files}
        package = f"zero3d_{NAMES.get(key, key)}"
        expected = {"pyproject.toml", "README.md", f"src/{package}/__init__.py"}
        for module in kinds if key in PACKS else [NAMES[key]]:
            expected |= {f"src/{package}/{module}.py", f"tests/test_{module}.py"}
        expected |= {"recipe.yaml", "tests/test_recipe_runs.py"} if distils(kinds) else set()
        trained = {"dataset", "trainable_denoiser"} & set(kinds)
        expected |= {"train.yaml", "tests/test_training_runs.py"} if trained else set()
        assert names == expected
        for path in files:
            text = path.read_text(encoding="utf-8")
            assert "$" not in text, f"{path}: a placeholder is left"
            assert not [line for line in text.splitlines() if len(line) > 125], path


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("my-loss", "regularizer", "my_loss?"),
        ("MyLoss", "regularizer", "my_loss?"),
        ("3d", "regularizer", "d?"),
        ("größe", "regularizer", "lower-case letters"),
        ("lambda", "regularizer", "lambda_regularizer?"),
        ("yes", "observer", "yes_observer?"),
        ("", "observer", "mine?"),
        ("opaque", "regularizer", "zero3d has a regularizer of that name already"),
        ("resume", "command", "zero3d has a command of that name already"),
        ("voxels", "regularizer", "a package zero3d_voxels is installed already"),
        ("fine", "regulariser", "Did you mean 'regularizer'?"),
        ("fine", "guidance,regulariser", "Did you mean 'regularizer'?"),
        ("fine", "guidance, guidance", "two would be the guidance 'fine'"),
        ("fine", "denoiser,trainable_denoiser", "two would be the denoiser 'fine'"),
        ("opaque", "guidance,regularizer", "zero3d has a regularizer of that name already"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(tmp_path, capsys, name, kind, told):
    assert main(["plugins", "new", name, "--kind", kind, str(tmp_path / "new")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    for folder, told in ((tmp_path, "is not empty"), (tmp_path / "mine.txt", "is a file")):
        assert main(["plugins", "new", "fine", "--kind", "regularizer", str(folder)]) == 2
        assert told in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["mine.txt"]


def test_a_second_kind_is_not_taken_for_a_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "fine", "--kind", "guidance", "regularizer"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "regularizer: a kind, not a folder; --kind guidance,regularizer for both" in line
    assert os.listdir(tmp_path) == []
    assert main(["plugins", "new", "fine", "--kind", "guidance", "./regularizer"]) == 0
    assert os.listdir(tmp_path) == ["regularizer"]


def test_an_empty_folder_will_do_and_what_to_type_next_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("zero3d_fine").mkdir()
    assert main(["plugins", "new", "fine", "--kind", "guidance, regularizer"]) == 0
    told = capsys.readouterr().out
    assert "zero3d run recipe.yaml image=YOUR.png out=runs/fine --plugin ." in told
    assert "zero3d plugins show regularizer fine --plugin ." in told
    assert Path("zero3d_fine/src/zero3d_fine/regularizer.py").is_file()


def test_a_package_of_several_is_listed_and_its_recipe_uses_all(written, capsys):
    for pack, kinds in PACKS.items():
        local = ["--plugin", str(written[pack])]
        assert main(["plugins", "--json", *local]) == 0
        listed = json.loads(capsys.readouterr().out)["components"]
        assert {one["kind"] for one in listed if one["name"] == pack} == {registered_kind(kind) for kind in kinds}
        if not distils(kinds):
            continue
        recipe = (written[pack] / "recipe.yaml").read_text(encoding="utf-8")
        plain = yaml.safe_load(recipe)
        assert main(["recipe", "check", str(written[pack] / "recipe.yaml"), "image=examples/mug.png", *local]) == 0
        capsys.readouterr()
        for kind in set(kinds) - {"command", "dataset"}:
            block = plain[BLOCKS.get(kind, kind)]
            named = pack in block or block.get("type") == pack or pack in [own.get("type") for own in block.values()]
            assert named, f"{kind}: {block}"
    both = render("pair", ["reconstructor", "representation"])["recipe.yaml"]
    assert "start" not in yaml.safe_load(both), "ours would not follow what the other makes"
    assert "# start: {type: pair" in both


@pytest.mark.parametrize("name", ["view", "regularizer", "tensor", "path"])
def test_a_name_like_one_of_the_templates_own_makes_another_class(name):
    code = render(name, ["regularizer"])[f"src/zero3d_{name}/{name}.py"]
    defined = [line.split()[1].split("(")[0].rstrip(":") for line in code.splitlines() if line.startswith("class ")]
    imported = {
        word for line in code.splitlines() if " import " in line for word in line.partition(" import ")[2].split(", ")
    }
    assert len(defined) == 2
    assert not set(defined) & imported


@pytest.mark.parametrize(
    ("version", "told"),
    [("0.1.0", ">=0.1,<0.2"), ("0.12.3", ">=0.12,<0.13"), ("1.4.0", ">=1.4,<2"), ("2.0.1", ">=2.0,<3")],
)
def test_a_new_plugin_asks_for_the_versions_that_keep_the_api(version, told):
    assert _range(version) == told


# ---------------------------------------------------------------- options and pages


@dataclass
class Base:
    """`shared`: what the base says of it, 0 to 1."""

    shared: float = 0.5


@dataclass
class Config(Base):
    """Options of `thing`. size: pixels; see `shared`. low, high: bounds, as in (size: 3).

    `rate` (per second), a schedule. names: of the things. Nothing marks lonely, which lies here.
    """

    size: int = 64
    low: float = 0.0
    high: float = 1.0
    rate: Any = 2.0
    names: list[str] = field(default_factory=lambda: ["a", "b: c"])
    lonely: bool = True
    path: str = field(kw_only=True)

    def __post_init__(self):
        self.rate = Schedule.parse(self.rate, "rate")


def test_options_are_read_from_the_fields_and_the_docstrings():
    found = {option.name: option for option in options_of(Config)}
    assert list(found) == ["shared", "size", "low", "high", "rate", "names", "lonely", "path"]
    assert found["shared"].text == "what the base says of it, 0 to 1"
    assert found["size"].text == "pixels; see `shared`"
    assert found["low"].text == found["high"].text == "bounds, as in (size: 3)"
    assert found["lonely"].text == "Nothing marks lonely, which lies here"
    assert found["names"].default == "[a, 'b: c']"
    assert yaml.safe_load(found["names"].default) == ["a", "b: c"]
    assert (found["path"].default, found["path"].required) == ("required", True)
    assert found["lonely"].default == "true"


def test_an_option_that_becomes_a_schedule_is_called_so():
    config = type("Plain", (), {"__annotations__": {"rate": Any}, "rate": 1.0, "__doc__": "`rate`: a second."})
    config.__post_init__ = lambda self: setattr(self, "rate", Schedule.parse(self.rate, "rate"))
    (option,) = options_of(dataclass(config))
    assert (option.type, option.default, option.text) == ("number or schedule", "1.0", "a second")


def test_an_empty_default_that_the_class_refuses_is_required():
    (text,) = (entry.component for entry in ENTRIES if entry.component.name == "text")
    assert [option.name for option in options_of(text.Config) if option.required] == ["prompt", "model"]
    assert "prompt: ???" in example(text)


def test_marks_in_backticks_need_no_colon():
    told = described("`mean` (RGB) and `std` > 0 of every pixel; `size`: pixels.", ["mean", "std", "size"])
    assert told == {"mean": "(RGB)", "std": "> 0 of every pixel", "size": "pixels"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.component.kind}-{e.component.name}")
def test_every_component_has_a_page_with_all_its_options_and_an_example_that_is_right(entry):
    component = entry.component
    page = show(INSTALLED, [component.kind, component.name])
    options = options_of(component.Config)
    for option in options:
        assert option.text, f"{option.name} is not explained"
        assert f"\n{option.name} " in page
    block = example(component)
    assert block in page
    if component.kind == "command":
        return
    ((key, value),) = yaml.safe_load(block).items()
    label = None
    if component.kind in ("guidance", "regularizer", "observer", "exporter", "metric"):
        ((label, value),) = value.items()
    if any(option.required for option in options):
        assert "???" in block
        return
    made = make_block(INSTALLED, component.kind, "page", key, value, label)
    assert made.component is component
    assert made.config == component.Config()


def test_a_name_that_two_kinds_know_is_shown_for_both_and_an_unknown_one_has_a_hint(capsys):
    assert main(["plugins", "show", "zero123"]) == 0
    told = capsys.readouterr().out
    assert "denoiser zero123" in told
    assert "camera_sampler zero123" in told
    for words, hint in (
        (["opake"], "Did you mean 'opaque'?"),
        (["regularizer", "sjc"], "There is guidance 'sjc'."),
        (["regulariser", "opaque"], "Did you mean 'regularizer'?"),
        (["a", "b", "c"], "give a name, or a kind and a name"),
    ):
        assert main(["plugins", "show", *words]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert hint in line


# ---------------------------------------------------------------- the list and the doctor


def with_points(monkeypatch, *broken):
    """What is installed, and entry points that fail."""
    real = loading.entry_points

    def found(group):
        return [*real(group=group), *(EntryPoint(name, module, group) for name, module in broken)]

    monkeypatch.setattr(loading, "entry_points", found)


def test_a_broken_plugin_beside_good_ones_is_shown_explained_and_harms_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken_sample.py").write_text("x = 1\nraise ValueError('the author [slept]')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with_points(monkeypatch, ("sleepy", "broken_sample"), ("lacking", "no_such_module_anywhere"))
    assert main(["plugins"]) == 0
    told = capsys.readouterr().out
    assert "ValueError: the author [slept]" in told
    assert "near_view_consistency" in told
    assert "needs depth, image, near_view" in told, "and what a component needs is in its row"
    assert main(["plugins", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["plugin"] for one in listed["broken"]} == {"sleepy", "lacking"}
    assert len(listed["components"]) == len(ENTRIES)
    assert main(["recipe", "check", "recipes/nano.yaml", "image=examples/mug.png", "device=cpu"]) == 0
    capsys.readouterr()
    monkeypatch.setattr(doctor, "environment", list)
    assert main(["plugins", "doctor"]) == 1
    told = capsys.readouterr().out
    assert f"raised at {tmp_path / 'broken_sample.py'}:2" in told
    assert "pip install what brings the module no_such_module_anywhere" in told
    assert "2 to mend" in told


class Needy(Regularizer):
    """Needs what is not there."""

    name = "needy"
    needs = frozenset({"image"})
    default_weight = 1.0
    extras = types.MappingProxyType({"magic": "no_such_module_anywhere", "json": "json"})

    def penalty(self, context):
        return context.view.image.mean()


def test_the_doctor_says_who_needs_a_missing_extra_and_what_to_type(monkeypatch):
    monkeypatch.setattr(doctor, "_extras", lambda package: {"magic", "json", "idle"})
    registry = Registry()
    registry.add(Registered(Needy, "needy", "needy-package", "1"))
    found = {finding.subject: finding for finding in doctor.extra_findings(registry)}
    assert (found["extra magic"].state, found["extra magic"].remedy) == (NOTE, "pip install 'needy-package[magic]'")
    assert "regularizer needy" in found["extra magic"].found
    assert (found["extra json"].state, found["extra json"].remedy) == (OK, "")
    assert found["extra idle"].found == "used by no component"


def test_every_extra_of_ours_is_used_by_a_component():
    ours = [finding for finding in doctor.extra_findings(INSTALLED) if finding.subject != "extra dev"]
    assert {"extra grabcut", "extra tensorboard"} <= {finding.subject for finding in ours}
    assert [finding.subject for finding in ours if "no component" in finding.found] == []


def test_the_doctor_finds_a_name_that_two_plugins_claim():
    registry = Registry()
    for package in ("first", "second"):
        registry.add(Registered(Needy, "needy", package, "1"))
    (finding,) = doctor.plugin_findings(registry)
    assert (finding.state, finding.found) == (FAIL, "claimed by first and second")
    assert "pip uninstall second" in finding.remedy


def test_an_environment_in_order_is_said_and_what_is_wrong_with_dependencies_is_named(capsys):
    assert [finding.state for finding in environment.environment()].count(FAIL) == 0
    held = environment.unmet(["numpy>=1", "torch", 'no-such-package; sys_platform == "plan9"', 'x; extra == "dev"'])
    assert (held.state, held.found) == (OK, "2 as asked for")
    wrong = environment.unmet(["numpy>=99", "no-such-package>=3"])
    assert wrong.state == FAIL
    assert "no-such-package>=3 is missing" in wrong.found
    assert "not >=99" in wrong.found


def test_a_check_that_crashes_is_a_finding(monkeypatch):
    def _broken():
        raise ImportError("half installed")

    monkeypatch.setattr(environment, "_video", _broken)
    last = environment.environment()[-1]
    assert (last.state, last.found) == (FAIL, "ImportError: half installed")


def test_numba_without_a_place_for_its_cache_is_told(monkeypatch):
    import numba

    def njit(cache):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(numba, "njit", njit)
    finding = environment._numba_cache()
    assert finding.state == FAIL
    assert "NUMBA_CACHE_DIR" in finding.remedy


def test_a_plugin_whose_hook_is_fine_and_whose_api_is_not_is_broken_and_told(tmp_path, monkeypatch, capsys):
    module = types.ModuleType("future_sample")
    module.ZERO3D_API = 3
    module.register_components = hookimpl(lambda register: register(Needy))
    monkeypatch.setitem(sys.modules, "future_sample", module)
    with_points(monkeypatch, ("future", "future_sample"))
    assert main(["plugins"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "written for plug-in API 3, but zero3d" in told
    assert " needy " not in told
