"""Mistakes with words, families of teachers and views that belong together: one line, exit code 2, nothing left behind."""

import shutil
from pathlib import Path

import pytest

from tests.plugins.clip_tiny import save_folder as save_clip
from tests.plugins.mvdream_tiny import save_folder as save_mvdream
from tests.plugins.sd_tiny import save_deepfloyd, save_stable_diffusion
from tests.plugins.zero123_tiny import save_folder as save_zero123
from tests.test_bad_input import told
from zero3d.cli import main

ROOT = Path.cwd()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Tiny weights of every family, by name; "bare" has no merges.txt, "blind" no text tower."""
    place = tmp_path_factory.mktemp("families")
    made = {
        "sd": save_stable_diffusion(place / "sd"),
        "v": save_stable_diffusion(place / "v", second=True, prediction="v_prediction"),
        "if": save_deepfloyd(place / "if"),
        "mvdream": save_mvdream(place / "mvdream", "mvdream"),
        "imagedream": save_mvdream(place / "imagedream", "imagedream"),
        "zero123": save_zero123(place / "zero123"),
        "clip": save_clip(place / "clip"),
    }
    made["bare"] = shutil.copytree(made["sd"], place / "bare")
    (made["bare"] / "tokenizer" / "merges.txt").unlink()
    made["blind"] = shutil.copytree(made["clip"], place / "blind")
    for file in ("vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json"):
        (made["blind"] / file).unlink(missing_ok=True)
    return made


RECIPES = {
    "words": "dreamfusion",
    "picture": "zero123",
    "both": "magic123",
    "joint": "mvdream",
    "fourviews": "imagedream",
    "clip": "dream-fields",
    "vsd": "zero123-vsd",
}
SMALL = (
    "representation.levels=2 representation.finest_resolution=24 representation.table_log2=10 representation.detail=16"
)
WEIGHTS = {
    "words": ["denoiser={{type: stable_diffusion, weights: '{sd}'}}"],
    "picture": ["denoiser.weights={zero123}"],
    "both": ["denoisers.words.weights={sd}", "denoisers.views.weights={zero123}"],
    "joint": ["denoiser.weights={mvdream}"],
    "fourviews": ["denoiser.weights={imagedream}"],
    "clip": ["encoder.weights={clip}"],
    "vsd": ["denoiser.weights={zero123}"],
}
PICTURE = f"image={ROOT}/examples/mug.png"


@pytest.mark.parametrize(
    ("name", "changes", "parts"),
    [
        # a prompt where none is read, and none where one is
        (
            "picture",
            [PICTURE, "prompt=a cat"],
            ["zero123.yaml: prompt:", "nothing in this recipe reads a prompt", "prompt=null"],
        ),
        ("words", [], ["dreamfusion.yaml: prompt: missing", 'prompt="a cat"']),
        ("words", [PICTURE], ["denoiser", "needs a prompt", 'prompt="a cat"']),
        ("both", [PICTURE], ["denoisers.words", "needs a prompt"]),
        ("both", ["prompt=a cat"], ["denoisers.views", "needs a picture", "image=cat.png"]),
        ("words", ["prompt='  '"], ["prompt", "say what is wanted"]),
        ("words", [PICTURE, "negative=ugly"], ["negative: 'ugly'", "beside a prompt"]),
        ("both", [], ["magic123.yaml", "image: missing", 'and words, for example prompt="a cat"']),
        ("clip", [], ["dream-fields.yaml: image: missing", 'or words, for example prompt="a cat"']),
        ("picture", [], ["zero123.yaml: image: missing", "image=examples/mug.png\n"]),
        # a checkpoint of another family, named for what it is
        ("words", ["prompt=a cat", "denoiser.weights={zero123}"], ["is Zero-1-to-3", "denoiser.type=zero123"]),
        ("words", ["prompt=a cat", "denoiser.weights={mvdream}"], ["is MVDream", "denoiser.type=mvdream"]),
        ("words", ["prompt=a cat", "denoiser.weights={if}"], ["is DeepFloyd IF", "denoiser.type=deepfloyd_if"]),
        ("words", ["prompt=a cat", "denoiser.weights={clip}"], ["denoiser.weights", "is CLIP, not Stable Diffusion"]),
        (
            "joint",
            ["prompt=a cat", "denoiser.weights={sd}"],
            ["is Stable Diffusion, not MVDream", "denoiser.type=stable_diffusion"],
        ),
        (
            "joint",
            ["prompt=a cat", "denoiser.weights={imagedream}"],
            ["is ImageDream, not MVDream", "denoiser.type=imagedream"],
        ),
        (
            "picture",
            [PICTURE, "denoiser.weights={sd}"],
            ["is Stable Diffusion", "not Zero-1-to-3", "denoiser.type=stable_diffusion"],
        ),
        ("picture", [PICTURE, "denoiser.weights={mvdream}"], ["is MVDream", "denoiser.type=mvdream"]),
        ("clip", ["prompt=a cat", "encoder.weights={sd}"], ["encoder.weights", "is Stable Diffusion, not CLIP"]),
        (
            "both",
            [PICTURE, "prompt=a cat", "denoisers.words.weights={zero123}"],
            ["zero3d: denoisers.words.weights: ", "is Zero-1-to-3", "set denoisers.words.type=zero123"],
        ),
        # what a model predicts
        (
            "words",
            ["prompt=a cat", "denoiser.weights={v}", "denoiser.prediction=epsilon"],
            ["denoiser.prediction", "v_prediction"],
        ),
        ("words", ["prompt=a cat", "denoiser.prediction=eps"], ["denoiser.prediction: 'eps'", "one of"]),
        (
            "both",
            [PICTURE, "prompt=a cat", "denoisers.words.prediction=v_prediction"],
            ["zero3d: denoisers.words.prediction: v_prediction"],
        ),
        (
            "both",
            [PICTURE, "prompt=a cat", "denoisers.words.inversion=none.bin"],
            ["zero3d: denoisers.words.inversion: no file 'none.bin'"],
        ),
        # views that are no group
        ("joint", ["prompt=a cat", "cameras.group=1"], ["denoises 4 views jointly", "groups of 1"]),
        ("joint", ["prompt=a cat", "cameras.views=6"], ["group: 4", "multiple"]),
        ("joint", ["prompt=a cat", "guidance.sds.cameras={{type: sphere, views: 3}}"], ["denoises 4 views jointly"]),
        # words that cannot be read
        (
            "clip",
            ["prompt=a cat", "encoder.weights={blind}"],
            ["no tokenizer", "encoder.tokenizer="],
        ),
        ("words", ["prompt=a cat", "denoiser.weights={bare}"], ["merges.txt", "tokenizer"]),
        (
            "both",
            [PICTURE, "prompt=a cat", "denoisers.words.weights={bare}"],
            ["zero3d: denoisers.words.tokenizer: ", "merges.txt"],
        ),
        (
            "clip",
            [
                "prompt=a cat",
                "encoder=null",
                "encoders={{a: {{type: clip, weights: '{blind}'}}}}",
                "guidance.clip.encoder=a",
            ],
            ["no tokenizer", "encoders.a.tokenizer="],
        ),
        ("words", ["prompt=a cat", "denoiser.tokenizer={bare}/tokenizer"], ["merges.txt", "denoiser.tokenizer"]),
        # predictions and fields that are not there
        ("picture", [PICTURE, "guidance.sds.perp_neg=true"], ["guidance.sds", "front, side"]),
        (
            "words",
            ["prompt=a cat", "guidance.sds.shown=normals"],
            ["guidance.sds", "needs normals", "'volume' provides"],
        ),
        (
            "fourviews",
            [PICTURE, "prompt=a cat", "guidance={{vsd: {{critic: lora}}}}"],
            ["guidance.vsd", "lays none open", "network of its own"],
        ),
    ],
    ids=lambda value: " ".join(value).replace(str(ROOT), "")[:60] if isinstance(value, list) else value,
)
def test_one_line_before_anything_loads(name, changes, parts, tiny, tmp_path, monkeypatch, capsys):
    recipe = shutil.copy(f"{ROOT}/recipes/{RECIPES[name]}.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    small = SMALL.split() if name in ("words", "joint", "fourviews", "clip", "vsd") else []
    chosen = [text.format(**tiny) for text in (*WEIGHTS[name], *changes)]
    line = told(capsys, "run", Path(recipe).name, *small, *chosen, "out=out", "device=cpu")
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("words", [], "good, once it is given a prompt. "),
        ("picture", [], "good, once it is given a picture. "),
        ("both", [], "good, once it is given a picture and a prompt. "),
        ("clip", [], "good, once it is given a picture or a prompt. "),
        ("words", ["prompt=a cat"], "good. "),
    ],
)
def test_recipe_check_says_what_is_still_to_be_given(name, given, said, tiny, capsys):
    small = SMALL.split() if name in ("words", "clip") else []
    chosen = [text.format(**tiny) for text in WEIGHTS[name]]
    assert main(["recipe", "check", RECIPES[name], *small, *chosen, *given, "device=cpu"]) == 0
    assert said in capsys.readouterr().out
