"""The Inception network of FID: TensorFlow's of 2015, in the layout of pytorch-fid's file.

Szegedy et al. 2015 (arXiv 1512.00567) with what differs in TensorFlow's graph: average pooling leaves out the borders'
zeros, and the last block pools by maximum (pytorch_fid/inception.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor, nn

from zero3d import UserError
from zero3d_metrics.states import read_state

FILE = "pt_inception-2015-12-05-6726825d.pth"
WANTED = f"pytorch-fid's {FILE}"
SIDE = 299
PARAMETERS = 21_785_568
"""Without the 1,008 classes, which FID does not ask for. Counted on the meta device."""
MODES = ("pytorch-fid", "clean-fid")

Conv = tuple[str, int, int, tuple[int, int], int, tuple[int, int]]
"""Name, channels in and out, kernel, stride, padding."""


class Convolution(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(
        self, channels: int, width: int, kernel: tuple[int, int], stride: int, padding: tuple[int, int]
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.bn(self.conv(x)))


def conv(name: str, channels: int, width: int, kernel: int | tuple[int, int] = 1, stride: int = 1) -> Conv:
    """As large as its input, unless it strides: then the borders are left out."""
    size = (kernel, kernel) if isinstance(kernel, int) else kernel
    return name, channels, width, size, stride, (size[0] // 2, size[1] // 2) if stride == 1 else (0, 0)


Path_ = Sequence[Conv | str | tuple[Conv, Conv]]
"""What a block does along one of its branches: convolutions, "average", "maximum" or "halve", and two side by side."""


class Mixed(nn.Module):
    """Branches side by side, joined along the channels."""

    def __init__(self, *paths: Path_) -> None:
        super().__init__()
        self.paths = paths
        for path in paths:
            for step in path:
                for made in () if isinstance(step, str) else step if isinstance(step[0], tuple) else (step,):
                    self.add_module(str(made[0]), Convolution(*made[1:]))  # type: ignore[arg-type, misc]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._along(path, x) for path in self.paths], dim=1)

    def _along(self, path: Path_, x: Tensor) -> Tensor:
        for step in path:
            if step == "average":
                x = nn.functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
            elif step == "maximum":
                x = nn.functional.max_pool2d(x, 3, stride=1, padding=1)
            elif step == "halve":
                x = nn.functional.max_pool2d(x, 3, stride=2)
            elif isinstance(step[0], tuple):
                x = torch.cat([self.get_submodule(str(made[0]))(x) for made in step], dim=1)  # type: ignore[index]
            else:
                x = self.get_submodule(str(step[0]))(x)
        return x


def _block_a(channels: int, pooled: int) -> Mixed:
    return Mixed(
        [conv("branch1x1", channels, 64)],
        [conv("branch5x5_1", channels, 48), conv("branch5x5_2", 48, 64, 5)],
        [conv("branch3x3dbl_1", channels, 64), conv("branch3x3dbl_2", 64, 96, 3), conv("branch3x3dbl_3", 96, 96, 3)],
        ["average", conv("branch_pool", channels, pooled)],
    )


def _block_b() -> Mixed:
    return Mixed(
        [conv("branch3x3", 288, 384, 3, 2)],
        [conv("branch3x3dbl_1", 288, 64), conv("branch3x3dbl_2", 64, 96, 3), conv("branch3x3dbl_3", 96, 96, 3, 2)],
        ["halve"],
    )


def _block_c(width: int) -> Mixed:
    wide, tall = (1, 7), (7, 1)
    return Mixed(
        [conv("branch1x1", 768, 192)],
        [
            conv("branch7x7_1", 768, width),
            conv("branch7x7_2", width, width, wide),
            conv("branch7x7_3", width, 192, tall),
        ],
        [
            conv("branch7x7dbl_1", 768, width),
            conv("branch7x7dbl_2", width, width, tall),
            conv("branch7x7dbl_3", width, width, wide),
            conv("branch7x7dbl_4", width, width, tall),
            conv("branch7x7dbl_5", width, 192, wide),
        ],
        ["average", conv("branch_pool", 768, 192)],
    )


def _block_d() -> Mixed:
    return Mixed(
        [conv("branch3x3_1", 768, 192), conv("branch3x3_2", 192, 320, 3, 2)],
        [
            conv("branch7x7x3_1", 768, 192),
            conv("branch7x7x3_2", 192, 192, (1, 7)),
            conv("branch7x7x3_3", 192, 192, (7, 1)),
            conv("branch7x7x3_4", 192, 192, 3, 2),
        ],
        ["halve"],
    )


def _block_e(channels: int, pooling: str) -> Mixed:
    wide, tall = (1, 3), (3, 1)
    return Mixed(
        [conv("branch1x1", channels, 320)],
        [
            conv("branch3x3_1", channels, 384),
            (conv("branch3x3_2a", 384, 384, wide), conv("branch3x3_2b", 384, 384, tall)),
        ],
        [
            conv("branch3x3dbl_1", channels, 448),
            conv("branch3x3dbl_2", 448, 384, 3),
            (conv("branch3x3dbl_3a", 384, 384, wide), conv("branch3x3dbl_3b", 384, 384, tall)),
        ],
        [pooling, conv("branch_pool", channels, 192)],
    )


class Inception(nn.Module):
    """(B, 3, 299, 299) in [-1, 1] -> features (B, 2048) before the classes (pool3)."""

    def __init__(self) -> None:
        super().__init__()
        none, one = (0, 0), (1, 1)
        self.Conv2d_1a_3x3 = Convolution(3, 32, (3, 3), 2, none)
        self.Conv2d_2a_3x3 = Convolution(32, 32, (3, 3), 1, none)
        self.Conv2d_2b_3x3 = Convolution(32, 64, (3, 3), 1, one)
        self.Conv2d_3b_1x1 = Convolution(64, 80, (1, 1), 1, none)
        self.Conv2d_4a_3x3 = Convolution(80, 192, (3, 3), 1, none)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _block_a(192, 32), _block_a(256, 64), _block_a(288, 64)
        self.Mixed_6a = _block_b()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_block_c(width) for width in (128, 160, 160, 192))
        self.Mixed_7a = _block_d()
        self.Mixed_7b, self.Mixed_7c = _block_e(1280, "average"), _block_e(2048, "maximum")

    def forward(self, x: Tensor) -> Tensor:
        for name, block in self.named_children():
            x = block(x)
            if name in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = nn.functional.max_pool2d(x, 3, stride=2)
        return x.mean(dim=(2, 3))


def read_inception(file: Path, place: str) -> Inception:
    """The network of pytorch-fid's file.

    Raises:
        UserError: see `read_state`; a tensor is missing or of another shape.
    """
    state = read_state(file, place, WANTED)
    with torch.device("meta"):
        network = Inception()
    wanted = {name: value.shape for name, value in network.state_dict().items() if not name.endswith("tracked")}
    for name, shape in wanted.items():
        value = state.get(name)
        if not isinstance(value, Tensor) or value.shape != shape:
            found = tuple(value.shape) if isinstance(value, Tensor) else "missing"
            raise UserError(f"{place} {file}: {name} is {found}, and must be {tuple(shape)}; give {WANTED}")
    own = {name: state[name].float() for name in wanted}
    counters = {name: torch.zeros((), dtype=torch.long) for name in network.state_dict() if name.endswith("tracked")}
    network.load_state_dict({**own, **counters}, assign=True)
    return network.eval().requires_grad_(False)


def prepared(images: Tensor, mode: str) -> Tensor:
    """Pictures (B, H, W, 3) in [0, 1] as a mode gives them to the network, (B, 3, 299, 299).

    pytorch-fid: bilinear without antialias, then 2 x - 1. clean-fid: 8 bits, PIL's bicubic filter on each channel in floats,
    cut to 0-255, then (x - 128) / 128 as its TorchScript does.
    """
    if mode == "pytorch-fid":
        planes = images.float().permute(0, 3, 1, 2)
        return 2 * nn.functional.interpolate(planes, (SIDE, SIDE), mode="bilinear", align_corners=False) - 1
    levels = (255 * images.clamp(0, 1)).round().numpy().astype(numpy.float32)
    planes = torch.from_numpy(numpy.stack([[_resized(level[..., k]) for k in range(3)] for level in levels]))
    return (planes - 128) / 128


def _resized(channel: numpy.ndarray) -> numpy.ndarray:
    picture = Image.fromarray(channel).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return numpy.asarray(picture).clip(0, 255)
