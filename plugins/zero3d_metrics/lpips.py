"""LPIPS (Zhang et al. 2018, arXiv 1801.03924) over AlexNet, from weights that the user points to."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from zero3d import UserError

MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""LPIPS' own input scaling, of pictures in [-1, 1]."""
LAYERS = ((0, 64, 11, 4, 2), (3, 192, 5, 1, 2), (6, 384, 3, 1, 1), (8, 256, 3, 1, 1), (10, 256, 3, 1, 1))
"""torchvision's index in `features`, channels, kernel, stride and padding of AlexNet's convolutions."""


class Lpips:
    """Perceptual distance of pictures (B, H, W, 3) in [0, 1], at least 32 pixels a side; 0 for equal ones."""

    def __init__(self, file: Path) -> None:
        """`file`: a state dict (safetensors, or .pth read without executing pickles) with torchvision's AlexNet
        (`features.N.weight`, `features.N.bias`) and LPIPS' linear heads (`linK.model.1.weight`).

        Raises:
            UserError: missing, unreadable, or a tensor is absent or of another shape.
        """
        state = _read(file)
        self._convolutions, channels = [], 3
        for index, (place, width, kernel, stride, padding) in enumerate(LAYERS):
            convolution = nn.Conv2d(channels, width, kernel, stride, padding)
            names = {"weight": f"features.{place}.weight", "bias": f"features.{place}.bias"}
            shapes = {name: tuple(value.shape) for name, value in convolution.state_dict().items()}
            tensors = {name: _take(state, key, shapes[name], file) for name, key in names.items()}
            convolution.load_state_dict(tensors)
            head = _take(state, f"lin{index}.model.1.weight", (1, width, 1, 1), file)
            self._convolutions.append((convolution.requires_grad_(False), head))
            channels = width

    def __call__(self, image: Tensor, truth: Tensor) -> Tensor:
        """(B,) distances: squared differences of unit-normalised features, weighted by the heads, averaged over pixels."""
        total = torch.zeros(len(image))
        pair = [self._scaled(picture) for picture in (image, truth)]
        for index, (convolution, head) in enumerate(self._convolutions):
            if index in (1, 2):
                pair = [nn.functional.max_pool2d(x, 3, 2) for x in pair]
            pair = [nn.functional.relu(convolution(x)) for x in pair]
            unit = [x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for x in pair]
            total = total + (head * (unit[0] - unit[1]).square()).sum(dim=1).mean(dim=(1, 2))
        return total

    @staticmethod
    def _scaled(image: Tensor) -> Tensor:
        x = 2 * image.permute(0, 3, 1, 2) - 1
        return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise UserError(f"--lpips {file}: no such file; give AlexNet's and LPIPS' weights in one state dict")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # a damaged file fails in as many ways as there are readers
        raise UserError(f"--lpips {file}: cannot be read as a state dict ({type(error).__name__})") from None


def _take(state: dict[str, Tensor], key: str, shape: tuple[int, ...], file: Path) -> Tensor:
    if key not in state or tuple(state[key].shape) != shape:
        found = tuple(state[key].shape) if key in state else "missing"
        raise UserError(f"--lpips {file}: {key} is {found}; {shape} is needed")
    return state[key].float()
