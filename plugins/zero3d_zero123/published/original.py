"""The original checkpoint as one file: a .ckpt of PyTorch Lightning's, or the same tensors as safetensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.weights import filled, one_line, open_tensors
from zero3d.weights.ldm import CLIP, EMA, UNET, VAE, State, convert_clip, convert_unet, convert_vae
from zero3d_zero123.published.configs import Configs, read_configs
from zero3d_zero123.published.known import is_stable, where_to_get
from zero3d_zero123.published.layout import PROJECTIONS

if TYPE_CHECKING:
    from zero3d_zero123.published.network import Network

PROJECTION = "cc_projection."
SUFFIXES = (".ckpt", ".safetensors")
PREFIXES = {"unet": UNET, "vae": VAE, "image_encoder": CLIP, "cc_projection": PROJECTION}


def convert_projection(state: State) -> dict[str, Tensor]:
    """cc_projection: `weight` and `bias`."""
    return {key.removeprefix(PROJECTION): state[key] for key in state if key.startswith(PROJECTION)}


def is_original(path: Path) -> bool:
    """Whether a .safetensors file has the original checkpoint's names (nano's own have not)."""
    return any(name.startswith(UNET) for name in open_tensors(path))


def is_zero123(path: Path) -> bool:
    """Whether a file or folder is of this kind: it has the projection of the camera's move.

    Raises:
        RecipeError: a damaged file; one that is not there is nobody's.
    """
    if path.is_dir():
        return any((path / folder).is_dir() for folder in PROJECTIONS)
    return path.is_file() and any(name.startswith(PROJECTION) for name in open_tensors(path))


class Original:
    """A checked checkpoint file, its parts convertible one at a time."""

    required: ClassVar[tuple[str, ...]] = tuple(PREFIXES)
    """The parts that must be there."""
    inputs: ClassVar[tuple[int, ...]] = (8,)
    """How many channels its U-Net may take."""

    def __init__(self, path: Path, config_file: str = "", ema: bool = True) -> None:
        """Reads the table of contents alone.

        Raises:
            RecipeError: no such file, unreadable, a part missing, a text-to-image U-Net, or no EMA weights.
        """
        if not path.is_file():
            raise RecipeError(f"denoiser.weights: no file {str(path)!r}; {where_to_get(path.name)}")
        self.path = path
        self.ema = ema
        self.configs: Configs = read_configs(config_file)
        self.tensors = open_tensors(path)
        for part in self.required:
            prefix = PREFIXES[part]
            if not any(name.startswith(prefix) for name in self.tensors):
                raise RecipeError(
                    f"denoiser.weights: {path}: no {part} (no tensor named {prefix}*); give Zero-1-to-3's whole "
                    f"checkpoint: {where_to_get(path.name)}"
                )
        if ema and not self.has_ema:
            raise RecipeError(f"denoiser.ema: true, but {path} has no EMA weights; set denoiser.ema=false")
        first = f"{UNET}input_blocks.0.0.weight"
        shape = tuple(self.tensors[first].shape) if first in self.tensors else ()
        if len(shape) != 4:
            raise RecipeError(f"denoiser.weights: {path}: {first} is {shape or 'missing'}; {where_to_get(path.name)}")
        inputs = shape[1]
        if inputs not in self.inputs:
            raise RecipeError(
                f"denoiser.weights: {path}: its U-Net takes {inputs} channels, Zero-1-to-3 takes 8 (noisy latent and "
                "picture); this is a text-to-image model, give a Zero-1-to-3 one"
            )

    @property
    def has_ema(self) -> bool:
        """Whether it holds the averaged U-Net beside the raw one."""
        return any(name.startswith(EMA) for name in self.tensors)

    @property
    def stable(self) -> bool:
        """Whether it is, by its name, of the Stable Zero123 family."""
        return is_stable(self.path.name)

    @property
    def weight_files(self) -> list[Path]:
        """The file, for hashes."""
        return [self.path]

    def state(self, part: str) -> dict[str, Tensor]:
        """One part's tensors under the names of diffusers and transformers, mapped, not read.

        Raises:
            RecipeError: a tensor is missing.
        """
        makers: dict[str, Callable[[], dict[str, Tensor]]] = {
            "unet": lambda: convert_unet(self.tensors, self.ema),
            "vae": lambda: convert_vae(self.tensors),
            "image_encoder": lambda: convert_clip(self.tensors),
            "cc_projection": lambda: convert_projection(self.tensors),
        }
        try:
            return makers[part]()
        except KeyError as error:
            raise RecipeError(f"denoiser.weights: {self.path}: {error.args[0]} is missing; download it again") from None
        except (
            ValueError,
            IndexError,
            RuntimeError,
            StopIteration,
        ) as error:  # names or shapes that are no such part's
            raise RecipeError(
                f"denoiser.weights: {self.path}: its {part} is not the published network's ({one_line(error)})"
            ) from None

    def build(self, part: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        """One part as its module, in `dtype`.

        Raises:
            RecipeError: a tensor missing, left over, or of another shape than the configuration's; it is named.
        """
        with torch.device("meta"):
            module = make_module(part, self.configs)
        state = self.state(part)
        return filled(self.path, part, module, state, dtype)

    def size(self, dtype: torch.dtype) -> tuple[int, int]:
        """Parameters, and bytes once loaded, by the configuration alone."""
        count = total = 0
        for part in PREFIXES:
            with torch.device("meta"):
                numbers = sum(parameter.numel() for parameter in make_module(part, self.configs).parameters())
            count += numbers
            total += numbers * (dtype if part == "unet" else torch.float32).itemsize
        return count, total

    def load(self, dtype: torch.dtype) -> Network:
        """The four parts; the U-Net in `dtype`, the others in float32."""
        from zero3d_zero123.published.network import Network

        rest = (self.build(part) for part in ("vae", "image_encoder", "cc_projection"))
        return Network(self.build("unet", dtype), *rest)


def make_module(part: str, configs: Configs) -> nn.Module:
    """An untrained module of diffusers' or transformers' for one part (on the default device)."""
    if part == "cc_projection":
        width = int(configs["image_encoder"]["projection_dim"])
        return nn.Linear(width + 4, width)
    if part == "image_encoder":
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        return CLIPVisionModelWithProjection(CLIPVisionConfig(**configs[part]))
    from diffusers import AutoencoderKL, UNet2DConditionModel

    kind: Any = UNet2DConditionModel if part == "unet" else AutoencoderKL
    module: nn.Module = kind(**configs[part])
    return module
