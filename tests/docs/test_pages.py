"""What the pages say of commands, recipes, options and files holds."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from tests.test_docs import shell_commands
from zero3d.cli import main
from zero3d.cli.parser import make_parser
from zero3d.plugins import load_plugins
from zero3d.recipe import BLOCK_MAPS, SINGLE_BLOCKS, RunOptions, load_recipe, read_yaml, recipes

PAGES = sorted(str(path) for path in Path("docs").glob("*.md"))
"""Those that are written by hand; tests carry out the tutorials, and the reference is written from the code."""
REGISTRY = load_plugins()
COMMANDS = sorted({(page, tuple(words)) for page in PAGES for words in shell_commands(page)})
ENGINE_KEYS = {
    "guidance": {"type", "weight", "every", "denoiser", "encoder", "cameras"},
    "regularizers": {"type", "weight", "every", "encoder", "view"},
}


def code(page):
    """Inline code of a page, blocks left out."""
    return re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", Path(page).read_text(encoding="utf-8"), flags=re.M | re.S)
    )


def problem(path):
    """What is wrong with a recipe key such as `guidance.sds.min_t`; None if nothing is, or if it is no such key."""
    top, *rest = path.split(".")
    if not rest or any("<" in part for part in rest):
        return None
    if top in BLOCK_MAPS:
        if rest[0] not in REGISTRY.names(BLOCK_MAPS[top]):
            return None if top in ("denoisers", "export") and len(rest) == 1 else label_problem(top, rest)
        options = option_names(REGISTRY.get(BLOCK_MAPS[top], rest[0], path)) | ENGINE_KEYS.get(top, {"type"})
        return None if len(rest) == 1 or rest[1] in options else f"{rest[0]} has no option {rest[1]}"
    if top in SINGLE_BLOCKS:
        kind = SINGLE_BLOCKS[top]
        known = {"type"}.union(*(option_names(REGISTRY.get(kind, name, path)) for name in REGISTRY.names(kind)))
        return None if rest[0] in known else f"no {kind} has an option {rest[0]}"
    nested = {f.name: f.default_factory for f in dataclasses.fields(RunOptions) if callable(f.default_factory)}
    if top in nested:
        known = {f.name for f in dataclasses.fields(nested[top])}
        return None if rest[0] in known else f"{top} has no option {rest[0]}"
    return None


def label_problem(top, rest):
    """For a label that is no component's name, as `export.mesh.threshold`: some component must have the option."""
    kind = BLOCK_MAPS[top]
    known = set().union(*(option_names(REGISTRY.get(kind, name, top)) for name in REGISTRY.names(kind)))
    return None if top == "export" and rest[1] in known else f"no {kind} {rest[0]}"


def option_names(component):
    return {f.name for f in dataclasses.fields(component.Config)}


@pytest.mark.parametrize("page", PAGES)
def test_every_recipe_key_and_component_that_a_page_names_exists(page):
    keys = {re.split("[=: ]", text)[0] for text in code(page)}
    wrong = {key: said for key in sorted(keys) if re.fullmatch(r"[\w.<>]+", key) and (said := problem(key))}
    assert wrong == {}


def test_a_wrong_key_is_found():
    assert problem("guidance.sds.min_q") == "sds has no option min_q"
    assert problem("regularizers.opacity.weight") == "no regularizer opacity"
    assert problem("input.elevation") == "input has no option elevation"
    assert problem("renderer.steps") == "no renderer has an option steps"


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=lambda value: value if isinstance(value, str) else " ".join(value)
)
def test_every_command_line_is_understood_and_every_run_a_valid_recipe(page, words):
    arguments = make_parser(REGISTRY)[0].parse_args(words)
    assert arguments.command == words[0]
    if words[0] == "run" or words[:2] == ("recipe", "check"):
        load_recipe(arguments.recipe, REGISTRY, arguments.overrides)


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_exists(page):
    paths = set(
        re.findall(
            r"(?<![\w/])(?:recipes|examples|benchmarks|plugins|zero3d)/[\w./-]+\.\w+",
            Path(page).read_text(encoding="utf-8"),
        )
    )
    assert [path for path in sorted(paths) if not Path(path).exists()] == []


def test_every_recipe_has_its_place_on_the_recipes_page():
    text = Path("docs/recipes.md").read_text(encoding="utf-8")
    for path in sorted(Path("recipes").glob("*.yaml")):
        assert f"| `{path}` |" in text
        assert f"{{literalinclude}} ../{path}" in text


def test_every_figure_on_the_recipes_page_is_stated_where_it_was_measured_or_found():
    """The README and the recipes' headers have the commands and sources; the list of weights has their sizes."""
    page = re.sub(r"^```.*?^```$", "", Path("docs/recipes.md").read_text(encoding="utf-8"), flags=re.M | re.S)
    figures = set(re.findall(r"\d[\d,.]*(?: to \d+)?(?= (?:s|GB|steps|hours|minutes)\b)", page))
    assert {"8", "16", "10,000"} <= figures
    files = ["README.md", *map(str, Path("recipes").glob("*.yaml")), *map(str, Path("plugins").rglob("known.py"))]
    sources = "\n".join(Path(file).read_text(encoding="utf-8") for file in files)
    assert [figure for figure in figures if not re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d])", sources)] == []


def test_the_recipes_page_and_the_gallery_have_the_same_recipes_and_times(monkeypatch):
    monkeypatch.syspath_prepend("docs")
    from gallery_page import gallery_page

    table = r"^\| `recipes/([\w-]+)\.yaml` \|.*\| (.*?) \|$"
    rows = re.findall(table, Path("docs/recipes.md").read_text(encoding="utf-8"), flags=re.M)
    shown = dict(re.findall(r"^### ([\w-]+)\n(.*?)(?=^#|\Z)", gallery_page(REGISTRY), flags=re.M | re.S))
    assert sorted(name for name, _ in rows) == sorted(RECIPES) == sorted(shown)
    times = [
        (name, said) for name, needs in rows for said in re.findall(r"[\d,.]+ (?:s|minutes)\b|half an? \w+", needs)
    ]
    assert len(times) > 6
    assert [(name, said) for name, said in times if said not in shown[name]] == []


def recipe_name(text):
    """What `recipes/nano.yaml steps=2`, or `nano steps=2`, begins with."""
    return text.split()[0].removeprefix("recipes/").removesuffix(".yaml")


RECIPES = recipes()
"""By name, as `zero3d run` finds them."""
SAID = sorted({text for page in PAGES for text in code(page) if recipe_name(text) in RECIPES})


@pytest.mark.parametrize("said", [text for text in SAID if " " in text])
def test_every_recipe_with_changes_that_a_page_names_in_passing_is_valid(said):
    """As in the tables of what replaces which config."""
    changes = shlex.split(said)[1:]
    if "dataset" not in read_yaml(RECIPES[recipe_name(said)]):
        load_recipe(RECIPES[recipe_name(said)], REGISTRY, changes)


def test_the_recipes_of_other_projects_configs_are_there():
    """`name` alone in the column `here` of the tables of configs."""
    rows = re.findall(
        r"^\| `[\w/-]+\.yaml`[^|]* \| `([\w-]+)`", Path("docs/coming-from.md").read_text(encoding="utf-8"), flags=re.M
    )
    assert len(rows) > 8
    assert [name for name in rows if name not in RECIPES] == []


CONFIGS = (
    *("dreamfusion-if", "dreamfusion-sd", "prolificdreamer", "prolificdreamer-patch", "prolificdreamer-scene"),
    *("prolificdreamer-geometry", "prolificdreamer-texture", "magic3d-coarse-if", "magic3d-coarse-sd"),
    *("magic3d-refine-sd", "sjc", "latentnerf", "latentnerf-refine", "sketchshape", "sketchshape-refine", "fantasia3d"),
    *("fantasia3d-texture", "textmesh-if", "control4d-static", "instructnerf2nerf", "magic123-coarse-sd"),
    *("magic123-refine-sd", "stable-zero123", "zero123"),
    # in the repository alone
    *(
        "hifa",
        "sdi",
        "zero123-geometry",
        "magic123-hifa-coarse-sd",
        "magic123-hifa-refine-sd",
        "fantasia3d-texture-vsd",
    ),
    *(f"experimental/unified-guidance/{name}" for name in ("dreamfusion-sd", "hifa", "magic123", "prolificdreamer")),
    *(f"experimental/unified-guidance/{name}" for name in ("prolificdreamer-hifa", "zero123-simple")),
)
"""threestudio's: those of the commands in its README, and others that people use."""
OPTIONS = (
    *("text", "O", "O2", "sd_version", "hf_key", "IF", "perpneg", "latent_iter_ratio", "guidance", "image"),
    *("image_config", "dmtet", "init_with", "vram_O", "progressive_view", "grad_clip", "learned_embeds_path"),
    *("guidance_scale", "lambda_rgb", "lambda_mask", "lambda_opacity", "lambda_entropy", "lambda_orient", "lambda_tv"),
    *("lambda_2d_normal_smooth", "lambda_3d_normal_smooth", "lambda_depth", "lambda_normal", "known_view_scale"),
    *("known_view_interval", "uniform_sphere_rate", "backbone", "save_mesh", "mcubes_resolution", "decimate_target"),
    *("gui", "test", "ckpt", "workspace", "iters"),
)
"""stable-dreamfusion's, of main.py."""


def left_cells(heading):
    """The first cells of all tables under a heading of the page for other projects' users."""
    page = Path("docs/coming-from.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| (.*?) \|", section, flags=re.M)


def test_every_config_of_threestudio_that_people_use_has_its_row():
    cells = " ".join(left_cells("threestudio"))
    assert [name for name in CONFIGS if f"`{name}.yaml`" not in cells] == []
    assert [key for key in ("prompt_processor.prompt", "ambient_only_steps") if key not in cells] == []


def test_every_option_of_stable_dreamfusion_that_people_use_has_its_row():
    named = re.findall(r"-{1,2}(\w+)", " ".join(left_cells("stable-dreamfusion")))
    assert [name for name in OPTIONS if name not in named] == []


QUIET = (["plugins"], ["plugins", "show"], ["recipe", "check"], ["weights", "list"])
"""Those of the questions' commands that are carried out, beside --dry-run; the others are parsed, as on every page."""


def test_every_question_is_answered_with_a_command():
    questions = re.split(r"^## ", Path("docs/faq.md").read_text(encoding="utf-8"), flags=re.M)[1:]
    shown = {
        text.splitlines()[0]: re.findall(r"^```(?:sh|console)\n(.*?)^```", text, flags=re.M | re.S)
        for text in questions
    }
    assert len(shown) > 15
    assert [title for title, blocks in shown.items() if not any("zero3d" in block for block in blocks)] == []


@pytest.mark.parametrize("words", [list(words) for page, words in COMMANDS if page == "docs/faq.md"], ids=" ".join)
def test_the_questions_commands_that_write_nothing_are_carried_out(words, tmp_path, capsys):
    if words not in QUIET and words[:2] not in QUIET and "--dry-run" not in words:
        return
    here = [word.replace("cat.png", "examples/mug.png").replace("runs/", f"{tmp_path}/") for word in words]
    assert main(here) == 0
    assert capsys.readouterr().out
    assert not list(tmp_path.iterdir())
