"""MVDream (arXiv 2308.16512) and ImageDream (arXiv 2312.02201) as Denoisers: four views denoised jointly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.diffusion import sigma_to_t, stable_diffusion_sigmas, to_variance_preserving, x0_from_eps
from zero3d.interfaces import COND, NEGATIVE, NULL, AdaptableDenoiser, Denoiser
from zero3d.values import Cameras, Prompt, Subject
from zero3d.weights import VAE_SCALE, Conversion, Published
from zero3d_mvdream.conditioning import JointCondition, camera_numbers, clip_pixels, in_groups, over_grey
from zero3d_mvdream.options import ImageDreamConfig, MvDreamConfig
from zero3d_mvdream.weights import source as sources
from zero3d_mvdream.weights.known import IMAGEDREAM, MVDREAM
from zero3d_mvdream.weights.untrained import Untrained
from zero3d_mvdream.weights.words import find_tokenizer, open_tokenizer, token_ids


class JointDenoiser(Denoiser):
    """What both are: words, four views, one network."""

    needs = frozenset({"prompt"})
    branches = (COND, NULL, NEGATIVE)
    group = sources.VIEWS
    family: ClassVar[str]

    def __init__(self, config: Any, source: sources.Source | None = None) -> None:
        """Reads configurations and tables of contents only. `source`: in place of what config.weights names.

        Raises:
            RecipeError: weights or tokenizer are not there, damaged, or another network's.
        """
        super().__init__(config)
        self.uses = frozenset({"negative"} if config.negative_as_null else ())
        half = config.dtype == "float16"
        self._source = source or sources.open_source(self.family, config, self.published, half)
        if not isinstance(source, Untrained):
            self._tokenizer = find_tokenizer(config.tokenizer, self._source.tokenizer, config.offline)
        vae = self._source.configs["vae"]
        factor = 2 ** (len(vae["block_out_channels"]) - 1)
        self.channels = int(vae["latent_channels"])
        self.resolution = int(self._source.configs["unet"]["image_size"])
        self.picture_resolution = factor * self.resolution
        self._scale = float(vae.get("scaling_factor", VAE_SCALE))
        self.sigmas = stable_diffusion_sigmas()

    @classmethod
    def untrained(cls, config: Any, device: torch.device, tiny: bool = False) -> JointDenoiser:
        made = cls(config, Untrained(cls.family, tiny))
        made.load(device)
        return made

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        from zero3d_mvdream.weights.report import is_family, report

        return report(path, cls.family, config, cls.published) if is_family(path, cls.family) else None

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        from zero3d_mvdream.weights.export import convert
        from zero3d_mvdream.weights.report import is_family

        if not asked.path.is_file() or not is_family(asked.path, cls.family):
            return False
        convert(sources.SingleFile(cls.family, asked.path, asked.config, cls.published), asked)
        return True

    def weight_files(self) -> list[Path]:
        return self._source.weight_files

    def size(self, device: torch.device) -> tuple[int, int] | None:
        return self._source.size(self._precision(device))

    def _precision(self, device: torch.device) -> torch.dtype:
        """The U-Net's; the others compute in float32."""
        auto = torch.float16 if device.type == "cuda" else torch.float32
        chosen: torch.dtype = auto if self.config.dtype == "auto" else getattr(torch, self.config.dtype)
        return chosen

    def load(self, device: torch.device) -> None:
        """Load U-Net and autoencoder, frozen; what encodes the subject is loaded by `condition`, and freed.

        Raises:
            RecipeError: weights that do not fit, or cannot be fetched.
        """
        self._source.fetch()
        self._device, self.dtype = device, self._precision(device)
        self._network: Any = self._source.build("unet", self.dtype).to(device)
        self._vae: Any = self._source.build("vae").to(device)

    @torch.no_grad()
    def condition(self, subject: Subject) -> JointCondition:
        """The words of all branches through the text encoder, which is loaded for it and freed."""
        return JointCondition(self._contexts(subject.prompt or Prompt("")))

    def _contexts(self, prompt: Prompt) -> dict[str, Tensor]:
        suffix = self.config.negative_suffix
        negative = prompt.negative + suffix if prompt.negative else suffix.lstrip(", ")
        texts = {
            COND: prompt.text + self.config.prompt_suffix if prompt.text else "",
            NULL: negative if self.config.negative_as_null else "",
            NEGATIVE: negative,
        }
        if isinstance(self._source, Untrained):
            return dict(zip(texts, self._source.embeddings(len(texts)).to(self._device).split(1), strict=True))
        tokenizer = open_tokenizer(self._tokenizer)
        ids = torch.tensor([token_ids(tokenizer, text) for text in texts.values()], device=self._device)
        with _Passing(self._source, "text_encoder", self._device) as encoder:
            # the tower ends at the last layer but one, normed: its output as it is
            encoded: Tensor = encoder(input_ids=ids).last_hidden_state
        return dict(zip(texts, encoded.split(1), strict=True))

    @torch.no_grad()
    def predict(
        self, noised: Tensor, sigma: Tensor, condition: JointCondition, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        """As Denoiser's; all branches run in one batch.

        Raises:
            ValueError: views that are no groups of four, or a group at several noise levels.
        """
        return self._predicted(None, noised, sigma, condition, cameras, branches)

    def _predicted(
        self,
        unet: nn.Module | None,
        noised: Tensor,
        sigma: Tensor,
        condition: JointCondition,
        cameras: Cameras,
        branches: Sequence[str],
    ) -> dict[str, Tensor]:
        """`unet`: asked in place of its own."""
        if len(noised) % self.group or not len(noised):
            raise ValueError(f"{self.name}: {len(noised)} views; they are denoised in groups of {self.group}")
        levels = sigma.cpu().reshape(-1, self.group)
        if bool((levels != levels[:, :1]).any()):
            raise ValueError(f"{self.name}: several noise levels in a group of {self.group} views; give each group one")
        z = planes(noised)
        t = sigma_to_t(sigma.cpu(), self.sigmas).to(z.device)
        latent = to_variance_preserving(z, sigma)
        eps = self.predict_eps(latent, t, condition, camera_numbers(cameras), branches, unet)
        return {b: x0_from_eps(z, e, sigma).permute(0, 2, 3, 1) for b, e in zip(branches, eps, strict=True)}

    def predict_eps(
        self,
        latent: Tensor,
        t: Tensor,
        condition: JointCondition,
        camera: Tensor,
        branches: Sequence[str],
        unet: nn.Module | None = None,
    ) -> tuple[Tensor, ...]:
        """eps (B, 4, h, w) for each branch, of the variance-preserving latent at timesteps t (B,), camera (B, 16).

        Every branch keeps the cameras. ImageDream's fifth frame has the time of its group and a camera of zeros.
        """
        pictured = bool(condition.latent)
        latents, contexts = [], []
        times = t.reshape(-1, self.group)[:, :1].expand(-1, self._network.frames).flatten()
        cameras = in_groups(camera, torch.zeros_like(camera[:1]) if pictured else None, self.group)
        for branch in branches:
            own = condition.latent[branch].to(latent) if pictured else None
            latents.append(in_groups(latent, own, self.group))
            contexts.append(condition.context[branch].to(latent).expand(len(latents[-1]), -1, -1))
        many = len(branches)
        eps: Tensor = self._network(
            torch.cat(latents), times.repeat(many), torch.cat(contexts), cameras.repeat(many, 1), unet
        )
        drawn = eps.unflatten(0, (-1, self._network.frames))[:, : self.group].flatten(0, 1)
        return drawn.chunk(many)

    def encode(self, image: Tensor) -> Tensor:
        """As Denoiser's. The autoencoder's mean, where threestudio draws a sample."""
        latent: Tensor = self._vae.encode(planes(2 * image - 1)).latent_dist.mode()
        return self._scale * latent.permute(0, 2, 3, 1)

    def decode(self, latent: Tensor) -> Tensor:
        decoded: Tensor = self._vae.decode(planes(latent / self._scale)).sample
        return (decoded.permute(0, 2, 3, 1) + 1) / 2

    @torch.no_grad()
    def background(self) -> Tensor:
        side = self.picture_resolution
        return self.encode(torch.ones(1, side, side, 3, device=self._device))[0]


class MvDream(JointDenoiser, AdaptableDenoiser):
    """Four views of what a prompt says, denoised jointly: equal elevation, 90 degrees apart (MVDream)."""

    name: ClassVar[str] = "mvdream"
    Config: ClassVar[type[Any]] = MvDreamConfig
    published: ClassVar[Sequence[Published]] = MVDREAM
    family: ClassVar[str] = sources.MVDREAM

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        """The U-Net, after `load`."""
        unet: nn.Module = self._network.unet
        return unet

    def outline(self) -> nn.Module:
        return self._source.sketch("unet").get_submodule("unet")

    def predict_by(
        self,
        network: nn.Module,
        noised: Tensor,
        sigma: Tensor,
        condition: JointCondition,
        cameras: Cameras,
        branch: str = COND,
    ) -> Tensor:
        return self._predicted(network, noised, sigma, condition, cameras, (branch,))[branch]


class ImageDream(JointDenoiser):
    """Four views of what a picture shows and a prompt says, denoised jointly with the picture itself (ImageDream)."""

    name: ClassVar[str] = "imagedream"
    Config: ClassVar[type[Any]] = ImageDreamConfig
    published: ClassVar[Sequence[Published]] = IMAGEDREAM
    needs = frozenset({"prompt", "picture"})
    family: ClassVar[str] = sources.IMAGEDREAM

    @torch.no_grad()
    def condition(self, subject: Subject) -> JointCondition:
        """Words as MVDream's; the first picture as tokens beside them and as the fifth frame.

        The null and the negative branch see no picture: tokens of features that are zero (which are not zero), a latent of
        zeros.
        """
        contexts = self._contexts(subject.prompt or Prompt(""))
        picture = over_grey(subject.pictures[0].picture, self.config.picture_background)[None]
        with _Passing(self._source, "image_encoder", self._device) as encoder:
            pixels = clip_pixels(planes(picture), encoder.config.image_size)
            # the last block but one, before the final norm and the projection
            features: Tensor = encoder(pixel_values=pixels, output_hidden_states=True).hidden_states[-2]
        return self.shown(contexts, features, planes(self.encode(picture)))

    def shown(self, contexts: dict[str, Tensor], features: Tensor, latent: Tensor) -> JointCondition:
        """Words (1, 77, C) by branch with the picture's features (1, n, 1280) and its scaled latent (1, 4, h, w)."""
        seen = {COND: self._network.picture_tokens(features)}
        blind = self._network.picture_tokens(torch.zeros_like(features))
        context = {branch: torch.cat([words, seen.get(branch, blind)], dim=1) for branch, words in contexts.items()}
        latents = {branch: latent if branch in seen else torch.zeros_like(latent) for branch in contexts}
        return JointCondition(context, latents)


class _Passing:
    """A part that is loaded for a moment: `with` gives it, and frees its memory behind it."""

    def __init__(self, source: sources.Source, part: str, device: torch.device) -> None:
        self._source, self._part, self._device = source, part, device

    def __enter__(self) -> Any:
        self._module: nn.Module | None = self._source.build(self._part).to(self._device)
        return self._module

    def __exit__(self, *_: object) -> None:
        self._module = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def planes(image: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), laid out so: PyTorch's group norm on a CPU loses the variance of flat pictures in the
    other layout."""
    return image.permute(0, 3, 1, 2).contiguous()
