"""Shapes drawn by rasterising, many at once, against the same scenes drawn by ray casting, one by one."""

import itertools

import numpy
import pytest
import torch

from zero3d.geometry import look_at
from zero3d.values import Cameras
from zero3d_procedural import stream
from zero3d_procedural.raster import Scenes, draw
from zero3d_procedural.rendering import make_example
from zero3d_procedural.texture import NUMBERS

FIRST, OBJECTS, TARGETS, SIZE = 5_000_000, 10, 2, 48
"""None of these objects has parts with faces in one plane, which of them is seen there is anybody's guess."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    for start, count in ((0, 6), (6, 4)):
        with (folder / f"shapes-{start:09d}.npz").open("wb") as file:
            numpy.savez(file, **stream.make_shapes(FIRST + start, count, 2, TARGETS))
    return folder


def opened(folder):
    shapes = stream.ShapeStream(folder, torch.device("cpu"))
    shapes.refresh()
    return shapes


def test_batches_are_what_ray_casting_draws(folder):
    """A batch's generator chooses objects, scenes and views; the input camera tells which scene it is."""
    examples = [make_example(FIRST + n, k, TARGETS, SIZE) for n in range(OBJECTS) for k in range(2)]
    batch = opened(folder).batch(24, TARGETS, torch.Generator().manual_seed(0), SIZE)
    seen = set()
    for row in range(24):
        pose = batch.input_cameras.camera_to_world[row].numpy()
        poses = batch.target_cameras.camera_to_world[TARGETS * row : TARGETS * row + TARGETS].numpy()
        number = next(n for n, example in enumerate(examples) if numpy.array_equal(example.poses[0], pose))
        seen.add(number)
        example = examples[number]
        views = [0, *(next(v for v in range(3) if numpy.array_equal(example.poses[v], p)) for p in poses)]
        assert sorted(views) == [0, 1, 2]
        expected = torch.from_numpy(example.rgba[views]).float() / 255
        found = torch.cat([batch.input_rgba[row : row + 1], batch.target_rgba[TARGETS * row : TARGETS * row + TARGETS]])
        off = (found * found[..., 3:] - expected * expected[..., 3:]).abs().amax(dim=-1)
        assert off.mean() < 1e-3
        assert (off > 0.02).float().mean() < 2e-3, "shapes are rounded to 1/65534, which moves an edge's pixel at times"
        solid = torch.from_numpy(example.occupancy).float() / 8
        assert (batch.occupancy[row] != solid).float().mean() < 2e-4
    assert len(seen) > 10


@pytest.mark.parametrize("every", [2, 3, 4])
def test_single_pixels_are_those_of_whole_pictures(folder, every):
    """Which are on an edge, and by rounding fall to the other side of it, may differ."""
    shapes = opened(folder)
    whole = shapes.batch(6, TARGETS, torch.Generator().manual_seed(1), SIZE)
    sparse, pixels = shapes.sparse_batch(6, TARGETS, torch.Generator().manual_seed(1), every, SIZE)
    assert sparse.target_cameras.same_as(whole.target_cameras)
    assert torch.equal(sparse.input_rgba, whole.input_rgba)
    assert torch.equal(sparse.occupancy, whole.occupancy)
    side = SIZE // every
    assert sparse.target_rgba.shape == (6 * TARGETS, side, side, 4)
    rows = torch.arange(6 * TARGETS)[:, None]
    expected = whole.target_rgba.flatten(1, 2)[rows, pixels]
    found = sparse.target_rgba.flatten(1, 2)
    off = (found - expected).abs().amax(dim=-1)
    assert (off > 1e-4).float().mean() < 1e-3
    assert (expected[..., 3] > 0).float().mean() > 0.05, "objects are seen"
    first = pixels[:, 0]
    assert len(set(first.tolist())) > 1, "each view has a first pixel of its own"
    grid = pixels.unflatten(1, (side, side))
    assert (grid[:, 1:] - grid[:, :-1] == every * SIZE).all()
    assert (grid[:, :, 1:] - grid[:, :, :-1] == every).all()
    assert (first // SIZE < every).all()
    assert (first % SIZE < every).all()


def test_new_files_are_taken_in_while_it_is_used(folder, tmp_path):
    first, second = sorted(folder.iterdir())
    (tmp_path / first.name).write_bytes(first.read_bytes())
    shapes = opened(tmp_path)
    assert len(shapes) == 6
    (tmp_path / second.name).write_bytes(second.read_bytes())
    shapes.refresh()
    shapes.refresh()
    assert len(shapes) == 10


def test_the_newest_are_kept(folder, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 4)
    files = [numpy.load(path) for path in sorted(folder.iterdir())]
    poses = numpy.concatenate([file["poses"][:, :, 0] for file in files])  # of both scenes' input cameras
    shapes = stream.ShapeStream(folder, torch.device("cpu"), most=7)
    shapes.refresh()
    drawn = shapes.batch(200, 1, torch.Generator().manual_seed(0), 4).input_cameras.camera_to_world.numpy()
    seen = {int((poses == pose).all(axis=(2, 3)).any(axis=1).argmax()) for pose in drawn}
    assert seen == set(range(3, 10))


def test_a_writer_goes_on_at_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 2)
    monkeypatch.setattr(stream, "count", lambda start, step: itertools.islice(itertools.count(start, step), 2))
    stream.write_shapes(tmp_path, 100, 1, 3, 1, 1)
    names = ["shapes-000000102.npz", "shapes-000000108.npz"]  # its numbers are 1 and 4
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    (tmp_path / names[0]).write_bytes(b"kept")
    (tmp_path / names[1]).unlink()
    stream.write_shapes(tmp_path, 100, 1, 3, 1, 1)
    assert (tmp_path / names[0]).read_bytes() == b"kept"
    with numpy.load(tmp_path / names[1]) as file:
        assert len(file["ends"]) == 2


def test_a_worker_may_stop_with_so_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "CHUNK", 2)
    stream.write_shapes(tmp_path, 100, 1, 3, 1, 1, most=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shapes-000000102.npz", "shapes-000000108.npz"]


def test_the_nearer_of_two_faces_is_seen_and_backs_are_not():
    """Two squares across the view, the nearer one smaller; from behind, only backs."""
    square = torch.tensor([[0, -1, -1], [0, 1, -1], [0, 1, 1], [0, -1, 1.0]])
    faces = [0.4 * square, 0.2 * square + torch.tensor([0.1, 0, 0])]
    corners = torch.cat([face[torch.tensor([[0, 1, 2], [0, 2, 3]])] for face in faces])
    colours = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]])
    light = torch.tensor([[1.0, 0, 0, 1]])
    scenes = Scenes(corners, colours, torch.zeros(4, dtype=torch.long), light, torch.zeros(1, NUMBERS))
    cameras = Cameras(look_at(torch.tensor([[2.0, 0, 0], [-2.0, 0, 0]])), 32, 32)
    front, back = draw(scenes, cameras)
    assert front[16, 16].tolist() == [0, 0, 1, 1]
    assert front[16, 11].tolist() == [1, 0, 0, 1]
    assert front[0, 0].tolist() == [1, 1, 1, 0]
    assert (back[..., 3] == 0).all()
