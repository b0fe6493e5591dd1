"""Previews, turntable and progress, on a "field" whose picture is known in closed form for every camera."""

import math

import av
import numpy
import pytest
import torch
from PIL import Image

from zero3d.geometry import orbit
from zero3d.interfaces import RunView
from zero3d.random import Generators
from zero3d.values import FAR, Picture, Step, View
from zero3d_observers.preview import Preview, PreviewConfig
from zero3d_observers.progress import Progress
from zero3d_observers.turntable import Turntable, TurntableConfig

SIZE = 24


def tone(azimuth_deg):
    """The colour seen from that azimuth."""
    turn = math.radians(azimuth_deg)
    return 0.5 + 0.4 * torch.tensor([math.cos(turn), math.sin(turn), 0.0])


def draw(cameras):
    """The left half shows tone(azimuth) at the object's centre's distance; the right half is empty (white)."""
    assert not torch.is_grad_enabled()
    turn = torch.rad2deg(cameras.azimuth)
    colour = torch.stack([tone(float(t)) for t in turn])[:, None, None, :]
    opacity = torch.zeros(len(cameras), cameras.height, cameras.width, 1)
    opacity[:, :, : cameras.width // 2] = 1
    depth = opacity * cameras.distance[:, None, None, None] + (1 - opacity) * FAR
    return View(colour * opacity + 1 - opacity, opacity, depth)


def run_view(folder, steps=20, first_step=0, drawer=draw):
    picture = Picture(torch.full((SIZE, SIZE, 3), 0.25), torch.ones(SIZE, SIZE, 1))
    return RunView(folder, steps, first_step, picture, orbit(10.0, 0.0, SIZE), drawer, lambda image: image, SIZE)


def step(index, steps=20):
    return Step(index, steps, Generators(0))


class TestPreview:
    def test_when(self, tmp_path):
        preview = Preview(PreviewConfig(every=8, size=16, views=1))
        for index in range(20):
            preview.on_step(run_view(tmp_path), step(index), {})
        names = sorted(path.name for path in (tmp_path / "previews").iterdir())
        assert names == ["step_000008.png", "step_000016.png", "step_000020.png"]

    def test_panels(self, tmp_path):
        Preview(PreviewConfig(every=1, size=48)).on_step(run_view(tmp_path), step(0), {})
        sheet = numpy.asarray(Image.open(tmp_path / "previews/step_000001.png")).astype(float) / 255
        assert sheet.shape == (3 * 48, 5 * 48, 3)
        colours, opacity, depth = sheet[:48], sheet[48:96], sheet[96:]
        assert numpy.allclose(colours[:, :48], 0.25, atol=0.01)
        assert numpy.allclose(opacity[:, :48], 1)
        for k in range(4):
            seen, empty = (24, 48 * (k + 1) + 8), (24, 48 * (k + 1) + 40)
            assert numpy.allclose(colours[seen], tone(90 * k).numpy(), atol=0.01)
            assert numpy.allclose(colours[empty], 1)
            assert (opacity[seen] == 1).all()
            assert (opacity[empty] == 0).all()
            assert numpy.allclose(depth[seen], 0.5, atol=0.01)
            assert (depth[empty] == 0).all()

    def test_without_depth_there_is_no_depth_row(self, tmp_path):
        flat = run_view(tmp_path, drawer=lambda cameras: View(draw(cameras).image, draw(cameras).opacity))
        Preview(PreviewConfig(every=1, size=16)).on_step(flat, step(0), {})
        assert Image.open(tmp_path / "previews/step_000001.png").size == (5 * 16, 2 * 16)

    def test_random_streams_stay_untouched(self, tmp_path):
        now = step(0)
        now.generator("cameras")
        before = {name: state.clone() for name, state in now.generators.state_dict().items()}
        default = torch.get_rng_state()
        Preview(PreviewConfig(every=1, size=16)).on_step(run_view(tmp_path), now, {})
        Turntable(TurntableConfig(frames=2, size=16)).on_end(run_view(tmp_path), True)
        after = now.generators.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], before[name]) for name in before)
        assert torch.equal(torch.get_rng_state(), default)

    @pytest.mark.parametrize("wrong", [{"every": 0}, {"size": 8}, {"views": 0}])
    def test_ranges(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PreviewConfig(**wrong)


class TestTurntable:
    def test_frames(self, tmp_path):
        Turntable(TurntableConfig(frames=8, fps=10, size=64)).on_end(run_view(tmp_path), True)
        written = (tmp_path / "turntable.mp4").read_bytes()
        assert written.index(b"moov") < written.index(b"mdat"), "a browser must load it whole before it plays"
        with av.open(str(tmp_path / "turntable.mp4")) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            assert (stream.width, stream.height) == (64, 64)
            assert stream.average_rate == 10
            frames = list(container.decode(stream))
        assert len(frames) == 8
        assert [float(frame.time) for frame in frames] == pytest.approx([k / 10 for k in range(8)])
        for k, frame in enumerate(frames):
            pixels = frame.to_ndarray(format="rgb24").astype(float) / 255
            assert numpy.allclose(pixels[32, 16], tone(45 * k).numpy(), atol=0.04)
            assert numpy.allclose(pixels[32, 48], 1, atol=0.04)
        assert [path.name for path in tmp_path.iterdir()] == ["turntable.mp4"]

    def test_an_interrupted_run_has_none(self, tmp_path):
        Turntable(TurntableConfig()).on_end(run_view(tmp_path), False)
        assert not list(tmp_path.iterdir())

    def test_a_failure_leaves_the_former_one(self, tmp_path):
        (tmp_path / "turntable.mp4").write_bytes(b"former")

        def fail(cameras):
            raise RuntimeError("no memory")

        with pytest.raises(RuntimeError, match="no memory"):
            Turntable(TurntableConfig(frames=2, size=16)).on_end(run_view(tmp_path, drawer=fail), True)
        assert [path.name for path in tmp_path.iterdir()] == ["turntable.mp4"]
        assert (tmp_path / "turntable.mp4").read_bytes() == b"former"

    @pytest.mark.parametrize("wrong", [{"frames": 0}, {"fps": 0}, {"size": 255}, {"elevation_deg": 91}])
    def test_ranges(self, wrong):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            TurntableConfig(**wrong)


class TestProgress:
    def lines(self, capsys, tmp_path, steps, first_step=0):
        progress, run = Progress(None), run_view(tmp_path, steps, first_step)
        progress.on_start(run)
        for index in range(first_step, steps):
            progress.on_step(run, step(index, steps), {"regularizers.input_view.value": 0.5, "seconds": 1.0})
        progress.on_end(run, True)
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    def test_every_tenth_where_stderr_is_no_terminal(self, capsys, tmp_path):
        lines = self.lines(capsys, tmp_path, 95).splitlines()
        assert [line.split("  ")[0] for line in lines] == [f"step {n}/95" for n in (*range(10, 95, 10), 95)]
        assert all("input_view 0.5000" in line and "steps/s" in line for line in lines)
        assert lines[-1].endswith("0:00 left")

    def test_one_line_drawn_over_in_a_terminal(self, capsys, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", "40")
        text = self.lines(capsys, tmp_path, 30)
        assert text.count("\n") == 1
        shown = [part.removeprefix("\x1b[K").rstrip("\n") for part in text.split("\r")[1:]]
        assert shown[-1].startswith("step 30/30")
        assert max(map(len, shown)) < 40

    def test_the_rate_counts_this_session_alone(self, capsys, tmp_path, monkeypatch):
        clock = iter([100.0, *(100.0 + 0.5 * (n + 1) for n in range(10))])
        monkeypatch.setattr("zero3d_observers.progress.time.monotonic", lambda: next(clock))
        last = self.lines(capsys, tmp_path, 100, first_step=90).splitlines()[-1]
        assert "2.0 steps/s" in last
