"""From words to a mesh through the command line: DreamFusion's recipe over a text teacher in closed form."""

import json
import textwrap

import numpy
import pytest

from zero3d.cli import main
from zero3d.mesh_files import load_mesh

TEACHER = '''
"""A text teacher that knows balls: of the prompt's colour, and large or small."""

import torch

from zero3d import hookimpl
from zero3d.geometry import rays
from zero3d.interfaces import COND, NULL, PixelDenoiser

COLOURS = {"red": (0.8, 0.2, 0.1), "blue": (0.1, 0.2, 0.8)}
STD = 0.1


class WordsBall(PixelDenoiser):
    """Each view is drawn from N(mu, STD^2), mu the picture of a ball before white; without words, of white."""

    name = "words_ball"
    needs = frozenset({"prompt"})
    resolution = picture_resolution = 32

    def condition(self, subject):
        words = subject.prompt.text.split()
        (colour,) = [COLOURS[word] for word in words if word in COLOURS]
        return torch.tensor(colour), 0.5 if "large" in words else 0.3

    def predict(self, noised, sigma, condition, cameras, branches):
        colour, radius = condition
        origins, directions = rays(cameras)
        along = (origins * directions).sum(dim=-1, keepdim=True)
        hit = along**2 - (origins**2).sum(dim=-1, keepdim=True) + radius**2 > 0
        means = {COND: torch.where(hit, colour, torch.ones(3)).to(noised), NULL: torch.ones_like(noised)}
        noise = sigma[:, None, None, None] ** 2
        return {b: (STD**2 * noised + noise * means[b]) / (STD**2 + noise) for b in branches}


@hookimpl
def register_components(register):
    register(WordsBall)
'''
SMALL = [
    *("device=cpu", "denoiser={type: words_ball}", "steps=70", "cameras.resolution=32", "cameras.views=2"),
    *("cameras.distance=[2.0, 2.0]", "cameras.fov_deg=[49.1, 49.1]", "guidance.sds.guidance_scale=1"),
    *(
        "representation={type: voxels, resolution: 32, box: 0.75, density_shift: -3, density_gain: 20}",
        "background=null",
    ),
    *("guidance.sds.weighting=sigma", "guidance.sds.min_t=0.5", "optimizer={type: adam, lr: 0.1}"),
    *("regularizers={}", "observers={}", "export.mesh.resolution=48"),
]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    file = tmp_path_factory.mktemp("plugin") / "words_ball.py"
    file.write_text(textwrap.dedent(TEACHER), encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("prompt", "radius", "brightest"), [("a large red ball", 0.5, 0), ("a small blue ball", 0.3, 2)]
)
def test_the_mesh_is_what_the_words_say(prompt, radius, brightest, teacher, tmp_path):
    out = tmp_path / "run"
    command = ["run", "recipes/dreamfusion.yaml", f"prompt={prompt}", f"out={out}", *SMALL, "--plugin", teacher]
    assert main(command) == 0
    mesh = load_mesh(out / "mesh.glb")
    assert mesh.is_watertight
    distance = numpy.linalg.norm(mesh.vertices, axis=1)
    assert abs(numpy.median(distance) - radius) < 0.05
    colours = numpy.asarray(mesh.visual.vertex_colors)[:, :3].mean(axis=0)
    assert colours.argmax() == brightest
    assert colours[brightest] > 2 * colours[2 - brightest]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[-1]["guidance.sds.distance"] < lines[0]["guidance.sds.distance"] / 3
    assert prompt in (out / "recipe.yaml").read_text(encoding="utf-8")


def test_without_words_nothing_begins(teacher, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", "recipes/dreamfusion.yaml", f"out={out}", *SMALL, "--plugin", teacher]) == 2
    assert 'prompt: missing; say what is wanted, for example prompt="a cat"' in capsys.readouterr().err
    assert not out.exists()
