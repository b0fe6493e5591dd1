"""Loading plug-ins: a broken one is told and harms nothing else; names are unique; hooks are spelled right."""

import pytest

import zero3d
from tests.core import toy
from zero3d import Lazy, hookimpl, interfaces, testing
from zero3d.errors import PluginError, RecipeError
from zero3d.interfaces import Regularizer
from zero3d.plugins import load_plugins, register_plugin
from zero3d.registered import KINDS, Promised, Registered
from zero3d.registry import Registry


def test_first_party_plugins_load_by_entry_point():
    registry = load_plugins()
    assert registry.broken == []
    found = {(entry.component.kind, entry.component.name): entry.plugin for entry in registry.all()}
    assert found["guidance", "sjc"] == "score"
    assert found["representation", "voxels"] == "voxels"
    assert found["denoiser", "oracle"] == "testing"


def test_a_plugin_that_fails_to_import_is_kept_with_its_error_and_told_when_missed(monkeypatch):
    from importlib.metadata import EntryPoint

    from zero3d.plugins import loading

    points = [EntryPoint("bad", "no_such_module_anywhere", "zero3d"), EntryPoint("good", "zero3d_score", "zero3d")]
    monkeypatch.setattr(loading, "entry_points", lambda group: points)
    registry = load_plugins()
    assert {"sds", "sjc"} <= set(registry.names("guidance"))
    assert [broken.plugin for broken in registry.broken] == ["bad"]
    with pytest.raises(
        RecipeError, match=r"'bad' failed to load: ModuleNotFoundError: No module named 'no_such_module"
    ):
        registry.get("guidance", "magic", "r.yaml: guidance.magic")


def plugin(*components, hook="register_components"):
    def register_components(register):
        for component in components:
            register(component)

    return type("Plugin", (), {hook: staticmethod(hookimpl(register_components))})()


def test_a_stranger_registers_like_we_do():
    registry = Registry()
    register_plugin(registry, plugin(toy.Bright), "mine", "my-package", "1.2")
    entry = registry.entry("regularizer", "bright", "here")
    assert (entry.package, entry.version) == ("my-package", "1.2")


BRIGHT = Lazy("regularizer", "bright", "tests.core.toy:Bright")


def test_a_promised_component_is_imported_when_asked_for_and_is_then_like_any_other():
    registry = Registry()
    register_plugin(registry, plugin(BRIGHT, toy.Deep), "mine", "my-package", "1.2")
    assert registry.names("regularizer") == ["bright", "deep"]
    assert [entry.module for entry in registry.brought()] == ["tests.core.toy"] * 2
    assert registry.entry("regularizer", "bright", "here") == Registered(toy.Bright, "mine", "my-package", "1.2")
    assert [entry.component for entry in registry.all("regularizer")] == [toy.Bright, toy.Deep]


@pytest.mark.parametrize(
    ("promise", "told"),
    [
        (
            Lazy("regularizer", "bright", "no_such_module:Bright"),
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
        (Lazy("regularizer", "bright", "tests.core.toy:Bleak"), "has no attribute 'Bleak'"),
        (Lazy("guidance", "bright", "tests.core.toy:Bright"), "is regularizer 'bright', not guidance 'bright'"),
        (Lazy("regularizer", "light", "tests.core.toy:Bright"), "is regularizer 'bright', not regularizer 'light'"),
        (Lazy("regularizer", "bright", "tests.core.test_plugins:Unfinished"), "does not implement penalty"),
        (Lazy("regularizer", "wordy", "tests.core.test_plugins:Wordy"), "Wordy.needs is 'opacity'; write a set"),
    ],
)
def test_a_promise_that_is_not_kept_breaks_its_plugin_whole_and_is_told(promise, told):
    registry = Registry()
    register_plugin(registry, plugin(toy.Deep, promise), "mine", "my-package", "1")
    register_plugin(registry, plugin(toy.Pull), "other", "other-package", "1")
    with pytest.raises(RecipeError) as error:
        registry.get(promise.kind, promise.name, "here")
    assert "Plug-in 'mine' failed to load: " in str(error.value)
    assert told in str(error.value)
    assert [(broken.plugin, broken.package) for broken in registry.broken] == [("mine", "my-package")]
    assert [entry.component for entry in registry.all()] == [toy.Pull], "what it brought beside is gone too"
    with pytest.raises((TypeError, ImportError, AttributeError)):  # of one that is named on the command line: at once
        register_plugin(Registry(), plugin(promise), "mine", path="here")


@pytest.mark.parametrize(
    ("promise", "told"),
    [(Lazy("glitter", "x", "a:B"), "no kind 'glitter'"), (Lazy("denoiser", "x", "a.b"), "module:Class")],
)
def test_a_promise_that_cannot_be_kept_is_refused_at_once(promise, told):
    with pytest.raises(TypeError, match=told):
        register_plugin(Registry(), plugin(promise), "mine")


def test_every_command_of_ours_says_in_its_promise_what_it_says_itself():
    for promised in [e for e in load_plugins().brought() if isinstance(e, Promised) and e.lazy.kind == "command"]:
        assert promised.lazy.summary == promised.kept().component.__doc__.splitlines()[0]


def test_every_name_that_is_imported_late_is_there_and_is_its_kinds():
    for package in (zero3d, interfaces, testing):
        assert [name for name in package.__all__ if not hasattr(package, name)] == []
    assert {kind: interface.kind for kind, interface in KINDS.items()} == {kind: kind for kind in KINDS}
    with pytest.raises(ImportError):
        from zero3d import no_such_name  # noqa: F401


def test_a_misspelt_hook_is_an_error():
    with pytest.raises(TypeError, match="register_component"):
        register_plugin(Registry(), plugin(toy.Bright, hook="register_component"), "mine")


def test_two_components_with_one_name_are_an_error_for_who_uses_them():
    registry = Registry()
    registry.add(Registered(toy.Bright, "one", "first", "1"))
    registry.add(Registered(toy.Bright, "two", "second", "1"))
    with pytest.raises(RecipeError, match=r"claimed by first \(one\) and second \(two\)"):
        registry.get("regularizer", "bright", "here")


class Nameless(Regularizer):
    """No name."""

    needs = frozenset()
    default_weight = 1.0

    def penalty(self, context):
        raise NotImplementedError


class Wordy(toy.Bright):
    """Says what it needs as a word."""

    name = "wordy"
    needs = "opacity"


class Unfinished(Regularizer):
    """No penalty."""

    name = "unfinished"


@pytest.mark.parametrize(
    ("component", "told"),
    [(Nameless, "name"), (Unfinished, "penalty"), (dict, "no subclass"), (object(), "no subclass")],
)
def test_a_class_that_breaks_the_rules_is_refused_with_the_rule(component, told):
    with pytest.raises(TypeError, match=told):
        register_plugin(Registry(), plugin(component), "mine")


LOCAL = '''
from dataclasses import dataclass

import torch

from zero3d import hookimpl
from zero3d.interfaces import Regularizer
{state}

@dataclass
class DarkConfig:
    """`limit`: brightness that is allowed, 0 to 1."""

    limit: float = 0.5


class Dark(Regularizer):
    """Mean brightness above a limit."""

    name = "dark"
    needs = frozenset({{"image"}})
    default_weight = 1.0
    Config = DarkConfig

    def penalty(self, context):
        return torch.relu(context.view.image - self.config.limit).mean()


@hookimpl
def register_components(register):
    register(Dark)
'''


def local_folder(folder, module, layout="src", name="dark", state=""):
    """A plug-in's folder that is not installed. Modules stay loaded in a process: each test names its own."""
    root = folder / "src" if layout == "src" else folder
    root.mkdir(parents=True, exist_ok=True)
    (root / f"{module}.py").write_text(LOCAL.format(state=state), encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}-plugin"\nversion = "1.5"\n[project.entry-points.zero3d]\n{name} = "{module}"\n',
        encoding="utf-8",
    )
    return folder


@pytest.mark.parametrize("layout", ["src", "flat"])
def test_a_folder_is_loaded_without_install_and_keeps_its_name_and_version(tmp_path, layout):
    registry = load_plugins([local_folder(tmp_path / layout, f"local_{layout}", layout)])
    entry = registry.entry("regularizer", "dark", "here")
    assert (entry.plugin, entry.package, entry.version) == ("dark", "dark-plugin", "1.5")
    assert registry.local == {"dark": str(tmp_path / layout)}
    assert "sjc" in registry.names("guidance"), "what is installed is there as well"


def test_a_single_file_is_loaded_without_install_and_may_be_named_twice(tmp_path):
    file = tmp_path / "darkness.py"
    file.write_text(LOCAL.format(state=""), encoding="utf-8")
    for _ in range(2):
        entry = load_plugins([file, str(file)]).entry("regularizer", "dark", "here")
        assert (entry.plugin, entry.package) == ("darkness", "darkness.py")


def test_a_local_folder_takes_the_place_of_the_same_plugin_installed_and_of_no_other(tmp_path, monkeypatch):
    from collections import namedtuple
    from importlib.metadata import EntryPoint

    from zero3d.plugins import loading

    def installed(name, package):
        point = EntryPoint(name, "no_such_module_anywhere", "zero3d")
        vars(point).update(dist=namedtuple("Installed", "name version")(package, "0"))
        return point

    points = [installed("dark", "dark_plugin"), installed("dark", "stranger")]
    monkeypatch.setattr(loading, "entry_points", lambda group: points)
    registry = load_plugins([local_folder(tmp_path, "local_takes_place")])
    assert [broken.package for broken in registry.broken] == ["stranger"], "dark_plugin itself was not even tried"


def written(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda t: t / "nowhere", "no such folder"),
        (lambda t: written(t / "a" / "README.md", "").parent, "no pyproject.toml in it"),
        (lambda t: written(t / "b" / "pyproject.toml", "[project]\nname = 'b'\n").parent, "has no plug-in"),
        (lambda t: written(t / "c" / "pyproject.toml", "[project\n").parent, "cannot be read"),
        (lambda t: written(t / "broken_import.py", "import no_such_module_anywhere\n"), "ModuleNotFoundError"),
        (lambda t: written(t / "broken_syntax.py", "def :\n"), "SyntaxError"),
        (lambda t: written(t / "broken_exit.py", "raise SystemExit(3)\n"), "SystemExit: 3"),
        (lambda t: written(t / "broken_hook.py", "x = 1\n"), "no hook implementation"),
        (lambda t: written(t / "json.py", LOCAL.format(state="")), "a module json exists already; rename"),
        (lambda t: local_folder(t / "d", "yaml"), "module yaml is another one"),
    ],
)
def test_a_local_plugin_that_cannot_be_loaded_is_one_line_and_exit_code_2(tmp_path, capsys, make, told):
    from zero3d.cli import main

    assert main(["recipe", "check", "recipes/nano.yaml", "--plugin", str(make(tmp_path))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"zero3d: --plugin {tmp_path}")
    assert told in line


@pytest.mark.parametrize("stated", [2, "2"])
def test_a_plugin_written_for_this_api_loads(stated):
    module, registry = plugin(toy.Bright), Registry()
    module.ZERO3D_API = stated
    register_plugin(registry, module, "mine")
    assert registry.names("regularizer") == ["bright"]


@pytest.mark.parametrize("stated", [0, 1, "1", 3, "1.5"])
def test_a_plugin_written_for_another_api_is_refused_with_a_remedy(stated):
    module, registry = plugin(toy.Bright), Registry()
    module.ZERO3D_API = stated
    with pytest.raises(PluginError, match=rf"API {stated}, but zero3d \S+ has 2; .*pip install -U zero3d my-package"):
        register_plugin(registry, module, "mine", "my-package")
    assert registry.all() == []


@pytest.mark.parametrize("stated", [1, "1"])
def test_a_plugin_of_the_former_api_is_told_what_to_write(stated):
    class Old(toy.Bright):
        def load(self, mask):
            return mask

    Old.kind = "image_source"
    module = plugin(toy.Bright, Old)
    module.ZERO3D_API = stated
    with pytest.raises(PluginError) as caught:
        register_plugin(Registry(), module, "mine", "my-package")
    assert "pip install -U zero3d my-package, or write what changed: " in str(caught.value)
    assert str(caught.value).endswith("Old: load(mask) is now read(mask); then state ZERO3D_API = 2")


OLD = """
from zero3d import hookimpl
from zero3d.interfaces import Denoiser

ZERO3D_API = 1


class Old(Denoiser):
    \"\"\"Of API 1.\"\"\"

    name = "old"

    def denoise(self, noised, sigma, condition, cameras, guidance_scale):
        return noised


@hookimpl
def register_components(register):
    register(Old)
"""


def test_a_local_plugin_of_the_former_api_is_told_what_to_write_and_not_to_install(tmp_path, capsys):
    from zero3d.cli import main

    file = written(tmp_path / "old_api.py", OLD)
    assert main(["plugins", "--plugin", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Old: denoise() is now predict(noised, sigma" in line
    assert line.endswith("then state ZERO3D_API = 2")
    assert "pip" not in line
    assert "local" not in line.replace(str(tmp_path), "")
    bare = written(tmp_path / "bare_api.py", OLD.replace("register(Old)", "pass"))
    assert main(["plugins", "--plugin", str(bare)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("zero3d 0.1.0 has 2; state ZERO3D_API = 2 once it is adapted")


def test_a_plugin_is_loaded_whole_or_not_at_all():
    registry = Registry()
    with pytest.raises(TypeError, match="name"):
        register_plugin(registry, plugin(toy.Bright, Nameless), "mine")
    assert registry.all() == []


def test_a_run_made_with_a_local_plugin_says_what_to_give_when_it_is_missed(toy_recipe, tmp_path, capsys):
    from tests.core.toy import COMPONENTS
    from zero3d.cli import main
    from zero3d.run import resume, run

    def registry(*local):
        found = load_plugins(local)
        for component in COMPONENTS:
            found.add(Registered(component, "toy", "tests", "0"))
        return found

    folder = local_folder(tmp_path / "plugin", "local_missed")
    run(str(toy_recipe), registry(folder), ["regularizers.dark.weight=0.1"], tell=lambda line: None)
    assert main(["resume", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"The run was made with --plugin {folder}; give that again." in line
    with pytest.raises(RecipeError, match="no regularizer called 'dark'"):
        resume(str(tmp_path / "out"), registry(), tell=lambda line: None)
    resume(str(tmp_path / "out"), registry(folder), tell=lambda line: None)


def test_a_broken_command_is_told_and_harms_no_other(monkeypatch, capsys):
    from zero3d import cli
    from zero3d.interfaces import Command

    class Clash(Command):
        """A second run."""

        name = "run"

        def add_arguments(self, parser):
            pass

        def run(self, arguments):
            return 0

    class Awkward(Clash):
        """Raises at 100% of the calls."""

        name = "awkward"

        def add_arguments(self, parser):
            raise RuntimeError("no arguments today")

    class Fine(Clash):
        """Works in 100% of the cases."""

        name = "fine"

    registry = Registry()
    for component in (Clash, Awkward, Fine):
        registry.add(Registered(component, "strange", "stranger", "0"))
    monkeypatch.setattr(cli, "load_plugins", lambda local: registry)
    assert cli.main(["fine"]) == 0
    assert "RuntimeError: no arguments today" in " ".join(broken.error for broken in registry.broken)
    assert len({broken.error for broken in registry.broken}) == 2
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    assert "Works in 100% of the cases" in " ".join(capsys.readouterr().out.split()), "however wide the terminal"
    with pytest.raises(SystemExit):
        cli.main(["awkward"])
    assert "no arguments today" in capsys.readouterr().err, "who misses the command is told why"


def test_every_public_name_has_a_docstring():
    import importlib
    import inspect

    import zero3d

    silent = []
    for place in zero3d.PUBLIC_MODULES:
        module = importlib.import_module(place)
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in names:
            value = getattr(module, name)
            own = getattr(value, "__module__", "").startswith("zero3d")
            if own and (inspect.isclass(value) or inspect.isfunction(value)) and not inspect.getdoc(value):
                silent.append(f"{place}.{name}")
    assert silent == []
