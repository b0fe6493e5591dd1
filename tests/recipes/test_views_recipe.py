"""recipes/views.yaml: pictures with known cameras to a model, no teacher."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path("benchmarks").resolve()))
import views  # benchmarks/views.py

sys.path.pop(0)

SMALL = ["steps=40", "representation.resolution=32", "input.resolution=32", "export.mesh.resolution=32"]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("views")
    return folder, views.fitted(views.FIRST_SEED + 1_000_000, 6, folder, SMALL)


def test_views_between_the_given_ones_are_right(figures):
    assert figures[1]["psnr"] > 20
    assert figures[1]["chamfer_20000"] < 0.05


def test_the_run_keeps_its_pictures_and_their_cameras(figures):
    folder, _ = figures
    run = next(path for path in folder.iterdir() if (path / "recipe.yaml").is_file())
    assert len(list((run / "pictures").iterdir())) == 6
    assert json.loads((run / "manifest.json").read_text(encoding="utf-8"))["components"]["images.000"]
