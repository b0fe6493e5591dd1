"""Procedural objects: what is rendered fits what is said of it, and stays so when augmented."""

from itertools import permutations

import igl
import numpy
import pytest
import torch
import trimesh

from zero3d.errors import RunError
from zero3d.geometry import project
from zero3d_procedural import cache
from zero3d_procedural.augment import augmented
from zero3d_procedural.dataset import ProceduralConfig, ProceduralObjects
from zero3d_procedural.families import FAMILIES, family_of, make_object
from zero3d_procedural.rendering import AMBIENT, EXTENT, GRID, grid_points, random_light
from zero3d_procedural.shapes import coloured, join
from zero3d_procedural.solid import solid_share, winding_numbers
from zero3d_procedural.texture import random_texture

OBJECTS = 6


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    cache = tmp_path_factory.mktemp("procedural")
    made = ProceduralObjects(ProceduralConfig(str(cache), objects=OBJECTS, variants=1, targets=3, size=32, workers=1))
    made.prepare(progress=False)
    return made


def solid_points(batch, index):
    inside = batch.occupancy[index].reshape(-1) > 0.5
    return torch.from_numpy(grid_points())[inside].float()


def share_on_object(points, cameras, view, rgba):
    """Of 3D points, the share that the picture shows as object (within a pixel)."""
    places, _ = project(points, cameras[view : view + 1])
    x, y = ((places[0] + 1) * 16).floor().long().unbind(-1)
    inside = (x >= 0) & (x < 32) & (y >= 0) & (y < 32)
    solid = torch.nn.functional.max_pool2d(rgba[view, ..., 3][None], 3, 1, 1)[0] > 0
    return solid[y[inside], x[inside]].float().mean()


def check_consistent(batch):
    """The solid's cells lie within the silhouettes of every view."""
    checked = 0
    for index in range(len(batch.input_cameras)):
        points = solid_points(batch, index)
        if len(points) < 20:
            continue
        assert share_on_object(points, batch.input_cameras, index, batch.input_rgba) > 0.97
        for view in range(3 * index, 3 * index + 3):
            assert share_on_object(points, batch.target_cameras, view, batch.target_rgba) > 0.97
        checked += 1
    assert checked >= OBJECTS // 2


def test_pictures_cameras_and_solid_agree(dataset):
    check_consistent(dataset.examples(list(range(OBJECTS)), [0, 1, 2, 3]))


@pytest.mark.parametrize("seed", range(3))
def test_augmented_examples_agree_too(dataset, seed):
    batch = dataset.examples(list(range(OBJECTS)), [0, 1, 2, 3])
    other = augmented(batch, torch.Generator().manual_seed(seed))
    assert not torch.equal(other.occupancy, batch.occupancy)
    check_consistent(other)
    turns = torch.linalg.det(other.target_cameras.camera_to_world[:, :3, :3])
    assert torch.allclose(turns, torch.ones(len(turns)), atol=1e-5), "still right-handed"
    assert torch.allclose(other.input_cameras.azimuth, torch.zeros(OBJECTS), atol=1e-5), "the input stays at azimuth 0"


def test_colours_are_shuffled_alike_in_all_views_of_an_object(dataset):
    batch = dataset.examples(list(range(OBJECTS)), [0, 1, 2, 3])
    other = augmented(batch, torch.Generator().manual_seed(0))

    def mean_colours(rgba, index):
        views = rgba[3 * index : 3 * index + 3]
        return torch.stack([v[v[..., 3] > 0.9][:, :3].mean(0) for v in views])

    for index in range(OBJECTS):
        before, after = mean_colours(batch.target_rgba, index), mean_colours(other.target_rgba, index)
        orders = permutations(range(3))
        assert any(torch.allclose(before[:, list(order)], after, atol=1e-5) for order in orders)


def test_batches_follow_the_generator_alone(dataset):
    first, second = (dataset.batch(4, 2, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(first.target_rgba, second.target_rgba)
    assert first.target_rgba.shape == (8, 32, 32, 4)
    assert first.occupancy.shape == (4, GRID, GRID, GRID)
    assert first.extent == EXTENT


def test_a_cache_of_other_examples_is_refused(dataset):
    with pytest.raises(RunError, match="holds other examples"):
        ProceduralObjects(ProceduralConfig(dataset.config.cache, objects=7)).prepare(progress=False)


def test_the_share_of_boundary_cells_that_is_solid():
    """A slab whose face cuts cells at known places: the sums are its volume, to the eighth of a cell."""
    cell = 2 * EXTENT / GRID
    thick = 2.5 * cell  # half-cell layers at one end or both, however the middle falls
    slab = trimesh.creation.box((10 * cell, 8 * cell, thick))
    slab.apply_translation((0, 0, thick / 2))
    share = solid_share(slab, GRID, EXTENT).astype(float) / 8
    assert share.sum() == pytest.approx(10 * 8 * 2.5)
    column = share[GRID // 2, GRID // 2]
    assert column[GRID // 2 : GRID // 2 + 3].tolist() == [1, 1, 0.5]
    assert column.sum() == 2.5


def winding(mesh, grid):
    corners = torch.from_numpy(numpy.asarray(mesh.vertices)[mesh.faces])
    return winding_numbers(corners, torch.zeros(len(corners), dtype=torch.long), 1, grid, EXTENT)[0].numpy()


@pytest.mark.parametrize("seed", range(4))
def test_winding_numbers_against_libigl(seed):
    mesh = make_object(seed)
    found = winding(mesh, 40)
    vertices, faces = numpy.asarray(mesh.vertices, dtype=float), numpy.asarray(mesh.faces, dtype=numpy.int64)
    expected = igl.fast_winding_number(vertices, faces, grid_points(40)).reshape(40, 40, 40) > 0.5
    assert expected.sum() > 200
    assert ((found > 0) != expected).mean() < 2e-4  # libigl's is an approximation, and lines stand a little aside
    assert found.min() >= 0


def test_overlapping_parts_count_twice():
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    twice = join([coloured(ball.copy(), (1, 0, 0)), coloured(ball.copy(), (0, 1, 0))])
    found = winding(twice, 24)
    assert set(numpy.unique(found)) == {0, 2}
    assert (found > 0).mean() * (2 * EXTENT) ** 3 == pytest.approx(4 / 3 * numpy.pi * 0.5**3, rel=0.03)


def test_lights_differ_and_come_from_above():
    lights = [random_light(numpy.random.default_rng(seed)) for seed in range(50)]
    assert all(AMBIENT[0] <= light.ambient <= AMBIENT[1] for light in lights)
    assert all(light.direction[2] > 0 for light in lights)
    assert all(numpy.linalg.norm(light.direction) == pytest.approx(1) for light in lights)
    assert numpy.std([light.direction[0] for light in lights]) > 0.3


def test_every_family_is_closed_centred_and_of_size_one():
    shares = numpy.array([share for _, share in FAMILIES])
    seen = set()
    seed = 0
    while len(seen) < len(FAMILIES) and seed < 400:
        chosen = numpy.random.default_rng([20231, seed]).choice(len(FAMILIES), p=shares / shares.sum())
        if chosen not in seen:
            seen.add(chosen)
            assert family_of(seed) is FAMILIES[chosen][0]
            mesh = make_object(seed)
            low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
            assert (high - low).max() == pytest.approx(1.0)
            assert numpy.allclose((high + low) / 2, 0, atol=1e-9)
            assert mesh.is_watertight, FAMILIES[chosen][0].__name__
        seed += 1
    assert len(seen) == len(FAMILIES)


@pytest.mark.parametrize("option", ["objects", "variants", "targets", "size", "workers"])
def test_options_out_of_range_are_named(option):
    with pytest.raises(ValueError, match=f"{option}: 0"):
        ProceduralConfig("x", **{option: 0})


def test_a_cache_of_an_older_generator_is_refused(tmp_path, monkeypatch):
    config = ProceduralConfig(str(tmp_path), objects=1, variants=1, targets=1, size=8, workers=1)
    monkeypatch.setattr(cache, "GENERATION", cache.GENERATION - 1)
    ProceduralObjects(config).prepare(progress=False)
    monkeypatch.undo()
    with pytest.raises(RunError, match="holds other examples"):
        ProceduralObjects(config).prepare(progress=False)


def test_textures_are_fixed_in_space_and_differ():
    points = numpy.random.default_rng(0).uniform(-0.5, 0.5, (400, 3))
    plain = numpy.full((400, 3), 0.5)
    drawn = []
    for seed in range(40):
        texture = random_texture(numpy.random.default_rng(seed))
        if texture is None:
            continue
        colours = texture(points, plain)
        assert colours.shape == (400, 3)
        assert (colours >= 0).all()
        assert (colours <= 1).all()
        assert numpy.array_equal(texture(points[100:200], plain[:100]), colours[100:200]), "a point has one colour"
        drawn.append(colours)
    assert 15 < len(drawn) < 37
    assert sum(colours.std(axis=0).max() > 0.02 for colours in drawn) > 0.8 * len(drawn)
