"""LPIPS (Zhang et al. 2018, arXiv 1801.03924), version 0.1, from weights that the user points to."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from zero3d import UserError

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


class Lpips:
    """Perceptual distance of pictures (B, H, W, 3) in [0, 1], at least 32 pixels a side; 0 for equal ones.

    `net`: "alex" (EscherNet, the package's default) or "vgg" (SyncDreamer), by the file's tensors.
    """

    def __init__(self, file: Path) -> None:
        """`file`: a state dict (safetensors, or .pth read without executing pickles) with torchvision's AlexNet or VGG16
        (`features.N.weight`, `features.N.bias`) and LPIPS' linear heads (`linK.model.1.weight`); where it has no heads,
        they are taken from the package lpips or torchmetrics.

        Raises:
            UserError: missing, unreadable, or a tensor is absent or of another shape.
        """
        state = _read(file)
        first = state.get("features.0.weight")
        self.net = "vgg" if first is not None and tuple(first.shape[2:]) == (3, 3) else "alex"
        self._layers: list[tuple[Layer, nn.Conv2d, Tensor | None]] = []
        channels = 3
        if not any(name.startswith("lin") for name in state):
            state = {**state, **_packaged_heads(self.net, file)}
        heads = 0
        for layer in TRUNKS[self.net]:
            convolution = nn.Conv2d(channels, layer.width, layer.kernel, layer.stride, layer.padding)
            names = {"weight": f"features.{layer.place}.weight", "bias": f"features.{layer.place}.bias"}
            shapes = {name: tuple(value.shape) for name, value in convolution.state_dict().items()}
            tensors = {name: _take(state, key, shapes[name], file) for name, key in names.items()}
            convolution.load_state_dict(tensors)
            head = None
            if layer.tapped:
                head = _take(state, f"lin{heads}.model.1.weight", (1, layer.width, 1, 1), file)
                heads += 1
            self._layers.append((layer, convolution.requires_grad_(False), head))
            channels = layer.width

    def __call__(self, image: Tensor, truth: Tensor) -> Tensor:
        """(B,) distances: squared differences of unit-normalised features, weighted by the heads, averaged over pixels."""
        total = torch.zeros(len(image))
        pair = [self._scaled(picture) for picture in (image, truth)]
        for layer, convolution, head in self._layers:
            if layer.pool:
                pair = [nn.functional.max_pool2d(x, layer.pool, 2) for x in pair]
            pair = [nn.functional.relu(convolution(x)) for x in pair]
            if head is not None:
                unit = [x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for x in pair]
                total = total + (head * (unit[0] - unit[1]).square()).sum(dim=1).mean(dim=(1, 2))
        return total

    @staticmethod
    def _scaled(image: Tensor) -> Tensor:
        x = 2 * image.permute(0, 3, 1, 2) - 1
        return (x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]


def _read(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise UserError(f"--lpips {file}: no such file; give AlexNet's or VGG16's weights (torchvision's)")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
        return state
    except Exception as error:  # a damaged file fails in as many ways as there are readers
        raise UserError(f"--lpips {file}: cannot be read as a state dict ({type(error).__name__})") from None


def _packaged_heads(net: str, file: Path) -> dict[str, Tensor]:
    """LPIPS' heads from an installed package, without importing it."""
    for package, folder in HEADS:
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or ()) if spec else ():
            heads = Path(root, folder, f"{net}.pth")
            if heads.is_file():
                return _read(heads)
    raise UserError(
        f"--lpips {file}: has the network and no heads (linK.model.1.weight); pip install lpips brings them"
    )


def _take(state: dict[str, Tensor], key: str, shape: tuple[int, ...], file: Path) -> Tensor:
    if key not in state or tuple(state[key].shape) != shape:
        found = tuple(state[key].shape) if key in state else "missing"
        raise UserError(f"--lpips {file}: {key} is {found}; {shape} is needed")
    return state[key].float()
