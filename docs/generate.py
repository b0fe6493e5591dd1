"""Writes docs/reference/ from the code: every kind, component, option and command, and the public names.

Sphinx calls `write_pages` before it reads the sources (conf.py). No weight is loaded and nothing is run.
"""

import argparse
import inspect
import json
import os
import pkgutil
import re
from pathlib import Path

from gallery_page import gallery_page
from public_names import defined, public_names, word
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.pycode import ModuleAnalyzer

import zero3d
from zero3d.cli.parser import make_parser
from zero3d.interfaces import Command, Regularizer
from zero3d.plugins import load_plugins
from zero3d.recipe import CheckpointOptions, InputOptions, OptimizerOptions, RunOptions
from zero3d.registered import KINDS
from zero3d_authoring.options import options_of
from zero3d_authoring.show import example

BEHIND = ("hookspecs", "picture", "engine", "parts")
"""Modules of the core that public ones speak of. They may change in any version."""

FIRST_PARTY = "zero3d"
REGULARIZERS = Path(__file__).parent / "gallery" / "regularizers"
WIDE_THERE = 320
"""Pixels of a picture in the list of all components."""


def write_pages(folder, registry=None):
    """Write every page of the reference into `folder`, and remove what is no longer written."""
    registry = first_party(registry or load_plugins())
    pages = {f"{kind}.md": kind_page(kind, registry) for kind in KINDS if kind != "command"}
    pages |= {
        "index.md": index_page(registry),
        "command.md": commands_page(registry),
        "recipe.md": recipe_page(),
        "api.md": api_page(),
    }
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        write(folder / name, text)


def write_gallery(folder, registry=None):
    """Write the gallery's page beside its pictures."""
    write(folder / "index.md", gallery_page(first_party(registry or load_plugins())))


def write(path, text):
    """An unchanged page is not read again by Sphinx."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def first_party(registry):
    """What this distribution brings: the site does not depend on what else is installed."""
    own = type(registry)()
    own.broken = registry.broken
    for entry in registry.all():
        if entry.package == FIRST_PARTY:
            own.add(entry)
    return own


def index_page(registry):
    """Every component with the line that says what it is, by kind; beside some regularizers a picture of what they do."""
    pages = ["recipe", *(kind for kind in KINDS if kind != "command"), "command", "api"]
    lines = [
        "# Reference",
        "",
        "Written from the code when this site is built. [Keys](recipe.md), [Python](api.md), and:",
        "",
    ]
    for kind in sorted(KINDS, key=pages.index):
        entries = [entry.component for entry in registry.all() if entry.component.kind == kind]
        lines += [f"## [{kind}]({kind}.md)", ""]
        if kind == "regularizer":
            lines += [shown_how(), ""]
        lines += ["| | |", "|---|---|"]
        for component in entries:
            cells = [
                f"[`{component.name}`]({kind}.md#{anchor(component)})",
                "<br>".join(filter(None, (summary(component), picture(component)))),
            ]
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join([*lines, "```{toctree}", ":maxdepth: 1", ":hidden:", "", *pages, "```", ""])


def summary(component):
    """The first line of its docstring."""
    return escaped(inspect.cleandoc(component.__doc__ or "").partition("\n")[0])


def shown():
    """name -> weight and kind of picture, of the regularizers that make_regularizers.py drew."""
    return json.loads((REGULARIZERS / "shown.json").read_text(encoding="utf-8"))


def shown_how():
    return (
        "Pictures: one field from two sides, left without the term and right with it, the same in all else "
        "(`docs/make_regularizers.py`: nano's recipe on the mug from noise, 40^3 voxels, 60 steps; opacity after 40, from "
        "fog). Weights are those that show the term after so few steps; what a term has by default is on its page."
    )


def picture(component):
    """Its picture with its weight, as Markdown; empty if it has none."""
    facts = shown().get(component.name) if component.kind == "regularizer" else None
    if facts is None:
        return ""
    words = f"{facts['shows']}, weight {facts['weight']:g}"
    return f'<img src="../gallery/regularizers/{component.name}.jpg" alt="{words}" width="{WIDE_THERE}"> {words}'


def kind_page(kind, registry):
    """The interface, then every component of the kind."""
    interface = KINDS[kind]
    entries = [entry for entry in registry.all() if entry.component.kind == kind]
    lines = [f"# {kind}", "", *markdown(interface.__doc__), ""]
    lines += ["Registered here: " + ", ".join(f"[`{e.component.name}`](#{anchor(e.component)})" for e in entries), ""]
    for entry in entries:
        lines += component_section(entry)
    return "\n".join([*lines, "## The interface", "", *autodoc("class", f"zero3d.interfaces.{interface.__name__}"), ""])


def anchor(component):
    """The place of a component, or a command, on its page."""
    return f"{component.kind}-{component.name}".replace("_", "-")


def component_section(entry):
    """Name, docstring, what belongs to the engine, and the table of options."""
    component = entry.component
    lines = [f"({anchor(component)})=", f"## {component.name}", "", *markdown(component.__doc__), ""]
    if image := picture(component):
        lines += [f"{image}: left without it, right with it ([how](index.md#regularizer))", ""]
    lines += [f"- {line}" for line in engine_facts(component)]
    lines += [f"- `{component.__module__}.{component.__qualname__}`, plug-in `{entry.plugin}` of {entry.package}", ""]
    return [*lines, *option_table(component.Config), "```yaml", example(component), "```", ""]


def engine_facts(component):
    """What the engine reads of the class: needs, provides, accepts, default weight and view."""
    facts = []
    for name in ("needs", "provides"):
        if isinstance(getattr(component, name, None), frozenset):
            named = ", ".join(f"`{field}`" for field in sorted(getattr(component, name)))
            facts.append(f"{name}: {named or 'nothing'}")
    accepted = getattr(component, "accepts", object)
    if accepted is not object:
        facts.append(f"accepts: `{accepted.__name__}`")
    if issubclass(component, Regularizer):
        facts.append(f"weight: {component.default_weight:g} by default; view: {component.default_view} by default")
    stages = getattr(component, "stages", ())
    if stages:
        facts.append("training stages: " + ", ".join(f"`{stage}`" for stage in stages))
    return facts


def option_table(config):
    """A Markdown table, or the word that there are none."""
    options = options_of(config)
    if not options:
        return ["No options.", ""]
    lines = ["| option | type | default | what it is |", "|---|---|---|---|"]
    for option in options:
        cells = (f"`{option.name}`", code(option.type), code(option.default), escaped(option.text))
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return [*lines, ""]


def recipe_page():
    """The keys that are no component: RunOptions and what is nested in it, and the engine's own keys of a block."""
    lines = [
        "# Recipe keys",
        "",
        "What a recipe may say beside its components ([their blocks](../concepts.md#recipes)).",
    ]
    parts = (("Plain keys", RunOptions), ("input", InputOptions), ("optimizer", OptimizerOptions))
    for title, options in (*parts, ("checkpoint", CheckpointOptions)):
        lines += ["", f"(recipe-{title.lower().replace(' ', '-')})=", f"## {title}", "", *option_table(options)]
    lines += ["## Keys of the engine in a block", ""]
    lines += [
        "| key | in | what it is |",
        "|---|---|---|",
        "| `type` | every block | the component's name; a labelled block's label by default |",
        "| `weight` | `guidance`, `regularizers` | a number or a schedule; 1 for a guidance, else the component's default |",
        "| `denoiser` | `guidance` | the label of its teacher, where the recipe has several `denoisers` |",
        "| `cameras` | `guidance` | a camera sampler of its own |",
        "| `view` | `regularizers` | `novel`, `near` or `input`: the view that it is given |",
    ]
    return "\n".join([*lines, "", "## Schedules", "", *markdown(zero3d.Schedule.__doc__), ""])


def commands_page(registry):
    """Every command with its --help."""
    lines = ["# Commands", "", "A user's mistake is one line on stderr and exit code 2; Ctrl-C is exit code 130.", ""]
    described = {e.component.name: e.component for e in registry.all() if issubclass(e.component, Command)}
    os.environ["COLUMNS"] = "100"  # argparse wraps its help at the terminal's width
    for path, parser in parsers(make_parser(registry)[0]):
        if not path:
            continue
        name, text = " ".join(path), parser.format_help().rstrip()
        lines += [f"(command-{'-'.join(path)})=", f"{'#' * (len(path) + 1)} zero3d {name}", ""]
        if len(path) == 1 and name in described:
            lines += [*markdown(described[name].__doc__), ""]
        lines += ["```text", text, "```", ""]
    return "\n".join(lines)


def parsers(parser, path=()):
    """The parser and those of its sub-commands, each with the words that lead to it."""
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from parsers(below, (*path, name))


def api_page():
    """Every public name, and what stands behind them; the kinds of component have pages of their own."""
    kinds = {interface.__name__ for kind, interface in KINDS.items() if kind != "command"}
    lines = ["# Python", "", "What a plug-in or a script may rely on ([how long](../stability.md)).", ""]
    for module, names in public_names().items():
        text = inspect.getdoc(inspect.importlib.import_module(module)).splitlines()[0]
        lines += [f"## {module}", "", escaped(text), "", *rst(f".. py:module:: {module}"), ""]
        for name in names:
            if module != "zero3d.interfaces" or name not in kinds:
                lines += [*(said_elsewhere(module, name) or autodoc(word(module, name), f"{module}.{name}")), ""]
    lines += ["## Behind them", "", "What public names speak of; it may change in any version.", ""]
    for module in BEHIND:
        lines += [f"### zero3d.{module}", "", *autodoc("module", f"zero3d.{module}"), ""]
    return "\n".join(lines)


def said_elsewhere(module, name):
    """A constant that is exported here and explained where it is defined; None for all else."""
    exporter = inspect.importlib.import_module(module)
    if word(module, name) == "data" and name not in defined(exporter):
        own = [m.name for m in pkgutil.walk_packages(getattr(exporter, "__path__", []), f"{module}.")]
        for place in [*own, *zero3d.PUBLIC_MODULES, *(f"zero3d.{behind}" for behind in BEHIND)]:
            text = ModuleAnalyzer.for_module(place).find_attr_docs().get(("", name))
            if text:
                plain_docstring(None, "data", name, None, None, text)
                return rst(f".. py:data:: {name}", f"   :module: {module}", "", *(f"   {line}" for line in text))
    return None


def autodoc(kind, name):
    """autodoc's directive; a class's bases are shown where it has any of interest."""
    module, _, attribute = name.rpartition(".")
    bases = getattr(getattr(inspect.importlib.import_module(module), attribute, None), "__bases__", (object,))
    return rst(f".. auto{kind}:: {name}", *(["   :show-inheritance:"] if bases != (object,) else []))


def rst(*lines):
    return ["```{eval-rst}", *lines, "```"]


def markdown(docstring):
    """A docstring's lines as Markdown: code stays code, nothing else has a meaning."""
    return [escaped(line) for line in inspect.cleandoc(docstring or "").splitlines()]


def escaped(text):
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else re.sub(r"([\\*_<>\[\]#$])", r"\\\1", p) for p in parts)


def code(text):
    return f"`{text}`"


def plain_docstring(app, what, name, obj, options, lines):
    """For autodoc: our docstrings are text with `code`, Args and Raises; reStructuredText must read no more into them."""
    if what == "data" and "\n".join(lines).strip() == (inspect.getdoc(type(obj)) or "").strip():
        lines.clear()  # a constant that nobody wrote about has its type's
    for index, line in enumerate(lines):
        parts = re.split(r"(`[^`]*`)", line)
        lines[index] = "".join(
            f"`{p}`" if p.startswith("`") else re.sub(r"([\\*|]|_(?!\w))", r"\\\1", p) for p in parts
        )
    if what in ("module", "class", "exception", "function", "method"):  # "name: text" of an attribute is no type
        lines[:] = GoogleDocstring(lines, Config(), app, what, name, obj, options).lines()
