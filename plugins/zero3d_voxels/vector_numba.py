"""What the numba kernels need beyond plain arithmetic: functions that vectorise, and four channels at once.

numba's cache does not see changes in this file: after one, touch march_numba.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

P = 32
"""Samples in a packet; rows of scratch arrays are as long."""
LANES = 4
"""Channels that are read and added together."""


def compiled(exact: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """njit without the interpreter's lock, kept on disk where any place can be written; `exact`: IEEE, no fusing."""
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if not exact:
        options["fastmath"] = {"contract", "reassoc", "nsz", "arcp"}  # infinities and NaN stay what they are

    def wrap(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # neither beside its file nor in the user's cache; NUMBA_CACHE_DIR names another
            return numba.njit(**options)(function)

    return wrap


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
        n = numpy.floor(x * _LOG2_E + _HALF)
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


def _mix4(typing: Any, grid: Any, places: Any, weights: Any, rows: Any, at: Any) -> Any:
    """rows[at + lane P] = sum over the corners of weight times grid[place + lane], for four lanes."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        grid, places, weights, rows, at = args
        total = None
        for place, weight in _pairs(builder, places, weights):
            read = builder.load(_four(context, builder, signature.args[0], grid, place), align=4)
            term = builder.fmul(read, _splat(builder, weight), flags=("contract",))
            total = term if total is None else builder.fadd(total, term, flags=("contract",))
        for lane, place in enumerate(_lanes(context, builder, signature.args[3], rows, at)):
            builder.store(builder.extract_element(total, ir.IntType(32)(lane)), place)
        return context.get_dummy_value()

    return types.none(grid, places, weights, rows, at), codegen


def _spread4(typing: Any, grid: Any, places: Any, weights: Any, rows: Any, at: Any) -> Any:
    """The transpose of `mix4`: grid[place + lane] += weight times rows[at + lane P]."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        grid, places, weights, rows, at = args
        real = context.get_data_type(signature.args[0].dtype)
        values = ir.Constant(ir.VectorType(real, LANES), ir.Undefined)
        for lane, place in enumerate(_lanes(context, builder, signature.args[3], rows, at)):
            values = builder.insert_element(values, builder.load(place), ir.IntType(32)(lane))
        for place, weight in _pairs(builder, places, weights):
            pointer = _four(context, builder, signature.args[0], grid, place)
            term = builder.fmul(values, _splat(builder, weight), flags=("contract",))
            builder.store(builder.fadd(builder.load(pointer, align=4), term, flags=("contract",)), pointer, align=4)
        return context.get_dummy_value()

    return types.none(grid, places, weights, rows, at), codegen


mix4: Any = intrinsic(_mix4)
spread4: Any = intrinsic(_spread4)


def _pairs(builder: Any, places: Any, weights: Any) -> Any:
    return zip(cgutils.unpack_tuple(builder, places), cgutils.unpack_tuple(builder, weights), strict=True)


def _four(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """A pointer to four numbers of an array."""
    data = context.make_array(kind)(context, builder, array).data
    four = ir.VectorType(context.get_data_type(kind.dtype), LANES)
    return builder.bitcast(builder.gep(data, [place]), four.as_pointer())


def _lanes(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> list[Any]:
    data = context.make_array(kind)(context, builder, array).data
    return [builder.gep(data, [builder.add(at, at.type(lane * P))]) for lane in range(LANES)]


def _splat(builder: Any, value: Any) -> Any:
    nothing = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    first = builder.insert_element(nothing, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
