"""The benchmark of algorithms in its smallest form: calls are counted, runs resume, teachers are what they say."""

import importlib
import json
import sys

import pytest
import torch

from zero3d.geometry import orbit
from zero3d.interfaces import COND, NULL
from zero3d.plugins import load_plugins


@pytest.fixture(scope="module")
def algorithms():
    sys.path.insert(0, "benchmarks")
    try:
        yield importlib.import_module("algorithms")
    finally:
        sys.path.remove("benchmarks")


@pytest.fixture(scope="module")
def pooled(algorithms):
    return sys.modules["pooled"]


@pytest.fixture(scope="module")
def rows(algorithms, tmp_path_factory):
    """Of a quick run with the perfect teacher, its file beside them."""
    file = tmp_path_factory.mktemp("algorithms") / "rows.jsonl"
    asked = ["--quick", "--teacher", "perfect", "--only", "none", "sds", "csd", "--rows", str(file)]
    algorithms.main(asked)
    return file, asked


def test_every_algorithm_is_counted_and_better_than_none(rows):
    found = {row["algorithm"]: row for row in map(json.loads, rows[0].read_text(encoding="utf-8").splitlines())}
    assert {name: (row["calls"], row["steps"]) for name, row in found.items()} == {
        "none": (0, 100),
        "sds": (12, 12),  # one branch
        "csd": (12, 6),  # two
    }
    assert found["sds"]["chamfer"] < found["none"]["chamfer"]
    assert all(row["chamfer_floor"] < 0.01 for row in found.values())


def test_what_was_cut_off_is_done_again_and_the_rest_is_not(rows, algorithms, capsys):
    file, asked = rows
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join([*lines[:-1], lines[-1][:40]]) + "\n", encoding="utf-8")
    algorithms.main([*asked, "--resume"])
    told = capsys.readouterr()
    assert told.err.count(" calls, ") == 1
    assert "| 12 | `csd` |" in told.out
    assert "**A perfect teacher.**" in told.out
    assert json.loads(file.read_text(encoding="utf-8").splitlines()[-1])["algorithm"] == "csd"


@pytest.mark.parametrize(
    ("name", "options", "budget", "steps"),
    [
        ("sds", {"type": "sds", "guidance_scale": 3.0}, 20, 10),  # two branches
        ("sds", {"type": "sds", "guidance_scale": 1.0}, 20, 20),
        ("ism", {"type": "ism", "hops": 0}, 20, 6),  # null below, cond and null above
        ("hifa", {"type": "hifa", "guidance_scale": 1.0, "samples": 1}, 20, 20),
        ("sir", {"type": "sir", "guidance_scale": 1.0, "samples": 2, "jump": 1.0, "level": 1.0, "every": 7}, 20, 5 * 7),
    ],
)
def test_steps_are_as_many_as_the_calls_allow(algorithms, name, options, budget, steps):
    """`sir` from [501, 1, 0]: two calls a view."""
    kind = algorithms.Algorithm(options["type"], views=2 if name == "sir" else 1)
    assert algorithms.steps_within(budget, kind, options, load_plugins()) == steps


def test_a_table_shows_means_of_the_same_objects_and_paired_errors(algorithms):
    def row(algorithm, name, chamfer, surface=True):
        scores = {"iou": 0.5, "psnr": 20.0, "normal_consistency": 0.8, "calls": 9, "steps": 9, "seconds": 1.0}
        label = {"teacher": "flawed", "budget": 9, "algorithm": algorithm, "object": name}
        return {**label, "chamfer": chamfer, "chamfer_floor": 0.005, "surface": surface, **scores}

    rows = [
        row("sds", "a", 0.01),
        row("sds", "b", 0.02),
        row("csd", "a", 0.02),
        row("csd", "b", 0.9),
        row("ism", "a", 0.01),
    ]
    rows.append(row("csd", "b", 0.06, surface=False))  # the later of two counts
    told = algorithms.report(rows, "all")
    assert "| 9 | `sds` | 0.0150 |  | 0.500 |" in told
    assert "| 9 | `csd`, 1 without a surface | 0.0400 | +0.0250 ± 0.0150 |" in told
    assert "ism" not in told  # of one object, where others have two
    assert "Means of 2 object(s); the floor of the Chamfer distance is 0.0050" in told


class TestTeachers:
    SIZE = 12

    @pytest.fixture(scope="class")
    def made(self, pooled, tmp_path_factory):
        from zero3d.mesh_views import MeshScene
        from zero3d_procedural.gate import SHAPES

        scenes = [MeshScene(SHAPES[name]()) for name in ("torus", "pierced_box")]
        true = torch.stack([pooled.ideas(scene, self.SIZE, pooled.PERFECT, 0) for scene in scenes])
        wrong = pooled.ideas(scenes[0], self.SIZE, pooled.FLAWED, 7)
        file = tmp_path_factory.mktemp("teacher") / "flawed.npz"
        pooled.write_teacher(file, wrong, true, pooled.FLAWED)
        return true, wrong, pooled.PooledTeacher(pooled.PooledConfig(str(file)))

    def test_errors_differ_between_cameras_and_repeat_with_their_seed(self, made, pooled):
        from zero3d.mesh_views import MeshScene
        from zero3d_procedural.gate import SHAPES

        true, wrong, _ = made
        errors = (wrong - true[0]).flatten(1)
        assert 0.02 < errors.square().mean().sqrt() < 0.3
        alike = torch.nn.functional.cosine_similarity(errors[:-1], errors[1:])
        assert alike.abs().mean() < 0.3
        scene = MeshScene(SHAPES["torus"]())
        assert torch.equal(pooled.ideas(scene, self.SIZE, pooled.FLAWED, 7), wrong)
        assert not torch.equal(pooled.ideas(scene, self.SIZE, pooled.FLAWED, 8), wrong)

    def test_its_branches_are_gaussian_posteriors(self, made, pooled):
        """E[x | z] for x ~ N(m, w^2), z = x + sigma n, by summing over x."""
        true, wrong, teacher = made
        which = torch.tensor([3, 200])
        noised = torch.full((2, self.SIZE, self.SIZE, 3), 0.4)
        sigma = torch.tensor([0.05, 2.0])
        x0 = teacher.predict(noised, sigma, None, pooled.pool(self.SIZE)[which], (COND, NULL))
        spread = float((true - true.mean(dim=0)).square().mean().sqrt())
        for branch, mean, width in ((COND, wrong, pooled.FLAWED.width), (NULL, true.mean(dim=0), spread)):
            for row, index in enumerate(which):
                x = mean[index, 0, 0, 0] + width * torch.linspace(-12, 12, 8001)
                prior = -((x - mean[index, 0, 0, 0]) ** 2) / (2 * width**2)
                likely = torch.softmax(prior - (0.4 - x) ** 2 / (2 * sigma[row] ** 2), dim=0)
                assert float(x0[branch][row, 0, 0, 0]) == pytest.approx(float((likely * x).sum()), abs=1e-4)

    def test_another_camera_is_refused(self, made):
        noised = torch.zeros(1, self.SIZE, self.SIZE, 3)
        with pytest.raises(ValueError, match="none of the pool"):
            made[2].predict(noised, torch.ones(1), None, orbit(12.3, 45.6, self.SIZE), (COND,))

    def test_views_of_a_step_stand_around(self, pooled):
        from zero3d.random import Generators
        from zero3d.values import Step

        sampler = pooled.PoolCameras(pooled.PoolConfig(self.SIZE, views=4))
        azimuth = sampler.sample(Step(0, 1, Generators(0))).azimuth.sort().values
        assert (azimuth.diff() > 1e-3).all()
        assert azimuth[-1] - azimuth[0] > 3.0
