"""Weights that somebody published: where each file or repository is, how large, and under which licence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """One file or repository. `name`: the file's name or the hub id. `where`: its address, https://…

    `gigabytes`: of the download; None where nobody here has seen it. `sha256`: of a single file, where it is known.
    `part`: which of the component's options takes it ("weights"), said where it is another one.
    """

    name: str
    where: str
    licence: str
    gigabytes: float | None = None
    sha256: str = ""
    note: str = ""
    part: str = "weights"

    @property
    def line(self) -> str:
        """For messages: where, how large, which licence."""
        size = f"{self.gigabytes:.1f} GB" if self.gigabytes else "size unknown"
        return f"{self.where} ({size}, {self.licence})"


@dataclass(frozen=True)
class Conversion:
    """What `zero3d weights convert` asks: read `path`, write the folder `out`, in diffusers' layout, whole or not at all.

    dtype: float32, float16 or bfloat16. ema: take the averaged network. pose: of Zero-1-to-3, auto, zero123 or stable.
    config: a JSON file as the component's own option `config`, for networks that are not of the published size; or empty.
    tokenizer: a folder or hub id with the tokenizer's files, copied into `out`; or empty. prediction: epsilon, v_prediction,
    or auto: as the file says. tell: takes lines of progress.
    """

    path: Path
    out: Path
    dtype: str = "float32"
    ema: bool = True
    pose: str = "auto"
    config: str = ""
    tokenizer: str = ""
    prediction: str = "auto"
    tell: Callable[[str], None] = field(default=lambda line: None)


def hub(name: str, licence: str, gigabytes: float | None = None, note: str = "", part: str = "weights") -> Published:
    """A repository of the Hugging Face hub by its id."""
    return Published(name, f"https://huggingface.co/{name}", licence, gigabytes, note=note, part=part)


def find(name: str, among: Iterable[Published]) -> Published | None:
    """By file name or hub id."""
    return next((entry for entry in among if entry.name == name), None)
