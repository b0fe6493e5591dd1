"""Every registered first-party component obeys the laws of its kind, with the smallest sensible options.

A new component must have a line here: `CASES` gives, for each "kind name", the checks to run.
"""

import importlib.util
import json
import math
from dataclasses import dataclass, replace

import numpy
import pytest
import torch
import trimesh
from PIL import Image

from tests.plugins import clip_tiny, evaluation_sets_data
from tests.plugins.metrics_tiny import lpips_weights, save_clip_vision
from tests.plugins.mvdream_tiny import save_folder as save_mvdream
from tests.plugins.novel_views_tiny import save_sv3d, save_zero123plus, sv3d_config
from tests.plugins.sd_tiny import save_deepfloyd, save_stable_diffusion, save_variations
from tests.plugins.views_data import make_folder, make_shards
from tests.plugins.zero123_tiny import save_folder
from tests.testing.lawful import Pooled
from zero3d.geometry import orbit, rays, world_to_gltf
from zero3d.interfaces import EncoderTeacher, Teacher, TrainableDenoiser
from zero3d.mesh_files import save_mesh
from zero3d.plugins import load_plugins
from zero3d.testing import (
    SphereField,
    check_background,
    check_camera_sampler,
    check_command,
    check_dataset,
    check_denoiser,
    check_encoder,
    check_evaluation_set,
    check_executor,
    check_exporter,
    check_guidance,
    check_image_source,
    check_metric,
    check_observer,
    check_reconstructor,
    check_regularizer,
    check_renderer,
    check_representation,
    check_trainable_denoiser,
    fresh_step,
    loss_context,
    random_picture,
    training_batch,
)
from zero3d.testing.balls import BOUNDS
from zero3d.testing.laws.exporter import three_balls
from zero3d.testing.laws.prior import Prior
from zero3d.testing.laws.renderer import BALL
from zero3d.testing.sphere import SphereConfig
from zero3d.values import Picture, Prompt, Subject, View
from zero3d_batch.executors.ray_cluster import connected
from zero3d_gaussians.drawing.projection import C0
from zero3d_gaussians.files.reading import read_gaussians
from zero3d_gaussians.files.turned import turned
from zero3d_zero123.nano.lift import BOX, GRID

REGISTRY = load_plugins()
OWN = {f"{e.component.kind} {e.component.name}": e.component for e in REGISTRY.all() if e.package == "zero3d"}
WHITE = torch.ones(3)
CASES = {}


@dataclass
class Bench:
    """Where a case may write, and pytest's way to a file of tiny weights."""

    folder: object
    text_model: object
    zero123_weights: object


def case(*keys):
    def mark(check):
        for key in keys:
            CASES[key] = check
        return check

    return mark


def plain(check, **options):
    """A case for `check(component, Config(**options))`."""

    def run(component, bench):
        check(component, component.Config(**options))

    return run


# -- guidance, regularizers


GUIDANCES = {
    "sds": [{}, {"weighting": "one"}, {"weighting": "sigma", "recon_rescale": 0.5}],
    "sjc": [{}, {"variance_reduction": False}],
    "csd": [{"cond": 3.0, "uncond": -2.0, "noise": -1.0}],
    "nfsd": [{"max_t": 0.2, "negative": False}],
    "sdi": [{}, {"hop": 0.3, "jitter": 0.0}],
    "hifa": [{}, {"samples": 1, "annealing": "none", "latent_weight": 0.0, "guidance_scale": 1, "min_t": 0.6}],
    "ism": [{}, {"weighting": "one", "hops": 1}],
}
"""For each guidance, the options with which it goes to the mean of a Gaussian prior."""
CLASSIFIERS = {"csd": [{}, {"weighting": "fantasia3d"}], "nfsd": [{"min_t": 0.2, "negative": False}]}
"""Those with which only the difference of two predictions acts."""
LIMITED = {"sds": [{"clip": 0.5}], "csd": [{"normalise": True, "clip": 1.0}]}
"""Those with which the gradient is not linear in the view."""


@case(*(f"guidance {name}" for name in GUIDANCES))
def guidance(component, bench):
    for options in GUIDANCES[component.name]:
        check_guidance(component, component.Config(**options))
    for options in CLASSIFIERS.get(component.name, []):
        check_guidance(component, component.Config(**options), prior=False)
    for options in LIMITED.get(component.name, []):
        check_guidance(component, component.Config(**options), linear=False, prior=component.name not in CLASSIFIERS)


@case("guidance vsd")
def vsd(component, bench):
    """Its own network pulls at first, whatever the prior."""
    for options in ({}, {"critic_scale": 2.0, "loss": "eps", "updates": 2, "camera_dropped": 0.5}):
        check_guidance(component, component.Config(width=8, **options), prior=None)
    check_guidance(component, component.Config(guidance_scale=1, width=8, clip=1.0), prior=None, linear=False)


@case("guidance sir")
def sir(component, bench):
    """Its fit is no linear one, nor are RGB targets; in a latent they are, and from noise they do not start at the view."""
    check_guidance(component, component.Config(guidance_scale=1, from_noise=False), linear=False)
    latent = Teacher(Prior(4, 8))
    check_guidance(component, component.Config(from_noise=False, fit="l2"), latent)


@case("guidance target_pictures")
def target_pictures(component, bench):
    """Pictures are clamped, latents are not."""
    options = {"azimuth_deg": [0.0, 90.0, 180.0, 270.0], "elevation_deg": [20.0], "steps": 5, "guidance_scale": 1}
    check_guidance(component, component.Config(**options, spacing="even", eta=0.0, refresh=3), linear=False)
    check_guidance(component, component.Config(**options, view_scale="triangle"), Teacher(Prior(4, 8)))


def flat(image=0.5, opacity=0.0, depth=2.0, weights=0.0):
    """A view of one value everywhere."""
    shape = (2, 8, 8)
    values = {"image": (3, image), "opacity": (1, opacity), "depth": (1, depth), "weights": (5, weights)}
    return View(**{name: torch.full((*shape, last), value) for name, (last, value) in values.items()})


def surfaces():
    """A view whose rays each end in one sample."""
    view = flat(opacity=1.0)
    view.weights[..., 2] = 1e-9
    return view


def as_the_picture():
    picture = random_picture(8)
    view = View(picture.rgb[None], picture.mask[None])
    return loss_context(flat(), input=view, picture=picture, acts_on="input")


OPTIMA = {
    "depth_smoothness": loss_context(flat(depth=1.7)),
    "distortion": loss_context(surfaces()),
    "emptiness": loss_context(flat(weights=0.0)),
    "input_view": as_the_picture(),
    "near_view_consistency": loss_context(flat(), near=flat()),
    "opaque": loss_context(flat(opacity=1.0)),
    "orientation": loss_context(
        replace(flat(opacity=1.0), normals=-rays(orbit(20.0, torch.tensor([10.0, 200.0]), 8))[1])
    ),
    "sparsity": loss_context(flat(opacity=0.0)),
    "density_sparsity": loss_context(flat(), representation=SphereField(SphereConfig(density=0.0))),
    "z_variance": loss_context(replace(surfaces(), distances=torch.rand(2, 8, 8, 5))),
    "normal_smoothness": loss_context(replace(flat(), normals=torch.full((2, 8, 8, 3), 0.5))),
    "convexity": loss_context(replace(flat(), normals=torch.full((2, 8, 8, 3), 0.5))),
}
"""For each regularizer, where it must be content."""


@case(*(f"regularizer {name}" for name in OPTIMA))
def regularizer(component, bench):
    config = component.Config(points=512) if component.name == "density_sparsity" else None
    smooth = component.name != "orientation"  # it holds opacity fixed
    check_regularizer(component, config, optimum=OPTIMA[component.name], smooth=smooth)


def even_voxels(raw=1.0):
    """The same everywhere."""
    made = random_voxels()
    with torch.no_grad():
        made.raw_density.fill_(raw)
        made.raw_features.fill_(0.3)
    return made


@case(*(f"regularizer {name}" for name in ("density_tv", "area_tv", "normal_tv", "colour_tv", "normal_smoothness_3d")))
def field_regularizer(component, bench):
    smooth = component.name not in ("colour_tv", "normal_smoothness_3d")  # they hold alpha fixed
    optimum = loss_context(flat(), representation=even_voxels())
    if component.name == "normal_smoothness_3d":
        optimum = None  # at the box's faces density ends: no grid has one normal throughout
    check_regularizer(component, representation=random_voxels(), optimum=optimum, smooth=smooth)


@case("regularizer depth_prior")
def depth_prior(component, bench):
    path = str(bench.folder / "depth.npy")
    numpy.save(path, numpy.random.default_rng(0).uniform(1, 2, (16, 16)))
    for options in ({}, {"disparity": True}, {"compare": "scale_invariant"}):
        check_regularizer(component, component.Config(file=path, **options))


@case("regularizer normal_prior")
def normal_prior(component, bench):
    path = str(bench.folder / "normals.npy")
    numpy.save(path, numpy.random.default_rng(0).uniform(-1, 1, (16, 16, 3)))
    check_regularizer(component, component.Config(file=path, flip="yz"))


def bumpy_mesh(subdivisions=1):
    """A small sphere with noise on its vertices and colours."""
    found = REGISTRY.get("representation", "mesh", "test")
    made = found(found.Config(subdivisions=subdivisions))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        made.initialise(fresh_step())
        made.vertices.add_(0.03 * torch.randn(made.vertices.shape, generator=generator))
        made.colours.add_(torch.randn(made.colours.shape, generator=generator))
    return made


def content_mesh(name):
    """An icosahedron has edges of one length; where all vertices meet, each is at its neighbours' mean."""
    made = bumpy_mesh(0)
    with torch.no_grad():
        made.initialise(fresh_step())
        made.vertices.mul_({"mesh_laplacian": torch.zeros(3), "mesh_edge_length": torch.ones(3)}[name])
    return made


@case("regularizer mesh_laplacian", "regularizer mesh_edge_length", "regularizer mesh_normal_consistency")
def mesh_regularizer(component, bench):
    config, optimum = component.Config(), None
    if component.name != "mesh_normal_consistency":
        optimum = loss_context(flat(), representation=content_mesh(component.name))
    if component.name == "mesh_edge_length":
        side = 0.4 / math.sin(0.4 * math.pi)  # of the icosahedron in a sphere of radius 0.4
        config = component.Config(target=side)
    check_regularizer(component, config, representation=bumpy_mesh(), optimum=optimum)


@case("guidance clip")
def clip_guidance(component, bench):
    noise = Subject.of(random_picture(8), orbit(20.0, 0.0, 8))
    seen = EncoderTeacher(Pooled(None), replace(noise, prompt=Prompt("a red ball")))
    for options in (
        {"target": "both", "crops": 2},
        {"target": "picture", "backgrounds": [], "crop": 1.0},
        {"published": True, "transmittance": 0.0},
    ):
        check_guidance(component, component.Config(**options), seen)


@case("regularizer clip_consistency")
def clip_consistency(component, bench):
    noise = random_picture(8)
    seen = loss_context(View(noise.rgb[None], noise.mask[None]), picture=noise)
    check_regularizer(component, optimum=seen, encoder=Pooled(None))


@case("encoder clip")
def clip(component, bench):
    folder = clip_tiny.save_folder(bench.folder / "clip")
    for options in ({}, {"layer": "last_hidden", "antialias": True}, {"texts": False}):
        made = component(component.Config(weights=str(folder), **options))
        made.load(torch.device("cpu"))
        check_encoder(made)


# -- fields, renderers, cameras


@case("representation mesh")
def mesh(component, bench):
    check_representation(lambda: component(component.Config(subdivisions=1)))
    check_representation(lambda: component(component.Config(subdivisions=2, channels=4)))
    check_representation(lambda: component(component.Config(subdivisions=1, texture=16)))


@case("renderer rasterizer")
def rasterizer(component, bench):
    made = bumpy_mesh()
    for options in ({"blur": 1e-2, "gamma": 1e-2}, {"faces_per_pixel": 3}):
        check_renderer(component(component.Config(**options)), made, WHITE)


def random_gaussians(**options):
    """Of every shape, about the origin."""
    found = REGISTRY.get("representation", "gaussians", "test")
    made = found(found.Config(points=30, **options))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        made.initialise(fresh_step())
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


@case("representation gaussians")
def gaussians(component, bench):
    grows = {"start": 1, "every": 2, "gradient": 0.0}
    moves = {"type": "mcmc", "start": 1, "every": 2, "growth": 1.2, "dead_opacity": 0.1}
    for options in ({}, {"degree": 3, "densify": grows}, {"densify": moves}, {"channels": 4, "degree": 1}):
        check_representation(lambda options=options: component(component.Config(points=20, **options)))


@case("renderer splat")
def splat(component, bench):
    for options, shape in (({}, {}), ({"antialiased": True}, {"degree": 2}), ({"backend": "torch"}, {})):
        check_renderer(component(component.Config(**options)), random_gaussians(**shape), WHITE)


def gaussian_balls():
    """The kit's three balls, filled with Gaussians."""
    balls = three_balls()
    found = REGISTRY.get("representation", "gaussians", "test")
    made = found(
        found.Config(points=3000, opacity=0.9, spread=0.3, flat=0.1, box=balls.representation.box.max().item())
    )
    with torch.no_grad():
        made.initialise(fresh_step())
        made.follow(balls.representation)
    return replace(balls, representation=made)


def splat_points(path):
    """The Gaussians' centres and colours, in the file's axes."""
    import trimesh

    found = turned(read_gaussians(str(path)), to_gltf=True)
    colours = (255 * (0.5 + C0 * found.sh_base[:, 0]).clamp(0, 1)).byte()
    return trimesh.PointCloud(found.means.numpy(), colours.numpy())


@case("exporter splat_file")
def splat_file(component, bench):
    balls, empty = gaussian_balls(), gaussian_balls()
    with torch.no_grad():
        empty.representation.opacity_logits.fill_(-9)
    for kind in ("ply", "splat"):
        config = component.Config(format=kind)
        check_exporter(component, config, balls, watertight=False, read=splat_points, empty=empty)


@case("representation voxels")
def voxels(component, bench):
    check_representation(lambda: component(component.Config(resolution=6)))
    options = {
        "resolution": [4, 6, 8],
        "channels": 4,
        "box": [[-1.0, -0.5, 0.0], [1.0, 0.7, 0.4]],
        "learn_scale": False,
    }
    check_representation(lambda: component(component.Config(**options)))


def sdf_ball(component, **options):
    made = component(component.Config(resolution=8, width=0.2, **options))
    with torch.no_grad():
        made.initialise(fresh_step())
        made.raw_features.normal_(generator=torch.Generator().manual_seed(0))
    return made


@case("representation sdf")
def sdf(component, bench):
    volume = REGISTRY.get("renderer", "volume", "test")
    for options in ({}, {"density": "neus", "learn_width": False}):
        check_representation(lambda options=options: component(component.Config(resolution=6, **options)))
        check_renderer(volume(volume.Config(step_ratio=1.0)), sdf_ball(component, **options), WHITE)


@case("regularizer eikonal")
def eikonal(component, bench):
    field = sdf_ball(REGISTRY.get("representation", "sdf", "test"))
    with torch.no_grad():
        field.raw_distance.mul_(2)
    check_regularizer(component, component.Config(points=512), representation=field)


@case("representation hash_grid")
def hash_grid(component, bench):
    options = {"levels": 2, "base_resolution": 4, "finest_resolution": 12, "table_log2": 8, "hidden": 8, "detail": 12}
    check_representation(lambda: component(component.Config(**options)))
    made, volume = component(component.Config(**options, backend="torch")), REGISTRY.get("renderer", "volume", "test")
    with torch.no_grad():
        made.initialise(fresh_step())
        # at their start of 1e-4 the entries leave every unit of the networks at its kink
        made.encoding.table.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    check_renderer(volume(volume.Config(step_ratio=1.0)), made, WHITE)


def random_voxels():
    field = REGISTRY.get("representation", "voxels", "test")
    made = field(field.Config(resolution=5))
    with torch.no_grad():
        made.initialise(fresh_step())
        made.raw_density.normal_(std=2, generator=torch.Generator().manual_seed(0))
    return made


def voxel_ball():
    """The kit's ball on a grid of 64 voxels."""
    field = REGISTRY.get("representation", "voxels", "test")
    made = field(field.Config(resolution=64, activation="none"))
    axis = (torch.arange(64) + 0.5) / 32 - 1
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    depth = BALL.radius - (x**2 + y**2 + z**2).sqrt()  # world units below the surface
    inside = torch.tensor(BALL.density).expm1().log() - made.config.density_shift
    with torch.no_grad():
        made.raw_density[0, 0] = torch.where(depth > 0, inside, -40.0)
        made.raw_features[0] = torch.tensor(BALL.colour)[:, None, None, None]
    return made


@case("renderer volume")
def volume(component, bench):
    check_renderer(component(component.Config()), random_voxels(), WHITE)


@case("renderer fused")
def fused(component, bench):
    check_renderer(component(component.Config()), random_voxels(), WHITE, ball=voxel_ball())


@case("renderer nerfacc")
def nerfacc(component, bench):
    check_renderer(component(component.Config()), random_voxels(), WHITE)


@case("camera_sampler sphere", "camera_sampler zero123")
def cameras(component, bench):
    for views in (1, 3):
        check_camera_sampler(component(component.Config(resolution=8, views=views)))
    grows = {"resolution": {"0%": 8, "50%": {"jump": 16}}, "views": {0: 4, 5: {"jump": 2}}}
    more = {"fov_deg": [20.0, 70.0], "distance": [1.5, 3.0]}
    check_camera_sampler(component(component.Config(**grows)))
    for options in ({"group": 2}, {"antithetic": True}) if component.name == "sphere" else ():
        check_camera_sampler(component(component.Config(**grows, **more, **options)))


for name, tried in {
    "checkerboard": [{}, {"squares": 3}],
    "constant": [{}, {"colour": [0.2, 0.4, 1.0]}],
    "learned": [{}, {"colour": "grey"}],
    "random": [{}, {"shared": True}, {"colours": "black", "chance": 0.5}],
}.items():

    @case(f"background {name}")
    def background(component, bench, tried=tried):
        for options in tried:
            check_background(component, component.Config(**options))


# -- denoisers


@case("denoiser gaussian")
def gaussian(component, bench):
    check_denoiser(component(component.Config(resolution=8)))


@case("denoiser oracle")
def oracle(component, bench):
    import trimesh

    path = bench.folder / "box.glb"
    box = trimesh.creation.box((0.4, 0.5, 0.6))
    box.visual.vertex_colors = (200, 40, 30, 255)
    save_mesh(box, path)
    made = component(component.Config(mesh=str(path), resolution=16))
    made.load(torch.device("cpu"))
    check_denoiser(made)


@case("reconstructor extrusion", "reconstructor ellipsoid")
def silhouette(component, bench):
    check_reconstructor(component(component.Config()))


@case("reconstructor nano_lift")
def nano_lift(component, bench):
    made = component(component.Config())
    made.load(torch.device("cpu"))
    check_reconstructor(made)


@case("reconstructor point_e")
def point_e(component, bench):
    from tests.plugins.point_e_tiny import make, save_weights

    check_reconstructor(make(save_weights(bench.folder / "point_e")))


@case("reconstructor mcc")
def mcc(component, bench):
    from tests.plugins.mcc_tiny import make, save_dome, save_weights

    noise = Picture(
        random_picture(512).rgb, torch.ones(512, 512, 1)
    )  # a mask of noise leaves no pixel between its holes
    made = make(save_weights(bench.folder / "mcc"), depth=save_dome(bench.folder / "dome.npy"))
    check_reconstructor(made, Subject.of(noise, orbit(20.0, 0.0, 512)))


@case("denoiser zero123")
def zero123(component, bench):
    """Both that it may be: nano with the embedded weights, and the published network, tiny, with made-up ones."""
    nano = component.build(component.Config())
    assert isinstance(nano, TrainableDenoiser)
    nano.load(torch.device("cpu"))
    check_denoiser(nano)
    reload = type(nano)
    check_trainable_denoiser(reload(), training_batch(grid=GRID, extent=BOX), lambda path: reload(None, path))
    published = component.build(component.Config(weights=str(bench.zero123_weights())))
    published.load(torch.device("cpu"))
    check_denoiser(published)
    guidance = REGISTRY.get("guidance", "sds", "test")
    noise = Picture(random_picture(256).rgb, torch.ones(256, 256, 1))
    teacher = Teacher(published, published.condition(Subject.of(noise, orbit(20.0, 0.0, 256))))
    check_guidance(guidance, teacher=teacher)


@case("denoiser stable_diffusion", "denoiser deepfloyd_if")
def text_teacher(component, bench):
    """Words; no picture reaches them, so that the condition is made here."""
    maker = save_stable_diffusion if component.name == "stable_diffusion" else save_deepfloyd
    made = component(component.Config(weights=str(maker(bench.folder / component.name))))
    made.load(torch.device("cpu"))
    condition = made.condition(Subject(prompt=Prompt("a cat", "ugly")))
    check_denoiser(made, condition)
    check_guidance(REGISTRY.get("guidance", "sds", "test"), teacher=Teacher(made, condition))


@case("denoiser image_variations")
def image_variations(component, bench):
    made = component(component.Config(weights=str(save_variations(bench.folder / "variations"))))
    made.load(torch.device("cpu"))
    check_denoiser(made)


@case("denoiser zero123_finetune")
def zero123_finetune(component, bench):
    made = component(component.Config(start=str(bench.zero123_weights())))
    check_trainable_denoiser(made, training_batch(64), lambda path: component(component.Config(start=str(path))), "")
    check_denoiser(made)


@case("denoiser mvdream", "denoiser imagedream")
def mvdream(component, bench):
    made = component(component.Config(weights=str(save_mvdream(bench.folder / "model", component.name))))
    made.load(torch.device("cpu"))
    prompt = Prompt("a cat", "ugly")
    side = made.picture_resolution
    pictures = Subject.of(random_picture(side), orbit(0.0, 0.0, side)).pictures if "picture" in made.needs else ()
    check_denoiser(made, made.condition(Subject(pictures, prompt)))


@case("denoiser zero123plus")
def zero123plus(component, bench):
    made = component(component.Config(weights=str(save_zero123plus(bench.folder / "zero123plus")), size=64))
    made.load(torch.device("cpu"))
    check_denoiser(made)


@case("denoiser sv3d")
def sv3d(component, bench):
    path = save_sv3d(bench.folder / "sv3d_p.safetensors")
    made = component(component.Config(weights=str(path), size=64, config=sv3d_config(bench.folder)))
    made.load(torch.device("cpu"))
    check_denoiser(made)


# -- files: exporters, observers, pictures, data


@case("exporter marching_cubes")
def marching_cubes(component, bench):
    check_exporter(component, component.Config(resolution=40))
    for kind in ("obj", "ply"):
        check_exporter(component, component.Config(resolution=24, threshold=20.0, format=kind))


@case("exporter textured_mesh")
def textured_mesh(component, bench):
    check_exporter(component, component.Config(resolution=40, texture=128, faces=3000))
    check_exporter(component, component.Config(resolution=24, threshold=20.0, texture=64, format="obj"))


@case("exporter print_file")
def print_file(component, bench):
    for kind, up in (("stl", "z"), ("3mf", "y")):
        config = component.Config(resolution=40, threshold=20.0, format=kind, up=up, size_mm=60.0, taubin=0)
        check_exporter(component, config, read=lambda path, up=up: in_the_world(path, up))


def in_the_world(path, up):
    """A file for a slicer of the three balls, moved and scaled back, in glTF's axes."""
    mesh = trimesh.load_mesh(path)
    if up == "z":
        mesh.vertices = mesh.vertices[:, [0, 2, 1]] * (1, 1, -1)
    low, high = (world_to_gltf(torch.tensor(bound)).numpy() for bound in BOUNDS)
    mesh.apply_scale((high - low).max() / mesh.extents.max())
    mesh.apply_translation(low - mesh.bounds[0])
    return mesh


for name, options in {
    "azimuth_loss": {},
    "gradients": {"every": 1},
    "guidance_preview": {"every": 1, "size": 16},
    "preview": {"every": 1, "size": 16, "views": 1},
    "progress": {},
    "report": {},
    "tensorboard": {},
    "turntable": {"frames": 2, "size": 16},
    "viewer": {"port": 0},
    "wandb": {"mode": "disabled"},
}.items():
    case(f"observer {name}")(plain(check_observer, **options))


@case("image_source file")
def file(component, bench):
    rgba = numpy.zeros((24, 40, 4), numpy.uint8)
    rgba[6:20, 10:30] = (200, 40, 30, 255)
    Image.fromarray(rgba, "RGBA").save(bench.folder / "cut.png")
    Image.fromarray(numpy.where(rgba[..., 3:] > 0, rgba[..., :3], 255).astype(numpy.uint8)).save(
        bench.folder / "white.png"
    )
    for name in ("cut.png", "white.png"):
        check_image_source(component, component.Config(path=str(bench.folder / name)))


@case("image_source text")
def text(component, bench):
    options = {"prompt": "a red mug", "steps": 1, "device": "cpu", "offline": True}
    missing = component.Config(model=str(bench.folder / "nowhere"), **options)
    check_image_source(component, component.Config(model=str(bench.text_model()), **options), missing)


@case("dataset procedural")
def procedural(component, bench):
    options = {"objects": 3, "variants": 1, "targets": 2, "size": 16, "workers": 1}
    check_dataset(component, component.Config(cache=str(bench.folder / "cache"), **options))


case("evaluation_set procedural")(plain(check_evaluation_set, objects=2, size=32))


@case("dataset views_folder")
def views_folder(component, bench):
    root = make_folder(bench.folder / "views")
    check_dataset(component, component.Config(root=str(root), size=16, views=4, workers=0))


@case("dataset webdataset")
def webdataset(component, bench):
    make_shards(bench.folder / "shards", make_folder(bench.folder / "views"), 2)
    shards = f"{bench.folder}/shards/shard-{{00..01}}.tar"
    check_dataset(component, component.Config(shards=shards, size=16, views=4, workers=0))


# -- measuring


@case("evaluation_set gso")
def gso(component, bench):
    for copy in (evaluation_sets_data.syncdreamer, evaluation_sets_data.eschernet, evaluation_sets_data.zero123):
        root = bench.folder / copy.__name__
        copy(root)
        check_evaluation_set(component, component.Config(path=str(root)))


@case("evaluation_set rtmv", "evaluation_set omniobject3d", "evaluation_set objaverse_lvis")
def published_set(component, bench):
    write = getattr(evaluation_sets_data, component.name.removesuffix("_lvis"))
    write(bench.folder)
    check_evaluation_set(component, component.Config(path=str(bench.folder)))


@case("evaluation_set mesh_folder")
def mesh_folder(component, bench):
    evaluation_sets_data.obj(bench.folder / "block.obj")
    check_evaluation_set(component, component.Config(path=str(bench.folder)))


# -- who runs many jobs


@case("executor processes")
def processes(component, bench):
    check_executor(lambda: component(component.Config(workers=2, gpus=0, attempts=2)))


@case("executor ray")
def ray(component, bench):
    if importlib.util.find_spec("ray") is None:
        pytest.skip("without Ray")
    options = component.Config(workers=2, gpus=0, attempts=2)
    with pytest.MonkeyPatch.context() as patch, connected(options, 2):  # started once for all the laws
        patch.setattr("zero3d_batch.executors.ray_cluster.STOP_SECONDS", 0.5)  # a job of the laws sleeps for ever
        check_executor(lambda: component(options))


# -- metrics


HALF_SIZES = {
    "chamfer": [
        ({"points": 500}, {"chamfer_500": 0.25}),
        ({"sample": "vertices", "variant": "sum"}, {"chamfer_vertices_sum": 0.5}),
    ],
    "fscore": [({"points": 2000, "thresholds": [0.2, 0.3]}, {"fscore@0.2": 0.0, "fscore@0.3": 1.0})],
    "normal_consistency": [
        ({"points": 2000}, {"normal_consistency": 1.0}),
        ({"points": 2000, "signed": True}, {"normal_consistency_signed": 1.0}),
    ],
    "iou": [({"voxels": 32}, {"iou": 0.125}), ({"voxels": 32, "grid": "side2"}, {"iou_side2": 0.125})],
}
"""The options of each metric of shapes, and what it says of a ball in one of twice the size."""


@case(*(f"metric {name}" for name in HALF_SIZES))
def shape_metric(component, bench):
    for options, half_size in HALF_SIZES[component.name]:
        check_metric(component(component.Config(**options)), half_size)


@case("metric psnr", "metric ssim")
def picture_metric(component, bench):
    check_metric(component(component.Config()))
    check_metric(component(component.Config(quantise="truncate", outside="white")))


@case("metric fid", "metric kid")
def set_metric(component, bench):
    save_clip_vision(bench.folder / "clip")
    metric = component(component.Config(weights=str(bench.folder / "clip"), features="clip"))
    metric.load(torch.device("cpu"))
    check_metric(metric)


@case("metric clip_similarity")
def clip_similarity(component, bench):
    metric = component(component.Config())
    metric.use_encoder(clip_tiny.make_encoder(clip_tiny.save_folder(bench.folder / "clip")))
    check_metric(metric)


@case("metric lpips")
def lpips(component, bench):
    torch.save(lpips_weights("alex"), bench.folder / "alex.pth")
    metric = component(component.Config(trunk=str(bench.folder / "alex.pth"), own_heads=True))
    metric.load(torch.device("cpu"))
    check_metric(metric)


for key in OWN:
    if key.startswith("command "):  # nothing is run, so that none needs options
        case(key)(lambda component, bench: check_command(component))


@pytest.fixture(scope="module")
def zero123_weights(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("zero123"))


@pytest.fixture
def bench(tmp_path, request):
    made = (lambda name=name: request.getfixturevalue(name) for name in ("model", "zero123_weights"))
    return Bench(tmp_path, *made)


from tests.plugins.test_text import model  # noqa: E402, F401 (a fixture: a text-to-image pipeline of a few megabytes)


@pytest.mark.parametrize("key", OWN)
def test_a_component_obeys_the_laws_of_its_kind(key, bench):
    kind, name = key.split()
    assert key in CASES, (
        f"{key} has no case in tests/test_conformance.py; add one: @case({key!r}) def {name}(component, bench): "
        f"zero3d.testing's check of a {kind}, with its smallest sensible options"
    )
    CASES[key](OWN[key], bench)


def test_no_case_is_left_over():
    assert set(CASES) - set(OWN) == set(), json.dumps(sorted(OWN))
