"""Every number of every component has bounds, stated when it is outside: 1e30 overflows somewhere, hours later."""

import dataclasses

import pytest

from zero3d import Schedule
from zero3d.errors import RecipeError
from zero3d.plugins import load_plugins
from zero3d.recipe import typed
from zero3d_authoring.options import options_of

CONFIGS = {
    f"{entry.component.kind} {entry.component.name}": entry.component.Config
    for entry in load_plugins().all()
    if entry.package == "zero3d" and dataclasses.fields(entry.component.Config)
    # the priors read their file when the options are made: tests/plugins/test_losses_priors.py tries them
    if entry.component.name not in ("depth_prior", "normal_prior")
}


def made(config, **options):
    """The options, whatever is required given as text."""
    required = {option.name: "mesh.glb" for option in options_of(config) if option.required}
    return typed(config, {**required, **options}, "r.yaml: block")


def vast(value):
    """What is far out of any range, in the form that the option has; None for what holds no measure."""
    if isinstance(value, (float, Schedule)):
        return 1e30
    if isinstance(value, list) and value and all(isinstance(item, float) for item in value):
        return [1e30] * len(value)
    return None


@pytest.mark.parametrize("name", CONFIGS)
def test_a_measure_beyond_all_bounds_is_refused_with_them(name):
    config = CONFIGS[name]
    for option, default in vars(made(config)).items():
        value = vast(default)
        if value is not None:
            for given in (value, [-item for item in value] if isinstance(value, list) else -value):
                with pytest.raises(RecipeError, match=option):
                    made(config, **{option: given})


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_finite_number_is_refused_everywhere(name, number):
    config = CONFIGS[name]
    types = {field.name: str(field.type) for field in dataclasses.fields(config)}
    for option, default in vars(made(config)).items():
        if not isinstance(default, str) and "str" not in types.get(option, ""):  # which any number may be read as
            with pytest.raises(RecipeError, match=option):
                made(config, **{option: [number] if isinstance(default, list) else number})
