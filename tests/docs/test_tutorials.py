"""The tutorials, done: files written as shown, commands run as shown, but for fewer steps and a coarser field."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.warm import WarmPython

ROOT = Path.cwd()
TUTORIALS = sorted(Path("docs/tutorials").glob("*.md"))
FEWER = ["steps=2", "observers={}", "export={}", "device=cpu"]
COARSER = "representation.resolution=12"
"""What is added to a tutorial's `zero3d run`, the second where there is such an option; the last word on a key counts."""


def blocks(page):
    """(language, options, text) of each fenced block: ```sh, or ```{code-block} python with lines of `:key: value`."""
    fence = r"^```(?:\{code-block\} )?(\w+)\n((?::\w+: [^\n]*\n)*)\n?(.*?)^```$"
    for language, options, text in re.findall(fence, Path(page).read_text(encoding="utf-8"), flags=re.M | re.S):
        yield language, dict(re.findall(r"^:(\w+): (.*)$", options, flags=re.M)), text


def command_lines(text):
    """The words of each command, lines that end in a backslash joined."""
    return [shlex.split(line, comments=True) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def runnable(words, here):
    """The words for this environment's Python, with fewer steps."""
    name, rest = words[0], words[1:]
    if name == "python":
        return rest
    assert name == "zero3d", (
        f"{name}: a tutorial's sh block runs zero3d, python and cd; use console for what is only shown"
    )
    if rest[0] == "run":
        last = max(index for index, word in enumerate(rest) if "=" in word)
        coarse = re.search(
            r"^representation: .*\bresolution:", (here / rest[1]).read_text(encoding="utf-8"), flags=re.M
        )
        rest[last + 1 : last + 1] = [*FEWER, *([COARSER] if coarse else [])]
    return ["-m", "zero3d", *rest]


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    started = WarmPython(tmp_path_factory.mktemp("prints"))
    yield started
    started.close()


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_does_what_it_says(page, tmp_path, python):
    for folder in ("recipes", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    ran, here = [], tmp_path
    for language, options, text in blocks(page):
        if "caption" in options:
            (here / options["caption"]).parent.mkdir(parents=True, exist_ok=True)
            (here / options["caption"]).write_text(text, encoding="utf-8")
        if language == "sh":
            for words in command_lines(text):
                if words[0] == "cd":
                    here = here / words[1]
                    continue
                expected = 2 if options.get("class") == "fails" else 0
                done = python.run(runnable(words, here), here)
                assert done.returncode == expected, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
                ran.append(words[0])
    command = [sys.executable, "-m", "ruff", "check", "."]  # by the settings of the package's own pyproject.toml
    linted = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False, encoding="utf-8")
    assert linted.returncode == 0, linted.stdout
    assert {"zero3d", "python"} <= set(ran), "a tutorial writes code, tests it and runs it"


def test_there_is_a_tutorial_for_each_of_the_ways_in_and_each_has_its_place():
    names = ["growing", "guidance", "joint", "memory", "regularizer", "representation"]
    assert [page.stem for page in TUTORIALS] == names
    index = Path("docs/index.md").read_text(encoding="utf-8")
    assert [name for name in names if f"tutorials/{name}.md" not in index or f"\ntutorials/{name}\n" not in index] == []
