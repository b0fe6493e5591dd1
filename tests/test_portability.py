"""Nothing depends on the processor, the number of cores, the locale, the time zone, HOME or the user."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = [
    path for top in ("zero3d", "plugins", "tools", "benchmarks", "docs", "tests") for path in Path(top).rglob("*.py")
]
WRAPPERS = {"run", "Popen", "check_output", "check_call"}
OTHER_OPENS = {"Image", "av", "os", "tarfile", "zipfile", "self"}
"""Whose `open` takes no encoding."""
SURROUNDINGS = re.compile(
    r"get_capabilities|is_bf16_supported|cpuinfo|/proc/cpuinfo|getpass|getlogin|gethostname|Path\.home\(|localtime"
    r"|datetime\.now\(\)|datetime\.today|strftime|setlocale|getpreferredencoding"
)
"""What a result could take from the machine. (Threads and memory are asked for, and change no result.)"""


def mode_of(call, name):
    """The mode that a call of `open` and its kind names, "" where it cannot be seen."""
    method = isinstance(call.func, ast.Attribute) and name == "open"
    first = 0 if method or name.endswith("TemporaryFile") else 1
    named = [word.value for word in call.keywords if word.arg == "mode"] + call.args[first : first + 1]
    if not named:
        return "w+b" if name.endswith("TemporaryFile") else "r"
    return named[0].value if isinstance(named[0], ast.Constant) and isinstance(named[0].value, str) else "b"


def without_encoding(source):
    """Lines that read or write text in whatever encoding the locale has."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call) or {word.arg for word in call.keywords} & {"encoding", None}:
            continue
        function = call.func
        name = getattr(function, "attr", getattr(function, "id", ""))
        if name in ("read_text", "write_text"):
            text = len(call.args) <= (name == "write_text")
        elif name in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile"):
            owner = ast.unparse(function.value).split(".")[0] if isinstance(function, ast.Attribute) else ""
            text = "b" not in mode_of(call, name) and not (name == "open" and owner in OTHER_OPENS)
        else:
            text = name in WRAPPERS and bool({word.arg for word in call.keywords} & {"text", "universal_newlines"})
        if text:
            yield call.lineno


def test_text_is_read_and_written_as_utf_8():
    found = [f"{path}:{line}" for path in SOURCES for line in without_encoding(path.read_text(encoding="utf-8"))]
    assert not found, f'encoding="utf-8" is missing: {", ".join(found)}'


@pytest.mark.parametrize(
    "line",
    ["open(p)", "open(p, 'w')", "p.open()", "p.open('a')", "p.read_text()", "p.write_text(t)", "os.fdopen(1, 'w')"]
    + ["TemporaryFile('w+')", "subprocess.run(c, text=True)", "open(p, mode='r')"],
)
def test_text_without_an_encoding_is_found(line):
    assert list(without_encoding(line)) == [1]
    assert not list(without_encoding(f"{line[:-1]}{', ' * (line[-2] != '(')}encoding='utf-8')"))


@pytest.mark.parametrize("line", ["open(p, 'rb')", "Image.open(p)", "p.open('wb')", "TemporaryFile()", "run(c)"])
def test_bytes_need_no_encoding(line):
    assert not list(without_encoding(line))


def test_nothing_asks_what_the_machine_or_the_user_is():
    found = [
        f"{path}:{number}"
        for path in SOURCES
        if path.parts[0] in ("zero3d", "plugins")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if SURROUNDINGS.search(line)
    ]
    assert not found, f"a result may not depend on it: {', '.join(found)}"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_recipe_with_accents_is_checked_in_any_surroundings(tmp_path, locale):
    recipe = tmp_path / "nano.yaml"
    text = Path("recipes/nano.yaml").read_text(encoding="utf-8")
    recipe.write_text(f"# für Ärzte: 模型\n{text}\nbroken_ü: 1\n", encoding="utf-8")
    strange = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "Asia/Kathmandu"}
    environment = {**os.environ, **strange, "HOME": "/nonexistent", "USER": "", "LOGNAME": ""}
    command = [sys.executable, "-m", "zero3d", "recipe", "check", str(recipe)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert b"Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert b"no such key" in done.stderr
