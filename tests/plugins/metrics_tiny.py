"""The golden figures of metrics, and made-up weights of the networks that some of them need."""

import json
from pathlib import Path

from tests.plugins.zero123_tiny import synthetic

GOLDEN = json.loads(Path("tests/data/metrics.json").read_text(encoding="utf-8"))


def lpips_weights(net, heads=True):
    """LPIPS' network with made-up numbers."""
    state = {}
    for name, shape in GOLDEN["lpips_synthetic_weights"][net]["shapes"].items():
        tensor = synthetic(f"{net}.{name}", shape)
        if name.startswith("lin"):
            tensor = tensor.abs()
        elif name.endswith("weight"):
            tensor = tensor * 2**0.5
        if heads or not name.startswith("lin"):
            state[name] = tensor
    return state
