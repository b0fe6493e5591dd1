"""One small component of each kind that obeys every law, and what it takes to make a broken one of it."""

import math
import zlib
from dataclasses import dataclass, replace

import numpy
import torch
from safetensors.torch import load_file, save, save_file
from torch import nn

from zero3d.errors import ExportError, PictureError
from zero3d.geometry import orbit, world_to_gltf
from zero3d.interfaces import (
    AdaptableDenoiser,
    Background,
    CameraSampler,
    Command,
    Dataset,
    Encoder,
    Exporter,
    Guidance,
    ImageSource,
    Observer,
    PixelDenoiser,
    PointCloud,
    RadianceField,
    Reconstructor,
    Regularizer,
    Renderer,
    SourcePicture,
    SplatCloud,
    TrainableDenoiser,
    TrainingBatch,
)
from zero3d.testing import GaussianDenoiser, SphereField, ThreeBalls
from zero3d.testing.balls import CENTRES, COLOURS, RADII, draw_balls
from zero3d.testing.sphere import SphereConfig
from zero3d.values import FAR, ImageGradient, ViewGradient

WHITE = torch.ones(3)


def variant(base, **members):
    """A subclass with other members."""
    return type(base.__name__, (base,), {"__doc__": base.__doc__, "name": base.name, **members})


class Pull(Guidance):
    """dL/dx = x - D(x + sigma n)."""

    name = "pull"

    def gradient(self, view, cameras, step):
        return self.answer(view.image, cameras, step)

    def answer(self, x, cameras, step):
        sigma = self.teacher.denoiser.sigmas[500].expand(len(x))
        noise = torch.randn(x.shape, generator=step.generator("noise"))
        return ImageGradient(
            x - self.teacher.denoise(x + sigma[0] * noise, sigma, cameras, 3.0), {"sigma": float(sigma[0])}
        )


class Apart(Guidance):
    """dL/dx = D_null(x + sigma n) - D_cond(x + sigma n)."""

    name = "apart"

    def gradient(self, view, cameras, step):
        return self.answer(view.image, cameras, step)

    def answer(self, x, cameras, step):
        cond, null = self.both(x, cameras, step)
        return ImageGradient(null - cond)

    def both(self, x, cameras, step):
        t = torch.randint(400, 600, (1,), generator=step.generator("sigma"))
        sigma = self.teacher.denoiser.sigmas[t].expand(len(x))
        noised = x + sigma[0] * torch.randn(x.shape, generator=step.generator("noise"))
        found = self.teacher.predict(noised, sigma, cameras, ("cond", "null"))
        return found["cond"], found["null"]


class Open(GaussianDenoiser, AdaptableDenoiser):
    """The Gaussian denoiser, times a network that is 1."""

    name = "open"

    def __init__(self, config):
        super().__init__(config)
        self.network_of_mine = nn.Linear(3, 3, bias=False).requires_grad_(False)
        self.network_of_mine.weight.copy_(torch.eye(3))

    network = property(lambda self: self.network_of_mine)

    def outline(self):
        return nn.Linear(3, 3, bias=False, device="meta")

    def predict_by(self, network, noised, sigma, condition, cameras, branch="cond"):
        return network(self.predict(noised, sigma, condition, cameras, (branch,))[branch])


class Dark(Regularizer):
    """Mean square of the image, under a random light."""

    name = "dark"
    needs = frozenset({"image"})
    default_weight = 1.0

    def penalty(self, context):
        light = torch.rand((), generator=context.step.generator("light"))
        return light.to(context.view.image) * context.view.image.square().mean()


class Field(SphereField):
    """A ball of random density."""

    def __init__(self):
        super().__init__(SphereConfig())

    def initialise(self, step):
        self.strength.copy_(1 + torch.rand((), generator=step.generator("strength")))


class Blobs(Field, SplatCloud):
    """Two Gaussians as large as its strength, one of them flat."""

    def splats(self):
        size = self.strength.square()
        covariances = torch.diag_embed(torch.stack([size, size, 0 * size]).expand(2, 3))
        return torch.eye(3)[:2], covariances, self.colour.expand(2, 3), torch.tensor([0.0, 1.0])


class Exact(Renderer):
    """The exact picture of balls."""

    name = "exact"
    accepts = RadianceField
    provides = frozenset({"image", "opacity", "depth", "weights", "distances"})

    def render(self, representation, cameras, background, needs=frozenset(), step=None):
        view = draw_balls(representation, cameras, self.behind(background, cameras))
        middle = (view.depth - (1 - view.opacity) * FAR) / view.opacity.clamp(min=1e-12)
        full = replace(view, weights=view.opacity, distances=middle)
        return self.finish(full, cameras, background)

    def finish(self, view, cameras, background):
        return view

    def memory_bytes(self, representation, rays):
        return 100 * rays


@dataclass
class AroundConfig:
    """`distance`: [low, high], world units. `elevation_deg`: degrees. `fov_deg`: degrees."""

    distance: tuple[float, float] = (1.5, 2.5)
    elevation_deg: float = 10.0
    fov_deg: float = 40.0


class Around(CameraSampler):
    """Random azimuths and distances."""

    name = "around"
    Config = AroundConfig
    resolution, views = 8, 3

    def sample(self, step):
        chance = torch.rand(2, self.views, generator=step.generator("orbit"))
        low, high = self.config.distance
        fov = math.radians(self.config.fov_deg)
        return orbit(self.config.elevation_deg, 360 * chance[0], 8, low + chance[1] * (high - low), fov)

    def near(self, cameras, step):
        return orbit(12.0, torch.rad2deg(cameras.azimuth), 8, cameras.distance, cameras.fov)


class Learner(PixelDenoiser, TrainableDenoiser):
    """Two linear maps of RGB, each a stage."""

    name = "learner"
    stages = ("one", "two")
    resolution = picture_resolution = 8

    def __init__(self, path=None):
        super().__init__(None)
        self.path = path
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.modules = {name: nn.Linear(3, 3) for name in self.stages}

    def load(self, device):
        state = load_file(self.path)
        for name, module in self.modules.items():
            module.load_state_dict({key: state[f"{name}.{key}"] for key in ("weight", "bias")})

    def condition(self, subject):
        return None

    def predict(self, noised, sigma, condition, cameras, branches):
        return dict.fromkeys(branches, self.modules["two"](noised).detach())

    def trainable(self, stage):
        return self.modules[stage]

    def training_loss(self, batch, stage, generator):
        rgb = batch.target_rgba[..., :3]
        noise = torch.randn(rgb.shape, generator=generator)
        loss = (self.modules[stage](rgb + 0.1 * noise) - rgb).square().mean()
        return loss, {"loss": float(loss.detach())}

    def save(self, path):
        save_file({f"{n}.{key}": v for n, m in self.modules.items() for key, v in m.state_dict().items()}, path)


class Balls(Dataset):
    """Red balls of random radii."""

    name = "balls"

    def prepare(self, progress=True):
        """Nothing to do."""

    def batch(self, size, targets, generator):
        made = [
            self.one(targets, float(0.2 + 0.2 * torch.rand(1, generator=generator)), generator) for _ in range(size)
        ]
        cameras = [orbit(10.0, 360 * torch.rand(n, generator=generator), 16) for n in (size, size * targets)]
        rgba = [
            torch.cat([self.drawn(cameras[k][i : i + 1], made[i // per]) for i in range(len(cameras[k]))])
            for k, per in ((0, 1), (1, targets))
        ]
        return TrainingBatch(rgba[0], cameras[0], rgba[1], cameras[1], torch.stack([self.solid(r) for r in made]), 0.5)

    def one(self, targets, radius, generator):
        return radius

    def drawn(self, cameras, radius):
        with torch.no_grad():
            view = draw_balls(SphereField(SphereConfig(radius=radius, density=500.0)), cameras, WHITE)
        return torch.cat([torch.full_like(view.image, 0.5), view.opacity], dim=-1).clamp(0, 1)

    def solid(self, radius):
        axis = (torch.arange(16) + 0.5) / 16 - 0.5
        grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
        return (grid.norm(dim=-1) < radius).float()


class Spheres(Exporter):
    """The three balls as meshes, if the field has any density."""

    name = "spheres"
    accepts = ThreeBalls

    def filename(self, label):
        return f"{label}.ply"

    def export(self, subject, path):
        for point in (0.0, 0.4, 0.5):
            density = subject.representation.density(torch.tensor([[point, 0.0, 0.0]]))
        if not density.max() > 0:
            raise ExportError("no surface: the density is 0 everywhere; optimise for more steps")
        mesh = self.mesh()
        self.write(path, mesh.export(file_type="ply"))
        return {"vertices": len(mesh.vertices)}

    def mesh(self):
        import trimesh

        parts = []
        for centre, radius, colour in zip(CENTRES, RADII, COLOURS, strict=True):
            ball = trimesh.creation.icosphere(2, radius)
            ball.apply_translation(centre)
            ball.visual.vertex_colors = (*(int(255 * c) for c in colour), 255)
            parts.append(ball)
        mesh = trimesh.util.concatenate(parts)
        mesh.vertices = self.axes(torch.from_numpy(numpy.array(mesh.vertices))).numpy()
        return mesh

    def axes(self, vertices):
        return world_to_gltf(vertices)

    def write(self, path, data):
        temporary = path.with_name(path.name + ".part")
        temporary.write_bytes(data)
        temporary.replace(path)


class Cloud(Spheres):
    """The three balls' points and colours in a format of its own, which trimesh does not know."""

    name = "cloud"
    keep = 10**6

    def filename(self, label):
        return f"{label}.cloud"

    def write(self, path, data):
        mesh = self.mesh()
        colours = self.paint(torch.tensor(numpy.array(mesh.visual.vertex_colors)[:, :3]))
        points = torch.tensor(numpy.array(mesh.vertices), dtype=torch.float32)
        super().write(path, save({"points": points[: self.keep], "colours": colours[: self.keep].contiguous()}))

    def paint(self, colours):
        return colours


def read_cloud(path):
    """The points and colours of a `Cloud`'s file."""
    import trimesh

    state = load_file(path)
    return trimesh.PointCloud(state["points"].numpy(), state["colours"].numpy())


class Still(Guidance):
    """Towards grey; asks nobody, and tells how the normals should turn too."""

    name = "still"
    asks = None
    needs = frozenset({"image", "normals"})

    def gradient(self, view, cameras, step):
        return ViewGradient({"image": view.image - 0.5, "normals": view.normals - 1})


class Likes(Guidance):
    """Towards the vector of a text."""

    name = "likes"
    asks = "encoder"

    def gradient(self, view, cameras, step):
        image = view.image.detach().requires_grad_()
        with torch.enable_grad():
            wanted = self.teacher.encoder.encode_texts([self.teacher.subject.prompt.text])
            loss = -(self.teacher.encoder.encode_pictures(image) * wanted).sum()
        return ImageGradient(torch.autograd.grad(loss, image)[0])


class Tinted(Regularizer):
    """The mean of an extra, weighed by the encoder's view of the image."""

    name = "tinted"
    needs = frozenset({"image", "tint"})
    asks = "encoder"
    default_weight = 1.0

    def penalty(self, context):
        return context.view.extra["tint"].mean() + self.encoder.encode_pictures(context.view.image)[:, 0].mean()


class Notes(Observer):
    """Writes how far it is."""

    name = "notes"
    writes = ("notes.txt", "notes/")

    def on_terms(self, run, terms):
        return {"terms": float(len(terms.terms))}

    def on_step(self, run, step, metrics):
        (run.folder / "notes").mkdir(exist_ok=True)
        (run.folder / "notes" / f"{step.index}.txt").write_text(str(len(metrics)), encoding="utf-8")

    def on_end(self, run, finished):
        (run.folder / "notes.txt").write_text(str(finished), encoding="utf-8")


class Shot(Reconstructor):
    """A ball as large as the picture is dark."""

    name = "shot"
    picture_resolution = 8

    def reconstruct(self, subject, step):
        return self.ball(subject, step)

    def ball(self, subject, step):
        return SphereField(SphereConfig(radius=float(1.1 - subject.pictures[0].picture.rgb.mean())))


class Dots(PointCloud):
    """Places and colours as they are."""

    name = "dots"

    def __init__(self, places, colours):
        super().__init__(None)
        self.channels = 3
        self.register_buffer("places", places)
        self.register_buffer("colours", colours)

    def initialise(self, step):
        pass

    def points(self):
        return self.places, self.colours


class Dotted(Reconstructor):
    """A cloud as wide as the picture is dark."""

    name = "dotted"
    picture_resolution = 8

    def reconstruct(self, subject, step):
        places = torch.randn(12, 3, generator=step.generator("places"))
        return Dots(places * (1.1 - subject.pictures[0].picture.rgb.mean()), self.colours(places))

    def colours(self, places):
        return places.sigmoid()


class Wall(Background):
    """A colour that is fitted, lighter in each view by chance, and darker from step to step."""

    name = "wall"

    def __init__(self, config):
        super().__init__(config)
        self.steps, self.colour = 0, nn.Parameter(torch.full((3,), 0.2))

    def load(self, device):
        self.colour = nn.Parameter(self.colour.detach().to(device))

    def paint(self, cameras, step, white):
        self.steps += 1
        light = torch.rand(len(cameras), 1, 1, 1, generator=step.generator("light"))
        return self.finish((light.to(white) + self.colour.to(white)) / (2 + step.index + step.index * self.steps))

    def finish(self, painted):
        return painted

    def parameters(self):
        return [self.colour]

    def state_dict(self):
        return {"colour": self.colour.detach(), "steps": self.steps}

    def load_state_dict(self, state):
        if set(state) != {"colour", "steps"}:
            raise ValueError(f"a wall has a colour and steps, not {', '.join(state)}")
        self.colour.data.copy_(state["colour"])
        self.steps = state["steps"]


class Pooled(Encoder):
    """A picture's mean colours in 4 x 4 parts, and a text's checksum, each as a unit vector."""

    name = "pooled"
    reads = frozenset({"picture", "prompt"})
    dimensions = 48

    def encode_pictures(self, image):
        pooled = nn.functional.adaptive_avg_pool2d(image.movedim(-1, 1), 4)
        return self.finish(nn.functional.normalize(pooled.flatten(1) + 0.1, dim=-1), image)

    def finish(self, vectors, image):
        return vectors

    def encode_texts(self, texts):
        seeds = [torch.Generator().manual_seed(zlib.crc32(text.encode())) for text in texts]
        return nn.functional.normalize(torch.stack([torch.randn(48, generator=seed) for seed in seeds]), dim=-1)


@dataclass
class DiscConfig:
    """`path`: a file that must be there, or nothing."""

    path: str = ""


class Disc(ImageSource):
    """A red disc."""

    name = "disc"
    Config = DiscConfig

    def read(self, mask):
        if self.config.path:
            raise PictureError(f"image.path: {self.config.path}: no such file; leave it out")
        if mask is not None:
            raise PictureError(f"input.mask: {mask!r}; a disc has one of its own")
        return self.picture()

    def picture(self, **changes):
        y, x = numpy.mgrid[:40, :60]
        rgba = numpy.full((40, 60, 4), 200, numpy.uint8)
        rgba[..., 3] = numpy.where((x - 30) ** 2 + (y - 20) ** 2 < 200, 255, 0)
        return SourcePicture(**{"rgba": rgba, "notes": ("drawn",), "origin": "a disc", **changes})


class Tell(Command):
    """Tell something."""

    name = "tell"

    def add_arguments(self, parser):
        parser.add_argument("what", help="what to tell")
        actions = parser.add_subparsers(dest="action")
        actions.add_parser("loud", help="in capitals").add_argument("--times", help="how often")

    def run(self, arguments):
        return 0


@dataclass
class SecretConfig:
    """No word on it."""

    hidden: int = 0


@dataclass
class MuteConfig:
    """`share`: 0 to 1."""

    share: float = 0.5

    def __post_init__(self):
        if self.share < 0:
            raise ValueError("out of range")


@dataclass
class BluntConfig:
    """`share`: 0 to 1."""

    share: float = 0.5

    def __post_init__(self):
        assert self.share >= 0


@dataclass
class NeedyConfig:
    """`told`: must be given."""

    told: int

    def __post_init__(self):
        raise ValueError(f"told: {self.told}; give another")
