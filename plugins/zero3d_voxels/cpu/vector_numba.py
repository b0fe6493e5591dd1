"""What the numba kernels need beyond plain arithmetic: functions that vectorise, and several channels at once."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

P = 512
"""Samples in a wave, at most; rows of scratch arrays are as long."""
LANES = 4
"""At most so many channels are read and added together."""


def compiled(exact: bool = False, outside: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """njit without the interpreter's lock, kept on disk where any place can be written.

    exact: IEEE, no fusing. outside: Python may call it; without that it compiles faster, and such a call is a crash.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
    options["no_cpython_wrapper"] = not outside
    if not exact:
        options["fastmath"] = {"contract", "reassoc", "nsz", "arcp"}  # infinities and NaN stay what they are

    def wrap(function: Callable[..., Any]) -> Any:
        try:
            dispatcher = numba.njit(cache=True, **options)(function)
        except RuntimeError:  # neither beside its file nor in the user's cache; NUMBA_CACHE_DIR names another
            return numba.njit(**options)(function)
        # numba looks at the age of the function's own file alone, but it compiles in what the other files hold, too
        kept = getattr(
            getattr(dispatcher, "_cache", None), "_cache_file", None
        )  # private; a numba without it goes by age
        if kept is not None:
            kept._source_stamp = (kept._source_stamp, _sources())
        return dispatcher

    return wrap


@cache
def _sources() -> str:
    """A hash of this package's source: what is compiled of another is out of date."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@compiled()
def index(place: Any) -> Any:
    """A place in an array. Signed, it might count from the end, and of a loop over such the compiler makes no vectors."""
    return numpy.uint64(place)


def exponential(x: Any) -> Any:
    """e^x for x <= 0."""
    return math.exp(x)


def log1p(x: Any) -> Any:
    """log(1 + x) for x in [0, 1]."""
    return math.log1p(x)


_HALF, _ONE, _TWO, _LOWEST = (numpy.float32(value) for value in (0.5, 1, 2, -87))
_LOG2_E, _LN2_HIGH, _LN2_LOW = (numpy.float32(v) for v in (1 / math.log(2), 0.693359375, -2.12194440e-4))
_EXP = tuple(numpy.float32(1 / math.factorial(k)) for k in range(2, 8))
_LOG = tuple(numpy.float32(2 / k) for k in range(1, 16, 2))


@overload(exponential)
def _exponential(x: Any) -> Any:
    if x != numba.float32:
        return exponential
    e2, e3, e4, e5, e6, e7 = _EXP

    def single(x: Any) -> Any:  # 2^n e^r with |r| <= ln 2 / 2 (Cody and Waite); Taylor's error there is 1e-8
        x = max(x, _LOWEST)
        number = x if x > _LOWEST else _LOWEST  # NaN stays in r, and is kept out of the whole number
        n = numpy.floor(number * _LOG2_E + _HALF)
        r = (x - n * _LN2_HIGH) - n * _LN2_LOW
        poly = ((((e7 * r + e6) * r + e5) * r + e4) * r + e3) * r + e2
        power = numpy.int32((numpy.int32(n) + 127) << 23).view(numpy.float32)
        return (poly * (r * r) + r + _ONE) * power

    return single


@overload(log1p)
def _log1p(x: Any) -> Any:
    if x != numba.float32:
        return log1p
    a1, a3, a5, a7, a9, a11, a13, a15 = _LOG

    def single(x: Any) -> Any:  # 2 artanh(x / (2 + x)); the argument is at most 1/3
        s = x / (_TWO + x)
        z = s * s
        return s * (a1 + z * (a3 + z * (a5 + z * (a7 + z * (a9 + z * (a11 + z * (a13 + z * a15)))))))

    return single


def _mix(typing: Any, grid: Any, voxels: Any, weights: Any, channels: Any, rows: Any, at: Any) -> Any:
    """rows[channel P + at] = sum over a cell's corners of weight times grid[corner, channel], for all channels.

    grid: flat (voxels, channels). voxels: where four pairs of neighbours start. weights: eight. channels: as many zeros.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        grid, voxels, weights, _, rows, at = args
        kind, count = signature.args[0], signature.args[3].count
        for first, lanes in _portions(count):
            total = None
            for place, weight in _corners(builder, voxels, weights, count, first):
                read = builder.load(_several(context, builder, kind, grid, place, lanes), align=4)
                term = builder.fmul(read, _splat(builder, weight, lanes), flags=("contract",))
                total = term if total is None else builder.fadd(total, term, flags=("contract",))
            for lane, place in enumerate(_lanes(context, builder, signature.args[4], rows, at, first, lanes)):
                builder.store(builder.extract_element(total, ir.IntType(32)(lane)), place)
        return context.get_dummy_value()

    return types.none(grid, voxels, weights, channels, rows, at), codegen


def _spread(typing: Any, grid: Any, voxels: Any, weights: Any, channels: Any, rows: Any, at: Any) -> Any:
    """The transpose of `mix`: grid[corner, channel] += weight times rows[channel P + at]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        grid, voxels, weights, _, rows, at = args
        kind, count = signature.args[0], signature.args[3].count
        real = context.get_data_type(kind.dtype)
        for first, lanes in _portions(count):
            values = ir.Constant(ir.VectorType(real, lanes), ir.Undefined)
            for lane, place in enumerate(_lanes(context, builder, signature.args[4], rows, at, first, lanes)):
                values = builder.insert_element(values, builder.load(place), ir.IntType(32)(lane))
            for place, weight in _corners(builder, voxels, weights, count, first):
                pointer = _several(context, builder, kind, grid, place, lanes)
                term = builder.fmul(values, _splat(builder, weight, lanes), flags=("contract",))
                builder.store(builder.fadd(builder.load(pointer, align=4), term, flags=("contract",)), pointer, align=4)
        return context.get_dummy_value()

    return types.none(grid, voxels, weights, channels, rows, at), codegen


def _prefetch(typing: Any, grid: Any, voxel: Any, channels: Any) -> Any:
    """Ask for a voxel's channels, that they be in the cache when they are read."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        grid, voxel, _ = args
        place = builder.mul(voxel, voxel.type(signature.args[2].count))
        data = context.make_array(signature.args[0])(context, builder, grid).data
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [builder.bitcast(builder.gep(data, [place]), byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.none(grid, voxel, channels), codegen


prefetch: Any = intrinsic(_prefetch)
mix: Any = intrinsic(_mix)
spread: Any = intrinsic(_spread)


def _portions(channels: int) -> list[tuple[int, int]]:
    """First channel and number of those that are read at once."""
    return [(first, min(LANES, channels - first)) for first in range(0, channels, LANES)]


def _corners(builder: Any, voxels: Any, weights: Any, channels: int, first: int) -> Any:
    """Where a portion of a corner's channels starts, and the corner's weight."""
    starts = []
    for voxel in cgutils.unpack_tuple(builder, voxels):
        start = builder.mul(voxel, voxel.type(channels))
        starts += [builder.add(start, start.type(first)), builder.add(start, start.type(first + channels))]
    return zip(starts, cgutils.unpack_tuple(builder, weights), strict=True)


def _several(context: Any, builder: Any, kind: Any, array: Any, place: Any, lanes: int) -> Any:
    """A pointer to some numbers of an array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(
        builder.gep(data, [place]), ir.VectorType(context.get_data_type(kind.dtype), lanes).as_pointer()
    )


def _lanes(context: Any, builder: Any, kind: Any, array: Any, at: Any, first: int, lanes: int) -> list[Any]:
    data = context.make_array(kind)(context, builder, array).data
    return [builder.gep(data, [builder.add(at, at.type((first + lane) * P))]) for lane in range(lanes)]


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))
