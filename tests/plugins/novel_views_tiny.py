"""Zero123++ and SV3D at a small width in their published layouts, with synthetic weights made from tensor names."""

import functools
import json
from pathlib import Path

import numpy
import torch

from tests.plugins.mvdream_tiny import VAE_WIDTHS, openclip_shapes, save_tokenizer, vae_state
from tests.plugins.zero123_tiny import synthetic

SPECS = {
    family: json.loads(Path(f"tests/data/{family}_tiny.json").read_text(encoding="utf-8"))
    for family in ("zero123plus", "sv3d")
}
GOLDEN = {
    family: {name: torch.from_numpy(value) for name, value in numpy.load(f"tests/data/{family}_tiny.npz").items()}
    for family in SPECS
}
CONTEXT = 48
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
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 56,
    "patch_size": 14,
    "hidden_act": "gelu",
    "projection_dim": CONTEXT,
}
EXTRACTORS = {
    "feature_extractor_clip": {
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    },
    "feature_extractor_vae": {
        "size": {"shortest_edge": 64},
        "crop_size": {"height": 64, "width": 64},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.8, 0.8, 0.8],
        "resample": 2,
    },
}
VAE = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": VAE_WIDTHS,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 64,
    "scaling_factor": 0.18215,
}
SV3D_UNET = {
    "block_out_channels": [32, 64, 64, 64],
    "num_attention_heads": [2, 4, 4, 4],
    "cross_attention_dim": CONTEXT,
}


def save_zero123plus(folder, **index):
    """A whole model in diffusers' layout. `index`: changes of model_index.json."""
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    from zero3d.weights import ldm

    spec, state = SPECS["zero123plus"], {}
    for name, shape in spec["shapes"].items():
        state[name] = synthetic(name, shape)
    write(folder / "unet" / "config.json", {"_class_name": "UNet2DConditionModel", **spec["unet_config"]})
    save_file(state, folder / "unet" / "diffusion_pytorch_model.safetensors")
    vae = AutoencoderKL(**VAE)
    vae.load_state_dict(ldm.convert_vae({ldm.VAE + name: tensor for name, tensor in vae_state().items()}))
    vae.save_pretrained(folder / "vae")
    for name, tower in {
        "text_encoder": CLIPTextModel(CLIPTextConfig(**TEXT)),
        "vision_encoder": CLIPVisionModelWithProjection(CLIPVisionConfig(**VISION)),
    }.items():
        made = {key: synthetic(key, tensor.shape) for key, tensor in tower.state_dict().items()}
        tower.load_state_dict({key: made[key].to(tensor) for key, tensor in tower.state_dict().items()})
        tower.save_pretrained(folder / name)
    write(folder / "scheduler" / "scheduler_config.json", spec["scheduler_config"])
    for name, config in EXTRACTORS.items():
        write(folder / name / "preprocessor_config.json", config)
    save_tokenizer(folder / "tokenizer")
    ramp = GOLDEN["zero123plus"]["ramping_coefficients"].tolist()
    write(folder / "model_index.json", {"_class_name": "Zero123PlusPipeline", "ramping_coefficients": ramp, **index})
    return folder


def write(path, config):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(config), encoding="utf-8")


@functools.cache
def sv3d_unet():
    """By the original names, without prefix."""
    return {name: synthetic(name, shape) for name, shape in SPECS["sv3d"]["shapes"].items()}


def video_decoder_shapes():
    """Of the first stage's decoder, original names: the image decoder's, and beside each residual block one in time."""
    image = {name: list(tensor.shape) for name, tensor in vae_state().items() if name.startswith("decoder.")}
    shapes = dict(image)
    for name, shape in image.items():
        block, _, rest = name.rpartition(".conv2.")
        if rest == "weight":
            width = shape[0]
            shapes[f"{block}.mix_factor"] = [1]
            for place, size in (("in_layers.0", [width]), ("out_layers.0", [width])):
                shapes |= {f"{block}.time_stack.{place}.{kind}": size for kind in ("weight", "bias")}
            for place in ("in_layers.2", "out_layers.3"):
                shapes[f"{block}.time_stack.{place}.weight"] = [width, width, 3, 1, 1]
                shapes[f"{block}.time_stack.{place}.bias"] = [width]
    return shapes | {
        "decoder.conv_out.time_mix_conv.weight": [3, 3, 3, 1, 1],
        "decoder.conv_out.time_mix_conv.bias": [3],
    }


@functools.cache
def sv3d_state():
    """Every tensor of the published file's layout."""
    width, patch = VISION["hidden_size"], VISION["patch_size"]
    tower = {
        "class_embedding": [width],
        "positional_embedding": [1 + (VISION["image_size"] // patch) ** 2, width],
        "conv1.weight": [width, 3, patch, patch],
        **{f"ln_{end}.{kind}": [width] for end in ("pre", "post") for kind in ("weight", "bias")},
        "proj": [width, CONTEXT],
        **openclip_shapes(width, VISION["intermediate_size"], VISION["num_hidden_layers"]),
    }
    clip, encoder = "conditioner.embedders.0.open_clip.model.", "conditioner.embedders.1.encoder."
    state = {f"model.diffusion_model.{name}": tensor for name, tensor in sv3d_unet().items()}
    state |= {f"{clip}visual.{name}": synthetic(name, shape) for name, shape in tower.items()}
    state |= {f"{clip}logit_scale": torch.ones(()), f"{clip}ln_final.weight": torch.ones(48)}
    state |= {encoder + name: tensor for name, tensor in vae_state().items()}
    return state | {f"first_stage_model.{n}": synthetic(n, shape) for n, shape in video_decoder_shapes().items()}


def save_sv3d(path, state=None):
    """The single file."""
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in (state or sv3d_state()).items()}, path)
    return path


def sv3d_config(folder):
    """The file that tells the loader of the tiny size."""
    file = folder / "sv3d.json"
    write(file, {"unet": SV3D_UNET, "vae": {"block_out_channels": VAE_WIDTHS}, "image_encoder": VISION})
    return str(file)
