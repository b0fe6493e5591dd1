"""`--help` of each command fits a screen and ends with examples, and they work; shells complete what may be typed."""

import argparse
import dataclasses
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zero3d.cli import main
from zero3d.cli.layout import MARK, SHELLS, shortened
from zero3d.cli.parser import make_parser
from zero3d.cli.static import fields_of, options_of
from zero3d.plugins import load_plugins
from zero3d.recipe import RunOptions
from zero3d.registry import Promised

SCREEN = 45
REGISTRY = load_plugins()
DRY = ("recipe", "recipes", "plugins", "weights", "completion", "plan")
"""Commands whose examples are carried out; a run's are planned."""
NOT_HERE = ("doctor", "new", "inspect", "convert", "point_e", "my.yaml", "mvdream", "benchmarks/")
"""What fails without weights, writes a package, looks at the whole machine, or is the user's own."""


def parsers(parser, words=()):
    yield words, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from parsers(inner, (*words, name))


def all_parsers(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    return dict(parsers(make_parser(REGISTRY)[0]))


def examples():
    for words, parser in parsers(make_parser(REGISTRY)[0]):
        if len(words) != 1:  # an action's stand among its command's
            continue
        lines = (parser.epilog or "").partition(MARK)[2].splitlines()
        for line in lines:
            if line.strip().startswith("zero3d ") and ">" not in line:
                yield words[0], shlex.split(line.strip().partition("   ")[0])[1:]


EXAMPLES = list(examples())


def test_each_fits_a_screen_and_each_command_has_examples(monkeypatch):
    found = all_parsers(monkeypatch)
    lines = {" ".join(words): len(parser.format_help().splitlines()) for words, parser in found.items()}
    assert {words: count for words, count in lines.items() if count > SCREEN} == {}
    without = {words for words, p in found.items() if len(words) == 1 and MARK not in p.format_help()}
    assert not without
    assert "recipe check my.yaml --watch" in found["recipe", "check"].format_help(), "an action has its own of them"
    assert "weights list" not in found["weights", "convert"].format_help()


def test_a_command_is_one_line_of_the_list(monkeypatch):
    text = all_parsers(monkeypatch)[()].format_help()
    for name, promised in [(e.lazy.name, e.lazy) for e in REGISTRY.brought() if isinstance(e, Promised)]:
        if promised.kind == "command":
            assert f"    {name:12} {shortened(promised.summary)}\n".replace("%%", "%") in text
    assert shortened("Say 100% of it: and more; or not.") == "Say 100%% of it"


@pytest.mark.parametrize(
    ("command", "words"), EXAMPLES, ids=lambda value: shlex.join(value) if isinstance(value, list) else ""
)
def test_an_example_is_understood(command, words):
    arguments, late = make_parser(REGISTRY)[0].parse_known_args(words)
    assert arguments.command == command
    assert not [word for word in late if word.startswith("-")]


def test_the_examples_that_can_run_here_do(tmp_path, monkeypatch, capsys):
    (tmp_path / "cat.png").write_bytes(Path("examples/mug.png").read_bytes())
    monkeypatch.chdir(tmp_path)
    ran = set()
    for command, words in EXAMPLES:
        missing = any(word in NOT_HERE or word.startswith("benchmarks/") for word in words)
        if command in (*DRY, "run") and words != ["recipes"] and (not missing or words[1:2] == ["copy"]):
            words = [*words, "device=cpu"] if command in ("run", "plan") else words
            assert main(["plan", *words[1:]] if command == "run" else words) == 0, words
            assert capsys.readouterr().out
            ran.add(command)
            if command == "recipes":
                Path("my.yaml").unlink(missing_ok=True)
    assert ran >= {"run", "recipe", "recipes", "plugins", "weights", "plan"}


def completed(line, out, shell="bash"):
    """What a shell would offer after this line; nothing that a start need not wait for is imported for it."""
    environment = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_SHELL": shell,
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(out),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "COMP_TYPE": "9",
    }
    command = [sys.executable, "-X", "importtime", "-m", "zero3d"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
    assert out.is_file(), done.stderr[-500:]
    assert not re.search(r"\| +(torch|numpy|omegaconf)$", done.stderr, flags=re.M), "it is to be quick"
    return {word.partition(":")[0].strip() for word in out.read_text(encoding="utf-8").split("\n")} - {""}


@pytest.mark.parametrize(
    ("line", "among", "whole"),
    [
        ("zero3d re", {"run", "resume", "reconstruct", "recipe", "recipes"} - {"run"}, False),
        ("zero3d run nano-", {"nano-fine", "nano-gaussians"}, True),
        ("zero3d recipes copy magic", {"magic123"}, True),
        ("zero3d run nano guidance.sds.guidance_", {"guidance.sds.guidance_scale="}, True),
        ("zero3d plan zero123-refine stages.refine.cameras.res", {"stages.refine.cameras.resolution="}, True),
        ("zero3d run nano denoiser.type=zero", {"zero123", "zero123_finetune", "zero123plus"}, True),
        ("zero3d run nano input.framing=", {"keep", "demo", "fit"}, True),
        ("zero3d recipe check nano overwrite=", {"true", "false"}, True),
        ("zero3d reconstruct nano_", {"nano_lift"}, True),
        ("zero3d views cat.png --fram", {"--framing"}, True),
    ],
)
def test_what_may_follow_is_completed_without_torch(line, among, whole, tmp_path):
    found = {word.rpartition("=")[2] or word for word in completed(line, tmp_path / "out")}
    assert found >= among
    assert found == among or not whole


def test_the_type_that_was_typed_decides_which_options_there_are(tmp_path):
    line = "zero3d run nano representation.type=hash_grid representation."
    assert "representation.levels=" in completed(line, tmp_path / "out")
    assert "representation.levels=" not in completed("zero3d run nano representation.", tmp_path / "other")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shells_script_calls_zero3d_at_a_tab(shell, capsys):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_ARGCOMPLETE" in script
    assert "zero3d" in script
    program = shutil.which(shell)
    if program:
        subprocess.run([program, "-n"], input=script, text=True, check=True, encoding="utf-8")


def test_the_options_that_the_source_tells_are_the_classs_own():
    """Of every component of ours: names as the dataclass has them; a choice that is offered is taken."""
    fields = {option.name for option in fields_of("zero3d.recipe.options:RunOptions")}
    assert fields == {field.name for field in dataclasses.fields(RunOptions)}
    offered = 0
    for entry in REGISTRY.all():
        component = entry.component
        options = options_of(f"{component.__module__}:{component.__qualname__}")
        names = {field.name for field in dataclasses.fields(component.Config)}
        assert {option.name for option in options} in (names, set()), component
        for option in options:
            for choice in option.choices:
                offered += 1
                value = choice == "true" if choice in ("true", "false") else choice
                told = refusal(component.Config, option.name, value)
                assert not told.startswith(f"{option.name}: {value!r}; one of"), (component, option)
    assert offered > 100


def refusal(config, name, value):
    """Why a Config cannot be made with that option; it may want others beside."""
    try:
        config(**{name: value})
    except (ValueError, TypeError) as error:
        return str(error)
    return ""
