"""`zero3d plugins new`: a complete small plug-in, from the templates beside this file."""

from __future__ import annotations

import importlib.util
import keyword
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

import yaml

import zero3d
from zero3d.errors import PluginError, did_you_mean
from zero3d.registry import Registry

TEMPLATES = Path(__file__).parent / "templates"
SHARED = ("common", "distillation", "training")
"""What is no kind: the files of every package, of one with a recipe, and of one with a training recipe."""
KINDS = tuple(sorted(path.name for path in TEMPLATES.iterdir() if path.name not in SHARED))
"""What can be written: the registry's kinds, and "trainable_denoiser", a denoiser that `zero3d train` fits."""
TRAINED = ("dataset", "trainable_denoiser")
MEASURES = ("evaluation_set", "executor", "metric")
"""Those of `zero3d benchmark`."""
CORE_COMMANDS = ("run", "resume", "export", "reconstruct", "completion")
MAPS = ("guidance", "regularizers", "observers", "export", "stages")
"""The recipe's blocks that are indented below their key."""
BLOCKS = {
    "camera_sampler": "cameras",
    "exporter": "export",
    "image_source": "image",
    "observer": "observers",
    "reconstructor": "start",
    "regularizer": "regularizers",
    "trainable_denoiser": "denoiser",
}
"""The recipe's block that is a kind's own, where it is not called like the kind: there no other kind has a say."""
OWN_WORDS = ("about", "purpose", "training_purpose", "also", "registered")
"""What each kind of a package says for itself."""


def write_plugin(registry: Registry, name: str, kinds: Sequence[str], folder: str | Path | None = None) -> Path:
    """Write the package of a component `name` of each kind into `folder` (default: ./zero3d_NAME) and return the folder.

    Raises:
        PluginError: no such kind, or one twice; a name that Python, YAML or somebody else's plug-in has taken; a folder
            that is not empty or cannot be written. Nothing was written then.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise PluginError(f"--kind {kind}: no such kind.{did_you_mean(kind, KINDS)}")
    registered = [registered_kind(kind) for kind in kinds]
    for kind in registered:
        if registered.count(kind) > 1:
            raise PluginError(f"--kind {','.join(kinds)}: two would be the {kind} {name!r}; name each kind once")
    for kind in registered:
        check_name(registry, name, kind)
    if str(folder) in KINDS:  # `--kind guidance regularizer`
        several = ",".join([*kinds, str(folder)])
        raise PluginError(
            f"{folder}: a kind, not a folder; --kind {several} for both, ./{folder} for a folder of that name"
        )
    target = Path(folder if folder is not None else f"zero3d_{name}")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is not empty" if target.is_dir() else "is a file"
        raise PluginError(f"{target}: {what}; name a new folder")
    files = render(name, kinds)
    try:
        for path, text in files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PluginError(f"{target}: cannot be written ({error.strerror}); name another folder") from None
    return target


def registered_kind(kind: str) -> str:
    """The registry's name of what a template makes."""
    return "denoiser" if kind == "trainable_denoiser" else kind


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


def render(name: str, kinds: Sequence[str]) -> dict[str, str]:
    """Every file of the package: its path in the folder -> its text."""
    kinds = sorted(kinds)
    parts = ["common", *(["distillation"] if distils(kinds) else [])]
    parts += ["training"] if trains(kinds) else []
    words = {kind: {word for path in _templates(kind) for word in re.findall(r"\w+", _read(path))} for kind in kinds}
    modules = {kind: kind if len(kinds) > 1 else name for kind in kinds}
    classes = {kind: _class(name, kind, words[kind], len(kinds) > 1) for kind in kinds}
    own = {kind: {**_plain(name), **_one(name, kind, modules[kind], classes[kind])} for kind in kinds}
    shared = _shared(name, kinds, own)
    files = {}
    for part, values in [*((part, shared) for part in parts), *((kind, own[kind]) for kind in kinds)]:
        for path in _templates(part):
            place = str(path.relative_to(TEMPLATES / part).with_suffix(""))
            place = place.replace("package", values["package"]).replace("component", values["module"])
            files[place] = Template(_read(path)).substitute(values)
    return files


def next_steps(name: str, kinds: Sequence[str], folder: Path) -> str:
    """What to type next."""
    kinds = sorted(kinds)
    files = ", ".join(f"{kind if len(kinds) > 1 else name}.py" for kind in kinds)
    place = "is the place to begin" if len(kinds) == 1 else "are the places to begin"
    lines = [
        f"wrote the {listed(kinds)} {name} into {folder}: {files} in src/zero3d_{name} {place}",
        "",
        f"  cd {folder}",
        *(f"  {line}" for line in [*_shows(name, kinds), *_try_it(name, kinds)]),
        "  pytest                # the laws of its kind, and its own (pip install pytest)",
        "  pip install -e .      # then without --plugin",
    ]
    return "\n".join(lines)


def distils(kinds: Sequence[str]) -> bool:
    """Whether some of the kinds has a place in a recipe of `zero3d run`."""
    return any(kind not in ("dataset", *MEASURES) for kind in kinds)


def trains(kinds: Sequence[str]) -> bool:
    """Whether some has one in a recipe of `zero3d train`."""
    return any(kind in TRAINED for kind in kinds)


def listed(kinds: Sequence[str]) -> str:
    """Their names in a sentence."""
    words = [kind.replace("_", " ") for kind in kinds]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _templates(part: str) -> list[Path]:
    return sorted((TEMPLATES / part).rglob("*.tmpl"))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _plain(name: str) -> dict[str, str]:
    """What does not depend on the kinds."""
    return {
        "name": name,
        "package": f"zero3d_{name}",
        "distribution": f"zero3d-{name.replace('_', '-')}",
        "range": _range(zero3d.__version__),
        "api": str(zero3d.API_VERSION),
    }


def _class(name: str, kind: str, used: set[str], several: bool) -> str:
    """The component's class; `used`: words that its template uses, which it must not be called."""
    camel, kind_camel = _camel(name), _camel(kind)
    plain = [] if several else [camel]
    return next(word for word in (*plain, camel + kind_camel, "My" + camel + kind_camel) if word not in used)


def _one(name: str, kind: str, module: str, cls: str) -> dict[str, str]:
    """What stands for each placeholder in a kind's own files."""
    values = {"kind": kind, "module": module, "cls": cls, **_plain(name)}
    texts = {key: Template(str(text)).substitute(values) for key, text in {**_words("common"), **_words(kind)}.items()}
    return {**texts, **values}


def _shared(name: str, kinds: Sequence[str], own: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """What stands for each placeholder in the files of the whole package."""
    plain = _plain(name)
    texts = {key: Template(str(text)).substitute(plain | {"cls": ""}) for key, text in _words("common").items()}
    for kind in kinds:
        texts |= {key: own[kind][key] for key in _words(kind) if key not in OWN_WORDS}
    for kind in kinds:  # a kind's own block is its own
        block = BLOCKS.get(kind, kind)
        texts |= {block: own[kind][block]} if block in own[kind] else {}
    if {"reconstructor", "representation"} <= set(kinds):
        texts["start"] = f"# {texts['start'].strip()}  # once the representation can follow what it makes\n"
    for block in ("regularizers", "observers", "export"):  # here all have one
        lines = [line for kind in kinds if block in _words(kind) for line in own[kind][block].splitlines()]
        texts |= {block: "\n".join(dict.fromkeys(lines))} if lines else {}
    ends = ("image", "encoder", "start", "background")  # whole lines of the recipe, or nothing
    texts = {key: text if key in ends else text.rstrip() for key, text in texts.items()}
    texts |= {key: textwrap.indent(texts[key], "  ") for key in MAPS}
    purposes, training = ([own[k][key] for k in kinds if own[k].get(key)] for key in ("purpose", "training_purpose"))
    heading = textwrap.wrap(f"A small reconstruction {', '.join(purposes)}.", 120) + [
        f"  {line}" for line in _try_it(name, kinds)
    ]
    configs = [f"`{own[kind]['cls']}Config`" for kind in kinds if kind != "command"] or ["`Config`"]
    several = "a " if len(kinds) == 1 and kinds[0][0] not in "aeiou" else "an " if len(kinds) == 1 else ""
    return {
        **plain,
        **texts,
        "module": "",
        "about": "\n\n".join(textwrap.fill(own[kind]["about"], 115) for kind in kinds),
        "components": f"the {listed(kinds)} `{name}`" if len(kinds) < 4 else f"components called `{name}`, one a kind",
        "description": f"{several}{listed(kinds)}".capitalize(),
        "heading": "\n".join(f"# {line}" for line in heading),
        "training_purpose": ", ".join(training),
        "show": "\n".join(_shows(name, kinds)),
        "try_it": "\n".join(_try_it(name, kinds)),
        "files": "\n".join(_rows(kinds, own)),
        "options": textwrap.fill(
            f"The options are the fields of {', '.join(configs)}: give each a type, a default, a word in the docstring (in "
            "backticks, with its unit and range) and a check in `__post_init__`. What a class has to do is said in "
            f"{', '.join(f'`{_interface(kind)}`' for kind in kinds)}.",
            115,
        ),
        "registered": _registered(kinds, own),
    }


def _interface(kind: str) -> str:
    """The file of its interface, as a reader of zero3d's source finds it."""
    source = Path(zero3d.__file__).parent
    file = next((source / "interfaces").rglob(f"{kind}.py"))
    return file.relative_to(source.parent).as_posix()


def _registered(kinds: Sequence[str], own: Mapping[str, Mapping[str, str]]) -> str:
    """The body of the hook."""
    modules = {own[kind]["module"]: own[kind]["registered"].strip() for kind in kinds}
    imports = [f"from {own[kinds[0]]['package']}.{module} import {names}" for module, names in modules.items()]
    calls = [f"register({word})" for names in modules.values() for word in names.split(", ")]
    return textwrap.indent("\n".join([*imports, "", *calls]), "    ")


def _rows(kinds: Sequence[str], own: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The README's table of files."""
    sources = [(f"`src/{own[kind]['package']}/{own[kind]['module']}.py`", kind.replace("_", " ")) for kind in kinds]
    rows = [f"| {path} | the {what} and its options |" for path, what in sources]
    laws = f"the laws of {'its' if len(kinds) == 1 else 'each'} kind (`zero3d.testing`)"
    rows.append(f"| `tests/` | {laws}, what it alone promises, and a few steps of the recipe: run `pytest` |")
    rows += ["| `recipe.yaml` | a small recipe that uses it |"] if distils(kinds) else []
    return rows + (["| `train.yaml` | a short training |"] if trains(kinds) else [])


def _shows(name: str, kinds: Sequence[str]) -> list[str]:
    return [f"zero3d plugins show {registered_kind(kind)} {name} --plugin ." for kind in kinds]


def _try_it(name: str, kinds: Sequence[str]) -> list[str]:
    """Commands that use it."""
    image = "" if "image_source" in kinds else "image=YOUR.png "
    lines = [f"zero3d run recipe.yaml {image}out=runs/{name} --plugin ."] if distils(kinds) else []
    for kind in kinds:
        commands = Template(str(_words(kind).get("also", ""))).substitute(_plain(name)).splitlines()
        lines += [line for line in commands if line not in lines]
    return lines


def _words(part: str) -> dict[str, str]:
    words: Mapping[str, str] = yaml.safe_load(_read(TEMPLATES / part / "words.yaml"))
    return dict(words)


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _range(version: str) -> str:
    """The versions that keep the plug-in API: the minor version's before 1.0, then the major one's."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"
