"""What a module's source says of a class's options, without importing it: shell completion has no second for torch."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

DEEPEST = 8
"""How many bases and imports are followed."""


@dataclass(frozen=True)
class Option:
    """An option's name and the values that its class takes, as far as the source names them; `nested`: a dataclass's."""

    name: str
    choices: tuple[str, ...] = ()
    nested: tuple[Option, ...] = ()


def options_of(target: str) -> tuple[Option, ...]:
    """The options of a component ("module:Class"): the fields of its Config; none if the source does not say."""
    found = _class(*_split(target))
    for module, node in _lineage(found):
        for line in node.body:
            value = getattr(line, "value", None)
            if "Config" in _places(line) and isinstance(value, ast.Name):
                return _fields(_class(module, value.id))
    return ()


def fields_of(target: str) -> tuple[Option, ...]:
    """The fields of a dataclass ("module:Class")."""
    return _fields(_class(*_split(target)))


def words_of(module: str, name: str, depth: int = DEEPEST) -> dict[str, str]:
    """A constant: the words of a tuple, list or set, or the keys of a dict, each with its value ("" if that is no word)."""
    tree = _tree(module)
    for node in tree.body if tree else ():
        if isinstance(node, ast.ImportFrom) and depth and any((a.asname or a.name) == name for a in node.names):
            original = next(a.name for a in node.names if (a.asname or a.name) == name)
            return words_of(str(node.module), original, depth - 1)
        if name in _places(node):
            return _words(getattr(node, "value", None))
    return {}


def _split(target: str) -> tuple[str, str]:
    module, _, name = target.partition(":")
    return module, name


def _places(node: ast.AST) -> list[str]:
    """The names that a line assigns to."""
    places = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [place.id for place in places if isinstance(place, ast.Name)]


@cache
def _tree(module: str) -> ast.Module | None:
    """The module's source as a tree; None where there is none."""
    folders, path = list(sys.path), None
    for part in module.split("."):
        spec = PathFinder.find_spec(part, folders)
        known = sys.modules.get(module.partition(".")[0]) if spec is None and path is None else None
        if spec is not None:
            folders, path = list(spec.submodule_search_locations or ()), spec.origin
        elif known is not None:  # found by an editable install's finder, and imported
            folders, path = list(getattr(known, "__path__", ())), getattr(known, "__file__", None)
        else:
            return None
    try:
        return ast.parse(Path(str(path)).read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return None


def _class(module: str, name: str, depth: int = DEEPEST) -> tuple[str, ast.ClassDef] | None:
    """The class with the module that holds it; imports are followed."""
    tree = _tree(module)
    for node in tree.body if tree and depth else ():
        if isinstance(node, ast.ClassDef) and node.name == name:
            return module, node
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _class(node.module, alias.name, depth - 1)
    return None


def _lineage(found: tuple[str, ast.ClassDef] | None, depth: int = DEEPEST) -> list[tuple[str, ast.ClassDef]]:
    """The class and its bases, nearest first."""
    if found is None or not depth:
        return []
    module, node = found
    bases = [_class(module, base.id) for base in node.bases if isinstance(base, ast.Name)]
    return [found, *(one for base in bases for one in _lineage(base, depth - 1))]


def _fields(found: tuple[str, ast.ClassDef] | None) -> tuple[Option, ...]:
    lineage = _lineage(found)
    choices: dict[str, tuple[str, ...]] = {}
    options: dict[str, Option] = {}
    for module, node in reversed(lineage):
        choices |= _checked(module, node)
        for line in node.body:
            if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                kind = ast.unparse(line.annotation)
                if not kind.startswith("ClassVar") and not line.target.id.startswith("_"):
                    truth = ("true", "false") if kind == "bool" else ()
                    nested = _fields(_class(module, kind)) if kind.endswith("Options") else ()
                    options[line.target.id] = Option(line.target.id, truth, nested)
    return tuple(Option(o.name, choices.get(o.name, o.choices), o.nested) for o in options.values())


def _checked(module: str, node: ast.ClassDef) -> dict[str, tuple[str, ...]]:
    """Field -> the words that `__post_init__` holds it against: `self.FIELD not in WORDS`, or in a loop over such pairs."""
    methods = [own for own in node.body if isinstance(own, ast.FunctionDef) and own.name == "__post_init__"]
    found = {field: words for method in methods for inner in ast.walk(method) for field, words in _holds(inner)}
    named = {
        field: words_of(module, value.id) if isinstance(value, ast.Name) else _words(value)
        for field, value in found.items()
    }
    return {field: tuple(words) for field, words in named.items() if words}


def _holds(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The field that a piece of `__post_init__` holds against words, with those."""
    match node:
        case ast.Compare(left=ast.Attribute(attr=field), ops=[ast.In() | ast.NotIn()], comparators=[words]):
            yield field, words
        case ast.Tuple(elts=[ast.Constant(value=str(field)), words]):  # of a loop over such pairs
            yield field, words


def _words(value: ast.expr | None) -> dict[str, str]:
    keys = value.keys if isinstance(value, ast.Dict) else getattr(value, "elts", ())
    values = value.values if isinstance(value, ast.Dict) else [None] * len(keys)
    pairs = zip(keys, values, strict=True)
    return {_word(key): _word(one) for key, one in pairs if _word(key)}


def _word(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
