"""The public names: those of `zero3d.PUBLIC_MODULES` without a leading underscore, each once, where it is exported."""

import ast
import importlib
import inspect

import zero3d


def public_names():
    """module -> its names, in their order. A package that exports a name (`__all__`) comes before where it is defined."""
    modules = {place: importlib.import_module(place) for place in zero3d.PUBLIC_MODULES}
    found, seen = {}, set()
    for place, module in sorted(modules.items(), key=lambda item: (not hasattr(item[1], "__all__"), item[0])):
        found[place] = []
        for name in getattr(module, "__all__", None) or defined(module):
            value = getattr(module, name)
            named = inspect.isclass(value) or inspect.isfunction(value)
            origin = f"{value.__module__}.{value.__qualname__}" if named else f"{place}.{name}"
            if not name.startswith("_") and origin not in seen:
                found[place].append(name)
                seen.add(origin)
    return found


def defined(module):
    """The names that a module's source defines itself, imported ones left out."""
    names = []
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                names += [leaf.id for leaf in ast.walk(target) if isinstance(leaf, ast.Name)]
    return names


def word(module, name):
    """What autodoc calls it: class, exception, function or data."""
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        return "exception" if issubclass(value, Exception) else "class"
    return "function" if inspect.isfunction(value) else "data"
