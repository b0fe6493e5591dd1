"""Files for slicers: millimetres, the axis that is up, closed; read by trimesh, and 3MF by its consortium's own library."""

import numpy
import pytest
import trimesh

from tests.plugins.mesh_fields import Field, subject
from tests.plugins.test_mesh_textured import bumpy, drawn_lantern, of_lantern, slope
from zero3d import folder
from zero3d.mesh_files import load_mesh
from zero3d_mesh.marching_cubes import MarchingCubes, MarchingCubesConfig
from zero3d_mesh.printing.print_file import PrintFile, PrintFileConfig
from zero3d_report.reading.facts import Export
from zero3d_report.reading.models import model_of

CUT = {"threshold": 50.0, "resolution": 40, "faces": 3000, "taubin": 0}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The same surface in world axes and units, as another exporter writes it."""
    path = tmp_path_factory.mktemp("world") / "mesh.glb"
    MarchingCubes(MarchingCubesConfig(**CUT)).export(subject(Field(bumpy, slope)), path)
    return load_mesh(path)


def export(path, source=None, **options):
    config = PrintFileConfig(**{**CUT, **options})
    return PrintFile(config).export(source or subject(Field(bumpy, slope)), path)


@pytest.mark.parametrize("kind", ["stl", "3mf"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_size_axis_and_closure_are_as_asked_for(kind, up, world, tmp_path):
    report = export(tmp_path / f"bumpy.{kind}", format=kind, up=up, size_mm=60.0)
    read = trimesh.load_mesh(tmp_path / f"bumpy.{kind}")
    assert max(read.extents) == pytest.approx(60.0, abs=1e-3)
    numpy.testing.assert_allclose(read.bounds[0], 0, atol=1e-4)
    numpy.testing.assert_allclose(report["sides_mm"], read.extents, atol=2e-3)
    assert read.is_watertight
    assert (len(read.vertices), len(read.faces)) == (report["vertices"], report["faces"])
    scale = 60.0 / max(world.extents)
    assert read.volume == pytest.approx(world.volume * scale**3, rel=1e-4), "and looks outwards"
    # the three bumps differ: where the middle of the volume lies tells every axis and its sign
    low, high, middle = *world.bounds, world.center_mass
    right, above, front = middle[1] - low[1], middle[2] - low[2], middle[0] - low[0]
    wanted = {"y": (right, above, front), "z": (right, high[0] - middle[0], above)}[up]
    numpy.testing.assert_allclose(read.center_mass, numpy.array(wanted) * scale, atol=0.01)


def test_the_core_reads_the_stl_back_where_it_is_told_what_is_up(world, tmp_path):
    export(tmp_path / "m.stl", size_mm=50.0)
    read = load_mesh(tmp_path / "m.stl", up="z")
    numpy.testing.assert_allclose(read.extents / max(read.extents), world.extents / max(world.extents), atol=1e-5)


def test_3mf_as_the_consortiums_own_reader_reads_it(tmp_path):
    import lib3mf

    export(tmp_path / "m.3mf", format="3mf", size_mm=80.0, up="y")
    model = lib3mf.get_wrapper().CreateModel()
    reader = model.QueryReader("3mf")
    reader.SetStrictModeActive(True)  # anything that the specification forbids is an error
    reader.ReadFromFile(str(tmp_path / "m.3mf"))
    assert reader.GetWarningCount() == 0
    assert model.GetUnit() == lib3mf.ModelUnit.MilliMeter
    objects = model.GetMeshObjects()
    assert objects.MoveNext()
    body = objects.GetCurrentMeshObject()
    assert body.IsManifoldAndOriented()
    places = numpy.array([list(vertex.Coordinates) for vertex in body.GetVertices()])
    assert numpy.ptp(places, axis=0).max() == pytest.approx(80.0, abs=1e-3)
    groups = model.GetColorGroups()
    assert groups.MoveNext()
    group = groups.GetCurrentColorGroup()
    colours = {i: group.GetColor(i) for i in group.GetAllPropertyIDs()}
    # back to the world's units: its lowest corner in glTF's axes is (-0.4, -0.4, -0.4)
    points = (places * (1.05 / 80.0) - 0.4)[:, [2, 0, 1]]
    for number in range(0, body.GetTriangleCount(), 97):
        corners, shades = body.GetTriangle(number).Indices, body.GetTriangleProperties(number).PropertyIDs
        for corner, shade in zip(corners, shades, strict=True):
            found = [getattr(colours[shade], name) for name in ("Red", "Green", "Blue")]
            assert abs(numpy.array(found) - 255 * slope(points[corner])).max() < 8


def test_an_open_mesh_is_said_to_be_open(tmp_path):
    source, lines = of_lantern(), []
    source.representation.faces = source.representation.faces[1:]
    report = export(
        tmp_path / "m.stl", source.__class__(**{**vars(source), "draw": drawn_lantern, "tell": lines.append})
    )
    assert not report["watertight"]
    assert any("not closed" in line for line in lines)


@pytest.mark.parametrize(
    "options",
    [{"size_mm": 0.0}, {"size_mm": -5.0}, {"size_mm": 1e6}, {"size_mm": float("nan")}, {"up": "x"}, {"format": "glb"}],
)
def test_options_out_of_range_are_named(options):
    with pytest.raises(ValueError, match=next(iter(options))) as told:
        PrintFileConfig(**options)
    assert "\n" not in str(told.value)


def test_what_is_to_be_printed_is_not_measured_as_the_runs_mesh(tmp_path):
    (tmp_path / "mesh.stl").write_bytes(b"")
    assert folder.exported_mesh(tmp_path) == tmp_path / "mesh.stl"
    (tmp_path / "mesh.report.yaml").write_text("size_mm: 80.0\nup: z\n", encoding="utf-8")
    assert folder.exported_mesh(tmp_path) is None


def test_the_report_page_stands_it_up(world, tmp_path):
    figures = export(tmp_path / "m.stl", size_mm=50.0)
    shown = model_of(Export("m", figures, (tmp_path / "m.stl",)))
    (tmp_path / "shown.glb").write_bytes(shown.data)
    found = load_mesh(tmp_path / "shown.glb").extents
    numpy.testing.assert_allclose(found / max(found), world.extents / max(world.extents), atol=1e-4)


def test_other_exporters_name_this_one():
    with pytest.raises(ValueError, match="print_file"):
        MarchingCubesConfig(format="stl")
