"""Finding and loading plug-ins: every installed entry point of the group "zero3d", first-party or not, and local ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from zero3d import __version__, hookspecs
from zero3d.errors import PluginError
from zero3d.hookspecs import Lazy
from zero3d.interfaces import Component
from zero3d.interfaces.api_changes import outdated
from zero3d.plugins.local import GROUP, find_local
from zero3d.registered import Promised, Registered, check_component, check_promise, reason
from zero3d.registry import BrokenPlugin, Registry


def load_plugins(local: Sequence[str | Path] = ()) -> Registry:
    """A registry of all installed plug-ins, and of those in the folders or .py files `local`, which need no install.

    An installed one that fails is kept in `broken` with its error and harms no other. A local one takes the place of
    the same plug-in installed.

    Raises:
        PluginError: a local one cannot be loaded: it was asked for by name.
    """
    registry = Registry()
    found = [plugin for path in dict.fromkeys(map(_resolved, local)) for plugin in find_local(path)]
    for plugin in found:
        try:
            register_plugin(registry, plugin.load(), plugin.name, plugin.package, plugin.version, str(plugin.path))
        except (Exception, SystemExit) as error:  # somebody else's code
            raise PluginError(f"--plugin {plugin.path}: {plugin.name}: {reason(error)}") from error
    here = {(_canonical(plugin.package), plugin.name) for plugin in found}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        if (_canonical(_distribution(point.dist)[0]), point.name) not in here:
            _load(registry, point)
    return registry


def register_plugin(
    registry: Registry, plugin: Any, name: str, package: str = "local", version: str = "0", path: str = ""
) -> None:
    """Register the components of one imported plug-in (a module or object with the hook).

    Raises:
        PluginError: it states (`ZERO3D_API`) that it was written for another API version than this.
        TypeError: it has a misspelt hook, no hook, or a class that breaks the rules of `Component`.
    """
    stated = str(getattr(plugin, "ZERO3D_API", hookspecs.API_VERSION))
    if stated != str(hookspecs.API_VERSION):
        raise PluginError(_other_api(plugin, name, stated, package, path))
    found = _components(plugin, name)
    origin = (name, package, version, path)
    entries = [Promised(one, *origin) if isinstance(one, Lazy) else Registered(one, *origin) for one in found]
    if path:  # asked for by name: what is wrong with it is told now
        entries = [entry.kept() if isinstance(entry, Promised) else entry for entry in entries]
    for entry in entries:  # all of them before the first is added: a plug-in is loaded whole or not at all
        if isinstance(entry, Registered):
            check_component(entry.component)
        else:
            check_promise(entry.lazy)
    for entry in entries:
        registry.add(entry)


def _components(plugin: Any, name: str) -> list[type[Component] | Lazy]:
    """What its hook registers, unchecked.

    Raises:
        TypeError: a misspelt hook, or none.
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
    found: list[type[Component] | Lazy] = []
    manager.hook.register_components(register=found.append)
    return found


def _other_api(plugin: Any, name: str, stated: str, package: str, path: str) -> str:
    """Why a plug-in that states another API cannot be used, what in it must be written otherwise, and where to get it."""
    ours = hookspecs.API_VERSION
    try:
        changed = [
            f"{component.__qualname__}: {line}"
            for component in _components(plugin, name)
            if not isinstance(component, Lazy) and (line := outdated(component))
        ]
    except Exception:  # somebody else's code, of another API
        changed = []
    why = f"written for plug-in API {stated}, but zero3d {__version__} has {ours}"
    upgrade = "" if path else f"upgrade the older of them: pip install -U zero3d {package}, or "
    if changed:
        return f"{why}; {upgrade}write what changed: {'; '.join(changed)}; then state ZERO3D_API = {ours}"
    return f"{why}; {upgrade}state ZERO3D_API = {ours} once it is adapted"


def _resolved(path: str | Path) -> Path:
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, ValueError, OSError) as error:  # ~nobody, links in a circle, a name that is none
        raise PluginError(f"--plugin {path}: {error}; name the folder of a plug-in, or a .py file") from None


@cache
def _distribution(found: Distribution | None) -> tuple[str, str]:
    """Name and version; either reads all that the distribution says of itself, anew for each of its plug-ins."""
    return (found.name, found.version) if found else ("unknown", "unknown")


def _load(registry: Registry, point: EntryPoint) -> None:
    package, version = _distribution(point.dist)
    try:
        register_plugin(registry, point.load(), point.name, package, version)
    except (Exception, SystemExit) as error:  # somebody else's code: whatever it raises, the others must still load
        registry.broken.append(BrokenPlugin(point.name, package, reason(error), error))


def _canonical(package: str) -> str:
    """A distribution's name as pip compares them (PEP 503)."""
    return re.sub(r"[-_.]+", "-", package).lower()
