"""MVDream and ImageDream at a small width, in both published layouts, with synthetic weights made from tensor names."""

import functools
import json
from pathlib import Path

import numpy
import torch

from tests.plugins.zero123_tiny import SPEC as ZERO123
from tests.plugins.zero123_tiny import synthetic

SPECS = {
    family: json.loads(Path(f"tests/data/{family}_tiny.json").read_text(encoding="utf-8"))
    for family in ("mvdream", "imagedream")
}
GOLDEN = {
    family: {name: torch.from_numpy(value) for name, value in numpy.load(f"tests/data/{family}_tiny.npz").items()}
    for family in SPECS
}
CONTEXT = 48
FEATURES = 64
TEXT = {
    "vocab_size": 520,
    "hidden_size": CONTEXT,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "hidden_act": "gelu",
    "projection_dim": 32,
    "bos_token_id": 512,
    "eos_token_id": 513,
}
VISION = {
    "hidden_size": FEATURES,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "hidden_act": "gelu",
    "projection_dim": 32,
}
VAE_WIDTHS = [32, 32, 64, 64]
PREFIXES = {
    "mvdream": ("first_stage_model.", "cond_stage_model.model."),
    "imagedream": ("vae_model.", "clip_model.model."),
}


def unet_config(family, image_size=8):
    """In its authors' words, as in a conversion's unet/config.json."""
    return {**SPECS[family]["config"], "image_size": image_size, "transformer_depth": 1}


@functools.cache
def unet_state(family):
    """By the names that both layouts share; the Resampler takes a small tower's features."""
    shapes = dict(SPECS[family]["shapes"])
    if family == "imagedream":
        shapes["image_embed.proj_in.weight"] = [CONTEXT, FEATURES]
    return {name: synthetic(name, shape) for name, shape in shapes.items()}


def openclip_shapes(width, mlp, layers, place=""):
    """Of a tower's blocks, by OpenCLIP's names."""
    block = {
        **{f"ln_{i}.{kind}": [width] for i in (1, 2) for kind in ("weight", "bias")},
        "attn.in_proj_weight": [3 * width, width],
        "attn.in_proj_bias": [3 * width],
        "attn.out_proj.weight": [width, width],
        "attn.out_proj.bias": [width],
        "mlp.c_fc.weight": [mlp, width],
        "mlp.c_fc.bias": [mlp],
        "mlp.c_proj.weight": [width, mlp],
        "mlp.c_proj.bias": [width],
    }
    return {f"{place}transformer.resblocks.{i}.{n}": s for i in range(layers) for n, s in block.items()}


@functools.cache
def clip_state(family):
    """OpenCLIP's names: a text tower of one block more than is read, and for ImageDream the vision tower."""
    shapes = {
        "positional_embedding": [77, CONTEXT],
        "token_embedding.weight": [TEXT["vocab_size"], CONTEXT],
        "ln_final.weight": [CONTEXT],
        "ln_final.bias": [CONTEXT],
        "text_projection": [CONTEXT, 32],
        "logit_scale": [],
        **openclip_shapes(CONTEXT, TEXT["intermediate_size"], TEXT["num_hidden_layers"] + 1),
    }
    if family == "imagedream":
        width, patch = FEATURES, VISION["patch_size"]
        shapes |= {
            "visual.class_embedding": [width],
            "visual.positional_embedding": [1 + (VISION["image_size"] // patch) ** 2, width],
            "visual.conv1.weight": [width, 3, patch, patch],
            **{f"visual.ln_{end}.{kind}": [width] for end in ("pre", "post") for kind in ("weight", "bias")},
            "visual.proj": [width, 32],
            **openclip_shapes(width, VISION["intermediate_size"], VISION["num_hidden_layers"], "visual."),
        }
    return {name: synthetic(name, shape) for name, shape in shapes.items()}


@functools.cache
def vae_state():
    """By the original names, without prefix."""
    prefix = "first_stage_model."
    shapes = {n.removeprefix(prefix): s for n, s in ZERO123["shapes"].items() if n.startswith(prefix)}
    return {name: synthetic(name, shape) for name, shape in shapes.items()}


def checkpoint_state(family):
    """Every tensor of the published single file, its buffers among them."""
    vae, clip = PREFIXES[family]
    state = {f"model.diffusion_model.{n}": t for n, t in unet_state(family).items()}
    state |= {vae + n: t for n, t in vae_state().items()} | {clip + n: t for n, t in clip_state(family).items()}
    return state | {name: torch.ones(1000) for name in SPECS["mvdream"]["other_names_in_pt"]["buffers"]}


def save_checkpoint(path, family, state=None):
    """A .pt as the authors saved theirs: a dictionary of tensors."""
    torch.save(checkpoint_state(family) if state is None else state, path)
    return path


def tiny_config(folder, family):
    """The file that tells the loader of the tiny size."""
    file = folder / f"{family}.json"
    vae = {"block_out_channels": VAE_WIDTHS}
    parts = {"unet": unet_config(family), "vae": vae, "text_encoder": TEXT, "image_encoder": VISION}
    file.write_text(json.dumps(parts), encoding="utf-8")
    return str(file)


def save_tokenizer(folder):
    """A CLIP tokenizer of single letters: each byte, each byte that ends a word, start and end."""
    folder.mkdir(parents=True, exist_ok=True)
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return folder


def save_folder(folder, family):
    """A whole model in the layout of the published conversion to diffusers."""
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModel

    from zero3d_mvdream.weights.names import text_state, towers_names, vision_state
    from zero3d_mvdream.weights.names import vae_state as converted_vae

    (folder / "unet").mkdir(parents=True)
    save_file(unet_state(family), folder / "unet" / "diffusion_pytorch_model.safetensors")
    config = {"_class_name": "MultiViewUNetModel", **unet_config(family)}
    (folder / "unet" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=tuple(VAE_WIDTHS),
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=0.18215,
    )
    vae.load_state_dict(converted_vae(vae_state()))
    vae.save_pretrained(folder / "vae")
    clip = clip_state(family)
    towers = {"text_encoder": (CLIPTextModel(CLIPTextConfig(**TEXT)), text_state(_without_visual(clip), 2))}
    if family == "imagedream":
        visual = {n.removeprefix("visual."): t for n, t in clip.items() if n.startswith("visual.")}
        towers["image_encoder"] = (CLIPVisionModel(CLIPVisionConfig(**VISION)), vision_state(visual, 2))
    for name, (tower, state) in towers.items():
        missing, unexpected = tower.load_state_dict(towers_names(state, tower.state_dict()), strict=False)
        assert not unexpected, unexpected
        assert all("position_ids" in key for key in missing), missing
        tower.save_pretrained(folder / name)
    save_tokenizer(folder / "tokenizer")
    return folder


def _without_visual(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith("visual.")}
