"""Finding and loading plug-ins: every installed entry point of the group "zero3d", first-party or not."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from zero3d import hookspecs
from zero3d.interfaces import Component
from zero3d.registry import BrokenPlugin, Registered, Registry

GROUP = "zero3d"


def load_plugins() -> Registry:
    """A registry of all installed plug-ins. One that fails is kept in `broken` with its error and harms no other."""
    registry = Registry()
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        _load(registry, point)
    return registry


def register_plugin(registry: Registry, plugin: Any, name: str, package: str = "local", version: str = "0") -> None:
    """Register the components of one imported plug-in (a module or object with the hook).

    Raises:
        TypeError: it has a misspelt hook, no hook, or a class that breaks the rules of `Component`.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(plugin, name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise TypeError(str(error)) from None
    if not manager.hook.register_components.get_hookimpls():
        raise TypeError(f"{name} has no hook implementation; decorate `register_components` with zero3d.hookimpl")
    found: list[type[Component]] = []
    manager.hook.register_components(register=found.append)
    for component in found:
        registry.add(Registered(component, name, package, version))


def _load(registry: Registry, point: EntryPoint) -> None:
    package = point.dist.name if point.dist else "unknown"
    version = point.dist.version if point.dist else "unknown"
    try:
        register_plugin(registry, point.load(), point.name, package, version)
    except Exception as error:  # somebody else's code: whatever it raises, the others must still load
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        registry.broken.append(BrokenPlugin(point.name, package, reason))
