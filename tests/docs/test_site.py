"""The site builds without a warning, and every public name, hook, component, option and command is explained in it."""

import argparse
import base64
import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import zero3d
from zero3d import hookspecs, testing
from zero3d.cli.parser import make_parser
from zero3d.interfaces import INTERFACES, Command
from zero3d.plugins import load_plugins
from zero3d.recipe import CheckpointOptions, InputOptions, OptimizerOptions, RunOptions, recipes
from zero3d.registry import Registered, Registry

DOCS = Path("docs").absolute()
REGISTRY = load_plugins()
OWN = [entry for entry in REGISTRY.all() if entry.package == "zero3d"]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The pages of the built site. Warnings, references that lead nowhere among them, are errors."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", str(DOCS), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return Pages(out)


class Pages:
    """What the pages of a built site say, found by anchor."""

    def __init__(self, folder):
        self.folder = folder
        self._read = {}

    def at(self, page, anchor):
        """The section, or the definition, of an anchor; None if there is none."""
        if page not in self._read:
            path = self.folder / "reference" / f"{page}.html"
            soup = BeautifulSoup(path.read_text(encoding="utf-8") if path.is_file() else "", "html.parser")
            self._read[page] = {tag["id"]: tag for tag in soup.find_all(id=True)}
        return self._read[page].get(anchor)

    def name(self, name):
        """What is said of a public name, in whatever page: the text of its definition, "" if nothing."""
        for page in ["api", *(interface.kind for interface in INTERFACES)]:
            term = self.at(page, name)
            if term is not None and term.name == "dt":
                paragraphs = term.find_next_sibling("dd").find_all("p", recursive=False)
                return " ".join(p.get_text() for p in paragraphs if not p.get_text().startswith("Bases:")).strip()
        return ""

    def rows(self, page, anchor):
        """option -> what the table of that section says of it."""
        section = self.at(page, anchor)
        table = section and section.find("table")
        cells = [row.find_all("td") for row in table.find_all("tr")] if table else []
        return {row[0].get_text(): row[-1].get_text().strip() for row in cells if row}


def missing_names(pages):
    """Public names, hooks, and what an interface asks for, of which the site says nothing."""
    missing = []
    for module in map(importlib.import_module, zero3d.PUBLIC_MODULES):
        exported = getattr(module, "__all__", ())
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        own += re.findall(r"^([A-Z][A-Z_]+)\b[^=\n]* = ", inspect.getsource(module), flags=re.M)
        for name in dict.fromkeys([*exported, *own]):
            places = [f"{place}.{name}" for place in (module.__name__, *zero3d.PUBLIC_MODULES)]
            if not name.startswith("_") and not any(map(pages.name, places)):
                missing.append(places[0])
    hooks = [f"zero3d.hookspecs.{name}" for name, value in vars(hookspecs).items() if hasattr(value, "zero3d_spec")]
    for interface in INTERFACES:
        methods = [name for name, value in vars(interface).items() if inspect.isfunction(value) and name[0] != "_"]
        hooks += [f"zero3d.interfaces.{interface.__name__}.{name}" for name in methods]
    return missing + [name for name in hooks if not pages.name(name)]


def missing_options(pages, entries):
    """Components, and options of components and recipes, of which the site says nothing."""
    missing = []
    for entry in entries:
        kind, name = entry.component.kind, entry.component.name
        section = (
            pages.at(kind, f"{kind}-{name}".replace("_", "-"))
            if kind != "command"
            else pages.at(kind, f"command-{name}")
        )
        if section is None or not section.find("p"):
            missing.append(f"{kind} {name}")
            continue
        said = pages.rows(kind, section["id"])
        missing += [
            f"{kind} {name}: {f.name}" for f in dataclasses.fields(entry.component.Config) if not said.get(f.name)
        ]
    plain = {
        "plain-keys": RunOptions,
        "input": InputOptions,
        "optimizer": OptimizerOptions,
        "checkpoint": CheckpointOptions,
    }
    for anchor, options in plain.items():
        said = pages.rows("recipe", f"recipe-{anchor}")
        missing += [f"recipe {anchor}: {f.name}" for f in dataclasses.fields(options) if not said.get(f.name)]
    return missing


def missing_arguments(pages, parser, path=()):
    """Commands and their arguments that the site does not show, or that have no help."""
    missing = []
    section = pages.at("command", "command-" + "-".join(path)) if path else True
    if not section:
        return ["zero3d " + " ".join(path)]
    text = section.find("pre").get_text() if path else ""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                missing += missing_arguments(pages, below, (*path, name))
        elif path:
            shown = action.option_strings[-1] if action.option_strings else (action.metavar or action.dest)
            if shown not in text or not action.help:
                missing.append(f"zero3d {' '.join(path)} {shown}")
    return missing


def test_every_public_name_and_hook_is_explained(site):
    assert missing_names(site) == []


def test_every_component_and_option_is_explained(site):
    assert missing_options(site, OWN) == []


def test_every_command_and_argument_is_explained(site):
    own = Registry()
    for entry in OWN:
        own.add(entry)
    assert missing_arguments(site, make_parser(own)[0]) == []


def test_the_references_front_page_lists_every_component_with_its_line(site):
    page = (site.folder / "reference/index.html").read_text(encoding="utf-8")
    rows = [
        [cell.get_text() for cell in row.find_all("td")] for row in BeautifulSoup(page, "html.parser").find_all("tr")
    ]
    listed = {row[0]: row[1] for row in rows if row}
    assert [entry.component.name for entry in OWN if len(listed.get(entry.component.name, "")) < 10] == []


def test_the_front_pages_model_is_in_one_file_that_needs_no_network(site):
    page = BeautifulSoup((site.folder / "turn.html").read_text(encoding="utf-8"), "html.parser")
    assert base64.b64decode(page.find(id="model").get_text())[:4] == b"glTF"
    assert not page.find_all(src=True)
    assert not page.find_all("link")
    assert not page.find_all(href=True)
    front = BeautifulSoup((site.folder / "index.html").read_text(encoding="utf-8"), "html.parser")
    assert front.find("iframe")["src"] == "turn.html"


def test_the_gallery_has_every_recipe_and_says_which_have_no_picture(site):
    page = BeautifulSoup((site.folder / "gallery/index.html").read_text(encoding="utf-8"), "html.parser")
    for name in recipes():
        section = page.find("section", id=f"gallery-{name}") or page.find(id=f"gallery-{name}").find_parent("section")
        text = section.get_text()
        assert "needs:" in text
        assert "costs:" in text
        assert bool(section.find("img")) != ("no picture:" in text), name


def test_pictures_are_small_and_the_gallerys_figures_are_those_of_the_benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from gallery_page import STEPS

    assert [path.name for path in DOCS.glob("gallery/*.jpg") if path.stat().st_size > 60_000] == []
    assert [path.name for path in DOCS.glob("gallery/regularizers/*.jpg") if path.stat().st_size > 40_000] == []
    assert (DOCS / "examples.jpg").stat().st_size < 250_000
    sources = "".join(Path(file).read_text(encoding="utf-8") for file in ("README.md", "benchmarks/README.md"))
    figures = {figure for text in STEPS.values() for figure in re.findall(r"\d+\.\d+", text)}
    assert figures
    assert [figure for figure in figures if figure not in sources] == []


def test_the_command_line_has_every_registered_command(site):
    commands = {entry.component.name for entry in OWN if issubclass(entry.component, Command)}
    assert [name for name in commands if site.at("command", f"command-{name}") is None] == []


@dataclass
class SecretConfig:
    """Options of `secret`. told: known."""

    told: int = 0
    hushed: int = 0


class TestWhatIsMissingIsNamed:
    """The checks above find a gap: each is shown something that the site does not explain."""

    def test_a_public_name(self, site, monkeypatch):
        monkeypatch.setattr(zero3d, "__all__", [*zero3d.__all__, "unsaid"])
        assert missing_names(site) == ["zero3d.unsaid"]

    def test_a_hook(self, site, monkeypatch):
        def on_import():
            """A hook that nobody wrote about."""

        monkeypatch.setattr(hookspecs, "on_import", hookspecs.hookspec(on_import), raising=False)
        assert missing_names(site) == ["zero3d.hookspecs.on_import"]

    def test_a_component(self, site):
        secret = type("Secret", (testing.GaussianDenoiser,), {"name": "secret", "__doc__": "Nobody knows."})
        assert missing_options(site, [Registered(secret, "secret", "zero3d", "0")]) == ["denoiser secret"]

    def test_an_option(self, site, tmp_path, monkeypatch):
        """A page written for a component with an option that its docstring does not name."""
        monkeypatch.syspath_prepend(str(DOCS))
        import generate

        secret = type(
            "Secret", (testing.GaussianDenoiser,), {"name": "secret", "Config": SecretConfig, "__doc__": "Some."}
        )
        registry = Registry()
        registry.add(Registered(secret, "secret", "zero3d", "0"))
        lines = generate.kind_page("denoiser", registry).splitlines()
        row = {line.split("|")[1].strip(" `"): line.split("|")[-2].strip() for line in lines if line.startswith("| `")}
        assert row == {"told": "known", "hushed": ""}

    def test_an_argument(self, site):
        parser = argparse.ArgumentParser()
        commands = parser.add_subparsers()
        commands.add_parser("resume").add_argument("--backwards", help="the other way")
        commands.add_parser("undo")
        assert missing_arguments(site, parser) == ["zero3d resume --backwards", "zero3d undo"]
