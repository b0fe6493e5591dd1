"""Whatever a recipe or an override says: one line or a good recipe, the same to `recipe check` and `plan`, nothing written.

Real recipes are taken, and at random places of them stands what does not belong there.
"""

import contextlib
import copy
import datetime
import io
import math
from pathlib import Path

import numpy
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from zero3d import cli
from zero3d.plugins import load_plugins

SMALL = {
    "cameras": {"resolution": 16},
    "representation": {"type": "voxels", "resolution": 8},
    "renderer": {"type": "volume"},
    "denoiser": {"type": "gaussian", "resolution": 16},
}
"""What makes a recipe's parts cheap to build; all else stays as it is."""
BASES = [
    {**yaml.safe_load(path.read_text(encoding="utf-8")), "image": "picture.png", "out": "out", "device": "cpu"}
    for path in sorted(Path("recipes").glob("*.yaml"))
    if not path.name.startswith("train")
]
BASES = [  # whose parts can be made small so: one teacher, and no weights that are not here
    base
    for base in BASES
    if not {"denoisers", "encoder", "encoders"} & base.keys()
    and base.get("start", {}).get("type", "nano_lift") == "nano_lift"
    and list(base.get("stages", ("coarse", "refine"))) == ["coarse", "refine"]
]
for base in BASES:
    for key, options in SMALL.items():
        if key in base:
            base[key] = {**(base[key] if "type" not in options else {}), **options}
    if "stages" in base:
        base["stages"]["coarse"] |= {key: SMALL[key] for key in ("representation", "renderer")}
        base["stages"]["refine"]["representation"] |= {"resolution": 8, "texture": 16}
REGISTRY = load_plugins()

ODD_TEXT = st.sampled_from(
    ["", " ", ".", "..", "~", "~x", "/", "/tmp/victim", "../../evil", "a/b", "${", "${seed}", "${nowhere}"]
    + ["${oc.env:HOME}", "???", "null", "nan", "-inf", "1e999", "0x10", "1_000", "12:30:00", "yes", "auto", "noise"]
    + ["mesh", "a\tb", "\x1b[2J", "\u202e", "é" * 60, "x" * 300, "y" * 12_000, "[", "{", "!!set", "&a", "*a", "- 1"]
    + ["a: 1", "#", "%", "0%", "50%", "101%", "-1%"]
)
WHOLE = st.sampled_from([0, 1, -1, 2, 3, 7, 63, 64, 65, 255, 4097, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**400])
REAL = st.sampled_from([0.0, 0.5, -0.5, 1.0, 1e-30, 1e30, -1e30, 1e308, math.nan, math.inf, -math.inf])
NUMBERS = WHOLE | REAL
PLAIN = st.none() | st.booleans() | NUMBERS | ODD_TEXT | st.text(max_size=8)
KEYS = ODD_TEXT | st.sampled_from(
    [None, True, 0, -1, 1.5, "type", "weight", "view", "denoiser", "cameras", "0%", "100%"]
)
VALUES = st.recursive(
    PLAIN | st.dates() | st.binary(max_size=4) | st.sets(st.integers(), max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
DEEP = st.integers(1, 60).map(lambda n: eval("{'a': " * n + "1" + "}" * n))


def places(tree, path=()):
    """Every path of a tree of maps and lists, the inner ones too."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def alike(value):
    """Values of the same type: what a check of types lets through."""
    if isinstance(value, bool):
        return st.booleans()
    if isinstance(value, (int, float)):
        return WHOLE | REAL | st.floats(-10, 10) | st.integers(-10, 300)
    if isinstance(value, list):
        return st.lists(alike(value[0]) if value else PLAIN, max_size=3)
    return ODD_TEXT if isinstance(value, str) else VALUES


def changed(draw, recipe, values):
    """Another value at some place of it, or another key there, or nothing."""
    path = draw(st.sampled_from(sorted(places(recipe), key=str)))
    above = recipe
    for key in path[:-1]:
        above = above[key]
    act = draw(st.sampled_from(["change", "change", "change", "add", "drop"]))
    if act == "change":
        above[path[-1]] = draw(values(above[path[-1]]))
    elif act == "add" and isinstance(above, dict):
        above[draw(KEYS)] = draw(VALUES)
    elif act == "drop" and isinstance(above, dict):
        del above[path[-1]]


@st.composite
def recipes(draw, most, values):
    """A real recipe, changed in up to `most` places."""
    recipe = copy.deepcopy(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, most))):
        changed(draw, recipe, values)
    return recipe


WORDS = [".".join(map(str, path)) for base in BASES for path in places(base)]
KEY_PATHS = st.sampled_from(WORDS) | ODD_TEXT | st.text("abc.[]=${}'0 ", max_size=8)
OVERRIDES = st.one_of(
    st.tuples(KEY_PATHS, VALUES.map(lambda value: yaml.safe_dump(value, default_flow_style=True, width=10**6).strip())),
    st.tuples(KEY_PATHS, ODD_TEXT),
    st.tuples(KEY_PATHS, st.text("{}[]:,&*!|>'\"%@`-?~ a1.e${}\n", max_size=12)),
).map("=".join) | st.text(max_size=8)


def written(recipe):
    return yaml.dump(recipe, sort_keys=False, allow_unicode=True)


def said(*words):
    """(exit code, stderr) of a command in this process; a traceback is one of the test."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(list(words))
        except SystemExit as ended:  # argparse's
            code = ended.code
    return code, err.getvalue()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a picture; plug-ins are loaded once, and a bug's log is a failure anyway."""
    rgba = numpy.zeros((24, 24, 4), numpy.uint8)
    rgba[6:18, 8:16] = (180, 60, 40, 255)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "picture.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "load_plugins", lambda local: REGISTRY)
    return tmp_path


def hold(folder, text, overrides):
    """`recipe check` and `plan` of it: an exit code of ours, one line, the same verdict, and nothing written."""
    (folder / "r.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    before = sorted(path.name for path in folder.iterdir())
    checked, line = said("recipe", "check", "r.yaml", *overrides)
    planned, same = said("plan", "r.yaml", *overrides)
    for code, told in ((checked, line), (planned, same)):
        assert code in (0, 1, 2), told
        assert "this is a bug" not in told, told
        usage = told.startswith("usage: ")
        assert usage or told.count("\n") == (code != 0), told
        assert usage or len(told) < 2000
    assert checked == planned or "missing" in same, (line, same)  # a check leaves image and out to who runs it
    assert sorted(path.name for path in folder.iterdir()) == before


RUNS = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@RUNS
@given(recipe=recipes(1, alike))
def test_a_recipe_with_another_number_is_good_or_refused_in_one_line(here, recipe):
    hold(here, written(recipe), [])


@RUNS
@given(recipe=recipes(3, lambda value: VALUES | DEEP), overrides=st.lists(OVERRIDES, max_size=2))
def test_a_recipe_of_odd_things_is_good_or_refused_in_one_line(here, recipe, overrides):
    hold(here, written(recipe), overrides)


@RUNS
@given(text=st.text("{}[]:,&*!|>'\"%@`-?~ \nab1.e${}<=#", max_size=40))
@example(text="&a {b: *a}")
@example(text=f"seed: {datetime.date(2020, 1, 1)}")
def test_any_text_is_a_recipe_or_refused_in_one_line(here, text):
    hold(here, text, [])
