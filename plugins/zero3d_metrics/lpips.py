"""LPIPS (Zhang et al. 2018, arXiv 1801.03924), version 0.1, from weights that the user points to."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d import UserError
from zero3d_metrics.states import read_state

MEAN, STD = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""LPIPS' own input scaling, of pictures in [-1, 1]."""


@dataclass(frozen=True)
class Layer:
    """A convolution by torchvision's index in `features`. pool: kernel of the max pooling (stride 2) before it, or 0.

    tapped: its features, after ReLU, are compared.
    """

    place: int
    width: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    pool: int = 0
    tapped: bool = True


ALEX = (
    Layer(0, 64, 11, 4, 2),
    Layer(3, 192, 5, 1, 2, pool=3),
    Layer(6, 384, pool=3),
    Layer(8, 256),
    Layer(10, 256),
)
VGG = (
    *(Layer(0, 64, tapped=False), Layer(2, 64)),
    *(Layer(5, 128, pool=2, tapped=False), Layer(7, 128)),
    *(Layer(10, 256, pool=2, tapped=False), Layer(12, 256, tapped=False), Layer(14, 256)),
    *(Layer(17, 512, pool=2, tapped=False), Layer(19, 512, tapped=False), Layer(21, 512)),
    *(Layer(24, 512, pool=2, tapped=False), Layer(26, 512, tapped=False), Layer(28, 512)),
)
TRUNKS = {"alex": ALEX, "vgg": VGG}
HEADS = (("lpips", "weights/v0.1"), ("torchmetrics", "functional/image/lpips_models"))
"""Packages that bring the heads, six kilobytes a trunk, and where in them."""
SUMS = {
    "alex": (2.349532, 16.143028, 39.268440, 27.197178, 20.317177),
    "vgg": (6.925992, 8.858335, 17.515005, 51.521324, 47.034851),
}
"""The sum of each published head of version 0.1."""
OLD_SUMS = {
    "alex": (2.565887, 10.257388, 22.434314, 16.313913, 13.934519),
    "vgg": (3.641608, 1.960115, 1.123096, 20.106263, 25.689573),
}
"""And of version 0.0, whose network had not the input scaling."""
TRUNK_FILES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}
WANTED = "AlexNet's or VGG16's weights (torchvision's)"
SMALLEST = 32
"""Pixels a side that the networks need."""


class Lpips(nn.Module):
    """Perceptual distance of pictures (B, H, W, 3) in [0, 1], at least 32 pixels a side; 0 for equal ones.

    `net`: "alex" (EscherNet, the package's default) or "vgg" (SyncDreamer), by the file's tensors.
    """

    def __init__(self, file: Path, heads: Path | None = None, own_heads: bool = False, place: str = "--lpips") -> None:
        """`file`: a state dict (safetensors, or .pth read without executing pickles) with torchvision's AlexNet or VGG16
        (`features.N.weight`, `features.N.bias`) and LPIPS' linear heads (`linK.model.1.weight`).

        Where it has no heads, they are taken from the file `heads`, or from the package lpips or torchmetrics.

        Args:
            own_heads: take heads that are not the published ones of version 0.1.
            place: what errors begin with.

        Raises:
            UserError: missing, unreadable, a tensor is absent or of another shape, or the heads are not version 0.1's.
        """
        super().__init__()
        state, where = read_state(file, place, WANTED), f"{place} {file}"
        first = state.get("features.0.weight")
        self.net = "vgg" if first is not None and tuple(first.shape[2:]) == (3, 3) else "alex"
        if heads is not None:
            state, where_heads = {**state, **read_state(heads, place, "LPIPS' heads")}, f"{place} {heads}"
        elif any(name.startswith("lin") for name in state):
            where_heads = where
        else:
            state, where_heads = {**state, **_packaged_heads(self.net, where)}, f"{place}: the installed heads"
        self.layers = TRUNKS[self.net]
        self.convolutions, self.heads = nn.ModuleList(), nn.ParameterList()
        channels = 3
        for layer in self.layers:
            convolution = nn.Conv2d(channels, layer.width, layer.kernel, layer.stride, layer.padding)
            names = {"weight": f"features.{layer.place}.weight", "bias": f"features.{layer.place}.bias"}
            shapes = {name: tuple(value.shape) for name, value in convolution.state_dict().items()}
            convolution.load_state_dict({name: _take(state, key, shapes[name], where) for name, key in names.items()})
            self.convolutions.append(convolution)
            if layer.tapped:
                head = _take(state, f"lin{len(self.heads)}.model.1.weight", (1, layer.width, 1, 1), where_heads)
                self.heads.append(nn.Parameter(head))
            channels = layer.width
        self.requires_grad_(False)
        _check_heads([float(head.double().sum()) for head in self.heads], self.net, own_heads, where_heads)

    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """(B,) distances: squared differences of unit-normalised features, weighted by the heads, averaged over pixels.

        Raises:
            UserError: a side is shorter than 32 pixels.
        """
        if min(image.shape[1:3]) < SMALLEST:
            raise UserError(f"lpips: pictures of {image.shape[2]}x{image.shape[1]} pixels; at least {SMALLEST} a side")
        device = self.heads[0].device
        total, heads = torch.zeros(len(image), device=device), iter(self.heads)
        pair = [self._scaled(picture.to(device)) for picture in (image, truth)]
        for layer, convolution in zip(self.layers, self.convolutions, strict=True):
            if layer.pool:
                pair = [nn.functional.max_pool2d(x, layer.pool, 2) for x in pair]
            pair = [nn.functional.relu(convolution(x)) for x in pair]
            if layer.tapped:
                unit = [x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for x in pair]
                total = total + (next(heads) * (unit[0] - unit[1]).square()).sum(dim=1).mean(dim=(1, 2))
        return total

    @staticmethod
    def _scaled(image: Tensor) -> Tensor:
        x = 2 * image.float().permute(0, 3, 1, 2) - 1
        return (x - x.new_tensor(MEAN)[:, None, None]) / x.new_tensor(STD)[:, None, None]


def parameters_of(net: str) -> int:
    """How many numbers a network and its heads have."""
    channels, count = 3, 0
    for layer in TRUNKS[net]:
        count += layer.width * (channels * layer.kernel**2 + 1 + layer.tapped)
        channels = layer.width
    return count


def _check_heads(sums: list[float], net: str, own: bool, where: str) -> None:
    def are(known: tuple[float, ...]) -> bool:
        return all(abs(a - b) < 1e-3 * b for a, b in zip(sums, known, strict=True))

    if are(OLD_SUMS[net]):
        raise UserError(
            f"{where}: heads of LPIPS 0.0, which had no input scaling; take v0.1/{net}.pth, as in the package lpips"
        )
    if not own and not are(SUMS[net]):
        found = ", ".join(f"{value:.4g}" for value in sums)
        raise UserError(
            f"{where}: heads that sum to {found} are not those of LPIPS 0.1 over {net}; leave them out and pip install "
            "lpips, or say own_heads=true of the metric `lpips`"
        )


def _packaged_heads(net: str, where: str) -> dict[str, Any]:
    """LPIPS' heads from an installed package, without importing it."""
    for package, folder in HEADS:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            heads = Path(root, folder, f"{net}.pth")
            if heads.is_file():
                return read_state(heads, f"{package}'s", "LPIPS' heads")
    raise UserError(f"{where}: has the network and no heads (linK.model.1.weight); pip install lpips brings them")


def _take(state: dict[str, Any], key: str, shape: tuple[int, ...], where: str) -> Tensor:
    value = state.get(key)
    if not isinstance(value, Tensor) or tuple(value.shape) != shape:
        found = tuple(value.shape) if isinstance(value, Tensor) else "missing"
        raise UserError(f"{where}: {key} is {found}; {shape} is needed")
    return value.float()
