"""`zero3d recipe check --watch`: a line for each save of a file that the recipe names, and none for half of one.

Time does not pass here: each poll is the next of a list of things that somebody does to the files.
"""

import re
from pathlib import Path

import pytest

from zero3d.cli import main
from zero3d_diagnostics.recipes import watching

NANO = Path("recipes/nano.yaml").read_text(encoding="utf-8")
TYPO = NANO.replace("steps: 40", "stepz: 40")
NO_MUG = "image: mug.png: no such file; give a PNG, JPEG or WebP picture"


def nothing():
    pass


@pytest.fixture
def watched(tmp_path, monkeypatch, capsys):
    """Lines of watching r.yaml while each of these happens at a poll, without their seconds; Ctrl-C is the last."""
    monkeypatch.chdir(tmp_path)
    recipe = Path("r.yaml")
    recipe.write_text(NANO, encoding="utf-8")

    def lines(*polls, given=()):
        left = list(polls)

        def poll(seconds):
            assert seconds == watching.POLL_S
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        monkeypatch.setattr(watching, "sleep", poll)
        assert main(["recipe", "check", "r.yaml", "device=cpu", *given, "--watch"]) == 130
        said = capsys.readouterr()
        assert said.err == ""
        timed = [re.fullmatch(r"(.+) \((\d+\.\d\d) s\)", line) for line in said.out.splitlines()]
        return [line[1] for line in timed]

    return lines


def write(text):
    return lambda: Path("r.yaml").write_text(text, encoding="utf-8")


def steps(lines):
    """Of each good check, the number of steps; else the verdict's beginning."""
    found = [
        re.match(r"r\.yaml: good, once it is given a picture\. (\d+) steps on cpu; terms: sds", line) for line in lines
    ]
    return [int(good[1]) if good else line[:30] for good, line in zip(found, lines, strict=True)]


def test_every_save_is_a_check_and_nothing_else_is(watched):
    longer = NANO.replace("steps: 40", "steps: 400")
    found = watched(nothing, nothing, write(longer), nothing, nothing, write(TYPO), nothing, write(NANO), nothing)
    assert steps(found) == [40, 400, "r.yaml: stepz: no such key. Di", 40]


def test_half_a_file_is_waited_for(watched):
    """An editor empties a file and then fills it, in as many polls as it likes."""
    longer = NANO.replace("steps: 40", "steps: 400")
    assert steps(watched(write(""), write(longer[:300]), write(longer), nothing)) == [40, 400]
    assert steps(watched(write(""), write(longer), nothing)) == [400, 400]


def test_a_file_that_goes_and_comes_back_is_followed(watched):
    def gone():
        Path("r.yaml").unlink()

    assert steps(watched(gone, write(NANO + "\n"), nothing)) == [40, 40]
    assert steps(watched(gone, nothing, nothing, write(NANO), nothing)) == [40, "r.yaml: no such file. Known: n", 40]


def test_a_save_while_a_check_is_made_is_not_missed(watched, monkeypatch):
    verdict, texts = watching.verdict, [TYPO, NANO]

    def slow(*given):
        try:
            return verdict(*given)
        finally:
            if texts:
                write(texts.pop(0))()

    monkeypatch.setattr(watching, "verdict", slow)
    assert steps(watched(*[nothing] * 6)) == [40, "r.yaml: stepz: no such key. Di", 40]


def test_a_picture_that_it_names_is_a_file_of_it(watched, request):
    mug = (request.config.rootpath / "examples" / "mug.png").read_bytes()

    def save(data):
        return lambda: Path("mug.png").write_bytes(data)

    found = watched(save(mug), nothing, nothing, save(mug[:1000]), nothing, given=["image=mug.png"])
    assert [line.partition(" steps")[0] for line in found[:2]] == [NO_MUG, "r.yaml: good. 40"]
    assert found[2].startswith("image: mug.png cannot be read as a picture")
    assert len(found) == 3


def test_posed_pictures_and_their_file_are_files_of_it(tmp_path):
    (tmp_path / "transforms.json").write_text(
        '{"camera_angle_x": 0.8, "frames": [{"file_path": "a.png", "transform_matrix":'
        " [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]]}]}",
        encoding="utf-8",
    )
    (tmp_path / "a.png").touch()
    own = {tmp_path / "transforms.json", tmp_path / "a.png"}
    for images in (str(tmp_path), {"transforms": str(tmp_path / "transforms.json"), "every": 2}):
        assert watching._named({"images": images, "steps": 3}) >= own
    (tmp_path / "transforms.json").write_text("{", encoding="utf-8")
    assert tmp_path / "transforms.json" in watching._named({"images": str(tmp_path)})
    masked = {"image": {"path": "a.png", "mask": "mask.png"}, "images": [{"path": "\0"}], "prompt": "x" * 9999}
    assert watching._saved(watching._named(masked)) == {Path(p): None for p in ("a.png", "mask.png", "\0", "x" * 9999)}


@pytest.mark.parametrize("name", ["nope.yaml", "nanoo"])
def test_what_is_not_there_to_begin_with_is_not_waited_for(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["recipe", "check", name, "--watch"]) == 2
    assert "no such" in capsys.readouterr().err
