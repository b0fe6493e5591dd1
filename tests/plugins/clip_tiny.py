"""CLIP at a small width, with synthetic weights made from tensor names, and a tokenizer of single letters."""

import json
from pathlib import Path

import numpy
import torch

from tests.plugins.zero123_tiny import synthetic

SPEC = json.loads(Path("tests/data/clip_features_tiny.json").read_text(encoding="utf-8"))
GOLDEN = {name: torch.from_numpy(value) for name, value in numpy.load("tests/data/clip_features_tiny.npz").items()}
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.'-"


def picture(k, height, width):
    """(1, H, W, 3), the golden numbers' formula."""
    y, x = numpy.mgrid[:height, :width].astype(numpy.float64)
    planes = [0.5 + 0.5 * numpy.sin((0.05 + 0.02 * k) * (c + 1) * x + 0.031 * (k + 1) * y + c) for c in range(3)]
    return torch.from_numpy(numpy.stack(planes, -1).astype(numpy.float32))[None]


def config(activation="quick_gelu", **changes):
    """transformers' configuration."""
    from transformers import CLIPConfig

    towers = {
        name: {**SPEC[name], "hidden_act": activation, **changes.get(name, {})}
        for name in ("text_config", "vision_config")
    }
    return CLIPConfig(**towers, projection_dim=48)


def save_tokenizer(folder):
    """Each letter is a token, with `</w>` at the end of a word; 498 begins and 499 ends a text."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    vocabulary = {word: index for index, word in enumerate(words)} | {"<|startoftext|>": 498, "<|endoftext|>": 499}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    return folder


def save_folder(folder, tokenizer=True, **changes):
    """A folder as transformers saves it, at the golden numbers' width."""
    from transformers import CLIPModel

    model = CLIPModel(config(**changes))
    model.load_state_dict({name: synthetic(name, tuple(p.shape)) for name, p in model.state_dict().items()})
    model.save_pretrained(folder)
    if tokenizer:
        save_tokenizer(folder)
    return folder


def openclip_state():
    """Every tensor of an OpenCLIP file at the golden numbers' width."""
    return {name: synthetic(name, tuple(shape)) for name, shape in SPEC["shapes_openclip_tiny"].items()}


def make_encoder(folder, **options):
    """Loaded, on the CPU."""
    from zero3d_clip.encoder import ClipEncoder, ClipEncoderConfig

    made = ClipEncoder(ClipEncoderConfig(weights=str(folder), **options))
    made.load(torch.device("cpu"))
    return made
