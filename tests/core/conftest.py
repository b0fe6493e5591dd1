import pytest

from tests.core import toy
from zero3d.plugins import load_plugins
from zero3d.registry import Registered


@pytest.fixture
def registry():
    """Everything installed, and the toy parts."""
    found = load_plugins()
    for component in toy.COMPONENTS:
        found.add(Registered(component, "toy", "tests", "0"))
    return found


TOY_RECIPE = """
steps: 30
seed: 3
device: cpu
image: {image}
out: {out}
input: {{elevation_deg: 10, framing: keep, mask: alpha}}
cameras: {{type: round}}
denoiser: {{type: gaussian, resolution: 16}}
representation: {{type: flat, resolution: 16}}
renderer: {{type: flat}}
optimizer: {{type: adam, lr: 0.05}}
checkpoint: {{every: 7}}
guidance:
  pull: {{target: 1.0}}
regularizers:
  bright: {{weight: {{0%: 0, 50%: 0.1}}}}
"""


@pytest.fixture
def toy_recipe(tmp_path):
    """A recipe of toy parts and its picture; `out` is tmp_path/out."""
    import numpy
    from PIL import Image

    rgba = numpy.zeros((64, 64, 4), numpy.uint8)
    rgba[16:48, 16:48] = (200, 30, 30, 255)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "red.png")
    path = tmp_path / "toy.yaml"
    path.write_text(TOY_RECIPE.format(image=tmp_path / "red.png", out=tmp_path / "out"), encoding="utf-8")
    return path
