"""Evaluation sets, metrics and executors: one that obeys every law, and those that break one."""

import contextlib
import hashlib
import importlib
import itertools
import multiprocessing
import multiprocessing.connection
from dataclasses import dataclass, replace

import numpy
import torch
import trimesh

from tests.testing.broken import COUNT, NAN, fails, of
from zero3d import testing
from zero3d.errors import UserError
from zero3d.geometry import orbit
from zero3d.interfaces import (
    DistributionMetric,
    EvaluationObject,
    EvaluationSet,
    EvaluationView,
    Executor,
    Metric,
    Outcome,
    PictureMetric,
    ShapeMetric,
)
from zero3d.mesh_files import normalise

# -- evaluation set


@dataclass
class BallsConfig:
    """`root`: where they lie; "" for those that are known by heart."""

    root: str = ""


class Ball(EvaluationObject):
    view_names = ("front",)

    def __init__(self, name, radius):
        self.name, self.radius = name, radius

    def digest(self):
        return hashlib.sha256(repr(self.radius).encode()).hexdigest()

    def mesh(self):
        return trimesh.creation.icosphere(subdivisions=1, radius=self.radius)

    def view(self, index):
        rgba = torch.zeros(8, 8, 4)
        rgba[2:6, 2:6] = 1
        return EvaluationView(rgba, orbit(20.0, 45.0 * [0][index], 8))


class Balls(EvaluationSet):
    """Two balls."""

    name = "balls"
    Config = BallsConfig
    one = Ball

    def objects(self):
        if self.config.root:
            raise UserError(f"{self.config.root}: no such folder; name the one with balls")
        return [self.one("small", 0.2), self.one("large", 0.5)]


evaluation_set = of(testing.check_evaluation_set, Balls)
kept = {"small": Ball("small", 0.2).mesh(), "large": Ball("large", 0.5).mesh()}
blacked = torch.ones(8, 8, 4)


def ball(**members):
    return {"one": type("One", (Ball,), members)}


def view(change):
    return ball(view=lambda self, index: change(Ball.view(self, index)))


evaluation_set("it lists objects", objects=fails)
evaluation_set("it lists objects", objects=lambda self: [])
evaluation_set("objects come in the same order", objects=lambda self: Balls.objects(self)[:: (-1) ** next(COUNT)])
evaluation_set("names are unique", objects=lambda self: 2 * Balls.objects(self))
evaluation_set("a name can be a file's", objects=lambda self: [Ball("a/b", 0.2)])
evaluation_set("digest is a SHA-256 in hex, always the same", **ball(digest=lambda self: str(self.radius)))
evaluation_set(
    "digest is a SHA-256 in hex, always the same",
    **ball(digest=lambda self: hashlib.sha256(str(next(COUNT)).encode()).hexdigest()),
)
evaluation_set("every object has a truth", **ball(mesh=lambda self: None, view_names=()))
MESH = "a mesh is finite, with triangles and an extent"
evaluation_set(MESH, **ball(mesh=fails))
evaluation_set(MESH, **ball(mesh=lambda self: trimesh.Trimesh([[0, 0, 0], [1, 0, 0]], [])))
evaluation_set(
    MESH, **ball(mesh=lambda self: trimesh.Trimesh([[0, 0, NAN], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], process=False))
)
evaluation_set("what is read is read anew", **ball(mesh=lambda self: kept[self.name]))
VIEW = "a view is straight RGBA in [0, 1] and one camera of its size"
evaluation_set(VIEW, **ball(view=fails))
evaluation_set(VIEW, **view(lambda v: replace(v, rgba=v.rgba[..., :3])))
evaluation_set(VIEW, **view(lambda v: replace(v, rgba=255 * v.rgba)))
evaluation_set(VIEW, **view(lambda v: replace(v, camera=v.camera.resized(4, 4))))
evaluation_set("a view shows something", **view(lambda v: replace(v, rgba=0 * v.rgba)))
evaluation_set(
    "a view's camera is right-handed and orthonormal",
    **view(lambda v: replace(v, camera=replace(v.camera, camera_to_world=-v.camera.camera_to_world))),
)
DEPTH = "a depth is (H, W) and above 0"
evaluation_set(DEPTH, **ball(depth=fails))
evaluation_set(DEPTH, **ball(depth=lambda self, index: torch.zeros(8, 8)))
evaluation_set(DEPTH, **ball(depth=lambda self, index: torch.ones(8, 8, 1)))
WORLD = "mesh and pictures stand in one world"
evaluation_set(WORLD, **ball(mesh=lambda self: Ball.mesh(self).apply_translation((0, 0, 0.6))))
evaluation_set(WORLD, **ball(mesh=lambda self: Ball.mesh(self).apply_translation((0, 0, 60))))
evaluation_set("what is read is read anew", **view(lambda v: replace(v, rgba=blacked)))
evaluation_set("a view beyond the last is an IndexError", **ball(view=lambda self, index: Ball.view(self, 0)))
evaluation_set(
    "missing data are a UserError of one line", objects=lambda self: [Ball("small", 0.2), Ball("large", 0.5)]
)


# -- metric


class Reach(ShapeMetric):
    """The mean difference of the sorted distances of corners from the axis and from the ground, of unit boxes."""

    name, better = "reach", "less"

    def shape(self, mesh, truth, seed=0):
        return {"reach": self.apart(mesh, truth, seed)}

    def apart(self, mesh, truth, seed):
        one, other = (self.profile(self.placed(m)) for m in (mesh, truth))
        return float(abs(one - other).mean())

    def placed(self, mesh):
        return normalise(mesh)

    def profile(self, mesh):
        shares = numpy.linspace(0, 1, 50)
        x, y, z = numpy.asarray(mesh.vertices).T
        return numpy.concatenate([numpy.quantile(numpy.hypot(x, y), shares), numpy.quantile(z, shares)])


class Error(PictureMetric):
    """Mean squared error."""

    name, better = "error", "less"

    def pictures(self, images, truths, masks=None):
        return {"error": (images - truths).square().mean(dim=(1, 2, 3))}


class Means(DistributionMetric):
    """How far the mean colours' means, and deviations, are apart."""

    name, better = "means", "less"

    def features(self, images):
        spread = (images[:, 1:] - images[:, :-1]).abs().mean(dim=(1, 2))
        return torch.cat([images.mean(dim=(1, 2)), 3 * spread], dim=1)

    def distance(self, features, truths):
        return {"means": float((features.mean(dim=0) - truths.mean(dim=0)).norm())}


def check(component, **options):
    testing.check_metric(component(None), **options)


SHAPES, PICTURES, SETS = of(check, Reach), of(check, Error), of(check, Means)


def shape(change):
    return {"shape": lambda self, mesh, truth, seed=0: change(self, mesh, truth, Reach.shape(self, mesh, truth, seed))}


def spoil(self, mesh, truth, found):
    mesh.vertices[:] += 1.0
    return found


def pictures(change):
    return {"pictures": lambda self, x, y, m=None: {"error": change(x, y, Error.pictures(self, x, y)["error"])}}


def stains(self, x, y, m=None):
    x[0, 0, 0] = 0.25
    return Error.pictures(self, x, y)


SHAPES("better is 'less' or 'more'", better="fewer")
SHAPES("it gives figures", shape=fails)
SHAPES("it gives figures", **shape(lambda self, a, b, found: {}))
SHAPES("no figure is nan", **shape(lambda self, a, b, found: {"reach": NAN}))
SHAPES("same seed, same figures", **shape(lambda self, a, b, found: {"reach": found["reach"] + 0.01 * next(COUNT)}))
SHAPES("what it compares is not changed", **shape(spoil))
SHAPES("a truth against itself is at its floor", floor=lambda self, truth, seed=0: {"reach": -1.0})
SHAPES("another shape is worse than the truth", better="more")
SHAPES(
    "turning both by a right angle changes nothing",
    apart=lambda self, a, b, seed: float(abs(numpy.ptp(a.vertices, axis=0) - numpy.ptp(b.vertices, axis=0))[1]),
    placed=lambda self, mesh: mesh,
)
SHAPES("size counts as it says", placed=lambda self, mesh: mesh)
of(check, Reach, half_size={"reach": 0.25})("size counts as it says")
PICTURES("what it compares is not changed", pictures=stains)
PICTURES("a figure for each picture", **pictures(lambda x, y, found: found.mean()[None]))
PICTURES("a picture's figure is its own", **pictures(lambda x, y, found: found / len(found)))
PICTURES("equal pictures score best, and stronger noise worse", better="more")
PICTURES(
    "a mask of all pixels is none",
    pictures=lambda self, x, y, m=None: {"error": (1 if m is None else 2) * Error.pictures(self, x, y)["error"]},
)
SETS("a feature vector for each picture", features=fails)
SETS("a feature vector for each picture", features=lambda self, images: Means.features(self, images).mean(dim=0))
SETS(
    "a picture's features are its own", features=lambda self, x: Means.features(self, x) - Means.features(self, x[-1:])
)
SETS("a set is nearest to itself", better="more")
SETS(
    "it is as far there as back",
    distance=lambda self, a, b: {"means": float((a.mean(dim=0) - b.mean(dim=0)).norm() * (1 + a.norm()))},
)


class Neither(Metric):
    """Compares nothing."""

    name, better = "neither", "less"


of(check, Neither)("it compares shapes, pictures or distributions")


# -- executor


class Forks(Executor):
    """A process a job, two at once; a job whose worker dies is tried three times."""

    name = "forks"
    tries = 3

    def run(self, jobs):
        waiting = [(job, 1) for job in jobs]
        context, running = multiprocessing.get_context("fork"), {}
        try:
            while waiting or running:
                while waiting and len(running) < 2:
                    job, attempt = waiting.pop(0)
                    mine, its = context.Pipe(duplex=False)
                    process = context.Process(target=self.call, args=(job, its), daemon=True)
                    process.start()
                    its.close()
                    running[mine] = process, job, attempt
                for mine in multiprocessing.connection.wait(list(running)):
                    process, job, attempt = running.pop(mine)
                    told = None
                    with contextlib.suppress(EOFError):
                        told = mine.recv()
                    process.join()
                    if told is None and attempt < self.tries:
                        waiting.append((job, attempt + 1))
                        continue
                    value, error = told or (None, f"{attempt} workers died")
                    yield Outcome(job, value, self.said(error), attempt)
        finally:
            for process, *_ in running.values():
                process.kill()
                process.join()

    def said(self, error):
        return error and " ".join(str(error).split())

    @staticmethod
    def call(job, answer):
        module, _, name = job.call.partition(":")
        try:
            answer.send((getattr(importlib.import_module(module), name)(job.payload), None))
        except Exception as error:
            answer.send((None, str(error)))


def run(change):
    def running(self, jobs):
        yield from change(Forks.run(self, jobs))

    return {"run": running}


def check_one(component):
    testing.check_executor(lambda: component(None))


executor = of(check_one, Forks)
executor("it runs jobs", run=fails)
executor("each job has one outcome", **run(lambda found: itertools.islice(found, 3)))
executor(
    "a job's value is what its function gave",
    **run(lambda found: (replace(one, value=str(one.value)) for one in found)),
)
executor("a job that raises has its one line", said=lambda self, error: error)
executor("a job that raises is not tried again", **run(lambda found: (replace(one, attempts=2) for one in found)))
executor("a job whose worker dies is tried again", tries=1)
executor(
    "a job that kills every worker is an error of one line",
    **run(lambda found: (replace(one, error=one.error if one.job.name != "always" else "a\nb") for one in found)),
)


def one_of_none(self, jobs):
    jobs = list(jobs)
    yield from Forks.run(self, jobs)
    if not jobs:
        yield Outcome(None)


def slow_first(self, jobs):
    jobs = list(jobs)
    if any(job.name == "slow" for job in jobs):
        yield Outcome(jobs[1])
    yield from Forks.run(self, jobs)


executor("no jobs are no outcomes", run=one_of_none)
executor("closing the iterator ends the workers", run=slow_first)
