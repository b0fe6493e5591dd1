"""The component `zero123_finetune`: the published architecture, to be fitted by a trainer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.interfaces import TrainableDenoiser, TrainingBatch
from zero3d.weights import planes
from zero3d_zero123.published.conditioning import clip_pixels, posed_token
from zero3d_zero123.published.denoiser import PublishedDenoiser
from zero3d_zero123.published.export import write_folder
from zero3d_zero123.published.network import Network
from zero3d_zero123.training.objective import draw, eps_loss, kept, noised_latent
from zero3d_zero123.training.start import open_start

STAGE = "finetune"
CHUNK = 16
"""Pictures that the frozen parts encode at a time."""


@dataclass
class FineTuneConfig:
    """Options of `zero123_finetune`.

    start: an image-conditioned Stable Diffusion (the paper: Lambda's sd-image-conditioned-v2.ckpt) or a Zero-1-to-3; a
    .ckpt or .safetensors file, a folder in diffusers' layout, or a hub id. drop: p, the share of examples that lose CLIP's
    embedding alone, the picture's latent alone, and both: p each, in [0, 1/3]. projection_lr: what multiplies the
    learning rate of cc_projection, not negative. pose: zero123 or stable (the input's elevation in place of the distance).
    gradient_checkpointing: computes the U-Net's activations again in the backward pass, for less memory. ema: start from
    the averaged U-Net where the file has one. config: a JSON file {part: {entry: value}} for a checkpoint that is not of
    the published size. revision: of a hub id. offline: take what was fetched before, never the network.
    """

    start: str = "lambdalabs/sd-image-variations-diffusers"
    drop: float = 0.05
    projection_lr: float = 10.0
    pose: str = "zero123"
    gradient_checkpointing: bool = True
    ema: bool = True
    config: str = ""
    revision: str = ""
    offline: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.drop <= 1 / 3:
            raise ValueError(f"drop: {self.drop}; 0 to 1/3, three times that share is touched")
        if not 0 <= self.projection_lr <= 1e6:
            raise ValueError(f"projection_lr: {self.projection_lr}; 0 to 1e6")
        if self.pose not in ("zero123", "stable"):
            raise ValueError(f"pose: {self.pose!r}; zero123 or stable")


class FineTuned(PublishedDenoiser, TrainableDenoiser):
    """The published Zero-1-to-3, for `zero3d train`: from an image-conditioned Stable Diffusion, or fine-tuned further."""

    name: ClassVar[str] = "zero123_finetune"
    Config: ClassVar[type[Any]] = FineTuneConfig
    stages: ClassVar[tuple[str, ...]] = (STAGE,)
    weights_name: ClassVar[str] = "weights"

    def __init__(self, config: FineTuneConfig) -> None:
        """Reads configurations and tables of contents only.

        Raises:
            RecipeError: the weights are not there, or no image-conditioned Stable Diffusion.
        """
        super().__init__(config, open_start(config))
        self._network: Network | None = None
        self._module: nn.ModuleDict | None = None

    def load(self, device: torch.device) -> None:
        """Load the start, frozen; `trainable` is what a trainer asks for."""
        if self._network is None:
            self._network = self._source.load(torch.float32)
        self.use(self._network, device)

    def precision(self, device: torch.device) -> torch.dtype:
        return torch.float32

    def trainable(self, stage: str) -> nn.Module:
        """U-Net and cc_projection, in float32; VAE and CLIP stay frozen."""
        if self._module is None:
            if self._network is None:
                self.load(torch.device("cpu"))
            unet: Any = self.network
            if self.config.gradient_checkpointing:
                unet.enable_gradient_checkpointing()
            self._module = nn.ModuleDict({"unet": unet, "cc_projection": self._cc})
        return self._module.train().requires_grad_(True)

    @torch.no_grad()
    def predict(self, *arguments: Any, **named: Any) -> dict[str, Tensor]:
        """As the published denoiser's, also while its weights are being fitted."""
        return super().predict(*arguments, **named)

    def learning_rate_factor(self, stage: str, parameter: str) -> float:
        return float(self.config.projection_lr) if parameter.startswith("cc_projection.") else 1.0

    def is_averaged(self, stage: str, name: str) -> bool:
        return name.startswith("unet.")

    def training_loss(
        self, batch: TrainingBatch, stage: str, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The published objective on pictures of any size that the VAE takes; batch.seeds decides all that is random."""
        device = batch.input_rgba.device
        views = len(batch.target_cameras)
        seeds = torch.randint(2**62, (views,), generator=generator) if batch.seeds is None else batch.seeds.cpu()
        with (
            torch.no_grad(),
            torch.autocast(device.type, enabled=False),
        ):  # the frozen parts are exact, whatever the U-Net's
            self._vae.to(device)
            self._clip.to(device)
            targets, embedding, picture = self._encoded(batch)
            mean, deviation = targets.chunk(2, dim=1)
            draws = draw(seeds, len(self.sigmas), (mean.shape[1], mean.shape[2], mean.shape[3])).to(device)
            x0 = self._scale * (mean + deviation * draws.posterior)
            latent = noised_latent(x0, draws.noise, self.sigmas.to(device)[draws.t])
            keeps_embedding, keeps_latent = kept(draws.r, self.config.drop)
            each = views // len(batch)
            embedding = embedding.repeat_interleave(each, dim=0) * keeps_embedding[:, None, None]
            picture = picture.repeat_interleave(each, dim=0) * keeps_latent[:, None, None, None]
            inputs = batch.input_cameras.camera_to_world.repeat_interleave(each, dim=0)
            source = type(batch.input_cameras)(inputs, batch.input_cameras.height, batch.input_cameras.width)
            pose = self.pose(batch.target_cameras, source)
        token = posed_token(self._cc, embedding, pose)
        return eps_loss(self._run(latent, picture, draws.t, token), draws.noise), {}

    def _encoded(self, batch: TrainingBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and deviation of the targets' latents (B T, 8, h, w), CLIP's embedding (B, 1, D) and the input's latent."""
        vae: Any = self._vae
        clip: Any = self._clip
        moments, embeddings, pictures = [], [], []
        for rgba in batch.target_rgba.split(CHUNK):
            posterior = vae.encode(_signed(rgba)).latent_dist
            moments.append(torch.cat([posterior.mean, posterior.std], dim=1))
        for rgba in batch.input_rgba.split(CHUNK):
            x = _signed(rgba)
            embeddings.append(clip(pixel_values=clip_pixels(x, clip.config.image_size)).image_embeds[:, None])
            pictures.append(vae.encode(x).latent_dist.mode())
        return torch.cat(moments), torch.cat(embeddings), torch.cat(pictures)

    def save(self, path: str) -> None:
        """Write the four parts as a folder that `zero123` (`weights: FOLDER`), diffusers and transformers read."""
        parts: Mapping[str, nn.Module] = {
            "unet": self.network,
            "vae": self._vae,
            "image_encoder": self._clip,
            "cc_projection": self._cc,
        }
        states = {name: {k: v.detach().cpu() for k, v in part.state_dict().items()} for name, part in parts.items()}
        index = {"_ema": True, "_pose": self.config.pose, "_source": Path(self.config.start).name}
        write_folder(Path(path), dict(parts), states.__getitem__, torch.float32, index, lambda line: None)


def _signed(rgba: Tensor) -> Tensor:
    """(B, H, W, 4) straight alpha in [0, 1] -> (B, 3, H, W) over white, in [-1, 1]."""
    white = rgba[..., :3] * rgba[..., 3:] + (1 - rgba[..., 3:])
    return planes(2 * white - 1)
