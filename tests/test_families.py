"""Every published component names every other family's files and folders for what they are, in the recipe's words."""

import json

import pytest
import torch
from safetensors.torch import save_file

from tests.plugins.clip_tiny import save_folder as save_clip
from zero3d import RecipeError
from zero3d.errors import UserError
from zero3d.plugins import load_plugins
from zero3d.recipe.blocks import make_block

UNET = "model.diffusion_model."
VAE, TEXT, TOWER = "first_stage_model.x", "cond_stage_model.transformer.x", "cond_stage_model.model.visual.x"
KEY = f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"


def unet(channels, **more):
    """The first tensors of an original U-Net; `more`: a name's last words -> a shape."""
    names = {"input_blocks.0.0.weight": (8, channels, 3, 3)} | {name.replace("__", "."): s for name, s in more.items()}
    return {UNET + name: shape for name, shape in names.items()}


FILES = {
    "sd": (unet(4) | {KEY: (8, 768), VAE: (1,), TEXT: (1,)}, "Stable Diffusion", "stable_diffusion"),
    "variations": (unet(4) | {VAE: (1,), TOWER: (1,)}, "Image Variations", "image_variations"),
    "mvdream": (unet(4, camera_embed__0__weight=(8, 16)) | {VAE: (1,)}, "MVDream", "mvdream"),
    "imagedream": (
        unet(4, camera_embed__0__weight=(8, 16), image_embed__latents=(1, 16, 8)) | {VAE: (1,)},
        "ImageDream",
        "imagedream",
    ),
    "zero123": (unet(8) | {VAE: (1,), TOWER: (1,), "cc_projection.weight": (8, 12)}, "Zero-1-to-3", "zero123"),
    "sv3d": (
        unet(8, label_emb__0__0__weight=(8, 1280)) | {VAE: (1,), "conditioner.embedders.0.x": (1,)},
        "SV3D_p",
        "sv3d",
    ),
    "clip": ({"visual.conv1.weight": (8, 3, 4, 4), "visual.transformer.x": (1,)}, "CLIP", ""),
    "xl": (unet(4) | {"conditioner.embedders.0.x": (1,)}, "Stable Diffusion XL", ""),
    "lora": ({"lora_unet_down_blocks_0.lora_down.weight": (4, 4)}, "a LoRA", ""),
}
"""Name -> (tensors, family, the denoiser that takes it)."""
FOLDERS = {
    "sd": ("StableDiffusionPipeline", {}, ("text_encoder",), "Stable Diffusion", "stable_diffusion"),
    "if": ("IFPipeline", {"in_channels": 3, "encoder_hid_dim": 32}, (), "DeepFloyd IF's first stage", "deepfloyd_if"),
    "variations": (
        "StableDiffusionImageVariationPipeline",
        {},
        ("image_encoder",),
        "Image Variations",
        "image_variations",
    ),
    "mvdream": (None, {"camera_dim": 16, "model_channels": 8}, ("text_encoder",), "MVDream", "mvdream"),
    "imagedream": (
        None,
        {"camera_dim": 16, "model_channels": 8, "ip_dim": 16},
        ("text_encoder", "image_encoder"),
        "ImageDream",
        "imagedream",
    ),
    "zero123": (None, {"in_channels": 8}, ("image_encoder", "cc_projection"), "Zero-1-to-3", "zero123"),
    "zero123plus": (
        "Zero123PlusPipeline",
        {},
        ("text_encoder", "vision_encoder"),
        "Zero123++",
        "zero123plus",
    ),
    "sv3d": (
        None,
        {"in_channels": 8, "projection_class_embeddings_input_dim": 1280},
        ("image_encoder",),
        "SV3D_p",
        "sv3d",
    ),
}
"""Name -> (its pipeline, its U-Net's configuration, other subfolders, family, the denoiser that takes it)."""
TAKERS = [*dict.fromkeys(taker for *_, taker in FOLDERS.values()), "clip"]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def save_folder(place, pipeline, config, parts, *_):
    write(place / "unet" / "config.json", {"in_channels": 4, "cross_attention_dim": 48, **config})
    for part in parts:
        write(place / part / "config.json", {})
    if pipeline:
        more = {"ramping_coefficients": [0.0] * 77} if pipeline == "Zero123PlusPipeline" else {}
        write(place / "model_index.json", {"_class_name": pipeline, **more})
    return place


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """[(file or folder, its family, the component that takes it)]."""
    place, found = tmp_path_factory.mktemp("families"), []
    for name, (shapes, family, taker) in FILES.items():
        path = place / f"{name}.safetensors"
        save_file({key: torch.zeros(shape) for key, shape in shapes.items()}, path)
        found.append((path, family, taker))
    found += [(save_folder(place / name, *told), *told[-2:]) for name, told in FOLDERS.items()]
    return [*found, (save_clip(place / "clip"), "CLIP", "")]


@pytest.mark.parametrize("component", TAKERS)
def test_weights_of_another_family_are_named_for_what_they_are(component, registry, given):
    kind = "encoder" if component == "clip" else "denoiser"
    family = registry.get(kind, component, "test").family
    for path, found, taker in given:
        if found == family:
            continue
        for key in (kind, f"{kind}s.one")[: 1 + (component == "mvdream")]:
            block = make_block(registry, kind, "r.yaml", key, {"type": component, "weights": str(path)})
            with pytest.raises(UserError) as caught:
                block.build()
            remedy = f"set {key}.type={taker}" if taker and kind == "denoiser" else f"give weights of {family}"
            assert str(caught.value) == (
                f"{key}.weights: {path} is {found}, not {family}; {remedy} (`zero3d weights list`)"
            )


def test_weights_of_its_own_family_are_not_called_anothers(registry, given):
    for path, found, taker in given:
        if taker and path.is_dir():
            block = make_block(registry, "denoiser", "r.yaml", "denoisers.one", {"type": taker, "weights": str(path)})
            with pytest.raises(RecipeError, match=r"^denoisers\.one\.weights: ") as caught:  # parts are missing
                block.build()
            assert f"is {found}, not" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"weights": "nowhere.safetensors"}, "denoisers.a.weights: no file 'nowhere.safetensors'"),
        ({"weights": "no where"}, "denoisers.a.weights: 'no where' is neither a folder nor a hub id"),
    ],
)
def test_a_labelled_teacher_is_told_under_its_label(registry, options, line):
    block = make_block(registry, "denoiser", "r.yaml", "denoisers.a", {"type": "stable_diffusion", **options})
    with pytest.raises(RecipeError) as caught:
        block.build()
    assert str(caught.value).startswith(line)


def test_a_path_that_is_called_as_a_kind_stays(registry, tmp_path):
    path = tmp_path / "denoiser.weights" / "encoder.config"
    block = make_block(registry, "denoiser", "r.yaml", "denoisers.a", {"type": "mvdream", "weights": str(path)})
    with pytest.raises(RecipeError, match=r"denoiser\.weights/encoder\.config") as caught:
        block.build()
    assert str(caught.value).startswith("denoisers.a.weights: ")
