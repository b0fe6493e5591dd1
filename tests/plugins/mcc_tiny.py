"""MCC at a small width, with synthetic weights made from tensor names, and golden numbers of the original code."""

import json
from pathlib import Path

import numpy
import torch

from tests.plugins.zero123_tiny import synthetic
from zero3d_mcc.network.model import Mcc, Size

SPEC = json.loads(Path("tests/data/mcc_tiny.json").read_text(encoding="utf-8"))
PUBLISHED = json.loads(Path("tests/data/mcc_shapes.json").read_text(encoding="utf-8"))["co3dv2_all_categories"]
GOLDEN = {name: torch.from_numpy(value) for name, value in numpy.load("tests/data/mcc_tiny.npz").items()}
SMALL = {"width": 96, "layers": 2, "heads": 12, "decoder_width": 64, "decoder_layers": 2, "decoder_heads": 16}


def state(regress_color=False):
    """Every tensor by its published name."""
    shapes = SPEC["shapes"]["mcc"] | (SPEC["shapes"]["mcc_regress_color"] if regress_color else {})
    return {name: synthetic(name, tuple(shape)) for name, shape in shapes.items()}


def network(regress_color=False):
    made = Mcc(Size(**SMALL, regress_color=regress_color))
    made.load_state_dict(state(regress_color))
    return made.requires_grad_(False).eval()


def save_weights(folder):
    """The published file at a small width, as training leaves it, and the options that read it."""
    import argparse

    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "co3dv2_all_categories.pth"
    torch.save({"model": state(), "epoch": 99, "args": argparse.Namespace(lr=0.1, name="mcc")}, file)
    (folder / "small.json").write_text(json.dumps({"mcc": SMALL}), encoding="utf-8")
    return {"weights": str(file), "config": str(folder / "small.json")}


def dome(height, width):
    """Depths of something round before the camera, nan beside it."""
    y, x = numpy.meshgrid(numpy.linspace(-1, 1, height), numpy.linspace(-1, 1, width), indexing="ij")
    away = x**2 + y**2
    return numpy.where(away < 0.9, 2 - 0.4 * numpy.sqrt(numpy.clip(1 - away, 0, 1)), numpy.nan).astype(numpy.float32)


def save_dome(path, height=64, width=64):
    numpy.save(path, dome(height, width))
    return str(path)


QUICK = {"granularity": 0.5, "coarse": 2, "threshold": 0.5}


def make(options, **more):
    """Loaded, on the CPU."""
    from zero3d_mcc.reconstructor import MccReconstructor

    made = MccReconstructor(MccReconstructor.Config(**{**options, **QUICK, **more}))
    made.load(torch.device("cpu"))
    return made


def save_depth_model(folder, kind="dpt"):
    """A tiny random model of depth in transformers' layout."""
    from transformers import (
        BeitConfig,
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTConfig,
        DPTForDepthEstimation,
        DPTImageProcessor,
        ZoeDepthConfig,
        ZoeDepthForDepthEstimation,
        ZoeDepthImageProcessor,
    )

    torch.manual_seed(0)
    stages = ["stage1", "stage2", "stage3", "stage4"]
    small = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    wide = {"neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8}
    if kind == "dpt":
        sizes = {
            **small,
            "image_size": 32,
            "patch_size": 8,
            "intermediate_size": 32,
            "backbone_out_indices": [0, 1, 2, 3],
        }
        module = DPTForDepthEstimation(DPTConfig(**sizes, **wide, is_hybrid=False, add_projection=False))
    elif kind == "zoe":
        sizes = {
            **small,
            "image_size": 32,
            "patch_size": 16,
            "intermediate_size": 32,
            "use_relative_position_bias": True,
        }
        tower = BeitConfig(**sizes, out_features=stages, reshape_hidden_states=False)
        bins = {"bin_configurations": [{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}], "bin_embedding_dim": 8}
        heads = {"bottleneck_features": 8, "num_attractors": [4, 2, 2, 1], "num_relative_features": 4}
        module = ZoeDepthForDepthEstimation(ZoeDepthConfig(backbone_config=tower, **wide, **bins, **heads))
        ZoeDepthImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    else:
        tower = Dinov2Config(**small, out_features=stages, reshape_hidden_states=False)
        told = {"depth_estimation_type": kind, "max_depth": 4, "head_hidden_size": 4, "reassemble_hidden_size": 16}
        module = DepthAnythingForDepthEstimation(DepthAnythingConfig(backbone_config=tower, **wide, **told))
    module.save_pretrained(folder)
    side = small["image_size"] if kind != "dpt" else 32
    if kind != "zoe":
        DPTImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return str(folder)
