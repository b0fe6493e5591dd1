"""Loading plug-ins: a broken one is told and harms nothing else; names are unique; hooks are spelled right."""

import pytest

from tests.core import toy
from zero3d import hookimpl
from zero3d.errors import RecipeError
from zero3d.interfaces import Regularizer
from zero3d.plugins import load_plugins, register_plugin
from zero3d.registry import Registered, Registry


def test_first_party_plugins_load_by_entry_point():
    registry = load_plugins()
    assert registry.broken == []
    found = {(entry.component.kind, entry.component.name): entry.plugin for entry in registry.all()}
    assert found["guidance", "sjc"] == "score"
    assert found["representation", "voxels"] == "voxels"
    assert found["denoiser", "oracle"] == "testing"


def test_a_plugin_that_fails_to_import_is_kept_with_its_error_and_told_when_missed(monkeypatch):
    from importlib.metadata import EntryPoint

    from zero3d import plugins

    points = [EntryPoint("bad", "no_such_module_anywhere", "zero3d"), EntryPoint("good", "zero3d_score", "zero3d")]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points)
    registry = load_plugins()
    assert registry.names("guidance") == ["sds", "sjc"]
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
