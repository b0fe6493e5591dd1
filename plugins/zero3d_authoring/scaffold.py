"""`zero3d plugins new`: a complete small plug-in, from the templates beside this file."""

from __future__ import annotations

import importlib.util
import keyword
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from string import Template

import yaml

import zero3d
from zero3d.errors import PluginError, did_you_mean
from zero3d.registry import Registry

TEMPLATES = Path(__file__).parent / "templates"
KINDS = tuple(sorted(path.name for path in TEMPLATES.iterdir() if path.name != "common"))
"""What can be written."""
CORE_COMMANDS = ("run", "resume", "export", "recipe")
MAPS = ("guidance", "regularizers", "observers", "export")
"""The recipe's blocks that are indented below their key."""


def write_plugin(registry: Registry, name: str, kind: str, folder: str | Path | None = None) -> Path:
    """Write the package of a component `name` into `folder` (default: ./zero3d_NAME) and return the folder.

    Raises:
        PluginError: no such kind; a name that Python, YAML or somebody else's plug-in has taken; a folder that is not
            empty or cannot be written. Nothing was written then.
    """
    if kind not in KINDS:
        raise PluginError(f"--kind {kind}: no such kind.{did_you_mean(kind, KINDS)}")
    check_name(registry, name, kind)
    target = Path(folder if folder is not None else f"zero3d_{name}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is not empty" if target.is_dir() else "is a file"
        raise PluginError(f"{target}: {what}; name a new folder")
    files = render(name, kind)
    try:
        for path, text in files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PluginError(f"{target}: cannot be written ({error.strerror}); name another folder") from None
    return target


def check_name(registry: Registry, name: str, kind: str) -> None:
    """Hold a component's name against Python, YAML and what is installed.

    Raises:
        PluginError: see `write_plugin`.
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or yaml.safe_load(name) != name:
        words = re.sub("([a-z0-9])([A-Z])", r"\1_\2", name)
        better = re.sub(r"\W+", "_", words, flags=re.ASCII).strip("_0123456789").lower() or "mine"
        if keyword.iskeyword(better) or yaml.safe_load(better) != better:
            better = f"{better}_{kind}"
        raise PluginError(
            f"{name!r}: a name is lower-case letters, digits and _, and no word of Python or YAML; {better}?"
        )
    taken = [entry for entry in registry.all() if (entry.component.kind, entry.component.name) == (kind, name)]
    if taken:
        raise PluginError(f"{name}: {taken[0].package} has a {kind} of that name already; take another")
    if kind == "command" and name in CORE_COMMANDS:
        raise PluginError(f"{name}: zero3d has a command of that name already; take another")
    if importlib.util.find_spec(f"zero3d_{name}"):
        raise PluginError(f"{name}: a package zero3d_{name} is installed already; take another name")


def render(name: str, kind: str) -> dict[str, str]:
    """Every file of the package: its path in the folder -> its text."""
    sources = {path.relative_to(TEMPLATES / part): path for part in ("common", kind) for path in _templates(part)}
    values = _values(
        name, kind, {word for path in sources.values() for word in re.findall(r"\w+", path.read_text(encoding="utf-8"))}
    )
    files = {}
    for relative, path in sources.items():
        place = str(relative.with_suffix("")).replace("package", values["package"]).replace("component", name)
        files[place] = Template(path.read_text(encoding="utf-8")).substitute(values)
    return files


def next_steps(name: str, kind: str, folder: Path) -> str:
    """What to type next."""
    values = _values(name, kind, set())
    lines = [
        f"wrote the {kind.replace('_', ' ')} {name} into {folder}: src/{values['package']}/{name}.py is the place to begin",
        "",
        f"  cd {folder}",
        f"  zero3d plugins show {kind} {name} --plugin .",
        *(f"  {line}" for line in values["try_it"].splitlines()),
        "  pytest                # the laws of its kind, and its own (pip install pytest)",
        "  pip install -e .      # then without --plugin",
    ]
    return "\n".join(lines)


def _templates(part: str) -> list[Path]:
    return sorted((TEMPLATES / part).rglob("*.tmpl"))


def _values(name: str, kind: str, used: set[str]) -> dict[str, str]:
    """What stands for each placeholder; `used`: words that the templates use, which the class must not be called."""
    camel, kind_camel = _camel(name), _camel(kind)
    words = _words("common") | _words(kind)
    values = {
        "name": name,
        "kind": kind,
        "kind_words": kind.replace("_", " "),
        "article": "An" if kind[0] in "aeiou" else "A",
        "cls": next(word for word in (camel, camel + kind_camel, "My" + camel) if word not in used),
        "package": f"zero3d_{name}",
        "distribution": f"zero3d-{name.replace('_', '-')}",
        "range": _range(zero3d.__version__),
        "api": str(zero3d.API_VERSION),
    }
    told = {key: Template(str(text)).substitute(values) for key, text in words.items()}
    told = {key: text if key == "image" else text.rstrip() for key, text in told.items()}
    told |= {key: textwrap.indent(told[key], "  ") for key in MAPS}
    told["about"] = textwrap.fill(told.get("about", ""), 115)
    return {**values, **told, "commented": textwrap.indent(told["try_it"], "#   ")}


def _words(part: str) -> dict[str, str]:
    words: Mapping[str, str] = yaml.safe_load((TEMPLATES / part / "words.yaml").read_text(encoding="utf-8"))
    return dict(words)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _range(version: str) -> str:
    """The versions that keep the plug-in API: the minor version's before 1.0, then the major one's."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"
