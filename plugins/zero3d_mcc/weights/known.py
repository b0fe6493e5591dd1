"""The published weights, and the models of depth that are known to fit."""

from __future__ import annotations

import torch

from zero3d.weights import Published, hub
from zero3d_mcc.network.model import Mcc, Size

FILE = "co3dv2_all_categories.pth"
FOLDER = "https://dl.fbaipublicfiles.com/MCC"
LICENCE = "CC-BY-NC 4.0, no commercial use"
PARAMETERS = 202_141_441
INITIAL = "vit_base_IN1K.pth"
RELATIVE, METRIC = "relative, inverse depth", "metric depth"
KNOWN = (
    Published(FILE, f"{FOLDER}/{FILE}", LICENCE, 4 * PARAMETERS / 1e9, note="MCC, trained on all of CO3D v2"),
    hub("Intel/dpt-large", "Apache-2.0", 1.4, f"{RELATIVE}; MiDaS 3.0", part="depth_model"),
    hub("Intel/dpt-hybrid-midas", "Apache-2.0", None, RELATIVE, part="depth_model"),
    hub("depth-anything/Depth-Anything-V2-Small-hf", "Apache-2.0", 0.1, RELATIVE, part="depth_model"),
    hub("depth-anything/Depth-Anything-V2-Large-hf", "CC-BY-NC 4.0", None, RELATIVE, part="depth_model"),
    hub("depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf", "see its page", 0.1, METRIC, part="depth_model"),
    hub("Intel/zoedepth-nyu-kitti", "MIT", 1.4, METRIC, part="depth_model"),
    hub("apple/DepthPro-hf", "Apple's, for research", 1.9, METRIC, part="depth_model"),
    hub("vinvino02/glpn-nyu", "Apache-2.0, as far as known", None, METRIC, part="depth_model"),
)
"""Sizes are of float32; the files themselves were not looked at."""


def sketch(size: Size) -> Mcc:
    """The network on the meta device: names and shapes, no memory."""
    with torch.device("meta"):
        return Mcc(size)
