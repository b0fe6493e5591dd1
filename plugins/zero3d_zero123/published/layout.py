"""The published model as a folder of diffusers' parts, checked before a weight is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d import RecipeError
from zero3d.weights import Choice, choose, index_of, part_config, refuse_impostor, repository, variants, without_bars
from zero3d_zero123.published.known import is_stable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from zero3d_zero123.published.network import Network

PARTS = ("unet", "vae", "image_encoder")
PROJECTIONS = {"cc_projection": "projection", "clip_camera_projection": "proj"}
"""Folder -> the name its linear layer has there (kxic's and bennyguo's conversions)."""


class Layout:
    """A checked folder (or the listing of one on the hub): configurations, and for each part the variant to load."""

    inputs: ClassVar[tuple[int, ...]] = (8,)
    """How many channels its U-Net may take."""

    def __init__(self, root: Path, files: Iterable[str], choice: Choice) -> None:
        """`files`: paths relative to `root`; those of weights need not be there yet.

        Raises:
            RecipeError: a part or its weights missing, a text-to-image U-Net, parts of different widths, no such
                variant, or raw weights asked of a folder that has EMA weights alone.
        """
        self.root = root
        listed = sorted(files)
        self._check_words()
        self.configs = {part: part_config(root, part) for part in PARTS}
        self._check_widths()
        held = {part: variants(part, listed) for part in PARTS}
        for part, found in held.items():
            if not found:
                raise RecipeError(f"denoiser.weights: {root / part}: no weights; download the whole model")
        self.index = index_of(root)
        self.variants = {part: choose(root / part, set(found), choice, part) for part, found in held.items()}
        if not choice.ema and self.index.get("_ema") is True:
            raise RecipeError(f"denoiser.ema: false, but {root} holds EMA weights alone; convert again with --raw")
        self.files = [name for part in PARTS for name in held[part][self.variants[part]]]
        self.projection, self.projection_layer = self._find_projection(listed)
        self.files += [self.projection] if self.projection else []
        for name in self.files:
            if (root / name).is_file():
                refuse_impostor(root / name)

    @property
    def width(self) -> int:
        """Numbers in CLIP's embedding."""
        return self._number("image_encoder", "projection_dim", 512)  # libraries leave out their defaults

    @property
    def stable(self) -> bool:
        """Whether it is of the Stable Zero123 family: as its index says, else its name."""
        pose = self.index.get("_pose")
        return is_stable(repository(self.root)) if pose is None else pose == "stable"

    @property
    def weight_files(self) -> list[Path]:
        """Every weight file that is loaded, for hashes."""
        return [self.root / name for name in self.files]

    def _number(self, part: str, entry: str, default: int) -> int:
        value = self.configs[part].get(entry, default)
        if isinstance(value, int):
            return value
        raise RecipeError(f"denoiser.weights: {self.root / part}: config.json: {entry} is {value!r}, no whole number")

    def _check_words(self) -> None:
        if not (self.root / "text_encoder").is_dir() or (self.root / "image_encoder").is_dir():
            return
        raise RecipeError(
            f"denoiser.weights: {self.root}: has a text_encoder and no image_encoder: it reads words, as Zero-1-to-3 does "
            "not; `zero3d weights list zero123` shows the published ones"
        )

    def _check_widths(self) -> None:
        inputs = self._number("unet", "in_channels", 4)
        if inputs not in self.inputs:
            raise RecipeError(
                f"denoiser.weights: {self.root / 'unet'} takes {inputs} channels, Zero-1-to-3 takes 8 (noisy latent "
                "and picture), a text-to-image model 4; `zero3d weights list zero123` shows the published ones"
            )
        context = self._number("unet", "cross_attention_dim", 1280)
        if self.width != context:
            raise RecipeError(
                f"denoiser.weights: {self.root}: image_encoder gives {self.width} numbers, unet takes tokens of "
                f"{context}; the parts are of different models, download the whole model again"
            )

    def _find_projection(self, listed: list[str]) -> tuple[str, str]:
        for folder, layer in PROJECTIONS.items():
            files = [name for names in variants(folder, listed).values() for name in names]
            if files:
                chosen = min(files, key=lambda name: (not name.endswith(".safetensors"), len(name)))
                if (self.root / chosen).is_file():
                    _check_projection(self.root / chosen, layer, self.width)
                return chosen, layer
        raise RecipeError(
            f"denoiser.weights: {self.root}: no {' or '.join(PROJECTIONS)} with weights; download the whole model"
        )

    def load(self, dtype: torch.dtype) -> Network:
        """The four parts; the U-Net in `dtype`, the others in float32. No code of the folder is run.

        Raises:
            RecipeError: a part's weights do not fit its configuration.
        """
        import torch
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPVisionModelWithProjection

        from zero3d_zero123.published.network import Network

        def part(kind: Any, name: str, **options: Any) -> Any:
            variant = self.variants[name] or None
            try:
                with without_bars():
                    return kind.from_pretrained(self.root / name, variant=variant, local_files_only=True, **options)
            except Exception as error:  # damaged files and odd configurations raise a dozen types in these libraries
                reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
                raise RecipeError(
                    f"denoiser.weights: {self.root / name}: {reason.strip()}; download it again"
                ) from None

        unet = part(UNet2DConditionModel, "unet", torch_dtype=dtype)
        # Some conversions store half precision, and transformers loads what is stored.
        vae = part(AutoencoderKL, "vae", torch_dtype=torch.float32).float()
        clip = part(CLIPVisionModelWithProjection, "image_encoder").float()
        return Network(unet, vae, clip, self._load_projection())

    def _load_projection(self) -> nn.Linear:
        import torch

        file = self.root / self.projection
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            try:
                state = torch.load(file, map_location="cpu", weights_only=True)
            except Exception as error:  # a damaged file raises whatever zipfile or the unpickler stumble over
                reason = type(error).__name__
                raise RecipeError(f"denoiser.weights: {file}: cannot be read ({reason}); download it again") from None
        name = self.projection_layer
        check_projection_shapes(file, name, self.width, {key: tuple(value.shape) for key, value in state.items()})
        layer = torch.nn.Linear(self.width + 4, self.width)
        layer.load_state_dict({key: state[f"{name}.{key}"] for key in layer.state_dict()})
        return layer


def _check_projection(file: Path, name: str, width: int) -> None:
    """Read the shapes from the header of a safetensors file. (A .bin has no header; its shapes are seen when it loads.)"""
    if file.suffix != ".safetensors":
        return
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as tensors:
            shapes = {key: tuple(tensors.get_slice(key).get_shape()) for key in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        raise RecipeError(f"denoiser.weights: {file}: no valid safetensors file; download it again") from None
    check_projection_shapes(file, name, width, shapes)


def check_projection_shapes(file: Path, name: str, width: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """cc_projection takes the picture's `width` numbers and the four of the pose.

    Raises:
        RecipeError: its weight or bias is missing or of another shape.
    """
    for key, shape in ((f"{name}.weight", (width, width + 4)), (f"{name}.bias", (width,))):
        found = shapes.get(key, "missing")
        if found != shape:
            raise RecipeError(f"denoiser.weights: {file}: {key} is {found}, {shape} is needed; download it again")
