"""Several pictures with known cameras: folders with transforms.json, sizes of their own, and how many a step sees."""

import json
import math
import shutil

import numpy
import pytest
import torch
from PIL import Image

from tests.core import seam_toys
from tests.core.toy import SIZE
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.parts import build_stages
from zero3d.recipe import load_recipe
from zero3d.registry import Registered
from zero3d.run import check, plan, resume, run

FIT = ["image=null", "regularizers={input_view: {weight: 100}}", "guidance=null", "denoiser=null", "steps=8"]


def quiet(line):
    """Nobody listens."""


def frames(*azimuths, distance=2.0):
    poses = orbit(15.0, torch.tensor(azimuths), 1, distance).camera_to_world
    return [{"file_path": f"v_{i}", "transform_matrix": pose.tolist()} for i, pose in enumerate(poses)]


@pytest.fixture
def views(tmp_path):
    """A folder of three pictures, 32 pixels wide and 48 high, each of its own colour."""
    folder = tmp_path / "views"
    folder.mkdir()
    for i in range(3):
        rgba = numpy.zeros((48, 32, 4), numpy.uint8)
        rgba[16:32, 8:24] = (*(255 * (numpy.arange(3) == i)), 255)
        Image.fromarray(rgba, "RGBA").save(folder / f"v_{i}.png")
    write(folder, camera_angle_x=0.8, frames=frames(30.0, 120.0, 250.0))
    return folder


def write(folder, **layout):
    (folder / "transforms.json").write_text(json.dumps(layout), encoding="utf-8")


@pytest.mark.parametrize("given", ["{}", "{}/transforms.json"])
def test_a_folder_of_views_is_read_kept_and_resumed_without_it(registry, toy_recipe, tmp_path, views, given):
    chosen = [*FIT, f"images={given.format(views)}", "checkpoint.every=4"]
    session = run(str(toy_recipe), registry, chosen, tell=quiet)
    posed = session.engine.subject.pictures
    assert [one.label for one in posed] == ["v_0", "v_1", "v_2"]
    torch.testing.assert_close(posed[1].camera.camera_to_world, orbit(15.0, 120.0, 1).camera_to_world)
    # 48 pixels high and 32 wide: padded to the height, seen as much wider than its width is
    assert math.tan(float(posed[0].camera.fov) / 2) == pytest.approx(1.5 * math.tan(0.4))
    shutil.rmtree(views)
    resume(str(tmp_path / "out"), registry, tell=quiet)


def test_the_worlds_units_and_centre_are_the_files(registry, toy_recipe, views):
    far = frames(0.0, 90.0, distance=8.0)
    for frame in far:
        frame["transform_matrix"][0][3] += 5.0
    write(views, camera_angle_x=0.8, frames=far)
    images = f"images={{transforms: {views}, scale: 0.25, centre: [5, 0, 0]}}"
    found = plan(str(toy_recipe), registry, [*FIT, images]).input_cameras
    torch.testing.assert_close(found["v_1"].camera_to_world, orbit(15.0, 90.0, 1).camera_to_world)


def test_a_principal_point_beside_the_middle_comes_to_the_middle(registry, toy_recipe, views):
    lens = {"fl_x": 40, "fl_y": 40, "w": 32, "h": 48, "cx": 12, "cy": 24}
    write(views, **lens, frames=frames(0.0))
    framed = plan(str(toy_recipe), registry, [*FIT, f"images={views}", "input.resolution=48"]).framed
    columns = framed.subject.pictures[0].picture.mask[..., 0].sum(dim=0).nonzero()[:, 0]
    scale = framed.framed["v_0"].scale
    assert float(columns.float().mean() + 0.5) == pytest.approx(scale * (24 + 4), abs=scale), "16 - 12 to the right"


def test_every_takes_some(registry, toy_recipe, views):
    recipe = load_recipe(toy_recipe, registry, [*FIT, f"images={{transforms: {views}, every: 2}}"])
    assert list(recipe.images) == ["v_0", "v_2"]


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        ({"frames": frames(0.0)}, "neither camera_angle_x nor fl_x"),
        ({"camera_angle_x": 0.8, "frames": []}, "no list of frames"),
        ({"camera_angle_x": 0.8, "frames": frames(0.0, distance=1e9)}, "world units from the object"),
        ({"fl_x": 40, "fl_y": 60, "w": 32, "h": 48, "frames": frames(0.0)}, "square pixels"),
        ({"camera_model": "OPENCV_FISHEYE", "camera_angle_x": 1, "frames": frames(0.0)}, "pinhole"),
    ],
)
def test_bad_cameras_are_one_line(registry, toy_recipe, views, layout, told):
    write(views, **layout)
    with pytest.raises(RecipeError, match=told) as caught:
        load_recipe(toy_recipe, registry, [*FIT, f"images={views}"])
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("images", "told"),
    [
        ("nowhere", "nowhere: cannot be read .* has a transforms.json, as NeRF"),
        ("{front: {path: a.png, camera_to_world: [1, 2]}}", r"camera_to_world: 2 numbers"),
        ("{front: {path: a.png, principal_point: [0.9, 0.5]}}", r"principal_point: \[0.9, 0.5\]"),
        ("{front: {path: a.png, resolution: 1}}", r"images\.front\.resolution: 1"),
        ("{transforms: a.json, scale: 0}", r"scale: 0"),
        (
            "{front: {path: a.png, azimut_deg: 3}}",
            r"images\.front\.azimut_deg: .* Did you mean 'azimuth_deg'\? Known: .*path",
        ),
        ("{front: {azimuth_deg: 3}}", r"images\.front\.path: missing"),
    ],
)
def test_bad_options_are_one_line(registry, toy_recipe, images, told):
    with pytest.raises(RecipeError, match=told) as caught:
        load_recipe(toy_recipe, registry, [*FIT, f"images={images}"])
    assert len(str(caught.value).splitlines()) == 1


def test_a_framing_that_moves_the_object_is_refused_beside_known_cameras(registry, toy_recipe, views, tmp_path):
    with pytest.raises(RecipeError, match=r"input\.framing: 'fit' makes the object as large in every picture"):
        run(str(toy_recipe), registry, [*FIT, f"images={views}", "input.framing=fit"], tell=quiet)
    assert not (tmp_path / "out").exists()


def test_each_picture_may_have_a_size_of_its_own(registry, toy_recipe, views):
    images = f"images={{a: {views}/v_0.png, b: {{path: {views}/v_1.png, azimuth_deg: 90, resolution: 12}}}}"
    posed = plan(str(toy_recipe), registry, [*FIT, images]).framed.subject.pictures
    assert [one.camera.height for one in posed] == [SIZE, 12]


def test_a_step_may_see_some_of_many(registry, toy_recipe, views):
    seen = []

    def look(terms):
        seen.append(sorted(terms.views))
        return {}

    chosen = [*FIT, f"images={views}", "input.per_step=2"]
    session = run(str(toy_recipe), registry, chosen, tell=quiet)
    for index in range(8):
        session.engine.step(index, look)
    assert all(len(views) == 2 and "input" in views for views in seen)
    assert {view for views in seen for view in views} == {"input", "input.v_1", "input.v_2"}


def test_a_prompt_that_one_stage_reads_is_no_mistake(registry, toy_recipe):
    for component in seam_toys.COMPONENTS:
        registry.add(Registered(component, "seam", "tests", "0"))
    words = "{denoiser: {type: counted}, guidance: {pull: null, classifier: {}}}"
    build_stages(load_recipe(toy_recipe, registry, ["image=null", "prompt=a ball", f"stages={{a: {{}}, b: {words}}}"]))
    with pytest.raises(RecipeError, match="prompt: nothing in this recipe reads a prompt"):
        build_stages(load_recipe(toy_recipe, registry, ["image=null", "prompt=a ball", "stages={a: {}, b: {}}"]))


def test_no_steps_keep_what_a_start_makes(registry, toy_recipe):
    with pytest.raises(RecipeError, match="steps: 0; at least 1, or a start that makes the model"):
        check(str(toy_recipe), registry, ["steps=0"])


def test_pictures_after_the_first_that_nothing_reads_are_refused(registry, toy_recipe, views):
    """A teacher may read them all, or a term draw them; else they would be left out without a word."""
    chosen = ["image=null", f"images={views}", "input.framing=keep"]
    with pytest.raises(RecipeError, match=r"images\.v_1: nothing reads a picture after the first"):
        build_stages(load_recipe(toy_recipe, registry, chosen))
    build_stages(load_recipe(toy_recipe, registry))
    build_stages(load_recipe(toy_recipe, registry, [*chosen, "regularizers.input_view={weight: 1}"]))
    build_stages(load_recipe(toy_recipe, registry, [*chosen, "regularizers.bright={view: input.v_1}"]))
