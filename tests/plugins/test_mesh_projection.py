"""Colours straight from the pictures: where they were seen, no further, without a seam; and a mesh made smoother."""

import dataclasses
import math

import numpy
import pytest
import scipy.ndimage
import torch
import trimesh
from PIL import Image

from tests.plugins.mesh_fields import INPUT, Field, ball, subject
from zero3d.geometry import gltf_to_world, orbit
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.values import Picture, PosedPicture, Subject, Window
from zero3d_mesh.cutting.fairing import smoothed
from zero3d_mesh.textured_mesh import TexturedMesh, TexturedMeshConfig
from zero3d_mesh.texturing.projection import FACING, _opened, from_pictures

GREY = 0.5
EYE = INPUT.position[0].numpy()


def stripes(camera, size, wide):
    """Red and blue bars `wide` pixels of 256 across on a ball of radius 0.4 at the origin, as its camera sees it."""
    rays_away = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(rays_away, rays_away, indexing="ij")
    slope = math.tan(0.5 * camera.fov) * (x**2 + y**2).sqrt()
    mask = (slope < math.tan(math.asin(0.4 / 2))).float()[..., None]
    bar = ((torch.arange(size) * 256 / size / wide).long() % 2)[None, :, None].expand(size, size, 1).float()
    rgb = bar * torch.tensor([0.9, 0.1, 0.1]) + (1 - bar) * torch.tensor([0.1, 0.1, 0.9])
    return Picture(rgb * mask + 1 - mask, mask)


def framed(*cameras, wide=8.0, weights=(1.0, 1.0)):
    def at(size):
        posed = zip(cameras, weights, strict=False)
        return Subject(tuple(PosedPicture(f"p{i}", stripes(c, size, wide), c, w) for i, (c, w) in enumerate(posed)))

    return at


def grey_ball(**changes):
    field = Field(lambda p: ball(p, 0.4, density=1000.0, edge=0.01), lambda p: torch.full((len(p), 3), GREY))
    return dataclasses.replace(subject(field), **{"framed_at": framed(INPUT), **changes})


def export(path, source, **options):
    config = TexturedMeshConfig(**{"threshold": 500.0, "resolution": 64, "texture": 512, "faces": 4000, **options})
    TexturedMesh(config).export(source, path)
    return load_mesh(path)


def test_the_input_camera_sees_the_picture_again(tmp_path):
    """Bars of 8 of 256 pixels, which no field of 64^3 could hold: their edges are where the picture has them."""
    drawn = MeshScene(export(tmp_path / "m.glb", grey_ball())).draw(INPUT.resized(256, 256), 2, light=None)
    wanted = stripes(INPUT, 256, 8.0)
    # well inside the ball: at its rim the surface turns away
    inside = torch.from_numpy(
        numpy.array(Image.fromarray((255 * wanted.mask[..., 0]).byte().numpy()).resize((256, 256)))
    )
    y, x = torch.meshgrid(torch.arange(256) - 127.5, torch.arange(256) - 127.5, indexing="ij")
    inside = (inside > 128) & ((x**2 + y**2).sqrt() < 0.8 * (wanted.mask.sum() / math.pi).sqrt())
    wrong = (drawn.image[0] - wanted.rgb).abs()[inside].mean()
    assert inside.sum() > 2000
    assert float(wrong) < 0.06, "a grey ball is 0.4 off"


def test_what_the_camera_does_not_see_keeps_the_fields_colour_and_the_change_has_no_edge():
    mesh = trimesh.creation.icosphere(5, radius=0.4)
    normals = mesh.vertices / 0.4
    _, weight = from_pictures(mesh.vertices, normals, mesh, grey_ball(), 256)
    towards = EYE - mesh.vertices
    cosine = (towards / numpy.linalg.norm(towards, axis=1, keepdims=True) * normals).sum(axis=1)
    assert (weight[cosine < FACING[0]] == 0).all()
    assert (weight[cosine > FACING[1] + 0.05] > 0.95).all()
    edges = mesh.edges_unique
    assert abs(weight[edges[:, 0]] - weight[edges[:, 1]]).max() < 0.35, "from all to nothing takes several vertices"


def test_what_another_part_hides_is_not_given_its_colours():
    """A small ball between the camera and the large one: behind it, its shadow keeps the field's colour."""
    away = EYE / numpy.linalg.norm(EYE)
    front = trimesh.creation.icosphere(4, radius=0.1)
    front.apply_translation(0.8 * away)
    back = trimesh.creation.icosphere(5, radius=0.4)
    mesh = trimesh.util.concatenate([front, back])
    normals = numpy.concatenate([front.vertices - 0.8 * away, back.vertices])
    normals /= numpy.linalg.norm(normals, axis=1, keepdims=True)
    _, weight = from_pictures(mesh.vertices, normals, mesh, grey_ball(), 256)
    shown, hidden = weight[: len(front.vertices)], weight[len(front.vertices) :]
    along = back.vertices @ away
    aside = numpy.linalg.norm(back.vertices - along[:, None] * away, axis=1)
    shadow = 0.1 * (2 - 0.4) / (2 - 0.8)  # its cone where the large ball begins
    assert (hidden[(along > 0.3) & (aside < 0.9 * shadow)] == 0).all()
    assert (hidden[(along > 0.3) & (aside > shadow + 0.1) & (aside < 0.27)] > 0.9).all()
    assert (shown[(front.vertices - 0.8 * away) @ away > 0.07] > 0.99).all()


def test_the_edges_white_does_not_reach_the_object():
    """The silhouette's pixels are half white: what is carried on beyond them is red or blue."""
    mesh = trimesh.creation.icosphere(5, radius=0.405)  # stands out by a pixel
    colour, weight = from_pictures(mesh.vertices, mesh.vertices / 0.405, mesh, grey_ball(), 128)
    assert colour[weight > 0.05][:, 1].max() < 0.2


@pytest.mark.parametrize("side", [None, 64])
def test_a_hard_masks_edge_lends_nothing_of_the_background(side):
    """A mask of yes and no counts pixels that are half grey paper: a ring of one, of the source where that is coarser."""
    size, wide = 128, 1 if side is None else 2

    def at(size_asked):
        posed = framed(INPUT, wide=1000.0)(size).pictures[0]
        mask = posed.picture.mask[..., 0].numpy() > 0.5
        ring = mask & (scipy.ndimage.distance_transform_edt(mask) <= wide)
        rgb = posed.picture.rgb.clone()
        rgb[torch.from_numpy(ring)] = 0.5
        window = None if side is None else Window(0.0, 0.0, float(side), side, side)
        return Subject((dataclasses.replace(posed, picture=Picture(rgb, posed.picture.mask), window=window),))

    mesh = trimesh.creation.icosphere(5, radius=0.4)
    colour, weight = from_pictures(mesh.vertices, mesh.vertices / 0.4, mesh, grey_ball(framed_at=at), size)
    assert (weight > 0.05).sum() > 1000
    assert colour[weight > 0.05][:, 1].max() < 0.2, "grey is 0.5"


def test_what_is_thinner_than_its_edges_keeps_its_own_colour():
    """A line of two pixels beside a disc of another colour: no part of it lies inside, and the disc's is not taken."""
    size = 128
    posed = framed(INPUT, wide=1000.0)(size).pictures[0]
    rgb, mask = posed.picture.rgb.clone(), posed.picture.mask.clone()
    rgb[4:6, 20:100], mask[4:6, 20:100] = torch.tensor([0.0, 1.0, 0.0]), 1.0
    opened, _ = _opened(dataclasses.replace(posed, picture=Picture(rgb, mask)))
    assert float(opened[0, 4:6, 20:100, 1].min()) == 1.0


def test_two_pictures_share_what_both_see_by_their_weights():
    other = orbit(20.0, 40.0, 48)
    mesh = trimesh.creation.icosphere(3, radius=0.4)
    normals = mesh.vertices / 0.4

    def seen(*cameras, weights=(1.0, 1.0)):
        source = grey_ball(framed_at=framed(*cameras, weights=weights))
        return from_pictures(mesh.vertices, normals, mesh, source, 256)

    (one, w1), (two, w2) = seen(INPUT), seen(other)
    both, weight = seen(INPUT, other, weights=(1.0, 3.0))
    plain = (w1 > 0.999) & (w2 > 0.999)
    assert plain.sum() > 50
    numpy.testing.assert_allclose(both[plain], ((one + 3 * two) / 4)[plain], atol=1e-4)
    numpy.testing.assert_allclose(weight, 1 - (1 - w1) * (1 - w2), atol=1e-5)


@pytest.mark.parametrize("changes", [{"framed_at": None}, {"framed_at": lambda size: Subject()}])
def test_without_a_picture_or_unasked_all_is_the_fields(changes, tmp_path):
    for source, options in ((grey_ball(**changes), {}), (grey_ball(), {"project": False})):
        mesh = export(tmp_path / "m.glb", source, texture=128, faces=1000, **options)
        texture = numpy.asarray(mesh.visual.material.baseColorTexture)
        assert abs(texture.astype(int) - round(255 * GREY)).max() <= 1


def test_trimesh_sees_the_files_colours(tmp_path):
    export(tmp_path / "m.glb", grey_ball())
    mesh = trimesh.load(tmp_path / "m.glb", force="mesh")
    colours = mesh.visual.to_color().vertex_colors
    along = gltf_to_world(torch.from_numpy(numpy.array(mesh.vertices))).numpy() @ EYE / 2 / 0.4
    front = along > 0.8
    assert abs(colours[along < -0.1][:, :3].astype(int) - 128).max() < 6
    assert (abs(colours[front][:, 0].astype(int) - colours[front][:, 2].astype(int)) > 100).mean() > 0.6


def test_taubins_passes_take_bumps_and_leave_the_size():
    rng = numpy.random.default_rng(0)
    rough = trimesh.creation.icosphere(4, radius=0.5)
    rough.vertices *= 1 + 0.01 * rng.standard_normal((len(rough.vertices), 1))
    before = rough.vertices.copy()
    smooth = smoothed(rough, 20)
    spread = [numpy.linalg.norm(mesh.vertices, axis=1).std() for mesh in (rough, smooth)]
    assert spread[1] < 0.5 * spread[0]
    assert smooth.volume == pytest.approx(4 / 3 * math.pi * 0.125, rel=0.01)
    assert smooth.is_watertight
    numpy.testing.assert_array_equal(rough.vertices, before)
    assert smoothed(rough, 0) is rough


def test_a_smoothed_export_is_as_large(tmp_path):
    plain, smooth = (export(tmp_path / "m.glb", grey_ball(), texture=64, taubin=passes) for passes in (0, 20))
    assert smooth.volume == pytest.approx(plain.volume, rel=0.01)
    with pytest.raises(ValueError, match=r"^taubin: "):
        TexturedMeshConfig(taubin=201)
