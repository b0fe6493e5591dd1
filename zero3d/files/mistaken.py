"""Telling what lies in a file's place: a Git LFS pointer, a web page, nothing."""

from __future__ import annotations

from pathlib import Path


def mistaken(path: str | Path) -> str | None:
    """What a file that cannot be read is, with a remedy; None where it is none of the usual mistakes.

    Raises:
        OSError: it cannot be opened.
    """
    with open(path, "rb") as file:
        head = file.read(512)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file itself; fetch it with: git lfs pull"
    if text.startswith((b"<!doctype html", b"<html")):
        return "a web page, not the file itself; download it again, logged in if need be"
    if not head:
        return "empty; download or copy it again"
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")):
        return "an archive; unpack it and give the file in it"
    return None
