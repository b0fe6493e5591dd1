"""The published Zero-1-to-3 (arXiv 2303.11328) as a Denoiser, over diffusers' and transformers' modules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.diffusion import (
    scaled_linear_alphas_cumprod,
    sigma_to_t,
    sigmas_from_alphas_cumprod,
    to_variance_preserving,
    x0_from_eps,
)
from zero3d.interfaces import COND, AdaptableDenoiser
from zero3d.values import Cameras, PosedPicture, Subject
from zero3d.weights import VAE_SCALE, Autoencoder, planes
from zero3d_zero123.pose import relative_pose, stable_pose
from zero3d_zero123.published.conditioning import (
    PictureCondition,
    PictureConditions,
    clip_pixels,
    posed_token,
)
from zero3d_zero123.published.network import Network
from zero3d_zero123.published.original import Original, make_module
from zero3d_zero123.published.source import Source, check_hash, open_source

PICTURE = 256


class PublishedDenoiser(AdaptableDenoiser):
    """Stable Diffusion conditioned on a picture (concatenated latent, posed CLIP token) and a camera move."""

    name: ClassVar[str] = "zero123"
    picture_resolution = PICTURE
    uses = frozenset({"pictures"})

    def __init__(self, config: Any, source: Source | None = None) -> None:
        """Reads configurations and tables of contents only. `source`: in place of what config.weights names.

        Raises:
            RecipeError: the weights are not there, or not Zero-1-to-3's.
        """
        super().__init__(config)
        self._source = source or open_source(config, half=config.dtype in ("float16", "bfloat16"))
        vae = self._source.configs["vae"]
        self.channels = int(vae["latent_channels"])
        self.resolution = PICTURE // 2 ** (len(vae["block_out_channels"]) - 1)
        self._scale = float(vae.get("scaling_factor", VAE_SCALE))
        self.sigmas = sigmas_from_alphas_cumprod(scaled_linear_alphas_cumprod()).float()
        self.knows_elevation = self._source.stable if config.pose == "auto" else config.pose == "stable"

    def weight_files(self) -> list[Path]:
        return self._source.weight_files

    def load(self, device: torch.device) -> None:
        """Load the four parts, frozen.

        Raises:
            RecipeError: a wrong hash, or a part's weights do not fit its configuration.
        """
        check_hash(self._source, self.config.sha256)
        self.use(self._source.load(self.precision(device)), device)

    def size(self, device: torch.device) -> tuple[int, int] | None:
        """Of an original checkpoint, which holds more than is loaded; other forms hold what their files say."""
        return self._source.size(self.precision(device)) if isinstance(self._source, Original) else None

    def precision(self, device: torch.device) -> torch.dtype:
        """The U-Net's."""
        auto = torch.float16 if device.type == "cuda" else torch.float32
        chosen: torch.dtype = auto if self.config.dtype == "auto" else getattr(torch, self.config.dtype)
        return chosen

    def use(self, network: Network, device: torch.device) -> None:
        """Take these modules; the U-Net keeps its precision, the small parts run in float32 for exactness."""
        network = network.frozen(device)
        self.network, self._vae, self._clip = network.unet, network.vae, network.clip
        self._cc, self._latent = network.projection, Autoencoder(network.vae, self._scale)
        self.dtype = next(network.unet.parameters()).dtype

    @torch.no_grad()
    def condition(self, subject: Subject) -> PictureCondition | PictureConditions:
        """Of one picture what it needs to know; of several, of each."""
        found = tuple(self._condition(posed) for posed in subject.pictures)
        weights = tuple(posed.weight for posed in subject.pictures)
        return found[0] if len(found) == 1 else PictureConditions(found, weights)

    def _condition(self, posed: PosedPicture) -> PictureCondition:
        x = planes(2 * posed.picture.rgb[None] - 1)
        pixels = clip_pixels(x, self._clip.config.image_size)  # type: ignore[union-attr, arg-type]
        embedding = self._clip(pixel_values=pixels).image_embeds[:, None]
        return PictureCondition(embedding, self._vae.encode(x).latent_dist.mode(), posed.camera)  # type: ignore[operator]

    def predict(
        self,
        noised: Tensor,
        sigma: Tensor,
        condition: PictureCondition | PictureConditions,
        cameras: Cameras,
        branches: Sequence[str],
    ) -> dict[str, Tensor]:
        """As Denoiser's; of several pictures, the mean of what each makes it predict, by `PictureConditions.shares`."""
        return self._predict(self.network, noised, sigma, condition, cameras, branches)

    def outline(self) -> nn.Module:
        with torch.device("meta"):
            return make_module("unet", self._source.configs)

    def predict_by(
        self,
        network: nn.Module,
        noised: Tensor,
        sigma: Tensor,
        condition: PictureCondition | PictureConditions,
        cameras: Cameras,
        branch: str = COND,
    ) -> Tensor:
        return self._predict(network, noised, sigma, condition, cameras, (branch,))[branch]

    def _predict(
        self,
        unet: nn.Module,
        noised: Tensor,
        sigma: Tensor,
        condition: PictureCondition | PictureConditions,
        cameras: Cameras,
        branches: Sequence[str],
    ) -> dict[str, Tensor]:
        if isinstance(condition, PictureConditions):
            each = [self._predict(unet, noised, sigma, one, cameras, branches) for one in condition.pictures]
            shares = condition.shares(cameras)[..., None, None, None].to(noised)
            return {
                branch: torch.stack([share * x0[branch] for share, x0 in zip(shares, each, strict=True)]).sum(dim=0)
                for branch in branches
            }
        z = planes(noised)
        t = sigma_to_t(sigma.cpu(), self.sigmas).to(z.device)
        pose = self.pose(cameras, condition.camera)
        eps = self.predict_eps(to_variance_preserving(z, sigma), t, condition, pose, branches, unet)
        return {b: x0_from_eps(z, e, sigma).permute(0, 2, 3, 1) for b, e in zip(branches, eps, strict=True)}

    def pose(self, cameras: Cameras, input_camera: Cameras) -> Tensor:
        """The pose vector (B, 4) that the network was trained with."""
        make = stable_pose if self.knows_elevation else relative_pose
        return make(cameras, input_camera)

    def predict_eps(
        self,
        latent: Tensor,
        t: Tensor,
        condition: PictureCondition,
        pose: Tensor,
        branches: Sequence[str],
        unet: nn.Module | None = None,
    ) -> tuple[Tensor, ...]:
        """eps (B, 4, h, w) of the variance-preserving latent at timesteps t (B,), pose T (B, 4), for each branch.

        The null branch is zeros for both the concatenated latent and the token (after cc_projection); all branches run
        in one batch.
        """
        token = posed_token(self._cc, condition.embedding, pose)
        picture = condition.latent.expand(len(latent), -1, -1, -1)
        kept = [float(branch == COND) for branch in branches]
        many = len(branches)
        eps = self._run(
            latent.repeat(many, 1, 1, 1),
            torch.cat([keep * picture for keep in kept]),
            t.repeat(many),
            torch.cat([keep * token for keep in kept]),
            unet,
        )
        return eps.chunk(many)

    def _run(self, latent: Tensor, picture: Tensor, t: Tensor, token: Tensor, unet: nn.Module | None = None) -> Tensor:
        x = torch.cat([latent, picture], dim=1).to(self.dtype)
        out: Tensor = (unet or self.network)(x, t, encoder_hidden_states=token.to(self.dtype)).sample
        return out.to(latent.dtype)

    def encode(self, image: Tensor) -> Tensor:
        return self._latent.encode(image)

    def decode(self, latent: Tensor) -> Tensor:
        return self._latent.decode(latent)

    def background(self) -> Tensor:
        return self._latent.white(PICTURE)
