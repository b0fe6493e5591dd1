"""The layers: the core knows no plug-in and no model library, plug-ins do not know each other, files stay small."""

import ast
import io
import subprocess
import sys
import tokenize
import tomllib
from pathlib import Path

import pytest

PROJECT = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
PLUGINS = sorted(path.name for path in Path("plugins").iterdir() if (path / "__init__.py").is_file())
CORE = sorted(Path("zero3d").rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


def imported_modules(path):
    """The dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        yield from names


def test_import_linters_contracts_hold():
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stdout


def test_every_plugin_is_an_entry_point_and_in_the_contracts():
    points = PROJECT["project"]["entry-points"]["zero3d"].values()
    linter = PROJECT["tool"]["importlinter"]
    core, independent, acyclic = linter["contracts"][:3]
    for plugin in PLUGINS:
        assert plugin in points
        assert plugin in linter["root_packages"]
        assert plugin in core["forbidden_modules"]
        assert plugin in independent["modules"]
        assert plugin in acyclic["ancestors"]


def test_the_core_imports_no_plugin_and_no_model_library():
    forbidden = {*PLUGINS, "diffusers", "transformers", "accelerate"}
    for path in CORE:
        assert not forbidden & set(imported(path)), path


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_plugin_imports_the_core_and_no_other_plugin(plugin):
    others = set(PLUGINS) - {plugin}
    for path in Path("plugins", plugin).rglob("*.py"):
        assert not others & set(imported(path)), path


def test_files_stay_small():
    for path in [*CORE, *Path("plugins").rglob("*.py"), *Path("benchmarks").glob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path


def code_lines(path):
    """How many lines hold code: no blank line, comment, docstring, list of a package's names or import for types alone."""
    source = path.read_text(encoding="utf-8")
    lines = set()
    skipped = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
        exports = isinstance(node, ast.Assign) and [getattr(name, "id", "") for name in node.targets] == ["__all__"]
        if exports or (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return len(lines)


PROGRAM = (
    *("run", "folder", "checkpoint", "cli", "__main__", "files", "gate", "html_pages", "processes", "picture"),
    *("plugins", "hookspecs", "registered", "interfaces.api_changes"),
)
"""What makes a program of the core: run folders, the command line, files written whole, plug-ins and recipes found."""
LIBRARY = (
    *(
        "meshes",
        "mesh_files",
        "mesh_views",
        "mesh_placing",
        "films",
        "exr",
        "map_files",
        "weights",
        "pose_files",
        "solids",
    ),
    *("transforms", "files.mistaken"),
)
"""What plug-ins share of other programs' formats: no engine, and all leaves."""
PYTHON = ("api",)
"""The program again, from Python: what a notebook calls and shows."""
AMONG_OTHERS = ("files.labels",)
"""Of the core, in a room of the program."""
ROOMS = sorted((*PROGRAM, *LIBRARY, *PYTHON, *AMONG_OTHERS), key=len, reverse=True)


def room(path):
    """The part of zero3d/ that a file belongs to."""
    return "evaluation" if "evaluation" in path.parts else room_of(".".join(path.with_suffix("").parts))


def room_of(module):
    """The part that holds a module of zero3d."""
    inside = module.partition(".")[2]
    return next((one for one in ROOMS if f"{inside}.".startswith(f"{one}.")), inside.partition(".")[0])


def test_the_core_stays_small():
    """The core is what distils: interfaces, values, recipe, parts, engine, registry. The rest has bounds of its own."""
    rooms = {"testing": ["testing"], "evaluation": ["evaluation"], "program": PROGRAM, "library": LIBRARY}
    rooms["python"] = PYTHON
    rooms["core"] = {room(path) for path in CORE} - {name for names in rooms.values() for name in names}
    lines = {key: sum(code_lines(path) for path in CORE if room(path) in names) for key, names in rooms.items()}
    assert 2000 < lines["core"] < 3000, lines
    assert 1000 < lines["program"] < 2700, lines
    assert 1000 < lines["library"] < 2100, lines
    assert lines["python"] < 560, lines
    assert lines["evaluation"] < 200, lines
    assert 1000 < lines["testing"] < 2550, lines


def test_what_distils_knows_no_program_and_no_file_format():
    """But the recipe, which reads where pictures were taken from."""
    for path in CORE:
        if room(path) in ("engine", "parts", "interfaces", "values", "geometry", "schedule", "diffusion"):
            used = {room_of(name) for name in imported_modules(path) if name.startswith("zero3d.")}
            assert not used & {*PROGRAM, *PYTHON, *LIBRARY}, path


def test_the_core_does_not_need_the_kit():
    for path in CORE:
        if "testing" not in path.parts:
            assert "testing" not in {room_of(name) for name in imported_modules(path) if name.startswith("zero3d.")}, (
                path
            )


def test_the_command_line_starts_without_the_model_libraries():
    code = (
        "import sys; from zero3d.cli import main; main(['plugins']); "
        "heavy = ('diffusers', 'transformers', 'av', 'omegaconf', 'numba', 'trimesh'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip().endswith("[]"), done.stdout[-300:]


def test_a_checked_recipe_imports_what_it_needs_and_a_step_no_compiler():
    """torch's own takes as long to import as torch: its optimizers' wrappers and random numbers on "meta" bring it."""
    code = (
        "import sys, torch\n"
        "from torch import nn\n"
        "from zero3d.cli import main\n"
        "from zero3d.engine import optimizer\n"
        "from zero3d.recipe.options import MOMENTS, OptimizerOptions\n"
        "assert main(['recipe', 'check', 'nano', *sys.argv[1:]]) == 0\n"
        "heavy = ['torch._dynamo', 'sympy', 'diffusers', 'transformers', 'skimage', 'numba', 'trimesh', 'scipy.special']\n"
        "print('checked', [m for m in heavy[: None if len(sys.argv) == 1 else -1] if m in sys.modules])\n"
        "for kind in MOMENTS:\n"
        "    parameter = nn.Parameter(torch.ones(2))\n"
        "    made = optimizer._make(OptimizerOptions(type=kind), [{'params': [parameter], 'lr': 0.1}])\n"
        "    parameter.grad = torch.ones(2)\n"
        "    with torch.no_grad(): made.step()\n"
        "    made.load_state_dict(made.state_dict())\n"
        "    made.zero_grad()\n"
        "    assert (parameter < 1).all()\n"
        "print('stepped', [m for m in heavy[:1] if m in sys.modules])\n"
    )
    for given in ([], ["image=examples/mug.png"]):  # scipy's filters look a picture's mask over
        done = subprocess.run(
            [sys.executable, "-c", code, *given], capture_output=True, text=True, check=True, encoding="utf-8"
        )
        assert done.stdout.splitlines()[-2:] == ["checked []", "stepped []"], done.stdout[-300:]


def test_help_and_completion_start_without_torch_or_numpy():
    """Whatever is installed: a component that needs them is promised (`Lazy`), not imported."""
    code = (
        "import contextlib, sys\n"
        "from zero3d.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print([m for m in ('torch', 'numpy', 'yaml', 'rich', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip().endswith("[]"), done.stdout[-300:]


def test_a_worker_starts_without_torch():
    """A job that needs it imports it, a second of each worker; the laws of executors kill a dozen."""
    code = (
        "import sys, zero3d_batch.executors.worker, zero3d.testing.laws.jobs\n"
        "print([m for m in ('torch', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "[]"


def test_a_faulty_recipe_is_told_without_torch(tmp_path):
    """By `recipe check`, by `plan` and by `run`, in the same words; torch alone takes longer than all else of it."""
    code = (
        "import sys\n"
        "from zero3d.cli import main\n"
        "wrong = ('stepz=3', 'guidance.sds.type=sdz', 'steps=x', 'image=nope.png', 'export.mesh=3', 'optimizer.lr=-1')\n"
        "for given in wrong:\n"
        "    for command in (['recipe', 'check'], ['plan'], ['run']):\n"
        "        assert main([*command, 'nano', 'image=examples/mug.png', f'out={sys.argv[1]}/out', given]) == 2, given\n"
        "print([m for m in ('torch', 'scipy.ndimage', 'rich') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True, encoding="utf-8"
    )
    lines = done.stderr.splitlines()
    assert len(lines) == 18
    assert [lines[i : i + 3] for i in range(0, 18, 3)] == [[line] * 3 for line in lines[::3]]
    assert done.stdout == "[]\n"
    assert not list(tmp_path.iterdir())


def test_a_commands_own_process_does_not_look_through_torchs_modules_for_garbage(tmp_path):
    """Which takes a quarter of a check's time. What is made later is looked through; who has torch already keeps all."""
    code = (
        "import gc, sys\n"
        "from zero3d.cli import main\n"
        "main(sys.argv[1:])\n"
        "frozen = gc.get_freeze_count()\n"
        "main(['recipe', 'check', 'nano'])\n"
        "print(gc.isenabled(), frozen > 100_000, gc.get_freeze_count() <= frozen)\n"
    )
    for command in (["recipe", "check", "nano"], ["plan", "nano", "image=examples/mug.png"], ["export", str(tmp_path)]):
        done = subprocess.run(
            [sys.executable, "-c", code, *command], capture_output=True, text=True, check=True, encoding="utf-8"
        )
        assert done.stdout.splitlines()[-1] == "True True True", (command, done.stdout[-300:], done.stderr[-300:])


def test_nothing_unpickles_arbitrary_objects():
    for path in [*CORE, *Path("plugins").rglob("*.py")]:
        text = path.read_text(encoding="utf-8")
        if "import pickle" in text:  # a reader that resolves every name itself, and nothing else
            assert path.name == "pickled.py", path
            assert "def find_class(" in text
            assert "pickle.load" not in text
        assert "torch.load(" not in text or "weights_only=True" in text, path
        assert "yaml.load(" not in text, path
        assert "allow_pickle=True" not in text, path
