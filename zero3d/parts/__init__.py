"""The parts of a run, built from a recipe and held against each other before any weight is read."""

from zero3d.parts.build import build_parts, build_stages, estimators, memory_of
from zero3d.parts.devices import choose_device
from zero3d.parts.fit import ENGINE_PROVIDES
from zero3d.parts.groups import optimizer_group
from zero3d.parts.memory import Memory, component_size, estimate_memory, free_bytes
from zero3d.parts.parts import GuidanceTerm, Parts, RegularizerTerm

__all__ = [
    "ENGINE_PROVIDES",
    "GuidanceTerm",
    "Memory",
    "Parts",
    "RegularizerTerm",
    "build_parts",
    "build_stages",
    "choose_device",
    "component_size",
    "estimate_memory",
    "estimators",
    "free_bytes",
    "memory_of",
    "optimizer_group",
]
