"""The Zero-1-to-3 network at a small width, with synthetic weights made from tensor names; golden numbers beside it."""

import json
import sys
import types
import zlib
from pathlib import Path

import numpy
import pytest
import torch

SPEC = json.loads(Path("tests/data/zero123_tiny.json").read_text(encoding="utf-8"))
GOLDEN = {name: torch.from_numpy(value) for name, value in numpy.load("tests/data/zero123_tiny.npz").items()}
CONFIG = SPEC["config"]


def synthetic(name, shape):
    generator = numpy.random.Generator(numpy.random.PCG64(zlib.crc32(name.encode())))
    w = generator.standard_normal(shape, dtype=numpy.float32)
    if len(shape) > 1:
        w = w / numpy.sqrt(numpy.prod(shape[1:]))
    elif name.endswith("weight"):
        w = 1 + 0.1 * w
    else:
        w = 0.1 * w
    return torch.from_numpy(numpy.asarray(w, dtype=numpy.float32))


def original_state():
    """Every tensor of the published checkpoint's layout."""
    return {name: synthetic(name, shape) for name, shape in SPEC["shapes"].items()}


def make_modules():
    """Untrained diffusers and transformers modules of the tiny configuration."""
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    unet = UNet2DConditionModel(
        sample_size=32,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=tuple(CONFIG["model_channels"] * m for m in CONFIG["mult"]),
        layers_per_block=2,
        cross_attention_dim=CONFIG["ctx"],
        attention_head_dim=8,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=tuple(CONFIG["vae_ch"] * m for m in CONFIG["vae_mult"]),
        layers_per_block=2,
        latent_channels=4,
        sample_size=256,
        scaling_factor=0.18215,
    )
    clip = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=CONFIG["clip_width"],
            intermediate_size=4 * CONFIG["clip_width"],
            num_hidden_layers=CONFIG["clip_layers"],
            num_attention_heads=CONFIG["clip_heads"],
            patch_size=14,
            image_size=224,
            projection_dim=CONFIG["ctx"],
            hidden_act="quick_gelu",
        )
    )
    return unet, vae, clip


def load_converted(unet, vae, clip, ema):
    """The synthetic weights in the modules, and cc_projection."""
    from zero3d.weights.ldm import convert_clip, convert_unet, convert_vae
    from zero3d_zero123.published.original import convert_projection

    state = original_state()
    unet.load_state_dict(convert_unet(state, ema))
    vae.load_state_dict(convert_vae(state))
    missing, unexpected = clip.load_state_dict(convert_clip(state), strict=False)
    assert not unexpected
    assert all("position_ids" in name for name in missing)
    projection = torch.nn.Linear(CONFIG["ctx"] + 4, CONFIG["ctx"])
    projection.load_state_dict(convert_projection(state))
    return projection


def save_folder(folder, layout="cc_projection", layer="projection", ema=True):
    """A whole model in one of the published diffusers layouts."""
    from safetensors.torch import save_file

    unet, vae, clip = make_modules()
    projection = load_converted(unet, vae, clip, ema)
    unet.save_pretrained(folder / "unet")
    vae.save_pretrained(folder / "vae")
    clip.save_pretrained(folder / "image_encoder")
    (folder / layout).mkdir()
    weights = {f"{layer}.{name}": value for name, value in projection.state_dict().items()}
    save_file(weights, folder / layout / "diffusion_pytorch_model.safetensors")
    return folder


def tiny_config(folder):
    """The file that tells the loader of the tiny size."""
    file = folder / "tiny.json"
    changes = {
        "unet": {
            "block_out_channels": [CONFIG["model_channels"] * m for m in CONFIG["mult"]],
            "cross_attention_dim": CONFIG["ctx"],
        },
        "vae": {"block_out_channels": [CONFIG["vae_ch"] * m for m in CONFIG["vae_mult"]]},
        "image_encoder": {
            "hidden_size": CONFIG["clip_width"],
            "intermediate_size": 4 * CONFIG["clip_width"],
            "num_hidden_layers": CONFIG["clip_layers"],
            "num_attention_heads": CONFIG["clip_heads"],
            "projection_dim": CONFIG["ctx"],
        },
    }
    file.write_text(json.dumps(changes), encoding="utf-8")
    return str(file)


def lightning_checkpoint(state):
    """What PyTorch Lightning 1.4 saves around a state_dict; its own classes among it."""
    callback = type("ModelCheckpoint", (), {"__module__": "pytorch_lightning.callbacks.model_checkpoint"})
    return {
        "epoch": 3,
        "global_step": 105000,
        "pytorch-lightning_version": "1.4.2",
        "state_dict": state,
        "callbacks": {callback: {"best_model_score": numpy.float64(0.02), "current": callback()}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(5), "step": 7}}, "param_groups": [{"lr": 1e-4}]}],
        "lr_schedulers": [{"last_epoch": 1}],
    }


def save_checkpoint(path, state=None):
    """A .ckpt in the published layout, pickled as Lightning does; Lightning need not be installed."""
    content = lightning_checkpoint(original_state() if state is None else state)
    (callback,) = content["callbacks"]
    module = types.ModuleType(callback.__module__)
    module.ModelCheckpoint = callback
    with pytest.MonkeyPatch.context() as patch:
        for part in ("pytorch_lightning", "pytorch_lightning.callbacks"):
            patch.setitem(sys.modules, part, types.ModuleType(part))
        patch.setitem(sys.modules, callback.__module__, module)
        torch.save(content, path)
    return path
