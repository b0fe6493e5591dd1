"""`zero3d eval --encoder`: CLIP's likeness of what is drawn and what is true."""

import json

import numpy
import pytest
import torch
import trimesh
from PIL import Image
from torch.nn.functional import interpolate, normalize

from tests.plugins.clip_tiny import make_encoder, save_folder
from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.mesh_files import save_mesh
from zero3d.mesh_views import MeshScene
from zero3d.values import PUBLISHED_FOV
from zero3d.weights import CLIP_MEAN, CLIP_STD

SIZE = 48


def box(*extents):
    made = trimesh.creation.box(extents=extents)
    colours = numpy.random.default_rng(0).integers(0, 256, (8, 3)).astype(numpy.uint8)
    return trimesh.Trimesh(made.vertices, made.faces, vertex_colors=colours, process=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """true.glb and its views, other.glb, and a tiny CLIP."""
    place = tmp_path_factory.mktemp("likeness")
    save_mesh(box(1.0, 0.6, 0.4), place / "true.glb")
    save_mesh(box(0.2, 0.3, 1.0), place / "other.glb")
    cameras = orbit(torch.tensor([10.0, 40.0]), torch.tensor([0.0, 100.0]), SIZE)
    pictures = (255 * MeshScene(box(1.0, 0.6, 0.4)).draw(cameras, light=None).image).round().byte().numpy()
    frames = []
    for index, pose in enumerate(cameras.camera_to_world.double().numpy()):
        Image.fromarray(pictures[index]).save(place / f"r_{index}.png")
        frames.append({"file_path": f"./r_{index}", "transform_matrix": pose.tolist()})
    layout = {"camera_angle_x": PUBLISHED_FOV, "frames": frames}
    (place / "transforms.json").write_text(json.dumps(layout), encoding="utf-8")
    save_folder(place / "clip")
    return place


def scored(place, mesh, *more):
    out = place / "found.json"
    chosen = ["--views", str(place), "--encoder", f"clip:{place / 'clip'}", "--json", str(out)]
    assert main(["eval", str(place / mesh), *chosen, *more]) == 0
    return json.loads(out.read_text(encoding="utf-8"))


def test_the_truth_is_most_alike_and_the_figures_are_clips(place):
    from transformers import CLIPModel

    found = scored(place, "true.glb", "--prompt", "a red box")
    assert found["clip_similarity"] == pytest.approx(1, abs=1e-3)
    other = scored(place, "other.glb")
    assert other["clip_similarity"] < found["clip_similarity"] - 0.01
    assert "clip_prompt_similarity" not in other
    model = CLIPModel.from_pretrained(place / "clip")  # by transformers alone
    tokens = make_encoder(place / "clip")._tokenizer("a red box", return_tensors="pt").input_ids
    cosines = []
    with torch.no_grad():
        words = model.text_projection(model.text_model(input_ids=tokens).pooler_output)
        for index in range(2):
            planes = torch.from_numpy(numpy.array(Image.open(place / f"r_{index}.png").convert("RGB")) / 255).float()
            planes = interpolate(planes.permute(2, 0, 1)[None], (224, 224), mode="bilinear", align_corners=False)
            planes = (planes - torch.tensor(CLIP_MEAN)[:, None, None]) / torch.tensor(CLIP_STD)[:, None, None]
            seen = model.visual_projection(model.vision_model(pixel_values=planes).pooler_output)
            cosines.append(float((normalize(seen, dim=-1) * normalize(words, dim=-1)).sum()))
    assert found["clip_prompt_similarity"] == pytest.approx(sum(cosines) / 2, abs=2e-3)
    assert "a red box" in found["variants"]["clip_prompt_similarity"]


def test_mistakes_are_one_line(place, capsys):
    save_folder(place / "mute", tokenizer=False)
    mesh, views = ["eval", str(place / "true.glb")], ["--views", str(place)]
    capsys.readouterr()
    for chosen, told in (
        (["--mesh", str(place / "true.glb"), "--encoder", "clip:x"], "give --views DIR"),
        ([*views, "--prompt", "a box"], "--prompt is compared by an encoder"),
        ([*views, "--encoder", "clip"], "write TYPE:WEIGHTS"),
        ([*views, "--encoder", "clap:x"], "no encoder called 'clap'. Did you mean 'clip'?"),
        ([*views, "--encoder", f"clip:{place / 'none'}"], "is neither a folder"),
        ([*views, "--encoder", f"clip:{place / 'mute'}", "--prompt", "a box"], "reads picture, and not the prompt"),
    ):
        assert main([*mesh, *chosen]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert told in line
