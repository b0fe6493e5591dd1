"""Shell completion: commands, options, recipes, their keys and values. A shell asks at every tab, so torch stays out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from zero3d.cli.parser import common_options, make_parser
from zero3d.cli.static import Option, fields_of, options_of, words_of
from zero3d.files.recipe_names import is_path, recipe_file, recipes
from zero3d.plugins import load_plugins
from zero3d.registry import Promised, Registry

OWN_OPTIONS = {"guidance": ("weight", "every", "denoiser"), "regularizer": ("weight", "every", "view")}
"""What the engine knows of a block, beside its component's options."""


def script(shell: str) -> str:
    """What the shell must read: `eval "$(zero3d completion bash)"`."""
    from argcomplete.shell_integration import shellcode

    return str(shellcode(["zero3d"], shell=shell))


def complete() -> None:
    """Answer the shell, which asks by the environment, and end the process."""
    import argcomplete

    words = os.environ.get("COMP_LINE", "")[: int(os.environ.get("COMP_POINT", "0") or 0)].split()[1:]
    common, rest = common_options().parse_known_args(_finished(words))
    registry = load_plugins(common.plugin)
    parser, _ = make_parser(registry, next((word for word in rest if not word.startswith("-")), "-"))
    _equip(parser, registry)
    argcomplete.autocomplete(parser, always_complete_options=False)


def _finished(words: list[str]) -> list[str]:
    """Without an option at the end whose value is still to come."""
    return words[:-1] if words[-1:] == ["--plugin"] else words


def _equip(parser: argparse.ArgumentParser, registry: Registry) -> None:
    """Give each argument, by its name, what completes it."""
    from argcomplete.completers import DirectoriesCompleter, FilesCompleter

    def recipe(prefix: str, **rest: Any) -> Iterable[str]:
        return list(FilesCompleter(("yaml", "yml"))(prefix)) if prefix and is_path(prefix) else recipes()

    def override(prefix: str, parsed_args: argparse.Namespace, **rest: Any) -> Iterable[str]:
        key, equals, value = prefix.partition("=")
        known = Keys(registry, parsed_args)
        if not equals:
            return [f"{one}=" for one in known.values]
        if key in ("image", "images") or key.endswith((".path", ".weights")):
            return [f"{key}={file}" for file in FilesCompleter()(value)]
        return [f"{key}={one}" for one in known.values.get(key, ())]

    def name(prefix: str, **rest: Any) -> Iterable[str]:
        return registry.names("reconstructor")

    by_dest = {"recipe": recipe, "overrides": override, "run": DirectoriesCompleter()}
    for command, sub in _below(parser):
        for action in sub._actions:
            if command == "reconstruct" and action.dest == "name":
                completer: Any = name
            elif command == "recipes" and action.dest == "words":
                completer = recipe
            else:
                completer = by_dest.get(action.dest)
            if completer is not None and action.choices is None:
                action.completer = completer  # type: ignore[attr-defined]


def _below(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield name, sub
                yield from ((name, inner) for _, inner in _below(sub))


class Keys:
    """The keys of the recipe named on the line, dotted. `values`: key -> the words it takes, none where anything goes."""

    def __init__(self, registry: Registry, line: argparse.Namespace) -> None:
        self.registry = registry
        self.values: dict[str, tuple[str, ...]] = {}
        self.single, self.maps = (words_of("zero3d.recipe.load", name) for name in ("SINGLE_BLOCKS", "BLOCK_MAPS"))
        pairs = (text.partition("=") for text in getattr(line, "overrides", None) or ())
        self.given = {key: value for key, _, value in pairs}
        self._add(fields_of("zero3d.recipe.options:RunOptions"), "")
        self._walk(_mapping(getattr(line, "recipe", None)), "")
        self.values |= {f"regularizers.{name}.weight": () for name in registry.names("regularizer")}
        self.values |= {f"{key}.type": tuple(registry.names(kind)) for key, kind in self.single.items()}

    def _walk(self, source: Mapping[str, Any], prefix: str) -> None:
        for key, value in source.items():
            place = f"{prefix}{key}"
            if key in self.single:
                self._block(self.single[key], value, place, "")
            elif key in self.maps and isinstance(value, Mapping):
                for label, block in value.items():
                    self._block(self.maps[key], block, f"{place}.{label}", str(label))
            elif key == "stages" and isinstance(value, Mapping):
                for label, stage in value.items():
                    self._walk(stage if isinstance(stage, Mapping) else {}, f"{place}.{label}.")
            elif isinstance(value, Mapping):
                self._walk(value, f"{place}.")
            else:
                self.values.setdefault(place, ())

    def _block(self, kind: str, value: Any, place: str, label: str) -> None:
        names = tuple(self.registry.names(kind))
        own = value if isinstance(value, Mapping) else {}
        name = self.given.get(f"{place}.type") or str(own.get("type") or label)
        self.values |= {place: (), f"{place}.type": names}
        self._add([*map(Option, OWN_OPTIONS.get(kind, ())), *self._options(kind, name)], f"{place}.")
        self._walk({key: one for key, one in own.items() if key != "type"}, f"{place}.")

    def _options(self, kind: str, name: str) -> tuple[Option, ...]:
        for entry in self.registry.brought():
            if (entry.kind, entry.name) != (kind, name):
                continue
            if isinstance(entry, Promised):
                return options_of(entry.lazy.target)
            return tuple(Option(field) for field in entry.component.Config.__dataclass_fields__)
        return ()

    def _add(self, options: Iterable[Option], prefix: str) -> None:
        for option in options:
            if option.nested:
                self._add(option.nested, f"{prefix}{option.name}.")
            else:
                self.values[f"{prefix}{option.name}"] = option.choices


def _mapping(recipe: Any) -> Mapping[str, Any]:
    """What the recipe's file says; nothing if it cannot be read."""
    import yaml

    try:
        found = yaml.safe_load(recipe_file(str(recipe)).read_text(encoding="utf-8"))
    except Exception:  # while somebody types
        return {}
    return found if isinstance(found, Mapping) else {}
