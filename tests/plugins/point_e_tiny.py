"""Point-E at a small width, with synthetic weights made from tensor names, and golden numbers of the original code."""

import json
import zlib
from pathlib import Path

import numpy
import torch

from tests.plugins.clip_tiny import save_tokenizer
from tests.plugins.zero123_tiny import synthetic

SPEC = json.loads(Path("tests/data/point_e_tiny.json").read_text(encoding="utf-8"))
PUBLISHED = json.loads(Path("tests/data/point_e_shapes.json").read_text(encoding="utf-8"))
GOLDEN = {name: torch.from_numpy(value) for name, value in numpy.load("tests/data/point_e_tiny.npz").items()}


def noise(name, shape):
    """The golden numbers' standard normal numbers."""
    seeded = numpy.random.Generator(numpy.random.PCG64(zlib.crc32(name.encode())))
    return torch.from_numpy(seeded.standard_normal(shape, dtype=numpy.float32))


def state(part):
    """A part's tensors by their published names."""
    made = {name: synthetic(name, tuple(shape)) for name, shape in SPEC["shapes"][part].items()}
    for name in ("channel_scales", "channel_biases"):
        if name in made:
            made[name] = torch.tensor(SPEC["config"][part][name])
    return made


def save_clip(folder):
    """CLIP of the golden numbers' vision tower as transformers keeps it, with a text tower and a tokenizer of letters."""
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    from zero3d.weights import ldm

    spec = SPEC["config"]["clip"]
    vision = {
        "hidden_size": spec["width"],
        "intermediate_size": 4 * spec["width"],
        "num_hidden_layers": spec["layers"],
        "num_attention_heads": spec["heads"],
        "patch_size": spec["patch"],
        "image_size": spec["resolution"],
    }
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"vocab_size": 500, "eos_token_id": 499, "bos_token_id": 498, "max_position_embeddings": 77}
    config = {
        "model_type": "clip",
        "projection_dim": spec["output"],
        "vision_config": {**vision, "hidden_act": "quick_gelu"},
        "text_config": {**text, "hidden_act": "quick_gelu"},
    }
    save_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tensors = {name: part.contiguous() for name, part in ldm.convert_clip(state("clip"), "visual.").items()}
    tower = CLIPTextModelWithProjection(CLIPTextConfig(**config["text_config"], projection_dim=48))
    tensors |= {n: synthetic(n, tuple(t.shape)) for n, t in tower.state_dict().items() if "position_ids" not in n}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def save_weights(folder):
    """The published files at a small width, and the options that read them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"base": "base_40m", "imagevec": "base_40m_imagevec", "upsample": "upsample_40m", "sdf": "sdf"}
    for part, file in files.items():
        torch.save(state(part), folder / f"{file}.pt")
    torch.save(state("imagevec"), folder / "base_40m_textvec.pt")
    small = {"width": 64, "layers": 2, "heads": 4, "points": 64}
    sizes = {
        "base": {**small, "features": 64},
        "upsample": {**small, "points": 128, "low": 64, "features": 64},
        "sdf": {"width": 32, "encoder_layers": 2, "encoder_heads": 2, "decoder_layers": 2, "decoder_heads": 2},
    }
    for name, features in (("grid", 64), ("vector", 48)):
        changed = {**sizes, "base": {**sizes["base"], "features": features}}
        (folder / f"{name}.json").write_text(json.dumps(changed), encoding="utf-8")
    clip = save_clip(folder / "clip")
    return {"weights": str(folder), "clip": str(clip), "config": str(folder / "grid.json")}


QUICK = {"steps": 2, "upsample_steps": 2, "resolution": 12}


def make(options, **more):
    """Loaded, on the CPU."""
    from zero3d_point_e.reconstructor import PointE

    made = PointE(PointE.Config(**{**options, **QUICK, **more}))
    made.load(torch.device("cpu"))
    return made
