"""A U-Net of diffusers' that attends to a context, in sigma form: what every teacher of this plug-in is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.diffusion import sigma_to_t, to_variance_preserving, x0_from_eps, x0_from_v
from zero3d.interfaces import COND, AdaptableDenoiser, Denoiser
from zero3d.values import Cameras
from zero3d.weights import VAE_SCALE, Autoencoder, Choice, Configs, Conversion, planes
from zero3d_stable_diffusion.models.export import convert
from zero3d_stable_diffusion.models.folder import open_folder
from zero3d_stable_diffusion.models.report import report
from zero3d_stable_diffusion.models.schedule import EPSILON, V
from zero3d_stable_diffusion.models.single_file import SUFFIXES, SingleFile, untrained
from zero3d_stable_diffusion.models.sketch import Sketch

DTYPES = ("auto", "float32", "float16", "bfloat16")
PREDICTED = {EPSILON: x0_from_eps, V: x0_from_v}


class Model(Protocol):
    """Checked weights, not yet loaded."""

    configs: Configs
    scheduler: dict[str, Any]
    prediction: str | None
    pad_id: int | None

    @property
    def tokenizer(self) -> Path | None: ...

    @property
    def weight_files(self) -> list[Path]: ...

    def load(self, part: str, dtype: torch.dtype) -> nn.Module: ...


class CrossAttending(Denoiser):
    """x0 of a U-Net of diffusers', for the context of each branch; all branches run in one batch."""

    kinds: ClassVar[Mapping[str, str]]
    """Its parts -> what they are (see models.folder.CLASSES)."""
    prediction: str = EPSILON
    _model: Model
    _unet: Any

    @abstractmethod
    def __init__(self, config: Any, model: Model | None = None) -> None:
        """Reads configurations and tables of contents only. `model`: in place of what config.weights names.

        Raises:
            RecipeError: the weights are not there or of another family.
        """
        super().__init__(config)

    @classmethod
    def untrained(cls, config: Any, device: torch.device, tiny: bool = False) -> Self:
        made = cls(config, Sketch(cls.family, cls.kinds, tiny))
        made.load(device)
        return made

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        return report(path, cls.family, cls.kinds, config)

    def weight_files(self) -> list[Path]:
        return self._model.weight_files

    def size(self, device: torch.device) -> tuple[int, int]:
        """Of all parts, also those that are freed again, by their configurations."""
        count = total = 0
        for part, kind in self.kinds.items():
            if part in self._model.configs:
                with torch.device("meta"):
                    numbers = sum(p.numel() for p in untrained(kind, self._model.configs[part]).parameters())
                count, total = count + numbers, total + numbers * self._part_dtype(part, device).itemsize
        return count, total

    @abstractmethod
    def _context(self, branch: str, condition: Any, cameras: Cameras) -> Tensor:
        """The tokens (B, L, D) of one branch for these cameras."""

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        with torch.no_grad():
            return self._predicted(self._unet, noised, sigma, condition, cameras, branches)

    def _predicted(
        self,
        unet: nn.Module,
        noised: Tensor,
        sigma: Tensor,
        condition: Any,
        cameras: Cameras,
        branches: Sequence[str],
    ) -> dict[str, Tensor]:
        contexts = [self._context(branch, condition, cameras) for branch in branches]
        y = planes((noised - self.centre) / self.unit)
        level = (sigma / self.unit).to(y)
        t = sigma_to_t(sigma.cpu(), self.sigmas.cpu()).to(y.device)
        out = self._ask(unet, to_variance_preserving(y, level), t, contexts)
        made = {b: PREDICTED[self.prediction](y, o, level) for b, o in zip(branches, out, strict=True)}
        return {branch: self.centre + self.unit * x0.permute(0, 2, 3, 1) for branch, x0 in made.items()}

    def _ask(self, unet: nn.Module, z: Tensor, t: Tensor, contexts: Sequence[Tensor]) -> list[Tensor]:
        """The network's output (B, C, h, w) for each context, from the variance-preserving z; channels beyond z's
        dropped."""
        many = len(contexts)
        given = (z.repeat(many, 1, 1, 1), t.repeat(many), torch.cat(list(contexts)).to(z.device))
        at_once = self.config.samples_at_once or len(given[0])
        rows = [
            unet(x.to(self.dtype), at, encoder_hidden_states=tokens.to(self.dtype)).sample[:, : z.shape[1]]
            for x, at, tokens in zip(*(part.split(at_once) for part in given), strict=True)
        ]
        return list(torch.cat(rows).to(z.dtype).chunk(many))

    def _precision(self, device: torch.device) -> torch.dtype:
        """The U-Net's."""
        auto = torch.float16 if device.type == "cuda" else torch.float32
        chosen: torch.dtype = auto if self.config.dtype == "auto" else getattr(torch, self.config.dtype)
        return chosen

    def _part_dtype(self, part: str, device: torch.device) -> torch.dtype:
        return self._precision(device) if part == "unet" else torch.float32

    def _take(self, unet: nn.Module, device: torch.device) -> None:
        self._unet = frozen(unet, device)
        self.dtype = next(unet.parameters()).dtype


class Latent(CrossAttending, AdaptableDenoiser):
    """One that works on Stable Diffusion's latent, and that adapters fit; the VAE stays in float32 unless `vae_dtype`
    says otherwise."""

    _autoencoder: Autoencoder

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        return convert(asked, cls.family, cls.kinds)

    @classmethod
    def _open(cls, config: Any, prediction: str = "auto", folder_revision: str = "") -> Model:
        """The weights that `config` names: one file, a folder (of a hub's cache, in that revision) or a hub id.

        Raises:
            RecipeError: nothing is there, or it is not of this family.
        """
        path = Path(config.weights).expanduser()
        if path.suffix in SUFFIXES and not path.is_dir():
            return SingleFile(path, cls.family, cls.kinds, config.config, config.ema, prediction)
        choice = Choice(config.ema, config.dtype in ("float16", "bfloat16"), config.variant)
        revision = folder_revision if path.is_dir() else config.revision
        return open_folder(config.weights, revision, config.offline, choice, cls.family, cls.kinds, cls.published)

    def _check_width(self, part: str, width: int, context: int) -> None:
        """Raises RecipeError unless what `part` gives, `width` numbers, is what the U-Net's attention takes."""
        if width != context:
            raise RecipeError(
                f"denoiser.weights: {self.config.weights}: {part} gives {width} numbers, unet takes tokens of {context}; "
                "the parts are of different models, download the whole model again"
            )

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        """The U-Net, after `load`."""
        unet: nn.Module = self._unet
        return unet

    def outline(self) -> nn.Module:
        with torch.device("meta"):
            return untrained("unet", self._model.configs["unet"])

    def predict_by(
        self, network: nn.Module, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branch: str = COND
    ) -> Tensor:
        return self._predicted(network, noised, sigma, condition, cameras, (branch,))[branch]

    def _prepare(self, model: Model, sigmas: Tensor) -> None:
        """Take a checked model: sizes of the latent and the picture."""
        self._model, self.sigmas = model, sigmas
        vae, unet = model.configs["vae"], model.configs["unet"]
        self.channels = int(vae.get("latent_channels", 4))
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        self.resolution = (self.config.image_size or factor * int(unet.get("sample_size") or 64)) // factor
        self.picture_resolution = factor * self.resolution

    def _part_dtype(self, part: str, device: torch.device) -> torch.dtype:
        if part == "vae" and self.config.vae_dtype != "auto":
            chosen: torch.dtype = getattr(torch, self.config.vae_dtype)
            return chosen
        return super()._part_dtype(part, device)

    def load(self, device: torch.device) -> None:
        """Load U-Net and VAE, frozen.

        Raises:
            RecipeError: a part's weights do not fit its configuration.
        """
        unet, vae = (self._model.load(part, self._part_dtype(part, device)) for part in ("unet", "vae"))
        self._take(unet, device)
        self._take_vae(vae, device)

    def _take_vae(self, vae: nn.Module, device: torch.device) -> None:
        scale = float(self._model.configs["vae"].get("scaling_factor", VAE_SCALE))
        self._autoencoder = Autoencoder(frozen(vae, device), scale, self.config.vae_slicing)

    def encode(self, image: Tensor) -> Tensor:
        return self._autoencoder.encode(image)

    def decode(self, latent: Tensor) -> Tensor:
        return self._autoencoder.decode(latent)

    def background(self) -> Tensor:
        return self._autoencoder.white(self.picture_resolution)


def frozen(module: nn.Module, device: torch.device) -> nn.Module:
    """On a device, in inference mode, without gradients in its weights."""
    return module.to(device).eval().requires_grad_(False)


def check_options(config: Any) -> None:
    """What all of them share.

    Raises:
        ValueError: out of range; the message begins with the option's name.
    """
    for name in ("dtype", "vae_dtype"):
        value = getattr(config, name, "auto")
        if value not in DTYPES:
            raise ValueError(f"{name}: {value!r}; one of {', '.join(DTYPES)}")
    if config.samples_at_once < 0:
        raise ValueError(f"samples_at_once: {config.samples_at_once}; 0 for all, else at least 1")
    size = getattr(config, "image_size", 0)
    if size and (size % 64 or not 64 <= size <= 2048):
        raise ValueError(f"image_size: {size}; a multiple of 64 from 64 to 2048, or 0 for the model's own")
