"""Exporters, observers, image sources and commands that break a law."""

import contextlib
from pathlib import Path

import numpy
import torch

from tests.testing import lawful
from tests.testing.broken import COUNT, NAN, fails, of
from zero3d import testing
from zero3d.errors import ExportError, PictureError
from zero3d.geometry import world_to_gltf
from zero3d.testing import SphereField

# -- exporter


def changed_mesh(change):
    def mesh(self):
        made = lawful.Spheres.mesh(self)
        return change(made) or made

    return {"mesh": mesh}


def opened(mesh):
    mesh.update_faces(numpy.arange(len(mesh.faces)) > 0)


def grey(mesh):
    mesh.visual.vertex_colors = mesh.visual.vertex_colors[:, [1, 2, 0, 3]]


def export(act):
    """Does something besides: act(subject, path, report) gives the report."""

    def doing(self, subject, path):
        return act(subject, path, lawful.Spheres.export(self, subject, path))

    return {"export": doing}


def moves_the_field(subject, path, report):
    subject.representation.strength.data.mul_(2)
    return report


def shaken(mesh):
    mesh.vertices = mesh.vertices + 1e-5 * next(COUNT)


def litter(self, subject, path):
    path.with_suffix(".log").write_text("begun", encoding="utf-8")
    return lawful.Spheres.export(self, subject, path)


def bare(self):
    """Its points without a triangle."""
    import trimesh

    mesh = lawful.Spheres.mesh(self)
    return trimesh.PointCloud(mesh.vertices, mesh.visual.vertex_colors)


exporter = of(testing.check_exporter, lawful.Spheres)
exporter("it accepts what it is tried with", accepts=SphereField)
exporter("filename(label) is a name that begins with the label", filename=lambda self, label: "out/model.ply")
exporter("it exports three balls", export=fails)
exporter(
    "it writes the file that it names", filename=lambda self, label: f"{label}.obj", write=lambda self, path, data: 0
)
exporter("the report is JSON with figures", **export(lambda subject, path, report: {"path": path}))
exporter("the report is JSON with figures", **export(lambda subject, path, report: {}))
exporter("the representation is not changed", **export(moves_the_field))
exporter("random numbers come from its own stream", **export(lambda s, p, report: report | {"r": float(torch.rand(1))}))
exporter("trimesh reads the file", write=lambda self, path, data: lawful.Spheres.write(self, path, b"junk"))
cloud = of(testing.check_exporter, lawful.Cloud, watertight=False, read=lawful.read_cloud)
cloud("its own reader reads the file", write=lambda self, path, data: lawful.Spheres.write(self, path, b"junk"))
cloud("axes and sizes are glTF's", axes=lambda self, v: v)
cloud("vertex colours are the field's", paint=lambda self, colours: colours[:, [1, 2, 0]])
cloud("the file holds a surface, or points", keep=0)
of(testing.check_exporter, lawful.Spheres)("the file holds a surface, or points", mesh=bare)
AXES = "axes and sizes are glTF's"
exporter(AXES, axes=lambda self, v: v)  # z up, as the world
exporter(AXES, axes=lambda self, v: v[:, [0, 2, 1]] * v.new_tensor([1, 1, -1]))  # Blender's y up
exporter(AXES, axes=lambda self, v: 2 * world_to_gltf(v))
exporter(AXES, axes=lambda self, v: world_to_gltf(v) * v.new_tensor([-1, 1, 1]))  # mirrored
exporter("the surface is closed", **changed_mesh(opened))
exporter("the surface looks outwards and is no thicker than the object", **changed_mesh(lambda mesh: mesh.invert()))
exporter("vertex colours are the field's", **changed_mesh(grey))
exporter("the same field gives the same bytes", **changed_mesh(shaken))
WHOLE = "it is written whole or not at all"
exporter(WHOLE, write=lambda self, path, data: path.write_bytes(data))
exporter(WHOLE, export=litter)
EMPTY = "an empty field is an ExportError of one line, and no file"


def never_empty(self, subject, path):
    with contextlib.suppress(ExportError):
        return lawful.Spheres.export(self, subject, path)
    self.write(path, self.mesh().export(file_type="ply"))
    return {"faces": 1}


def touches(self, subject, path):
    if float(subject.representation.strength.detach()) == 0:
        path.write_bytes(b"")
    return lawful.Spheres.export(self, subject, path)


def wordy(self, subject, path):
    if float(subject.representation.strength.detach()) == 0:
        raise ValueError("nothing\nthere")
    return lawful.Spheres.export(self, subject, path)


exporter(EMPTY, export=never_empty)
exporter(EMPTY, export=touches)
exporter(EMPTY, export=wordy)

# -- observer


def on_step(act):
    def stepping(self, run, step, metrics):
        act(run, step, metrics)

    return {"on_step": stepping}


def dims(self, run, terms):
    next(iter(terms.on_parameters(terms.terms[0]))) if terms.terms else None
    for _, view in terms.views.items():
        view.image.mul_(0.5)
    for term in terms.terms:
        for gradients in term.views.values():
            for gradient in gradients.values():
                gradient.mul_(-1)
    return {}


def needs_the_first_step(self, run):
    assert run.first_step == 0


def only_finished(self, run, finished):
    assert finished


observer = of(testing.check_observer, lawful.Notes)
SAME = "a watched run ends as one unwatched"
observer(SAME, on_terms=dims)
observer(SAME, **on_step(lambda run, step, metrics: step.generator("mine")))
observer(SAME, **on_step(lambda run, step, metrics: torch.rand(1, generator=step.generators["cameras.azimuth"])))
observer(SAME, on_terms=lambda self, run, terms: {"guidance.pull.weight": 0.0})
observer("figures of on_terms are finite floats", on_terms=lambda self, run, terms: {"x": NAN})
observer("it watches a run", on_step=fails)
observer("its state is tensors and JSON values", state_dict=lambda self: {"seen": {1}})
observer("it survives a run without terms", **on_step(lambda run, step, metrics: metrics["guidance.pull.weight"]))
observer("it survives an interrupted run", on_end=only_finished)
observer("it goes on in a resumed run", on_start=needs_the_first_step)
observer(
    "it declares what it writes",
    **on_step(lambda run, step, metrics: (run.folder / "more.txt").write_text("", encoding="utf-8")),
)
observer(
    "it leaves no temporary file",
    **on_step(lambda run, step, metrics: (run.folder / "notes" / "x.tmp").write_bytes(b"")),
    on_start=lambda self, run: (run.folder / "notes").mkdir(exist_ok=True),
)  # fmt: skip
OUTSIDE = "it writes below the run's folder alone"
observer(OUTSIDE, **on_step(lambda run, step, metrics: Path("here.txt").write_text("", encoding="utf-8")))
observer(
    OUTSIDE, **on_step(lambda run, step, metrics: (run.folder.parent / "beside.txt").write_text("", encoding="utf-8"))
)

# -- image source


def picture(**changes):
    return {"picture": lambda self: lawful.Disc.picture(self, **changes)}


def load(act):
    """Fails in its own way: act(config, mask)."""

    def loading(self, mask):
        act(self.config, mask)
        return self.picture()

    return {"read": loading}


def must(condition, error):
    if not condition:
        raise error


EMPTY_PICTURE = numpy.zeros((20, 20, 4), numpy.uint8)
source = of(testing.check_image_source, lawful.Disc)
source("it gives a picture", read=fails)
source("a picture is (H, W, 4) uint8", **picture(rgba=numpy.ones((20, 20, 3), numpy.uint8)))
source(
    "the same options give the same picture",
    picture=lambda self: lawful.Disc.picture(self, rgba=EMPTY_PICTURE + next(COUNT) % 99),
)
source("notes are of one line each", **picture(notes=("two\nlines",)))
source("it says where the picture came from", **picture(origin=""))
source("a picture with a mask can be framed", **picture(rgba=EMPTY_PICTURE))
MISSING = "what is missing is a UserError of one line"
source(MISSING, **load(lambda config, mask: None))
source(MISSING, **load(lambda config, mask: must(not config.path, FileNotFoundError("no file"))))
MASK = "an unknown input.mask is a UserError of one line, or not its business"
source(
    MASK, **load(lambda config, mask: must(not (config.path or mask), KeyError("mask") if mask else PictureError("x")))
)

# -- command


def arguments(act):
    return {"add_arguments": lambda self, parser: act(parser)}


def lax(parser):
    strict = parser.parse_known_args
    parser.parse_known_args = lambda words, namespace: (strict(words, namespace)[0], [])


command = of(testing.check_command, lawful.Tell)
command("the docstring's first line is a sentence", __doc__="tell")
command("it can be made", __init__=fails)
JOINS = "it joins the command line"
command(JOINS, name="run")
command(JOINS, **arguments(lambda parser: parser.add_argument("--plugin", help="mine")))
HELP = "every argument has a help text"
command(HELP, **arguments(lambda parser: parser.add_argument("what")))
command(HELP, **arguments(lambda parser: parser.add_subparsers().add_parser("loud")))
command("--help ends with exit code 0", **arguments(lambda parser: parser.add_argument("what", help="90 % of it")))
command(
    "an unknown option ends with exit code 2",
    **arguments(lax),
)
