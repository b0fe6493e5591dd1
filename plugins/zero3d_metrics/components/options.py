"""Checks that options of several metrics share."""

from __future__ import annotations

from collections.abc import Iterable


def one_of(name: str, value: str, known: Iterable[str]) -> None:
    """Raises ValueError."""
    known = list(known)
    if value not in known:
        raise ValueError(f"{name}: {value!r}; one of {', '.join(known)}")
