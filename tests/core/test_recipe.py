import dataclasses
from dataclasses import dataclass, field
from typing import Any

import pytest

from zero3d.errors import RecipeError
from zero3d.recipe import load_recipe, read_yaml, typed


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


def test_a_folder_may_begin_at_home(registry, toy_recipe, tmp_path, monkeypatch):
    """Not every shell reads the ~ of out=~/cat, and a folder that is called ~ is no help."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert load_recipe(toy_recipe, registry, ["out=~/cat"]).options.out == f"{tmp_path}/cat"
    given = read_yaml(toy_recipe, ["denoiser.weights=~/nano.safetensors", 'images="~/views"', "seed=~", "prompt=~a"])
    assert given["denoiser"]["weights"] == f"{tmp_path}/nano.safetensors", "of any option that names a file"
    assert given["images"] == f"{tmp_path}/views"
    assert (given["seed"], given["prompt"]) == (None, "~a"), "YAML's null, and what begins no path"


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
        ("guidance.pull.targit=1", ["guidance.pull.targit", "Did you mean 'target'? Known: "]),
        ("guidance.pull.zzz=1", ["guidance.pull.zzz", "Known: ", "Give it null to remove it"]),
        ("guidance.pull.target=red", ["guidance.pull.target", "red"]),
        ("guidance.pull.type=pul", ["guidance.pull.type", "'pull'"]),
        ("guidance.pull.denoiser=other", ["guidance.pull.denoiser", "'other'", "denoiser"]),
        ("guidance.pull.weight=heavy", ["guidance.pull.weight", "'heavy'"]),
        ("regularizers.bright.view=far", ["regularizers.bright.view", "'far'", "near"]),
        ("regularizers.brigt={}", ["regularizers.brigt", "'bright'"]),
        ("guidance.bright={}", ["no guidance called 'bright'", "There is regularizer 'bright'"]),
        ("denoiser.std=-1", ["denoiser.std", "-1"]),
        ("input.elevation_deg=200", ["input.elevation_deg", "200"]),
        ("input.framing=fitt", ["input.framing", "'fit'"]),
        ("input.elevation=20", ["input.elevation", "elevation_deg"]),
        ("optimizer.type=adann", ["optimizer.type", "'adan'"]),
        ("optimizer.lr=fast", ["optimizer.lr", "'fast'"]),
        ("representation=null", ["representation", "missing"]),
        ("representation=big", ["representation", "'big'"]),
        ("seed=-1", ["seed", "-1"]),
        ("stages=[]", ["stages", "no map of stages"]),
        ("stages={a: {true: 1}}", ["stages.a", "True", "no such key"]),
        ("seed=99999999999999999999", ["seed", "20 digits", "64 bits"]),
        ("steps=9999999999", ["steps", "1,000,000,000"]),
        ("steps=???", ["steps: ???; write steps"]),
        ("input=3", ["input: 3; write a map {option: value}"]),
        ("optimizer.betas={a: 1}", ["optimizer.betas", "{'a': 1}", "a list such as [1, 2]"]),
        ("optimizer.eps=-1", ["optimizer.eps", "-1", "0 to 1"]),
        ("optimizer.eps=.nan", ["optimizer.eps", "nan", "finite"]),
        ("optimizer.lr=1e30", ["optimizer.lr", "1e+30", "0 to 10000"]),
        ("optimizer.lr={0%: 0.1, 1e999: 1}", ["optimizer.lr", "inf", "outside the run"]),
        ("denoiser.mean=[0, .inf, 0]", ["denoiser.mean[1]", "inf", "finite"]),
        ("guidance.pull.denoiser=[1]", ["guidance.pull.denoiser", "[1]", "label"]),
        ("guidance.pull.type=3", ["guidance.pull.type", "3", "pull"]),
        ("guidance.pull.weight=1e30", ["guidance.pull.weight", "1e+30", "0 to 1e+09"]),
        ("guidance.pull.weight=-1", ["guidance.pull.weight", "-1", "0 to 1e+09"]),
        ("regularizers.bright.weight={0%: 1, 50%: -2}", ["regularizers.bright.weight", "-2", "0 to 1e+09"]),
        ("regularizers={true: {type: bright}, 'True': {type: bright}}", ["regularizers.True", "twice"]),
        ("export={'': {}}", ["export", "''", "label"]),
        ("export={../../evil: {}}", ["export", "'../../evil'", "label"]),
        ("export={/tmp/victim: {}}", ["export", "'/tmp/victim'", "label"]),
        ("export={picture: {}}", ["export.picture", "rename"]),
        ("observers={a/b: {}}", ["observers", "label"]),
        (f"guidance={{{'x' * 51}: {{}}}}", ["guidance", "at most 50"]),
        ("out=[1]", ["out", "[1]", "no folder"]),
        ("out=''", ["out", "''", "no folder"]),
        (f"image={'x' * 10_001}", ["image", "10,001 characters"]),
        ("prompt=[a, b]", ["prompt: ['a', 'b']; write text"]),
        ("overwrite=7", ["overwrite: 7; write true or false"]),
        ("denoiser.mean=-1", ["denoiser.mean: -1; write a list such as ["]),
        ("seed=${nope}", ["seed: what its ${...} stands for", "write the value itself"]),
        ("seed=${oc.env:ZERO3D_NOWHERE}", ["seed: what its ${...} stands for"]),
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
    with pytest.raises(RecipeError, match=r"toi\.yaml: no such file.*toy\.yaml"):
        read_yaml(toy_recipe.with_name("toi.yaml"))


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "a: [1\n", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        read_yaml(path)


def test_an_override_without_equals_is_explained(toy_recipe):
    with pytest.raises(RecipeError, match=r"key\.path=value"):
        read_yaml(toy_recipe, ["steps"])


def test_a_folder_whose_name_is_a_number_is_that_folder(registry, toy_recipe):
    recipe = load_recipe(toy_recipe, registry, ["out=5"])
    assert recipe.options.out == recipe.source["out"] == "5"
    staged = load_recipe(toy_recipe, registry, ["out=5", "stages={a: {}, b: {}}"])
    assert [stage.source["out"] for stage in (staged, *staged.later)] == ["5/1-a", "5/2-b"]


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("seed: '${'", "seed: what its .*no viable alternative"),
        ("seed: ${seed}", "seed: what its .*Recursive interpolation"),
        ("seed: ${oc.env:NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
        ("~: 4", "NoneType"),
        ("? [1]\n: 4", "unhashable"),
        ("odd: !!set {a, b}", "odd: "),
        ("odd: !!binary aGVsbG8=", "b'hello' is a bytes"),
        ("odd: !!python/object/apply:pathlib.Path [x]", "PosixPath"),
        ("odd: " + "9" * 5000, "digits"),
        ("odd: " + "{a: " * 200 + "1" + "}" * 200, "more than 32 deep"),
        ("odd: " + "[" * 20_000, "more than 32 deep"),
        ("odd: [" + "1," * 60_000 + "]", "more than 50,000 values"),
        ("odd: &a [*a]", r"\*a: stands for itself"),
        ("odd: *nowhere", r"\*nowhere: stands for itself, or for nothing"),
        ("b0: &b0 [x,x,x,x]\n" + "\n".join(f"b{i}: &b{i} [{f'*b{i - 1},' * 9}]" for i in range(1, 30)), "50,000"),
        ("#" * 2**20, "more than 1,048,576 bytes"),
    ],
    ids=lambda value: value[:24],
)
def test_whatever_yaml_can_say_is_read_or_refused_in_one_line(tmp_path, line, part):
    path = tmp_path / "odd.yaml"
    path.write_text(f"steps: 3\n{line}\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=part) as error:
        read_yaml(path)
    assert str(error.value).startswith(str(path))
    assert len(str(error.value)) < len(str(path)) + 300


@pytest.mark.parametrize("override", ["[=1", "a" + ".a" * 40 + "=1", "seed=" + "9" * 5000, "seed=${", "seed=1\n  b: 2"])
def test_an_override_that_cannot_be_read_is_named(toy_recipe, override):
    with pytest.raises(RecipeError, match=r"^override "):
        read_yaml(toy_recipe, [override])


def test_a_file_of_an_editor_that_writes_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "mark.yaml"
    path.write_bytes(b"\xef\xbb\xbfsteps: 3\n")
    assert read_yaml(path) == {"steps": 3}


def test_nothing_in_a_recipe_runs_code(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("steps: !!python/object/apply:os.system ['touch pwned']\n", encoding="utf-8")
    with pytest.raises(RecipeError):
        read_yaml(path)


@dataclass
class Inner:
    depth: int = 0


@dataclass
class EveryKind:
    """An option of every type that options have."""

    needed: str
    whole: int = 1
    number: float = 1.0
    switch: bool = False
    text: str = "a"
    maybe: int | None = None
    maybe_switch: bool | None = None
    numbers: list[float] = field(default_factory=lambda: [0.5, 2.0])
    words: list[str] = field(default_factory=list)
    rows: list[list[float]] | None = None
    table: dict[str, float] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    either: int | str = 1


VALUES = {
    "whole": ([1.5, True, "wide", "1e3", None, [1], {"a": 1}, ""], "a whole number"),
    "number": ([True, "wide", None, [1], {"a": 1}, ""], "a number"),
    "switch": ([7, 0, 1.5, "true", "yes", None, [True], {}], "true or false"),
    "text": ([None, [], ["a"], {"a": 1}], "text"),
    "maybe": ([1.5, True, "wide", [1], {}], "a whole number or null"),
    "maybe_switch": ([1, "true", []], "true or false or null"),
    "numbers": ([-1, "wide", None, {"a": 1}, ["a"], [[1]], [None], [True]], "a list such as [0.5, 2]"),
    "words": ([-1, "noise", None, {}, [[1]], [None]], "a list such as [a, b]"),
    "rows": ([-1, "wide", [1, 2], [["a"]], {}], "a list such as [1, 2] or null"),
    "table": ([-1, "wide", None, [], {"a": "b"}, {"a": None}], "a map {option: value}"),
    "inner": ([-1, "wide", None, []], "a map {option: value}"),
    "either": ([None, [], {}, 1.5], "a whole number or text"),
    "needed": ([None, []], "text"),
}


@pytest.mark.parametrize("name", VALUES)
def test_what_an_option_does_not_take_is_told_in_words_with_what_it_does(name):
    assert set(VALUES) == {option.name for option in dataclasses.fields(EveryKind)}
    wrong, words = VALUES[name]
    for value in wrong:
        with pytest.raises(RecipeError) as error:
            typed(EveryKind, {"needed": "a", name: value}, "r.yaml: block")
        assert str(error.value) == f"r.yaml: block.{name}: {value!r}; write {words}"


@pytest.mark.parametrize(
    ("options", "value"),
    [
        ({"whole": "5"}, 5),
        ({"number": 7}, 7.0),
        ({"number": "1e3"}, 1000.0),
        ({"text": 7}, "7"),
        ({"maybe": None}, None),
        ({"maybe": 2**62 + 1}, 2**62 + 1),
        ({"numbers": [1, "2"]}, [1.0, 2.0]),
        ({"rows": [[1], [2, 3]]}, [[1.0], [2.0, 3.0]]),
        ({"table": {"a": 1}}, {"a": 1.0}),
        ({"inner": {"depth": 3}}, Inner(3)),
        ({"either": "far"}, "far"),
    ],
    ids=str,
)
def test_what_it_takes_has_its_type(options, value):
    (name,) = options
    found = getattr(typed(EveryKind, {"needed": "a", **options}, "r.yaml: block"), name)
    assert found == value
    assert type(found) is type(value)


def test_an_option_without_a_default_is_asked_for():
    with pytest.raises(RecipeError, match=r"^r\.yaml: block\.needed: missing; write text$"):
        typed(EveryKind, {}, "r.yaml: block")


@dataclass
class Compared:
    share: Any = 0.5

    def __post_init__(self):
        if not 0 <= self.share <= 1:
            raise ValueError(f"share: {self.share}; 0 to 1")


def test_a_value_that_a_plugins_own_check_cannot_compare_is_told():
    with pytest.raises(RecipeError, match=r"^r\.yaml: block\.share: \[1\] does not fit; `zero3d plugins show NAME`"):
        typed(Compared, {"share": [1]}, "r.yaml: block")
