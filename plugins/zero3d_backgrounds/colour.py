"""A colour as recipes write it."""

from __future__ import annotations

from typing import Any

NAMED = {"black": (0.0, 0.0, 0.0), "grey": (0.5, 0.5, 0.5), "white": (1.0, 1.0, 1.0)}


def parse_colour(value: Any, name: str) -> list[float]:
    """RGB in [0, 1] from a name ("black", "grey", "white") or from three numbers.

    Raises:
        ValueError: it is neither; the message names the option `name`.
    """
    if isinstance(value, str):
        numbers: list[Any] = list(NAMED.get(value, ()))
    else:
        numbers = list(value) if hasattr(value, "__iter__") else []
    good = all(isinstance(n, (int, float)) and not isinstance(n, bool) and 0 <= n <= 1 for n in numbers)
    if len(numbers) != 3 or not good:
        raise ValueError(f"{name}: {value!r}; one of {', '.join(NAMED)}, or [red, green, blue], each 0 to 1")
    return [float(n) for n in numbers]
