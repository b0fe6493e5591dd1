"""Plug-ins that are not installed: a folder with a pyproject.toml, or a single .py file, named with `--plugin PATH`."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from zero3d.errors import PluginError

GROUP = "zero3d"
"""The entry-point group of plug-ins."""


@dataclass(frozen=True)
class LocalPlugin:
    """One plug-in of `path`. `target`: the entry point's value, "module" or "module:attribute"; empty for a .py file."""

    name: str
    package: str
    version: str
    path: Path
    target: str = ""

    def load(self) -> Any:
        """Import it; whatever its code raises is passed on.

        Raises:
            PluginError: Python finds another module of that name.
        """
        if not self.target:
            return self._load_file()
        root = self.path / "src" if (self.path / "src").is_dir() else self.path
        if str(root) not in sys.path:
            sys.path.insert(0, str(root))
        importlib.invalidate_caches()
        point = EntryPoint(self.name, self.target, GROUP)
        loaded = point.load()
        file = getattr(sys.modules[point.module], "__file__", None)
        if file and not Path(file).resolve().is_relative_to(self.path):
            raise PluginError(f"its module {point.module} is another one, {file}; rename it")
        return loaded

    def _load_file(self) -> Any:
        known = sys.modules.get(self.name)
        if known is not None:
            if getattr(known, "__file__", None) == str(self.path):
                return known
            raise PluginError(f"a module {self.name} exists already; rename the file")
        spec = importlib.util.spec_from_file_location(self.name, self.path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module  # a dataclass looks up its annotations there
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[self.name]
            raise
        return module


def find_local(given: str | Path) -> list[LocalPlugin]:
    """The plug-ins of a folder (those its pyproject.toml lists as entry points) or of a .py file; nothing is imported.

    Raises:
        PluginError: there is no such path, or no plug-in in it.
    """
    path = Path(given).resolve()
    if path.is_file() and path.suffix == ".py":
        return [LocalPlugin(path.stem, path.name, "0", path)]
    project = path / "pyproject.toml"
    if not project.is_file():
        what = "no pyproject.toml in it" if path.is_dir() else "no such folder"
        raise PluginError(f"--plugin {given}: {what}; name the folder of a plug-in, or a .py file")
    try:
        table = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        points = dict(table.get("entry-points", {}).get(GROUP, {}))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, AttributeError, TypeError, ValueError) as error:
        raise PluginError(f"--plugin {given}: pyproject.toml cannot be read ({error}); mend it") from None
    if not points:
        raise PluginError(
            f"--plugin {given}: pyproject.toml has no plug-in; add [project.entry-points.{GROUP}] with NAME = 'MODULE'"
        )
    package, version = str(table.get("name", path.name)), str(table.get("version", "0"))
    return [LocalPlugin(name, package, version, path, str(target)) for name, target in points.items()]
