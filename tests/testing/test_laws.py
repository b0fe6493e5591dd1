"""Each law of the kit is broken by some component, and says so in one line; the lawful ones pass.

A law that nothing can break is worthless: `test_every_law_is_broken_by_something` finds those that no line here names.
"""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.testing import (
    broken_files,
    broken_measuring,
    broken_models,
    broken_seen,
    broken_terms,
    broken_views,
    lawful,
)
from tests.testing.broken import BROKEN
from tests.testing.lawful import variant
from zero3d import testing
from zero3d.interfaces import EncoderTeacher, TrainingBatch
from zero3d.testing import BrokenLaw, GaussianDenoiser, check_denoiser, loss_context, random_view
from zero3d.values import Prompt, Subject

assert all((broken_files, broken_measuring, broken_models, broken_seen, broken_terms, broken_views)), (
    "importing them fills BROKEN"
)


@pytest.mark.parametrize(("law", "act"), BROKEN)
def test_a_broken_law_is_named_in_one_line(law, act):
    with pytest.raises(BrokenLaw) as caught:
        act()
    told = str(caught.value)
    assert f": {law}: " in told, told
    assert len(told.splitlines()) == 1


def laws_of_the_kit():
    """Every law that the sources name: the first argument of laws(...), .runs, .says, .broken, or what `law` is set to."""
    for path in Path(testing.__file__).parent.joinpath("laws").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "law":
                yield node.value.value
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                function = node.func
                if getattr(function, "attr", "") in ("own_randomness", "default"):
                    continue
                owner = function.value if isinstance(function, ast.Attribute) else function
                if getattr(owner, "id", "") in ("laws", "self") and isinstance(node.args[0].value, str):
                    yield node.args[0].value


def test_every_law_is_broken_by_something():
    laws = set(laws_of_the_kit())
    assert len(laws) > 100
    named = {param.values[0] for param in BROKEN}
    assert laws - named == set(), "broken by no component here"
    assert named - laws == set(), "no such law"


def test_the_lawful_pass():
    testing.check_guidance(lawful.Pull)
    testing.check_guidance(variant(lawful.Pull, answer=broken_terms.told(lambda v, x, s: v.tanh())), linear=False)
    curbed = broken_terms.apart(lambda cond, null: (10 * (null - cond)).tanh())
    testing.check_guidance(lawful.Apart, prior=False)
    testing.check_guidance(variant(lawful.Apart, answer=curbed), prior=False, linear=False)
    testing.check_guidance(lawful.Still)
    seen = EncoderTeacher(lawful.Pooled(None), Subject(prompt=Prompt("a red ball")))
    testing.check_guidance(lawful.Likes, teacher=seen)
    tint = torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    testing.check_regularizer(lawful.Tinted, encoder=lawful.Pooled(None), extras={"tint": tint})
    optimum = loss_context(replace(random_view(2, 8), image=torch.zeros(2, 8, 8, 3)))
    testing.check_regularizer(lawful.Dark, optimum=optimum)
    testing.check_regularizer(variant(lawful.Dark, **broken_terms.penalty(broken_terms.detached_half)), smooth=False)
    broken_views.check_renderer(lawful.Exact)
    testing.check_representation(lawful.Field)
    testing.check_representation(lawful.Blobs)
    testing.check_guidance(lawful.Apart, prior=None)
    broken_models.check_one(GaussianDenoiser)
    broken_models.check_one(lawful.Open)
    broken_models.check_learner(lawful.Learner)
    check_denoiser(lawful.Learner())
    broken_views.check_cameras(lawful.Around)
    testing.check_background(lawful.Wall)
    testing.check_encoder(lawful.Pooled(None))
    testing.check_reconstructor(lawful.Shot(None))
    testing.check_reconstructor(lawful.Dotted(None))
    testing.check_exporter(lawful.Spheres)
    testing.check_exporter(lawful.Cloud, watertight=False, read=lawful.read_cloud)
    both = testing.three_balls(), testing.three_balls(density=0.0)
    testing.check_exporter(lawful.Cloud, None, both[0], watertight=False, read=lawful.read_cloud, empty=both[1])
    points = variant(lawful.Spheres, mesh=broken_files.bare)
    testing.check_exporter(points, watertight=False)
    testing.check_representation(broken_views.Swells)
    testing.check_observer(lawful.Notes)
    testing.check_image_source(lawful.Disc)
    testing.check_dataset(lawful.Balls)
    testing.check_command(lawful.Tell)
    testing.check_evaluation_set(broken_measuring.Balls)
    for metric in (broken_measuring.Reach, broken_measuring.Error, broken_measuring.Means):
        testing.check_metric(metric(None))
    testing.check_executor(lambda: broken_measuring.Forks(None))


def test_a_dataset_without_geometry_passes():
    def batch(self, size, targets, generator):
        found: TrainingBatch = lawful.Balls.batch(self, size, targets, generator)
        return replace(found, occupancy=None, extent=0.0)

    testing.check_dataset(variant(lawful.Balls, batch=batch))
