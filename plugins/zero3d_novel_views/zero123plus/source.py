"""Zero123++'s folder: parts that are checked now and loaded later; nothing of the folder's own code is run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.diffusion import linear_alphas_cumprod, scaled_linear_alphas_cumprod, sigmas_from_alphas_cumprod
from zero3d.weights import (
    HUB_ID,
    Choice,
    Configs,
    HubFolder,
    Published,
    check_fit,
    choose,
    filled,
    index_of,
    local_files,
    one_line,
    open_tensors,
    part_config,
    snapshot,
    variants,
)
from zero3d_novel_views.shared import as_named
from zero3d_novel_views.zero123plus.extractor import Extractor

PARTS = ("unet", "vae", "text_encoder", "vision_encoder")
TOKENS = 77
SCHEDULES = {"linear": linear_alphas_cumprod, "scaled_linear": scaled_linear_alphas_cumprod}
CONFIGS = ("model_index.json", "*/config.json", "*/preprocessor_config.json", "scheduler/*", "tokenizer/*")
"""What of a repository is fetched to be checked, before any weight."""
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names in an autoencoder's attention before diffusers 0.17."""


class Folder:
    """Checked weights of Zero123++, not yet loaded.

    `ramp` (77,): how much of the picture's embedding each token gets. `clip`, `latent`: its two image processors.
    """

    def __init__(self, root: Path, files: Sequence[str], variant: str = "", half: bool = False) -> None:
        """`files`: paths relative to `root`; those of weights need not be there yet.

        Raises:
            RecipeError: another model, or a part of it missing or damaged; one line.
        """
        self.root = root
        index = index_of(root)
        self.ramp = self._ramp(index)
        for part in PARTS:
            if not (root / part).is_dir() and not any(name.startswith(f"{part}/") for name in files):
                raise RecipeError(f"denoiser.weights: {root}: no folder {part}; download the whole model")
        self.configs: Configs = {part: part_config(root, part) for part in PARTS}
        self._check_configs()
        self.clip = Extractor.read(root, "feature_extractor_clip")
        self.latent = Extractor.read(root, "feature_extractor_vae")
        self.sigmas = self._levels()
        if not (root / "tokenizer").is_dir():
            raise RecipeError(f"denoiser.weights: {root}: no folder tokenizer; download the whole model")
        self._files = {}
        for part in PARTS:
            found = variants(part, list(files))
            if not found:
                raise RecipeError(f"denoiser.weights: {root / part}: no weights; download the whole model")
            names = found[choose(root / part, set(found), Choice(half=half, variant=variant), part)]
            if len(names) > 1:
                raise RecipeError(f"denoiser.weights: {root / part}: in {len(names)} pieces; save it as one file")
            (self._files[part],) = names

    def _ramp(self, index: Mapping[str, Any]) -> Tensor:
        told = index.get("ramping_coefficients")
        if told is None:
            name = index.get("_class_name", "a model without model_index.json")
            raise RecipeError(
                f"denoiser.weights: {self.root}: is {name}, not Zero123++ (no ramping_coefficients in model_index.json); "
                "`zero3d weights list zero123plus` shows the published ones"
            )
        if not isinstance(told, list) or len(told) != TOKENS or not all(isinstance(x, (int, float)) for x in told):
            raise RecipeError(
                f"denoiser.weights: {self.root / 'model_index.json'}: ramping_coefficients are no {TOKENS} numbers; "
                "download it again"
            )
        return torch.tensor(told, dtype=torch.float32)

    def _check_configs(self) -> None:
        unet, vision = self.configs["unet"], self.configs["vision_encoder"]
        if unet.get("in_channels", 4) != 4:
            raise RecipeError(
                f"denoiser.weights: {self.root / 'unet'}: takes {unet['in_channels']} channels, Zero123++'s 4; "
                "it is another model's"
            )
        widths = {
            "unet's cross_attention_dim": unet.get("cross_attention_dim", 1280),
            "vision_encoder's projection_dim": vision.get("projection_dim", 512),
            "text_encoder's hidden_size": self.configs["text_encoder"].get("hidden_size", 512),
        }
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{name} {value}" for name, value in widths.items())
            raise RecipeError(
                f"denoiser.weights: {self.root}: its parts do not fit ({told}); download the whole model again"
            )

    def _levels(self) -> Tensor:
        scheduler = part_config(self.root, "scheduler", file="scheduler_config.json")
        place = f"denoiser.weights: {self.root / 'scheduler' / 'scheduler_config.json'}"
        if scheduler.get("prediction_type", "epsilon") != "v_prediction":
            raise RecipeError(f"{place}: predicts {scheduler.get('prediction_type')!r}, Zero123++ v_prediction")
        made = SCHEDULES.get(scheduler.get("beta_schedule", "linear"))
        if made is None:
            raise RecipeError(
                f"{place}: beta_schedule is {scheduler['beta_schedule']!r}; one of {', '.join(SCHEDULES)}"
            )
        count = int(scheduler.get("num_train_timesteps", 1000))
        alphas = made(count, float(scheduler.get("beta_start", 0.0001)), float(scheduler.get("beta_end", 0.02)))
        return sigmas_from_alphas_cumprod(alphas).float()

    @property
    def weight_files(self) -> list[Path]:
        """The files that are loaded, once they are fetched."""
        return [self.root / name for name in self._files.values()]

    def fetch(self) -> None:
        """Get what is missing; nothing, where all is here."""

    def sketch(self, part: str) -> nn.Module:
        """A part's module on the meta device: names and shapes, no memory."""
        with torch.device("meta"):
            return make_module(part, self.configs[part])

    def state(self, part: str, module: nn.Module) -> dict[str, Tensor]:
        """A part's tensors under its module's names, mapped, not read."""
        tensors = open_tensors(self.root / self._files[part])
        if part == "unet":
            return {f"unet.{name}": tensor for name, tensor in tensors.items()}
        if part == "vae":
            return {_new_attention(name): _linear(name, tensor) for name, tensor in tensors.items()}
        return as_named(tensors, module) if part == "text_encoder" else dict(tensors)

    def check(self, only: str = "") -> None:
        """Hold the parts that are here (or one of them) against their configurations.

        Raises:
            RecipeError: one does not fit; the tensor is named.
        """
        for part in [only] if only else PARTS:
            path = self.root / self._files[part]
            if path.is_file():
                module = self.sketch(part)
                check_fit(path, part, module, self.state(part, module))

    def build(self, part: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A part with its weights, on the CPU.

        Raises:
            RecipeError: a tensor missing, left over, or of another shape than the configuration's; it is named.
        """
        module = self.sketch(part)
        return filled(self.root / self._files[part], part, module, self.state(part, module), dtype)

    def empty_words(self) -> Tensor:
        """The token ids of "", (1, 77), by the folder's own tokenizer.

        Raises:
            RecipeError: its files are damaged.
        """
        from transformers import CLIPTokenizer

        try:
            tokenizer = CLIPTokenizer.from_pretrained(self.root / "tokenizer", local_files_only=True)
            ids = tokenizer("", padding="max_length", max_length=TOKENS, truncation=True).input_ids
        except Exception as error:  # damaged files raise a dozen types in this library
            raise RecipeError(
                f"denoiser.weights: {self.root / 'tokenizer'}: {one_line(error)}; download it again"
            ) from None
        return torch.tensor([ids])


class OnHub(Folder):
    """A repository of the hub in that layout; its weights are fetched when they are loaded."""

    def __init__(self, hub: HubFolder, variant: str, half: bool) -> None:
        self._hub = hub
        super().__init__(hub.root, hub.files, variant, half)

    def fetch(self) -> None:
        self._hub.fetch(list(self._files.values()))
        self.check()


def make_module(part: str, config: Mapping[str, Any]) -> nn.Module:
    """An untrained module of a part, on the default device."""
    if part == "unet":
        from zero3d_novel_views.zero123plus.network import ReferenceNetwork

        return ReferenceNetwork(config)
    if part == "vae":
        from diffusers import AutoencoderKL

        vae: nn.Module = AutoencoderKL.from_config(dict(config))
        return vae
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPVisionConfig, CLIPVisionModelWithProjection

    if part == "text_encoder":
        return CLIPTextModel(CLIPTextConfig(**config))
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))


def _new_attention(name: str) -> str:
    return re.sub(r"\.(query|key|value|proj_attn)\.", lambda found: f".{OLD_ATTENTION[found[1]]}.", name)


def _linear(name: str, tensor: Tensor) -> Tensor:
    """Attention's 1x1 convolutions, if it has any, are linear layers now."""
    return tensor[..., 0, 0] if ".attentions." in name and tensor.ndim == 4 else tensor


def open_source(config: Any, known: Sequence[Published], half: bool) -> Folder:
    """A folder, or a repository of the hub, checked as far as it is here.

    Raises:
        RecipeError: nothing is there, or it is another model.
    """
    path = Path(config.weights).expanduser()
    if path.is_dir():
        folder = snapshot(path, config.revision)
        found = Folder(folder, local_files(folder), config.variant, half)
        found.check()
        return found
    if path.is_file():
        raise RecipeError(
            f"denoiser.weights: {path} is one file; Zero123++ is a folder in diffusers' layout, or a hub id: {known[0].line}"
        )
    if HUB_ID.fullmatch(config.weights):
        return OnHub(HubFolder(config.weights, config.revision, config.offline, known, CONFIGS), config.variant, half)
    raise RecipeError(
        f"denoiser.weights: {config.weights!r} is neither a folder nor a hub id; get {known[0].name} from {known[0].line}"
    )
