"""Registers the teachers with a known answer, so that recipes can name them."""

from __future__ import annotations

from collections.abc import Callable

from zero3d.hookspecs import hookimpl
from zero3d.interfaces import Component
from zero3d.testing.gaussian import GaussianDenoiser
from zero3d.testing.oracle import OracleDenoiser


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    register(GaussianDenoiser)
    register(OracleDenoiser)
