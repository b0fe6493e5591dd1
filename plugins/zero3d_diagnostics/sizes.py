"""How large things are, in words."""

from __future__ import annotations


def in_bytes(count: int) -> str:
    """2_000_000 -> "1.9 MiB"."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
