import pytest

from zero3d.errors import RecipeError
from zero3d.recipe import load_recipe, read_yaml


def test_overrides_reach_into_blocks_and_null_removes_a_term(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["steps=5", "guidance.pull.target=0.5", "regularizers.bright=null"])
    assert recipe.options.steps == 5
    assert recipe.guidance["pull"].config.target == 0.5
    assert recipe.regularizers == {}


def test_a_map_given_as_an_override_replaces_the_block(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["denoiser={type: gaussian, std: 0.3}"])
    assert recipe.denoisers["denoiser"].config.std == 0.3
    assert recipe.denoisers["denoiser"].config.resolution == 64, "the old options are gone"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("5", 5), ("", None), ("null", None), ("[1, 2]", [1, 2]), ("${seed}", 3), ("a: 1", {"a": 1})],
)
def test_an_override_is_read_as_the_file_is(toy_recipe, text, value):
    assert read_yaml(toy_recipe, [f"optimizer.lr={text}"])["optimizer"]["lr"] == value


def test_type_defaults_to_the_label_and_weight_to_the_components_own(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["regularizers={bright: {}}"])
    assert recipe.regularizers["bright"].weight.extremes == (0.5, 0.5)


def test_one_component_may_serve_under_two_labels(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["regularizers.other={type: bright, view: input, weight: 2}"])
    assert recipe.regularizers["other"].view == "input"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stepz=5", ["stepz", "steps"]),
        ("steps=many", ["steps", "many"]),
        ("steps=0", ["steps", "0"]),
        ("guidance.pull.targit=1", ["guidance.pull.targit", "'target'"]),
        ("guidance.pull.target=red", ["guidance.pull.target", "red"]),
        ("guidance.pull.type=pul", ["guidance.pull.type", "'pull'"]),
        ("guidance.pull.denoiser=other", ["guidance.pull.denoiser", "'other'", "denoiser"]),
        ("guidance.pull.weight=heavy", ["guidance.pull.weight", "'heavy'"]),
        ("regularizers.bright.view=far", ["regularizers.bright.view", "'far'", "near"]),
        ("regularizers.brigt={}", ["regularizers.brigt", "'bright'"]),
        ("denoiser.std=-1", ["denoiser.std", "-1"]),
        ("input.elevation_deg=200", ["input.elevation_deg", "200"]),
        ("input.framing=fitt", ["input.framing", "'fit'"]),
        ("input.elevation=20", ["input.elevation", "elevation_deg"]),
        ("optimizer.type=adan", ["optimizer.type", "'adam'"]),
        ("optimizer.lr=fast", ["optimizer.lr", "'fast'"]),
        ("representation=null", ["representation", "missing"]),
        ("representation=big", ["representation", "'big'"]),
        ("seed=-1", ["seed", "-1"]),
        ("stages=[]", ["stages", "no map of stages"]),
    ],
)
def test_each_mistake_is_one_line_with_file_key_value_and_the_nearest_right_one(registry, toy_recipe, override, told):
    with pytest.raises(RecipeError) as error:
        load_recipe(toy_recipe, registry, [override])
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith(str(toy_recipe))
    for part in told:
        assert part in line


def test_a_missing_file_names_its_neighbours(toy_recipe):
    with pytest.raises(RecipeError, match=r"toi\.yaml: no such recipe.*toy\.yaml"):
        read_yaml(toy_recipe.with_name("toi.yaml"))


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "a: [1\n", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        read_yaml(path)


def test_an_override_without_equals_is_explained(toy_recipe):
    with pytest.raises(RecipeError, match=r"key\.path=value"):
        read_yaml(toy_recipe, ["steps"])


def test_nothing_in_a_recipe_runs_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("steps: !!python/object/apply:os.system ['touch pwned']\n")
    with pytest.raises(RecipeError):
        read_yaml(path)
