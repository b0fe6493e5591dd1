"""Words printed on a box are legible on its exported mesh, seen from where the picture was taken; a blur is not."""

import dataclasses

import numpy
import pytest
import torch
import trimesh
from PIL import Image, ImageDraw, ImageFont

from tests.plugins.mesh_fields import INPUT, Field, subject
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.values import Picture, PosedPicture, Subject
from zero3d_mesh.textured_mesh import TexturedMesh, TexturedMeshConfig

HALF = (0.25, 0.4, 0.3)
BOX = trimesh.creation.box([2 * half for half in HALF])
CELL = 1.5 / 64
"""Of nano's voxels, world units: a stroke of these letters is thinner."""
CAMERA = INPUT.resized(256, 256)
LEGIBLE = 0.9
"""Normalised cross-correlation with the picture, over the words."""


def label():
    """(768, 1024) 8-bit grey: what stands on the front."""
    sheet = Image.new("L", (1024, 768), 235)
    drawing, font = ImageDraw.Draw(sheet), ImageFont.load_default(170)
    for row, line in enumerate(("OAT MILK", "No. 1248")):
        drawing.text(((1024 - drawing.textbbox((0, 0), line, font=font)[2]) / 2, 143 + 287 * row), line, 20, font)
    return sheet


def front_of(sheet, points):
    """The sheet's grey at points (N, 3) of the front, as (N, 3)."""
    shades = torch.from_numpy(numpy.array(sheet, dtype=numpy.float32) / 255)[None, None]
    places = torch.stack([points[:, 1] / HALF[1], -points[:, 2] / HALF[2]], dim=-1)[None, None].float()
    found = torch.nn.functional.grid_sample(shades, places, padding_mode="border", align_corners=False)
    return found[0, 0, 0][:, None].expand(-1, 3)


def painted(sheet):
    def paint(points):
        front = (points[:, :1] > HALF[0] - 0.06).float()
        return front * front_of(sheet, points) + (1 - front) * 0.6

    return paint


def density(points):
    beyond = (points.abs() - torch.tensor(HALF)).max(dim=-1).values
    return 1000 * (0.5 - beyond / 0.02).clamp(0, 1)


def drawn(texture, rays=4):
    return MeshScene(BOX).draw(CAMERA, rays, light=None, texture=texture)


@pytest.fixture(scope="module")
def photograph():
    """The box with its words, 256 pixels wide."""
    view = drawn(lambda points, colours: painted(label())(torch.from_numpy(points)).numpy())
    return Picture(view.image[0].clamp(0, 1), view.opacity[0])


@pytest.fixture(scope="module")
def words():
    """(256, 256) bool: where the words stand in the picture."""

    def inside(points, colours):
        across, height = abs(points[:, 1:2]) < 0.36, abs(points[:, 2:3] - 0.07) < 0.17
        return ((points[:, :1] > HALF[0] - 1e-3) & across & height).repeat(3, axis=1).astype(float)

    view = drawn(inside, 1)
    return view.image[0, ..., 0] * view.opacity[0, ..., 0] > 0.99


def likeness(photograph, words, path, **options):
    """Normalised cross-correlation of the exported mesh, drawn from the input camera, with the picture."""
    coarse = label().resize((round(2 * HALF[1] / CELL), round(2 * HALF[2] / CELL)), Image.Resampling.BOX)

    def framed_at(size):
        return Subject((PosedPicture("front", photograph.resized(size, size), CAMERA.resized(size, size), 1.0),))

    source = dataclasses.replace(subject(Field(density, painted(coarse), box=0.75)), framed_at=framed_at)
    config = TexturedMeshConfig(**{"threshold": 500.0, "resolution": 64, "faces": 4000, **options})
    TexturedMesh(config).export(source, path)
    again = MeshScene(load_mesh(path)).draw(CAMERA, 3, light=None).image[0]
    one, other = (picture.mean(dim=-1)[words] for picture in (photograph.rgb, again))
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / (one.norm() * other.norm()))


def test_the_words_are_legible_from_the_input_camera(photograph, words, tmp_path):
    assert words.sum() > 4000
    assert likeness(photograph, words, tmp_path / "m.glb") > LEGIBLE


@pytest.mark.parametrize("options", [{"project": False}, {"texture": 128}])
def test_the_fields_own_colours_and_a_coarse_texture_are_not(options, photograph, words, tmp_path):
    """So that the bound tells one from the other."""
    assert likeness(photograph, words, tmp_path / "m.glb", **options) < LEGIBLE - 0.1
