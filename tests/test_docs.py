"""What the documents promise, done: the plug-in of CONTRIBUTING runs, files and commands exist, options are documented."""

import dataclasses
import json
import re
import shlex
import types
from pathlib import Path

import pytest

from zero3d.geometry import orbit
from zero3d.plugins import load_plugins, register_plugin
from zero3d.recipe import load_recipe
from zero3d.run import run
from zero3d.testing import check_regularizer

REGISTRY = load_plugins()
COMPONENTS = [entry.component for entry in REGISTRY.all()]


def fenced(file, language):
    return re.findall(rf"```{language}\n(.*?)```", Path(file).read_text(encoding="utf-8"), flags=re.S)


def test_contributings_regularizer_conforms_and_runs(tmp_path):
    (code,) = fenced("CONTRIBUTING.md", "python")
    module = types.ModuleType("zero3d_roundness")
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    check_regularizer(module.Roundness)
    registry = load_plugins()
    register_plugin(registry, module, "roundness")
    session = run(
        "recipes/nano.yaml",
        registry,
        [
            "image=examples/mug.png",
            f"out={tmp_path / 'round'}",
            "device=cpu",
            "steps=2",
            "denoiser={type: gaussian, resolution: 16}",
            "cameras={type: sphere, resolution: 16}",
            "representation.resolution=12",
            "observers={}",
            "export={}",
            "regularizers.roundness.weight=100",
        ],
        tell=lambda line: None,
    )
    assert "regularizers.roundness.value" in (session.folder / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 30, "it says 30 lines"


def test_contributings_regularizer_is_a_plugin_as_it_stands(tmp_path, capsys):
    from zero3d.cli import main

    (code,) = fenced("CONTRIBUTING.md", "python")
    (tmp_path / "disc_like.py").write_text(code, encoding="utf-8")
    told = ["recipe", "check", "recipes/nano.yaml", "image=examples/mug.png", "device=cpu", "regularizers.roundness={}"]
    assert main([*told, "--plugin", str(tmp_path / "disc_like.py")]) == 0
    assert "roundness (weight 1)" in capsys.readouterr().out


def test_every_file_the_readme_names_exists():
    text = Path("README.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"(?:recipes|examples|benchmarks|docs|tests|plugins|zero3d)/[\w./-]+\.\w+", text))
    assert paths, "the README names files"
    missing = [path for path in paths if not Path(path).exists()]
    assert missing == []


def test_every_command_the_readme_names_exists():
    from zero3d.cli import main

    names = set(re.findall(r"zero3d (\w+)", "\n".join(fenced("README.md", "sh"))))
    assert {"run", "resume", "export", "eval", "plugins"} <= names
    for name in names:
        with pytest.raises(SystemExit) as done:
            main([name, "--help"])
        assert done.value.code == 0


def shell_commands(*files):
    """Each `zero3d ...` line of the documents' shell blocks, continuation lines joined, comments dropped."""
    for file in files:
        for block in fenced(file, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words and words[0].split("/")[-1] == "zero3d":
                    yield words[1:]


RUNS = [words[1:] for words in shell_commands("README.md", "CONTRIBUTING.md") if words[0] == "run"]
HEADERS = [
    (str(path), shlex.split(line)[3:])
    for path in sorted(Path("recipes").glob("*.yaml"))
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("#   zero3d run ")
]


@pytest.mark.parametrize("words", list(shell_commands("README.md", "CONTRIBUTING.md")), ids=" ".join)
def test_every_command_line_the_documents_show_is_understood(words):
    from zero3d.cli.parser import make_parser

    assert make_parser(REGISTRY)[0].parse_args(words).command == words[0]


@pytest.mark.parametrize("words", RUNS + [words for _, words in HEADERS], ids=" ".join)
def test_every_run_the_documents_show_is_a_valid_recipe(words, tmp_path):
    from zero3d.cli.parser import make_parser

    frame = {"file_path": "a.png", "transform_matrix": orbit(0.0, 0.0, 1).camera_to_world[0].tolist()}
    layout = json.dumps({"camera_angle_x": 0.8, "frames": [frame]})
    (tmp_path / "transforms.json").write_text(layout, encoding="utf-8")
    words = [word.replace("images=views/", f"images={tmp_path}") for word in words]

    (code,) = fenced("CONTRIBUTING.md", "python")
    module = types.ModuleType("zero3d_roundness")
    exec(compile(code, "CONTRIBUTING.md", "exec"), module.__dict__)
    registry = load_plugins()
    register_plugin(registry, module, "roundness")
    arguments = make_parser(REGISTRY)[0].parse_args(["run", *words])
    load_recipe(arguments.recipe, registry, arguments.overrides)


def test_the_readmes_error_is_what_is_said(capsys):
    from zero3d.cli import main

    (shown,) = (
        block
        for block in re.findall(r"```\n(zero3d: .*?)\n```", Path("README.md").read_text(encoding="utf-8"), flags=re.S)
    )
    file, key, _ = shown.removeprefix("zero3d: ").split(": ", 2)
    assert main(["recipe", "check", file, f"{key}=2", "device=cpu"]) == 2
    assert capsys.readouterr().err.startswith(shown.removesuffix("..."))


def test_the_readme_names_every_component_that_a_recipe_can_name():
    text = Path("README.md").read_text(encoding="utf-8")
    others = ("command", "evaluation_set", "executor", "metric")
    missing = [f"{c.kind} {c.name}" for c in COMPONENTS if c.kind not in others and f"`{c.name}`" not in text]
    assert missing == []


def test_the_documents_are_finished():
    for file in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", *map(str, Path("plugins").rglob("*.md"))):
        text = Path(file).read_text(encoding="utf-8")
        left = re.findall(r"^[A-Z]{5,}$|\bTODO\b|\bTBD\b|\bFIXME\b|\| *\|", text, flags=re.M)
        assert left == [], f"{file} has a placeholder"


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: f"{c.kind}-{c.name}")
def test_every_component_and_option_is_documented(component):
    assert component.__doc__
    own = component.Config.__doc__ or ""
    inherited = " ".join(base.__doc__ or "" for base in component.Config.__mro__)
    for field in dataclasses.fields(component.Config):
        assert field.name in own + inherited, f"{component.Config.__name__}.{field.name} is not documented"


def test_the_changelog_names_this_version():
    import zero3d

    assert f"## {zero3d.__version__}" in Path("CHANGELOG.md").read_text(encoding="utf-8")
