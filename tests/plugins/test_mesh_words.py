"""What an export says: before what takes long, where it cannot cut a surface, and in its report."""

from dataclasses import replace

import pytest
import torch

from tests.plugins.mesh_fields import INPUT, Field, ball, march, subject
from zero3d import ExportError
from zero3d.values import Picture
from zero3d_mesh.marching_cubes import MarchingCubes, MarchingCubesConfig
from zero3d_mesh.patience import CUTTING, UNWRAPPING, announce


def saying(field, mask=None, said=None):
    picture = None if mask is None else Picture(1 - mask.expand(-1, -1, 3), mask)
    return replace(subject(field), picture=picture, tell=(said if said is not None else []).append)


def export(given, path, **options):
    return MarchingCubes(MarchingCubesConfig(resolution=32, **options)).export(given, path)


def test_the_advised_threshold_works(tmp_path):
    field = Field(lambda p: ball(p, 0.5))
    with pytest.raises(ExportError, match="threshold=auto finds"):
        export(saying(field), tmp_path / "no.glb", threshold=500.0)
    export(saying(field), tmp_path / "yes.glb", threshold="auto")


def test_fog_in_the_pictures_shape_names_a_threshold_that_shows_it(tmp_path):
    # no ray is half stopped, but a surface of 0.2 has the picture's very outline
    field = Field(lambda p: ball(p, 0.5, density=0.4))
    given = saying(field, (march(field, INPUT).opacity[0] > 0.05).float())
    with pytest.raises(ExportError, match=r"threshold=([\d.]+) was tried: 1 piece, \d\d% IoU") as told:
        export(given, tmp_path / "no.glb")
    threshold = float(str(told.value).split("threshold=")[1].split(" ")[0])
    assert export(given, tmp_path / "fog.glb", threshold=threshold)["picture_iou"] > 0.5


def test_a_wire_is_told_to_be_thin_and_no_threshold_is_advised(tmp_path):
    mask = torch.zeros(48, 48, 1)
    mask[10:38, 24] = 0.4
    field = Field(lambda p: ball(p, 0.5, density=0.3))
    with pytest.raises(ExportError, match="thinner than a pixel of the run's 48 x 48 views") as told:
        export(saying(field, mask), tmp_path / "no.glb")
    assert "threshold=" not in str(told.value)


def test_an_object_cut_by_the_box_is_told(tmp_path):
    for centre, lines in ((0.0, 0), (0.8, 1)):
        said: list[str] = []
        export(
            saying(Field(lambda p, c=centre: ball(p, 0.4, (0, 0, c))), said=said), tmp_path / "b.glb", threshold=50.0
        )
        assert len([line for line in said if "cut flat" in line]) == lines


def test_the_report_says_what_it_was_compared_with(tmp_path):
    field = Field(lambda p: ball(p, 0.5))
    assert "picture_iou" not in export(saying(field), tmp_path / "a.glb")
    mask, said = (march(field, INPUT).opacity[0] > 0.5).float(), []
    whole = export(saying(field, mask, said), tmp_path / "b.glb")
    assert whole["picture_iou"] > 0.95
    assert (whole["seen"], whole["pictured"], said) == ("1 piece and 0 holes", "1 piece and 0 holes", [])
    mask[20:28, 20:28] = 0
    holed = export(saying(field, mask, said), tmp_path / "c.glb")
    assert (holed["seen"], holed["pictured"]) == ("1 piece and 0 holes", "1 piece and 1 hole")
    assert any("the mesh shows 1 piece and 0 holes, the picture 1 piece and 1 hole" in line for line in said)


def test_what_takes_long_is_told_before_it_begins(tmp_path):
    said: list[str] = []
    for faces in (10_000, 105_000):
        announce(said.append, f"unwrapping {faces:,} faces", UNWRAPPING * faces**2)
    assert said == ["unwrapping 105,000 faces: some 88 s"]
    assert CUTTING * 128**3 < 5 < CUTTING * 256**3


def test_the_textured_mesh_tells_what_it_unwraps(tmp_path, monkeypatch):
    from zero3d_mesh import patience
    from zero3d_mesh.textured_mesh import TexturedMesh, TexturedMeshConfig

    monkeypatch.setattr(patience, "PATIENCE", 0.0)
    said: list[str] = []
    config = TexturedMeshConfig(resolution=24, threshold=50.0, texture=64, faces=500)
    TexturedMesh(config).export(saying(Field(lambda p: ball(p, 0.5)), said=said), tmp_path / "ball.glb")
    assert [line.split()[0] for line in said] == ["cutting", "collapsing", "unwrapping", "baking"]
