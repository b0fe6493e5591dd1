"""Whole files or none, one writer, and labels that cannot lead anywhere."""

import errno
import multiprocessing
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zero3d.errors import RecipeError, RunError, WriteError
from zero3d.files import LEFTOVER, cannot_write, remove_leftovers, replacing, write_bytes, write_text
from zero3d.files.labels import LONGEST, check_label, is_file_name
from zero3d.files.lock import NAME, only_writer


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    write_text(path, "zweite Fassung: ä")
    assert path.read_bytes() == "zweite Fassung: ä".encode()
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_umask_decides_who_may_read_it(tmp_path):
    former = os.umask(0o027)
    try:
        write_text(tmp_path / "a", "")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def _write_half(path, error):
    with replacing(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise error


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_a_failure_leaves_the_former_file_and_no_temporary_one(tmp_path, error):
    path = tmp_path / "a"
    path.write_text("former", encoding="utf-8")
    expected = WriteError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        _write_half(path, error)
    assert path.read_text(encoding="utf-8") == "former"
    assert os.listdir(tmp_path) == ["a"]


def test_links_are_neither_followed_nor_guessed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("years of work", encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    for planted in ("mesh.glb", "mesh.glb.tmp", "mesh.tmp", NAME):
        (out / planted).symlink_to(victim)
    write_bytes(out / "mesh.glb", b"a model")
    with pytest.raises(RunError, match="cannot be written"), only_writer(out, "out: out"):
        pass
    assert victim.read_text(encoding="utf-8") == "years of work"
    assert not (out / "mesh.glb").is_symlink()
    names = set()
    for _ in range(50):
        with replacing(out / "x") as temporary:
            assert temporary.parent == out
            assert LEFTOVER.fullmatch(temporary.name)
            names.add(temporary.name)
    assert len(names) == 50


def test_no_room_is_one_line_with_the_remedy(tmp_path):
    for number, remedy in ((errno.ENOSPC, "make room"), (errno.EFBIG, "ulimit -f"), (errno.EACCES, "allow writing")):
        line = str(cannot_write(tmp_path / "a", OSError(number, os.strerror(number))))
        assert remedy in line
        assert os.strerror(number) in line
        assert str(tmp_path / "a") in line
    assert WriteError("").exit_code == 1


def test_leftovers_of_killed_processes_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    mine = [tmp_path / "notes.tmp", tmp_path / ".zero3d-notes.tmp", tmp_path / "checkpoint" / "state.tmp.bak"]
    left = [tmp_path / ".zero3d-0123456789abcdef.tmp", tmp_path / "checkpoint" / ".zero3d-fedcba9876543210.tmp"]
    for path in mine + left:
        path.write_text("x", encoding="utf-8")
    remove_leftovers(tmp_path)
    assert all(path.exists() for path in mine)
    assert not any(path.exists() for path in left)


def test_a_second_writer_is_refused_in_this_process_and_in_another(tmp_path):
    code = "import pathlib, sys; from zero3d.files.lock import only_writer\n"
    code += "with only_writer(pathlib.Path(sys.argv[1]), 'out: x'): pass"
    with only_writer(tmp_path, "out: x"):
        with pytest.raises(RunError, match="out: x: another zero3d"), only_writer(tmp_path, "out: x"):
            pass
        other = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False, encoding="utf-8"
        )
        assert "another zero3d" in other.stderr
    assert os.listdir(tmp_path) == [], "the lock's file goes with it"
    with only_writer(tmp_path, "out: x"):
        pass


def _sleep(started, end):
    started.set()
    end.wait(20)


def test_a_forked_worker_does_not_keep_a_killed_parents_lock(tmp_path):
    context = multiprocessing.get_context("fork")
    started, end = context.Event(), context.Event()
    with only_writer(tmp_path, "x"):
        worker = context.Process(target=_sleep, args=(started, end))
        worker.start()
        assert started.wait(20)
        os.unlink(tmp_path / NAME)  # as nobody would after a kill: what is left is the worker
        Path(tmp_path / NAME).touch()
    with only_writer(tmp_path, "x"):
        pass
    end.set()
    worker.join()


@pytest.mark.parametrize("label", ["mesh", "2-cats", "é", "my mesh", "v1.5", "a" * LONGEST])
def test_good_labels(label):
    assert check_label(label, "r.yaml: export") == label


@pytest.mark.parametrize(
    "label",
    [
        "",
        " ",
        ".",
        "..",
        "a/b",
        "/home/me/victim",
        "../../evil",
        "a\\b",
        "C:x",
        "a\0b",
        "a\n",
        "-x",
        "a..b",
        "a" * 51,
        ".x",
    ],
)
def test_bad_labels(label):
    with pytest.raises(RecipeError, match=r"^r\.yaml: export: .* is no label; "):
        check_label(label, "r.yaml: export")


@given(st.text(max_size=80))
def test_no_label_leads_out_of_a_folder(label):
    try:
        text = check_label(label, "")
    except RecipeError:
        return
    assert is_file_name(f"{text}.glb")
    assert os.path.dirname(os.path.normpath(os.path.join("/run", f"{text}.glb"))) == "/run"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b", "c:a", "a\0", "x" * 256, None, 3])
def test_bad_file_names(name):
    assert not is_file_name(name)
