"""GrabCut comes to an end, whatever the picture, and hears Ctrl-C."""

import signal
import threading
import time

import numpy
import psutil
import pytest
from PIL import Image

from zero3d import PictureError
from zero3d_pictures import apart
from zero3d_pictures import grabcut as module
from zero3d_pictures.file import FileConfig, PictureFile
from zero3d_pictures.grabcut import grabcut

pytest.importorskip("cv2")


def checkers(height, width, colour, side):
    y, x = numpy.mgrid[:height, :width]
    return (((x // side + y // side) % 2)[..., None] * numpy.array(colour)).astype(numpy.uint8)


def halves(height, width, left, right):
    pixels = numpy.full((height, width, 3), left, numpy.uint8)
    pixels[:, width // 2 + 1 :] = right
    return pixels


# OpenCV's own cut goes round for ever on each of these (tried with 5.0 on one processor; others differ in the last bit).
ENDLESS = {
    "one colour": numpy.full((104, 93, 3), (103, 7, 1), numpy.uint8),
    "another": numpy.full((105, 159, 3), (121, 186, 66), numpy.uint8),
    "two halves": halves(192, 133, (9, 200, 77), (94, 21, 141)),
    "checkers": checkers(143, 158, (2, 79, 251), 8),
    "large checkers": checkers(173, 143, (100, 233, 142), 24),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_pictures_of_few_colours_come_to_an_end(name, monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", 10)
    found = grabcut(ENDLESS[name])
    assert found is None or found.shape == ENDLESS[name].shape[:2]


def test_the_picture_of_one_colour_has_no_object(tmp_path):
    Image.fromarray(ENDLESS["one colour"]).save(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"no object: it is of one colour"):
        PictureFile(FileConfig(str(tmp_path / "a.png"))).read(None)


class TestWhatNeverEnds:
    @pytest.fixture(autouse=True)
    def sleeper(self, tmp_path, monkeypatch):
        """A program that takes the picture and says nothing; its process id is in `started`."""
        program = tmp_path / "grabcut.py"
        program.write_text(
            "import os, pathlib, signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
            f"pathlib.Path({str(tmp_path / 'started')!r}).write_text(str(os.getpid()))\ntime.sleep(60)\n",
            encoding="utf-8",
        )
        monkeypatch.setattr(apart, "FOLDER", tmp_path)
        self.started = tmp_path / "started"

    def wait(self):
        while not (self.started.exists() and self.started.read_text(encoding="utf-8")):
            time.sleep(0.02)

    def gone(self):
        """It runs no more: gone, or dead and nobody has asked for its exit code yet."""
        for _ in range(100):
            try:
                if psutil.Process(int(self.started.read_text(encoding="utf-8"))).status() == psutil.STATUS_ZOMBIE:
                    return True
            except psutil.NoSuchProcess:
                return True
            time.sleep(0.05)
        return False

    def test_is_ended_and_told(self, monkeypatch):
        monkeypatch.setattr(module, "LIMIT_S", 1.5)
        with pytest.raises(PictureError, match=r"came to no end in 1.5 s; give input\.mask=FILE"):
            grabcut(ENDLESS["checkers"])
        assert self.gone()

    def test_hears_an_interrupt(self, monkeypatch):
        def interrupt():
            self.wait()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        monkeypatch.setattr(module, "LIMIT_S", 60)
        former = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever ran before in this process
        threading.Thread(target=interrupt, daemon=True).start()
        begun = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                grabcut(ENDLESS["checkers"])
        finally:
            signal.signal(signal.SIGINT, former)
        assert time.monotonic() - begun < module.LIMIT_S / 2
        assert self.gone()
