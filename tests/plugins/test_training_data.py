"""The published data from folders and shards: right pictures and poses, shared out, resumed, damaged."""

import io
import math
from collections import Counter
from itertools import islice

import numpy
import pytest
import torch
from PIL import Image

from tests.plugins.views_data import identities, make_folder, make_shards, place_of
from zero3d.errors import RecipeError, RunError
from zero3d.interfaces import Share
from zero3d_training.data.paths import read_names, split
from zero3d_training.data.picture import DamagedView, Decoder, pose
from zero3d_training.data.tar import TarObject, read_shard, shard_paths
from zero3d_training.data.views_folder import ViewsFolder, ViewsFolderConfig
from zero3d_training.data.webdataset import WebDataset, WebDatasetConfig
from zero3d_zero123.pose import relative_pose


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("views") / "data")


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "data", folder, 6)


def opened(place, workers=0, **options):
    options = {"size": 16, "views": 4, "workers": workers, **options}
    if any(place.glob("*.tar")):
        dataset = WebDataset(WebDatasetConfig(shards=f"{place}/shard-{{00..05}}.tar", shuffle=2, **options))
    else:
        dataset = ViewsFolder(ViewsFolderConfig(root=str(place), **options))
    dataset.prepare()
    return dataset


def seen(dataset, share, batches):
    """Inputs and targets of the first batches."""
    return [identities(batch) for batch in islice(dataset.batches(share), batches)]


def test_a_batch_is_two_views_of_an_object_with_their_poses(folder):
    batch = next(iter(opened(folder).batches(Share(size=4, targets=2, seed=0))))
    inputs, targets = identities(batch)
    assert batch.input_rgba.shape == (4, 16, 16, 4)
    assert batch.target_rgba.shape == (8, 16, 16, 4)
    for index, (uid, view) in enumerate(inputs):
        own = targets[2 * index : 2 * index + 2]
        assert {number for number, _ in own} == {uid}
        assert len({view, *(other for _, other in own)}) == 3
        source = place_of(uid, view)
        assert batch.input_cameras.position[index].numpy() == pytest.approx(source, abs=1e-5)
        for row, (_, other) in enumerate(own):
            # the published formula, on the places that the files were made from
            target = place_of(uid, other)
            polar = [math.acos(p[2] / numpy.linalg.norm(p)) for p in (target, source)]
            turn = math.atan2(target[1], target[0]) - math.atan2(source[1], source[0])
            far = numpy.linalg.norm(target) - numpy.linalg.norm(source)
            measured = relative_pose(
                batch.target_cameras[2 * index + row : 2 * index + row + 1], batch.input_cameras[index : index + 1]
            )
            wanted = [polar[0] - polar[1], math.sin(turn), math.cos(turn), far]
            assert measured[0].tolist() == pytest.approx(wanted, abs=1e-5)


def test_an_epoch_shows_every_training_object_once_and_no_held_out_one(folder):
    dataset = opened(folder)  # 12 objects: floor(11.88) are for training
    epochs = [seen(dataset, Share(11, 1, seed), 2) for seed in (0, 1)]
    for inputs, _ in epochs[0] + epochs[1]:
        assert sorted(uid for uid, _ in inputs) == list(range(11))
    assert epochs[0][0] != epochs[0][1]
    assert epochs[0] != epochs[1]
    inputs, targets = identities(dataset.held_out(5, 2))
    assert {uid for uid, _ in inputs + targets} == {11}
    assert identities(opened(folder).held_out(5, 2)) == (inputs, targets)


@pytest.mark.parametrize("count", [1, 99, 100, 101, 798_759])
def test_the_published_split(count):
    assert split(count) == math.floor(count / 100.0 * 99.0) or split(count) == count * 99 // 100
    assert count - split(count) == -(-count // 100)


def test_processes_take_disjoint_parts_of_the_same_batch(folder):
    dataset = opened(folder)
    whole = [next(iter(dataset.batches(Share(10, 1, 3, first)))) for first in range(3)]
    parts = [list(islice(dataset.batches(Share(10, 1, 3, 0, rank, 2)), 3)) for rank in range(2)]
    for number, batch in enumerate(whole):
        for name in ("input_rgba", "target_rgba", "seeds"):
            halves = torch.cat([getattr(part[number], name) for part in parts])
            assert torch.equal(halves, getattr(batch, name)), name


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_a_stream_that_is_taken_up_again_goes_on_the_same(kind, request):
    dataset = opened(request.getfixturevalue(kind))
    whole = list(islice(dataset.batches(Share(3, 1, 5)), 12))
    for first in (1, 4, 11):
        rest = list(islice(opened(request.getfixturevalue(kind)).batches(Share(3, 1, 5, first)), 12 - first))
        for one, other in zip(whole[first:], rest, strict=True):
            assert torch.equal(one.input_rgba, other.input_rgba)
            assert torch.equal(one.target_rgba, other.target_rgba)
            assert torch.equal(one.seeds, other.seeds)


def test_shards_are_disjoint_over_processes_and_workers(shards):
    from zero3d_training.data.webdataset import ShardReader

    dataset = opened(shards)
    assert len(dataset.training) == 5
    held_out = {uid for uid, _ in identities(dataset.held_out(9, 1))[0]}
    assert held_out == {5, 11}
    reached = []
    for rank in range(2):
        for slot in range(2):
            reader = ShardReader(dataset.training, dataset.config, Share(2, 1, 0, 0, rank, 2))
            reached.append({identities(batch)[0][0][0] for batch, _ in islice(reader.read(slot, 2), 2)})
    everything = [uid for part in reached for uid in part]
    assert len(everything) == len(set(everything))
    assert not held_out & set(everything)


@pytest.mark.parametrize("dotted", [False, True])
def test_an_epoch_of_shards_shows_every_object_once(folder, tmp_path, dotted):
    shards = make_shards(tmp_path / "data", folder, 6, dotted)
    inputs = [uid for batch, _ in seen(opened(shards), Share(1, 1, 7), 20) for uid, _ in batch]
    once = Counter(inputs[:10])
    assert set(once.values()) == {1}
    assert set(once) == set(range(12)) - {5, 11}
    assert inputs[:10] != inputs[10:]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_worker_processes_change_nothing_of_folders_and_keep_the_order(kind, request):
    place = request.getfixturevalue(kind)
    first = seen(opened(place, workers=2), Share(2, 1, 0), 6)
    assert seen(opened(place, workers=2), Share(2, 1, 0, first=3), 3) == first[3:]
    if kind == "folder":
        assert first == seen(opened(place), Share(2, 1, 0), 6)


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_damaged_views_are_named_counted_and_passed_over(kind, tmp_path, capsys):
    place = make_folder(tmp_path / "data")
    for uid in (2, 3):
        for view in range(4):
            (place / f"object-{uid}" / f"{view:03d}.png").write_bytes(b"\x89PNG no more")
    if kind == "shards":
        place = make_shards(tmp_path / "shards", place, 6)
        whole = (place / "shard-04.tar").read_bytes()
        (place / "shard-04.tar").write_bytes(whole[: len(whole) // 2 + 300])  # in the middle of a header
    else:
        for file in (place / "object-4").iterdir():
            file.unlink()
    dataset = opened(place)
    inputs = [uid for batch, _ in seen(dataset, Share(1, 1, 0), 22) for uid, _ in batch]
    assert not {2, 3} & set(inputs)
    assert len(set(inputs)) >= 6
    told = capsys.readouterr().err
    assert dataset.skipped >= 3
    assert "skipped: " in told
    assert "no readable picture" in told


def test_nothing_but_damage_is_an_error(tmp_path):
    place = make_folder(tmp_path / "data")
    for file in place.glob("*/*.png"):
        file.write_bytes(b"")
    with pytest.raises(RunError, match="20 objects one after the other cannot be read"):
        next(iter(opened(place).batches(Share(1, 1, 0))))


def test_matte():
    rgba = numpy.zeros((2, 2, 4), numpy.uint8)
    rgba[0, 0] = (100, 0, 0, 255)
    rgba[0, 1] = (40, 0, 0, 128)
    import io

    file = io.BytesIO()
    Image.fromarray(rgba, "RGBA").save(file, "PNG")
    png = file.getvalue()
    assert (Decoder(2, "over").picture(png) * 255).round()[0, 1].tolist() == [40, 0, 0, 128]
    published = (Decoder(2, "published").picture(png) * 255).round()
    assert published[0, 1].tolist() == [40, 0, 0, 255]  # not composited
    assert published[1, 1].tolist() == [255, 255, 255, 255]
    # made smaller, a transparent pixel's colour does not bleed into the opaque one's
    small = Decoder(1, "over").picture(png)[0, 0]
    wanted = (100 * 255 + 40 * 128) / (255 + 128)
    assert float(small[0] * 255) == pytest.approx(wanted, abs=3)


def test_a_pose_is_inverted():
    matrix = numpy.array([[0, 1, 0, 1], [-1, 0, 0, 2], [0, 0, 1, 3.0]])
    import io

    file = io.BytesIO()
    numpy.save(file, matrix)
    full = numpy.vstack([matrix, [0, 0, 0, 1]])
    assert pose(file.getvalue()).numpy() @ full == pytest.approx(numpy.eye(4), abs=1e-6)
    for bad in (b"", b"no", file.getvalue()[:-9]):
        with pytest.raises(DamagedView):
            pose(bad)


def test_names_are_read_in_one_pass(tmp_path):
    odd = ["a", 'with "quotes" and \\', "ü/ß", "x" * 500]
    import json

    (tmp_path / "valid_paths.json").write_text(json.dumps(odd, indent=1), encoding="utf-8")
    names = read_names(tmp_path)
    assert [names[index] for index in range(len(names))] == odd


@pytest.mark.parametrize("content", ["", "{}", "[1", '{"a": ["b"]}'])
def test_no_list_of_names_is_one_line(tmp_path, content):
    (tmp_path / "valid_paths.json").write_text(content, encoding="utf-8")
    with pytest.raises(RecipeError, match="no JSON list") as told:
        read_names(tmp_path)
    assert "\n" not in str(told.value)


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(RecipeError, match="no such folder"):
        opened(tmp_path / "nowhere")
    with pytest.raises(RecipeError, match="no such file"):
        read_names(tmp_path)
    with pytest.raises(RecipeError, match="the first shard must be there"):
        WebDataset(WebDatasetConfig(shards=f"{tmp_path}/s-{{0..3}}.tar")).prepare()
    (tmp_path / "valid_paths.json").write_text('["one"]', encoding="utf-8")
    with pytest.raises(RecipeError, match="two at least"):
        ViewsFolder(ViewsFolderConfig(root=str(tmp_path))).prepare()


def test_too_many_targets_are_refused_early(folder):
    with pytest.raises(RecipeError, match="at most 3 targets"):
        opened(folder).batches(Share(2, 4, 0))


def test_shard_patterns(tmp_path):
    assert [p.name for p in shard_paths("d/a-{08..11}.tar")] == ["a-08.tar", "a-09.tar", "a-10.tar", "a-11.tar"]
    assert len(shard_paths("d{0..1}/a-{000..002}.tar")) == 6
    (tmp_path / "list.txt").write_text("# mine\nx.tar\n\nsub/y.tar\n", encoding="utf-8")
    assert shard_paths(str(tmp_path / "list.txt")) == [tmp_path / "x.tar", tmp_path / "sub/y.tar"]
    (tmp_path / "latin.txt").write_bytes("M\xf6bel.tar\n".encode("latin-1"))
    for bad in ("data", "a-{5..2}.tar", str(tmp_path / "none.txt"), str(tmp_path / "latin.txt")):
        with pytest.raises(RecipeError, match=r"dataset\.shards"):
            shard_paths(bad)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (ViewsFolderConfig, {}, "root: missing"),
        (ViewsFolderConfig, {"root": "x", "views": 1}, "views: 1; 2 to 1000"),
        (ViewsFolderConfig, {"root": "x", "matte": "ovr"}, "over"),
        (WebDatasetConfig, {}, "shards: missing"),
        (WebDatasetConfig, {"shards": "x", "shuffle": 0}, "shuffle: 0"),
    ],
)
def test_options_refuse_nonsense(config, options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)


def header(name, size, kind=b"0"):
    """A tar header of 512 bytes with a true checksum, whatever its size says: octal, or base 256 beyond and below."""
    field = (
        b"%011o\0" % size
        if 0 <= size < 8**11
        else (b"\x80" if size >= 0 else b"\xff") + size.to_bytes(11, "big", signed=size < 0)
    )
    block = bytearray(512)
    block[:100] = name.encode().ljust(100, b"\0")
    block[100:136] = b"0000644\0" + b"0000000\0" * 2 + field
    block[136:156] = b"00000000000\0" + b"        "
    block[156:157], block[257:265] = kind, b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


LIES = {
    "a member of 298 GiB": header("a/000.npy", 298 * 2**30),
    "a member of minus one block": header("a/000.npy", -1024),
    "a long name of 298 GiB": header("././@LongLink", 298 * 2**30, b"L"),
    "a long name of minus one block": header("././@LongLink", -1024, b"L"),
    "an extended header of 298 GiB": header("x", 298 * 2**30, b"x"),
    "an extended header of nonsense": header("x", 10, b"x") + b"9 size=zz\n".ljust(512, b"\0"),
    "a size below zero in an extended header": header("x", 14, b"x")
    + b"14 size=-1024\n".ljust(512, b"\0")
    + header("a/000.npy", 0),
    "a sparse file": header("a/000.png", 10, b"S") + bytes(512),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_shard_s_headers_may_lie(folder, tmp_path, lie):
    """It is neither believed nor followed for ever: what stands before it is used, and the rest is a note."""
    make_shards(tmp_path / "true", folder, 1)
    whole = (tmp_path / "true" / "shard-00.tar").read_bytes().rstrip(b"\0")
    whole += bytes(-len(whole) % 512)
    (tmp_path / "s.tar").write_bytes(whole + LIES[lie] + bytes(1024))
    objects, _ = read_shard(tmp_path / "s.tar", 4, 2)
    assert len(objects) == len(read_shard(tmp_path / "true" / "shard-00.tar", 4, 2)[0])


def test_a_member_that_promises_more_than_there_is_is_damaged(tmp_path):
    data = bytes(1024)
    (tmp_path / "s.tar").write_bytes(data)
    for place, told in (((0, 298 * 2**30), "are read"), ((512, 600), "cut off")):
        with pytest.raises(DamagedView, match=told):
            TarObject(tmp_path / "s.tar", "a", {0: (place, place)}).view(0, Decoder(8, "over"))


def test_a_pose_whose_header_promises_298_gib_is_damaged():
    stream = io.BytesIO()
    numpy.lib.format.write_array_header_1_0(
        stream, {"descr": "<f8", "fortran_order": False, "shape": (40_000_000_000,)}
    )
    with pytest.raises(DamagedView, match="shape"):
        pose(stream.getvalue() + bytes(96))
