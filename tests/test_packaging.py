"""What pip installs: a wheel built from a clean copy, its recipes run by name from another folder."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path.cwd()
SOURCES = ("zero3d", "plugins", "recipes", "pyproject.toml", "setup.py", "README.md", "LICENSE")
COARSE = [
    "steps=2",
    "device=cpu",
    "export={}",
    "observers={}",
    "representation.resolution=16",
    "renderer={type: volume}",
]


def command(*words, cwd, **environment):
    """Run with nothing of the checkout on the path."""
    own = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env={**own, **environment}, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy without what builds leave behind: setuptools' build/ keeps deleted files."""
    copy = tmp_path_factory.mktemp("clean")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / name, copy)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
    ]
    command(*pip, "-w", copy / "dist", copy, cwd=copy)
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_the_wheel_holds_every_module_every_recipe_and_nothing_else_at_the_top(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "zero3d",
        *(path.name for path in Path("plugins").iterdir() if (path / "__init__.py").is_file()),
    }
    modules = {str(path.as_posix()) for path in Path("zero3d").rglob("*.py")}
    modules |= {path.relative_to("plugins").as_posix() for path in Path("plugins").rglob("*.py")}
    assert modules - names == {name for name in modules if "/templates/" in name} - names
    assert modules <= names
    recipes = {f"zero3d/recipes/{path.name}" for path in Path("recipes").glob("*.yaml")}
    assert {name for name in names if name.startswith("zero3d/recipes/")} == {*recipes, "zero3d/recipes/__init__.py"}


def test_an_installed_recipe_runs_by_name_from_another_folder(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "-q", "--no-deps"]
    command(*pip, "--no-index", wheel, cwd=tmp_path)
    (site / "development.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")  # torch and the rest
    here = tmp_path / "elsewhere"
    here.mkdir()
    zero3d = python.with_name("zero3d")
    where = command(
        python, "-c", "import zero3d, zero3d_score; print(zero3d.__file__, zero3d_score.__file__)", cwd=here
    )
    assert where.stdout.count(str(site)) == 2, where.stdout
    done = command(zero3d, "run", "nano", f"image={ROOT / 'examples/mug.png'}", *COARSE, cwd=here, OMP_NUM_THREADS="1")
    assert done.stderr.splitlines()[0] == f"out: {Path('runs/nano-mug')}"
    assert (here / "runs" / "nano-mug" / "checkpoint" / "state.safetensors").is_file()
