"""Registers the teachers with a known answer, so that recipes can name them."""

from __future__ import annotations

from collections.abc import Callable

from zero3d.hookspecs import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("denoiser", "gaussian", "zero3d.testing.gaussian:GaussianDenoiser"))
    register(Lazy("denoiser", "oracle", "zero3d.testing.oracle:OracleDenoiser"))
