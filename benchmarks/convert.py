"""Converting a checkpoint of the published size: seconds, and the most memory it takes.

    python benchmarks/convert.py [--folder DIR] [--dtype float32]

Writes a file of the published layout and size first (8.6 GB of small numbers: U-Net, its average, VAE, CLIP, projection),
then runs `zero3d weights convert` on it in a process of its own. Needs 20 GB of disk and 9 GB of memory for the first
part. Exits 1 if the conversion takes 8 GB or more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from zero3d.weights.ldm import CLIP, EMA, UNET, VAE, convert_clip, convert_unet, convert_vae
from zero3d_zero123.published.configs import PUBLISHED
from zero3d_zero123.published.original import PROJECTION, make_module

NAMES = Path(__file__).parents[1] / "tests/data/zero123_tiny.json"
"""Every tensor name of the published layout, at a small size."""
SHORTCUTS = (
    f"{UNET}input_blocks.7.0.skip_connection",
    f"{VAE}encoder.down.1.block.0.nin_shortcut",
    f"{VAE}decoder.up.0.block.0.nin_shortcut",
)
"""Where the published widths change and the small ones do not."""
LIMIT_GB = 8.0


def published_state() -> dict[str, Tensor]:
    """The published layout's names with the published size's shapes."""
    names = list(json.loads(NAMES.read_text(encoding="utf-8"))["shapes"])
    layers = range(PUBLISHED["image_encoder"]["num_hidden_layers"])
    blocks = [name.split("resblocks.0.", 1) for name in names if "resblocks.0." in name]
    names += [f"{a}resblocks.{k}.{b}" for a, b in blocks for k in layers]
    names += [f"{shortcut}.{kind}" for shortcut in SHORTCUTS for kind in ("weight", "bias")]
    names = list(dict.fromkeys(names))
    shapes = {part: _shapes(part) for part in PUBLISHED}
    marked = {name: torch.full((3, 2, 1, 1), 0.0) for name in names}
    found: dict[str, tuple[int, ...]] = {}
    for name in names:
        one = {name: marked[name]}
        if name.startswith(UNET):
            (new,) = convert_unet(one, ema=False)
            found[name] = shapes["unet"][new]
            found[EMA + name.removeprefix(UNET).replace(".", "")] = found[name]
        elif name.startswith(VAE):
            found[name] = _vae_shape(name, names, shapes["vae"])
        elif name.startswith(CLIP):
            found[name] = _clip_shape(one, shapes["image_encoder"])
    width = PUBLISHED["image_encoder"]["projection_dim"]
    found |= {f"{PROJECTION}weight": (width, width + 4), f"{PROJECTION}bias": (width,)}
    return {name: torch.full(shape, 0.01) for name, shape in found.items()}


def _shapes(part: str) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(p.shape) for name, p in make_module(part, PUBLISHED).named_parameters()}


def _vae_shape(name: str, names: list[str], shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    new = dict(zip([n for n in names if n.startswith(VAE)], convert_vae(_ones(names)), strict=True))[name]
    attention = ".attn_1." in name and len(shapes[new]) == 2
    return (*shapes[new], 1, 1) if attention else shapes[new]


def _ones(names: list[str]) -> dict[str, Tensor]:
    return {name: torch.zeros(1, 1, 1, 1) for name in names if name.startswith(VAE)}


def _clip_shape(one: dict[str, Tensor], shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    new = list(convert_clip({name: tensor[..., 0, 0] for name, tensor in one.items()}))
    first = shapes[new[0]]
    if len(new) == 3:
        return (3 * first[0], *first[1:])
    return first[::-1] if new[0] == "visual_projection.weight" else first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float16"))
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.write:
        torch.save({"state_dict": published_state(), "global_step": 105000}, arguments.write)
        return 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        file = Path(place) / "published.ckpt"
        # by another process: a child's peak counts what its parent held when it was made
        subprocess.run([sys.executable, __file__, "--write", str(file)], check=True)
        started = time.monotonic()
        command = ["weights", "convert", str(file), str(Path(place) / "out"), "--dtype", arguments.dtype]
        child = subprocess.Popen([sys.executable, "-m", "zero3d.cli", *command])
        _, status, usage = os.wait4(child.pid, 0)
        assert status == 0, "the conversion failed"
        seconds = time.monotonic() - started
        peak = usage.ru_maxrss * 1024 / 1e9
        size = file.stat().st_size / 1e9
    print(json.dumps({"file_gb": round(size, 2), "peak_gb": round(peak, 2), "seconds": round(seconds, 1)}))
    return 0 if peak < LIMIT_GB else 1


if __name__ == "__main__":
    sys.exit(main())
