"""The command line: what every command takes, what it says when something fails, and that it outlives its readers."""

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.core import toy
from zero3d import cli
from zero3d.cli import main
from zero3d.cli.completion import _below
from zero3d.cli.parser import make_parser
from zero3d.errors import LONGEST_LINE, RecipeError, UserError
from zero3d.plugins import load_plugins
from zero3d.registry import Registered, Registry, check_component

NANO = ["recipe", "check", "recipes/nano.yaml"]


@pytest.mark.parametrize(
    "words",
    [["--offline", *NANO], [*NANO, "--offline"], ["recipe", "check", "--offline", "recipes/nano.yaml", "steps=3"]],
)
def test_an_option_of_every_command_stands_anywhere(monkeypatch, capsys, words):
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert main(words) == 0
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def told(capsys, *words):
    """Exit code and stderr of a line with a mistake in it."""
    try:
        code = main(words)
    except SystemExit as stopped:
        code = stopped.code
    return code, capsys.readouterr().err


def test_a_mistake_in_the_words_of_any_command_is_one_line(capsys):
    """It names the command, what is wrong with which argument, and where the right ones stand."""
    registry = load_plugins()
    parser, _ = make_parser(registry)
    seen = []
    for _, sub in _below(parser):
        place = sub.prog.split()[1:]
        code, line = told(capsys, *place, "--no-such-option=3")
        assert code == 2, line
        assert line.startswith(f"zero3d {' '.join(place)}: "), line
        assert line.endswith(f"; see zero3d {' '.join(place)} --help\n"), line
        assert line.count("\n") == 1
        assert any(said in line for said in ("unrecognized arguments: --no-such-option=3", "arguments are required: "))
        seen.append(" ".join(place))
    assert {"run", "recipe check", "studio", "weights convert", "plugins new"} <= set(seen)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["run", "nano", "--foo"], "zero3d run: unrecognized arguments: --foo; see zero3d run --help"),
        (["run"], "zero3d run: the following arguments are required: recipe; see zero3d run --help"),
        (["studio", "--port", "x"], "zero3d studio: argument --port: invalid int value: 'x'; see zero3d studio --help"),
        (
            ["recipe", "chek"],
            "zero3d recipe: argument ACTION: invalid choice: 'chek' (choose from 'check'); see zero3d ",
        ),
        (["--plugin"], "zero3d: argument --plugin: expected one argument; see zero3d --help"),
        (
            ["weights", "convert", "a", "b", "--dtype", "x\ny"],
            "zero3d weights convert: argument --dtype: invalid choice: 'x",
        ),
    ],
)
def test_a_mistake_names_the_place_and_the_value(capsys, words, line):
    code, said = told(capsys, *words)
    assert code == 2
    assert said.startswith(line)
    assert said.count("\n") == 1


def failing(monkeypatch, error):
    """The command line with a command that raises."""

    def fail(*arguments):
        raise error

    monkeypatch.setattr(cli, "_dispatch", fail)


def test_a_bug_is_one_line_with_a_log_that_says_everything(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failing(monkeypatch, KeyError("density"))
    assert main(NANO) == 1
    line = capsys.readouterr().err
    (log,) = tmp_path.iterdir()
    assert line == (
        f"zero3d: this is a bug: KeyError: 'density'; report it to the zero3d project with the log {log}; "
        "--debug shows the traceback\n"
    )
    text = log.read_text(encoding="utf-8")
    assert "in fail" in text, "the traceback"
    assert repr(NANO) in text
    assert "torch: " in text
    assert log.stat().st_mode & 0o077 == 0, "others need not read it"


def test_a_bug_is_told_whole_where_no_log_can_be_written(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    failing(monkeypatch, KeyError("density"))
    assert main(NANO) == 1
    text = capsys.readouterr().err
    assert "in fail" in text
    assert text.splitlines()[-1].startswith("zero3d: this is a bug: KeyError: 'density'; report it")


def test_a_bug_of_a_plugin_is_for_its_author(monkeypatch, capsys, tmp_path):
    (tmp_path / "lopsided.py").write_text(
        "from zero3d import hookimpl\n"
        "from zero3d.interfaces import Command\n\n"
        "class Lean(Command):\n"
        '    """Lean to one side."""\n\n'
        '    name = "lean"\n\n'
        "    def add_arguments(self, parser): ...\n\n"
        "    def run(self, arguments):\n"
        "        return 1 / 0\n\n"
        "@hookimpl\n"
        "def register_components(register):\n"
        "    register(Lean)\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["lean", "--plugin", str(tmp_path / "lopsided.py")]) == 1
    line = capsys.readouterr().err
    assert "this is a bug in the plug-in lopsided.py: ZeroDivisionError" in line
    assert "the author of the plug-in lopsided.py" in line


@pytest.mark.parametrize("error", [KeyError("density"), RecipeError("r.yaml: steps: 0"), OSError(errno.EIO, "broken")])
def test_debug_shows_where_any_error_was_raised(monkeypatch, capsys, tmp_path, error):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failing(monkeypatch, error)
    main(NANO)
    assert "Traceback" not in capsys.readouterr().err
    main([*NANO, "--debug"])
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert "in fail" in told
    assert told.splitlines()[-1].startswith("zero3d: ")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out/mesh.glb"), 1, "No space left on device: out/mesh.glb;"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 300), 2, "File name too long: xxx"),
        (MemoryError("Unable to allocate 9 TiB"), 1, "out of memory (MemoryError: Unable to allocate 9 TiB); lower "),
        (UserError("two\nlines"), 2, "two lines"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_is_no_bug_leaves_no_log(monkeypatch, capsys, tmp_path, error, code, line):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    failing(monkeypatch, error)
    assert main(NANO) == code
    told = capsys.readouterr().err
    assert told.startswith(f"zero3d: {line}" if line else "")
    assert told.count("\n") == bool(line)
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_bounded_and_cut_in_the_middle():
    line = str(UserError(f"r.yaml: image: {'x' * 12_000!r}; name a picture"))
    assert line.startswith("r.yaml: image: 'xxx")
    assert line.endswith("xxx'; name a picture")
    assert len(line) < 400
    assert len(str(UserError("many words " * 12_000 + "remedy"))) <= LONGEST_LINE + len("[...]")


def test_a_line_moves_no_cursor():
    assert str(UserError("mask: 'a\x1b[2J\udce9'")) == r"mask: 'a\x1b[2J\udce9'"


def test_what_is_no_text_is_refused(capsys):
    assert main([*NANO, "image=caf\udce9.png"]) == 2
    assert capsys.readouterr().err == (
        "zero3d: 'image=caf\\udce9.png' is no UTF-8 text; rename what it names, or type it in UTF-8\n"
    )


def test_a_home_that_nobody_has_is_a_mistake(capsys, monkeypatch):
    assert main(["--plugin", "~nobody-of-that-name/x", "plugins"]) == 2
    assert capsys.readouterr().err.startswith("zero3d: --plugin ~nobody-of-that-name/x: ")


def test_export_refuses_what_it_would_not_look_at(capsys):
    for override in ("steps=5000", "observers.turntable.size=512", "out=elsewhere"):
        assert main(["export", "no-run", override]) == 2
        key = override.partition("=")[0].partition(".")[0]
        assert (
            f"override {override!r}: zero3d export takes no {key!r}; known: export, renderer" in capsys.readouterr().err
        )


def test_json_is_for_the_list_alone(capsys):
    assert main(["plugins", "--json", "doctor"]) == 2
    assert "--json" in capsys.readouterr().err


def test_show_says_how_it_is_used(capsys):
    with pytest.raises(SystemExit):
        main(["plugins", "show", "--help"])
    assert capsys.readouterr().out.startswith("usage: zero3d plugins show [-h] [KIND] NAME\n")


def test_a_component_without_a_docstring_is_refused_unless_python_dropped_it(monkeypatch):
    class Mute(toy.Bright):
        name = "mute"

    Mute.__doc__ = None
    with pytest.raises(TypeError, match="docstring"):
        check_component(Mute)
    flags = type("Flags", (), {"optimize": 2})
    monkeypatch.setattr("zero3d.registered.sys.flags", flags)
    Registry().add(Registered(Mute, "mute", "tests", "0"))


RECIPE = """
steps: 3
device: cpu
image: picture.png
out: out
input: {elevation_deg: 20}
cameras: {type: sphere, resolution: 16}
denoiser: {type: gaussian, resolution: 16}
representation: {type: voxels, resolution: 8, box: 0.75}
renderer: {type: volume, step_ratio: 1.0}
guidance: {sds: {guidance_scale: 1}}
observers: {progress: {}}
export: {mesh: {type: marching_cubes, resolution: 16, threshold: 0.2}}
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a shell's pipes")
def test_a_run_outlives_its_readers_optimized_and_all(tmp_path):
    """`| head -1` on both streams under python -OO: the model is there, and so is the exit code."""
    import numpy
    from PIL import Image

    rgba = numpy.zeros((32, 32, 4), numpy.uint8)
    rgba[8:24, 10:22] = (180, 60, 40, 255)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "picture.png")
    (tmp_path / "r.yaml").write_text(RECIPE, encoding="utf-8")
    reading, writing = os.pipe()
    os.close(reading)  # gone before the first line
    paths = [str(Path.cwd()), str(Path("plugins").resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONOPTIMIZE": "2", "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "zero3d", "run", "r.yaml"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert (tmp_path / "out" / "mesh.glb").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a Linux device")
def test_output_that_finds_no_room_is_told():
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "zero3d", "plugins", "show", "sds"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
    assert done.returncode == 1
    assert done.stderr == "zero3d: output: No space left on device; what was to be shown is lost\n"


def test_a_deleted_working_folder_is_one_line(tmp_path):
    import subprocess
    import sys

    here = tmp_path / "here"
    here.mkdir()
    code = f"import os, shutil; os.chdir({str(here)!r}); shutil.rmtree({str(here)!r}); import zero3d"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (
        2,
        "zero3d: the working folder has been deleted; change to another one\n",
    )
