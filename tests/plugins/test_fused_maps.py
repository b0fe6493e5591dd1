"""What the fused renderer's march knows of empty space, and of what its workers have touched."""

import numpy
import pytest
import torch

from zero3d_voxels.cpu import blocks
from zero3d_voxels.cpu.merge_numba import merge
from zero3d_voxels.cuda.occupancy import occupancy


def cells(grid, level):
    """Which blocks have a cell with a corner of `level` or more, one by one."""
    padded = torch.nn.functional.pad(grid, (1,) * 6)
    filled = torch.zeros([side // 4 + 1 for side in grid.shape], dtype=torch.uint8)
    for z, y, x in torch.cartesian_prod(*(torch.arange(side + 1) for side in grid.shape)).tolist():
        if padded[z : z + 2, y : y + 2, x : x + 2].max() >= level:
            filled[z // 4, y // 4, x // 4] = 1
    return filled


@pytest.mark.parametrize("sides", [(8, 8, 8), (2, 3, 5), (13, 6, 31), (40, 15, 16)])
@pytest.mark.parametrize("level", [-1.0, 0.5])  # below and above the shell's 0
def test_both_maps_find_every_block_with_a_cell_that_is_not_empty_and_no_other(sides, level):
    generator = torch.Generator().manual_seed(3)
    grid = torch.where(torch.rand(sides, generator=generator) < 0.002, 1.0, -5.0)
    expected = cells(grid, level)
    found = occupancy(grid[None, None], level)  # may have a layer of blocks too many
    assert torch.equal(found[tuple(slice(side) for side in expected.shape)], expected)
    maps = blocks.survey(grid.numpy(), level)
    assert numpy.array_equal(maps.some, expected.numpy())


@pytest.mark.parametrize("sides", [(8, 8, 8), (2, 3, 5), (13, 6, 31), (3, 4, 3)])
@pytest.mark.parametrize("level", [-1.0, 0.5])
@pytest.mark.parametrize("share", [0.01, 0.9, 1.0])
def test_cells_are_marked_where_a_corner_is_filled_and_blocks_where_all_of_theirs_are(sides, level, share):
    generator = torch.Generator().manual_seed(6)
    grid = torch.where(torch.rand(sides, generator=generator) < share, 1.0, -5.0)
    corners = torch.nn.functional.pad(grid, (1,) * 6)  # the shell's zeros
    expected = (torch.nn.functional.max_pool3d(corners[None], 2, stride=1)[0] >= level).numpy()
    maps = blocks.survey(grid.numpy(), level)
    some, every = maps.some, maps.every
    assert numpy.array_equal(maps.ahead, blocks.look_ahead(some, every))
    cells = numpy.unpackbits(maps.cells, axis=-1, bitorder="little").astype(bool)
    assert numpy.array_equal(cells[tuple(slice(side + 1) for side in sides)], expected)
    assert some.shape == every.shape == tuple(side // 4 + 1 for side in sides)
    for index in numpy.ndindex(every.shape):
        block = expected[tuple(slice(4 * place, 4 * place + 4) for place in index)]
        assert some[index] == block.any()
        assert not every[index] or block.all()
        assert every[index] == block.all() or block.shape != (4, 4, 4), (
            "a block at the grid's end may be asked cell by cell"
        )


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.999, 1.0])
def test_looking_ahead_never_passes_a_block_of_another_kind(share):
    kinds = torch.rand(9, 14, 21, generator=torch.Generator().manual_seed(4)).numpy()
    some, every = (kinds < share).astype(numpy.uint8), (kinds < share * share).astype(numpy.uint8)
    ahead = blocks.look_ahead(some, every)
    for index in numpy.ndindex(some.shape):
        value = int(ahead[index])
        assert numpy.sign(value) == 1 - int(some[index]) - int(every[index])
        same = some == 0 if value > 0 else every
        if value:
            reach = abs(value) - 1
            assert same[tuple(slice(max(place - reach, 0), place + reach + 1) for place in index)].all()
            further = same[tuple(slice(max(place - reach - 1, 0), place + reach + 2) for place in index)]
            assert abs(value) == blocks.FURTHEST or not further.all(), "it could look further"


@pytest.mark.parametrize("sides", [(9, 6, 13), (4, 8, 5), (3, 2, 2)])
@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_what_a_worker_adds_is_merged_and_cleared_where_anything_may_have_been_added(sides, share):
    width, level = 3, 0.5
    generator = torch.Generator().manual_seed(3)
    grid = torch.where(torch.rand(sides, generator=generator) < share, 1.0, -5.0)
    told = cells(grid, level).numpy()
    corner = torch.nn.functional.max_pool3d(torch.nn.functional.pad(grid[None], (1,) * 6, value=-5.0), 3, stride=1)[0]
    touched = (corner[..., None] > level).expand(*sides, width).numpy()
    part = numpy.where(touched, 2.0, 0.0).astype(numpy.float32)
    total = numpy.ones_like(part)
    for worker in range(2):
        merge(total.ravel(), part.ravel(), sides, width, told, numpy.empty(told.shape[-1] + 1, numpy.uint8), worker, 2)
    assert (total == numpy.where(touched, 3.0, 1.0)).all()
    assert not part.any()
