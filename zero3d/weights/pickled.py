"""Reading a PyTorch checkpoint (.ckpt) without running what is pickled in it.

A pickle is a program. This reader follows it with names of its own: tensors become references into the file, which are
read when asked for; training frameworks' objects become inert stubs, whose classes are never imported; any other name is
refused. Optimizer states are references nobody asks for, and cost nothing.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d.errors import RecipeError

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
SCALAR = re.compile(r"[<>|=]?[fiub]\d{1,2}")
LOCAL_HEADER = 30
"""Bytes of a zip entry's header before its name and extra field."""
LONGEST = 2**28
"""Bytes of the longest pickle that is read; the published one has half a million."""


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class _Reference:
    """A strided tensor in a storage; nothing is read yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class PickledTensors(Mapping[str, Tensor]):
    """The tensors of a checkpoint's `state_dict`, its `model`, or a bare dictionary of tensors, each mapped when asked for.

    A mapped tensor takes memory only where it is touched, and changes to it do not reach the file.
    `step`: the checkpoint's global_step, or None.
    """

    def __init__(self, path: Path, place: str = "denoiser.weights") -> None:
        """Reads the table of contents alone. `place`: the recipe's key, with which an error's line begins.

        Raises:
            RecipeError: no zip of PyTorch's (1.6 or later), a forbidden name in the pickle, or no tensors.
        """
        self._path, self._place = path, place
        try:
            with zipfile.ZipFile(path) as archive:
                self._starts = _starts(path, archive)
                (program,) = (
                    name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")
                )
                if archive.getinfo(program).file_size > LONGEST:
                    raise ValueError(f"a pickle of {archive.getinfo(program).file_size} bytes")
                content = _Reader(_bounded(archive.read(program)), path, place).load()
        except RecipeError:
            raise
        except Exception as error:  # a program that is nonsense may raise anything, from AttributeError to MemoryError
            raise RecipeError(
                f"{place}: {path}: cannot be read as a checkpoint ({one_line(error)}); download it again"
            ) from None
        self._folder = program.removesuffix("data.pkl")
        content = content if isinstance(content, dict) else {}
        model = content.get("model")
        held = content.get("state_dict", model if isinstance(model, dict) else content)
        self._references = {name: value for name, value in held.items() if isinstance(value, _Reference)}
        if not self._references:
            raise RecipeError(f"{place}: {path}: holds no tensors; give a checkpoint of weights")
        step = content.get("global_step")
        self.step = step if isinstance(step, int) else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._references)

    def __len__(self) -> int:
        return len(self._references)

    def __getitem__(self, name: str) -> Tensor:
        reference = self._references[name]
        dtype = reference.storage.dtype
        place = self._starts.get(f"{self._folder}data/{reference.storage.key}")
        if place is None:
            raise RecipeError(f"{self._place}: {self._path}: {name}'s data are missing; download it again")
        start, size = place
        last = reference.offset + sum((n - 1) * s for n, s in zip(reference.shape, reference.stride, strict=True))
        if min(reference.shape, default=1) == 0:
            return torch.empty(reference.shape, dtype=dtype)
        if reference.offset < 0 or min(reference.stride, default=0) < 0 or (last + 1) * dtype.itemsize > size:
            raise RecipeError(f"{self._place}: {self._path}: {name} reaches beyond its data; download it again")
        data = numpy.memmap(self._path, dtype=numpy.uint8, mode="c", offset=start, shape=(size,))
        flat = torch.from_numpy(data)
        flat = flat if data.ctypes.data % dtype.itemsize == 0 else flat.clone()
        flat = flat[: size - size % dtype.itemsize].view(dtype)
        try:
            return flat.as_strided(reference.shape, reference.stride, reference.offset)
        except (RuntimeError, TypeError, OverflowError) as error:
            raise RecipeError(f"{self._place}: {self._path}: {name}: {one_line(error)}; download it again") from None


def _starts(path: Path, archive: zipfile.ZipFile) -> dict[str, tuple[int, int]]:
    """Where the bytes of each stored entry begin in the file, and how many they are."""
    starts = {}
    size = path.stat().st_size
    with open(path, "rb") as file:
        for entry in archive.infolist():
            if entry.compress_type != zipfile.ZIP_STORED:
                continue  # PyTorch compresses nothing; a compressed tensor is then missing by name
            file.seek(entry.header_offset)
            header = file.read(LOCAL_HEADER)
            start = entry.header_offset + LOCAL_HEADER + int.from_bytes(header[26:28], "little")
            start += int.from_bytes(header[28:30], "little")
            if start + entry.file_size > size:
                raise ValueError(f"{entry.filename} ends beyond the file")
            starts[entry.filename] = (start, entry.file_size)
    return starts


def _bounded(program: bytes) -> bytes:
    """The program, if it reserves no more memory than it has use for: a memo's index is taken as the length of a table.

    Raises:
        ValueError: it does, or is cut off.
    """
    for opcode, argument, _ in pickletools.genops(program):
        if "PUT" in opcode.name and argument is not None and argument > len(program):
            raise ValueError(f"its memo's index {argument}")
    return program


class _Reader(pickle.Unpickler):
    """An unpickler whose every name is one of ours."""

    def __init__(self, program: bytes, path: Path, place: str) -> None:
        super().__init__(io.BytesIO(program))
        self._path, self._place = path, place

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module.split(".")[0] in ("pytorch_lightning", "lightning") or (module, name) == ("argparse", "Namespace"):
            return type(name, (_Inert,), {})
        allowed = ALLOWED.get((module, name))
        if allowed is None:
            raise RecipeError(
                f"{self._place}: {self._path}: its pickle names {module}.{name}, which is neither a tensor nor a "
                "number and is not run; take a .safetensors file, or a checkpoint from its publisher"
            )
        return allowed

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, _ = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("an unknown kind of storage")
        return _Storage(str(key), dtype)


class _Inert:
    """Stands where a training framework's object stood; takes whatever it is given and keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None: ...
    def __setstate__(self, state: Any) -> None: ...
    def __setitem__(self, key: Any, value: Any) -> None: ...
    def append(self, value: Any) -> None: ...
    def extend(self, values: Any) -> None: ...


def _tensor(storage: _Storage, offset: int, shape: Any, stride: Any, *_: Any) -> _Reference:
    if not isinstance(storage, _Storage) or len(shape) != len(stride):
        raise pickle.UnpicklingError("a tensor without its storage, or of two dimensions")
    return _Reference(storage, int(offset), tuple(map(int, shape)), tuple(map(int, stride)))


def _parameter(data: _Reference, *_: Any) -> _Reference:
    return data


class _Dtype(_Inert):
    """numpy.dtype: its code alone is kept."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code


def _scalar(dtype: _Dtype, data: bytes) -> int | float | bool:
    if not SCALAR.fullmatch(dtype.code) or not isinstance(data, bytes):
        raise pickle.UnpicklingError(f"a number of type {dtype.code!r}")
    return numpy.frombuffer(data, dtype.code, count=1)[0].item()  # type: ignore[no-any-return]


def _encode(text: str, encoding: str) -> bytes:
    """_codecs.encode, with which Python 2's protocol writes bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding!r}")
    return text.encode("latin1")


ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): _encode,
}


def one_line(error: Exception) -> str:
    """Its first line, not too long, or its type's name."""
    return str(error).splitlines()[0][:160] if str(error).strip() else type(error).__name__
