"""What a file of weights really is: downloads often leave something else under its name."""

from __future__ import annotations

import re
from pathlib import Path

from zero3d.errors import RecipeError

HEAD = 512
"""Bytes that tell one kind from another."""
LFS = b"version https://git-lfs.github.com/spec/"
OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
"""A pickled magic number: how torch.save's files began before PyTorch 1.6."""
ARCHIVES = {b"\x1f\x8b": "gzip", b"7z\xbc\xaf": "7-Zip", b"\xfd7zX": "xz", b"\x28\xb5\x2f\xfd": "Zstandard"}


def impostor(path: Path) -> str:
    """What stands there in place of weights, and the remedy, for the end of a line; "" if nothing speaks against it.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        head = file.read(HEAD)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "is empty; download it again"
    if head.startswith(LFS):
        size = re.search(rb"^size (\d+)$", head, re.MULTILINE)
        of = f" for {int(size[1]) / 1e9:.3g} GB" if size and len(size[1]) < 16 else ""
        return (
            f"is a Git LFS pointer{of}, not the weights; run `git lfs pull` in its folder, or download the file itself"
        )
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "is a web page, not weights; where they must be unlocked, log in first, then download it again"
    if head.startswith(OLD_TORCH):
        return "is in PyTorch's form from before 1.6; load and save it with a newer PyTorch, or take another file"
    for magic, name in ARCHIVES.items():
        if head.startswith(magic):
            return f"is a {name} archive; unpack it, and name the file in it"
    if not head.strip(b"\0"):
        return "begins with zeros, as a download that was cut off; download it again"
    return ""


def refuse_impostor(path: Path, place: str = "denoiser.weights") -> None:
    """For a file that a recipe names at `place`.

    Raises:
        RecipeError: it cannot be read, or is no weights; one line.
    """
    try:
        found = impostor(path)
    except OSError as error:
        raise RecipeError(f"{place}: {path}: cannot be read ({error.strerror})") from None
    if found:
        raise RecipeError(f"{place}: {path} {found}")


def is_pickled(path: Path) -> bool:
    """Whether it is a checkpoint of torch.save's, not safetensors: by its first bytes, else by its name."""
    with open(path, "rb") as file:
        head = file.read(9)
    if head.startswith(b"PK\x03\x04"):
        return True
    return head[8:] != b"{" and path.suffix != ".safetensors"
