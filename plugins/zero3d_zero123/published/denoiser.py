"""The published Zero-1-to-3 (arXiv 2303.11328) as a Denoiser, over diffusers' and transformers' modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d import RecipeError
from zero3d.diffusion import (
    guided,
    scaled_linear_alphas_cumprod,
    sigma_to_t,
    sigmas_from_alphas_cumprod,
    to_variance_preserving,
    x0_from_eps,
)
from zero3d.geometry import relative_pose
from zero3d.interfaces import Denoiser
from zero3d.values import Cameras, Picture
from zero3d_zero123.published.conditioning import PictureCondition, clip_pixels, posed_token
from zero3d_zero123.published.layout import check_projection_shapes, read_layout

PICTURE = 256


class PublishedDenoiser(Denoiser):
    """Stable Diffusion conditioned on a picture (concatenated latent, posed CLIP token) and a camera move."""

    name: ClassVar[str] = "zero123"
    picture_resolution = PICTURE

    def __init__(self, config: Any) -> None:
        """Reads the folder's configurations only.

        Raises:
            RecipeError: the folder is not the published layout.
        """
        super().__init__(config)
        self._layout = read_layout(config.weights)
        vae = self._layout.configs["vae"]
        self.channels = int(vae["latent_channels"])
        self.resolution = PICTURE // 2 ** (len(vae["block_out_channels"]) - 1)
        self._scale = float(vae.get("scaling_factor", 0.18215))
        self.sigmas = sigmas_from_alphas_cumprod(scaled_linear_alphas_cumprod()).float()

    def weight_files(self) -> list[Path]:
        return self._layout.weight_files

    def load(self, device: torch.device) -> None:
        """Load the four parts, frozen.

        Raises:
            RecipeError: a part's weights do not fit its configuration.
        """
        from diffusers import AutoencoderKL, UNet2DConditionModel
        from transformers import CLIPVisionModelWithProjection

        auto = torch.float16 if device.type == "cuda" else torch.float32
        dtype = auto if self.config.dtype == "auto" else getattr(torch, self.config.dtype)
        root = self._layout.root
        try:
            unet = UNet2DConditionModel.from_pretrained(root / "unet", torch_dtype=dtype, local_files_only=True)
            vae = AutoencoderKL.from_pretrained(root / "vae", local_files_only=True)
            clip = CLIPVisionModelWithProjection.from_pretrained(root / "image_encoder", local_files_only=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise RecipeError(f"denoiser.weights: {root}: {str(error).splitlines()[0]}; download it again") from None
        # Some conversions store half precision, and transformers loads what is stored.
        self.use(unet, vae.float(), clip.float(), self._projection(clip.config.projection_dim), device)

    def use(
        self, unet: nn.Module, vae: nn.Module, clip: nn.Module, projection: nn.Module, device: torch.device
    ) -> None:
        """Take these modules; the U-Net keeps its precision, the small parts run in float32 for exactness."""
        parts = (part.to(device).eval().requires_grad_(False) for part in (unet, vae, clip, projection))
        self._unet, self._vae, self._clip, self._cc = parts
        self._dtype = next(unet.parameters()).dtype
        self.sigmas = self.sigmas.to("cpu")

    def _projection(self, width: int) -> nn.Linear:
        """cc_projection, width + 4 -> width, from its own file."""
        file, name = self._layout.projection_file, self._layout.projection_name
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            try:
                state = torch.load(file, map_location="cpu", weights_only=True)
            except Exception as error:  # a damaged file raises whatever zipfile or the unpickler stumble over
                reason = type(error).__name__
                raise RecipeError(f"denoiser.weights: {file}: cannot be read ({reason}); download it again") from None
        check_projection_shapes(file, name, width, {key: tuple(value.shape) for key, value in state.items()})
        layer = nn.Linear(width + 4, width)
        layer.load_state_dict({key: state[f"{name}.{key}"] for key in layer.state_dict()})
        return layer

    @torch.no_grad()
    def condition(self, picture: Picture, input_camera: Cameras) -> PictureCondition:
        x = 2 * picture.rgb.permute(2, 0, 1)[None] - 1
        pixels = clip_pixels(x, self._clip.config.image_size)  # type: ignore[union-attr, arg-type]
        embedding = self._clip(pixel_values=pixels).image_embeds[:, None]
        return PictureCondition(embedding, self._vae.encode(x).latent_dist.mode(), input_camera)  # type: ignore[operator]

    def denoise(
        self, noised: Tensor, sigma: Tensor, condition: PictureCondition, cameras: Cameras, guidance_scale: float
    ) -> Tensor:
        z = noised.permute(0, 3, 1, 2)
        t = sigma_to_t(sigma.cpu(), self.sigmas).to(z.device)
        pose = relative_pose(cameras, condition.camera)
        eps = self.predict_eps(to_variance_preserving(z, sigma), t, condition, pose, guidance_scale)
        return x0_from_eps(z, eps, sigma).permute(0, 2, 3, 1)

    def predict_eps(
        self, latent: Tensor, t: Tensor, condition: PictureCondition, pose: Tensor, guidance_scale: float
    ) -> Tensor:
        """eps (B, 4, h, w) of the variance-preserving latent at timesteps t (B,), pose T (B, 4).

        The null branch is zeros for both the concatenated latent and the token (after cc_projection); both branches run
        in one batch, [uncond, cond]. With s = 1 the null branch is not needed.
        """
        token = posed_token(self._cc, condition.embedding, pose)
        picture = condition.latent.expand(len(latent), -1, -1, -1)
        if guidance_scale == 1:
            return self._run(latent, picture, t, token)
        both = self._run(
            latent.repeat(2, 1, 1, 1),
            torch.cat([torch.zeros_like(picture), picture]),
            t.repeat(2),
            torch.cat([torch.zeros_like(token), token]),
        )
        unconditional, conditional = both.chunk(2)
        return guided(unconditional, conditional, guidance_scale)

    def _run(self, latent: Tensor, picture: Tensor, t: Tensor, token: Tensor) -> Tensor:
        x = torch.cat([latent, picture], dim=1).to(self._dtype)
        out: Tensor = self._unet(x, t, encoder_hidden_states=token.to(self._dtype)).sample
        return out.to(latent.dtype)

    def encode(self, image: Tensor) -> Tensor:
        latent: Tensor = self._vae.encode(2 * image.permute(0, 3, 1, 2) - 1).latent_dist.mode()  # type: ignore[operator]
        return self._scale * latent.permute(0, 2, 3, 1)

    def decode(self, latent: Tensor) -> Tensor:
        decoded: Tensor = self._vae.decode(latent.permute(0, 3, 1, 2) / self._scale).sample  # type: ignore[operator]
        return (decoded.permute(0, 2, 3, 1) + 1) / 2

    @torch.no_grad()
    def background(self) -> Tensor:
        device = next(self._vae.parameters()).device
        return self.encode(torch.ones(1, PICTURE, PICTURE, 3, device=device))[0]
