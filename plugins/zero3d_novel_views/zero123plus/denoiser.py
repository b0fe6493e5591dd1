"""Zero123++ (arXiv 2310.15110) as a Denoiser: six fixed views in one tile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.diffusion import broadcast, sigma_to_t, to_variance_preserving, x0_from_v
from zero3d.interfaces import COND, NULL, Denoiser
from zero3d.values import Cameras, Picture, Subject
from zero3d.weights import VAE_SCALE, Autoencoder, Published, planes
from zero3d_novel_views.known import ZERO123PLUS
from zero3d_novel_views.shared import frozen, group_levels, numbers, places, precision, ring
from zero3d_novel_views.zero123plus.options import AZIMUTHS, Zero123PlusConfig
from zero3d_novel_views.zero123plus.source import Folder, open_source

ROWS, COLUMNS = 3, 2
BRANCHES = (NULL, COND)
SHIFT, LATENT_SCALE, PICTURE_SCALE = 0.22, 0.75, 0.8
"""Its latents are (0.18215 z - 0.22) 0.75, of pictures (p - 0.5) / 0.8."""


@dataclass(frozen=True)
class TileCondition:
    """By branch: `context` (1, 77, C) and `latent` (1, 4, h, w), the reference's, unscaled; `views`: the six cameras."""

    context: Mapping[str, Tensor]
    latent: Mapping[str, Tensor]
    views: Cameras


class Zero123Plus(Denoiser):
    """Six fixed views of what a picture shows, drawn as one tile (Zero123++, arXiv 2310.15110).

    Each view is a square of its latent; the network sees six as one tile of three rows and two columns. The reference's
    noise, which the published code draws anew in each step, is drawn here from a generator of its own for each timestep: D
    stays a function. Pictures are encoded to the autoencoder's mode, where the published code takes a sample.
    """

    name: ClassVar[str] = "zero123plus"
    Config: ClassVar[type[Any]] = Zero123PlusConfig
    published: ClassVar[Sequence[Published]] = ZERO123PLUS
    family: ClassVar[str] = "Zero123++"
    needs = frozenset({"picture"})
    group = ROWS * COLUMNS

    def __init__(self, config: Zero123PlusConfig, source: Folder | None = None) -> None:
        """Reads configurations and tables of contents only. `source`: in place of what config.weights names.

        Raises:
            RecipeError: the weights are not there, damaged, or another model's.
        """
        super().__init__(config)
        self._source = source or open_source(config, self.published, half=config.dtype == "float16")
        vae = self._source.configs["vae"]
        self.channels = int(vae.get("latent_channels", 4))
        self.picture_resolution = config.size
        self.resolution = config.size // 2 ** (len(vae["block_out_channels"]) - 1)
        self._scale = float(vae.get("scaling_factor", VAE_SCALE))
        self.sigmas = self._source.sigmas

    @classmethod
    def untrained(cls, config: Any, device: torch.device, tiny: bool = False) -> Zero123Plus:
        from zero3d_novel_views.zero123plus.untrained import TINY_SIZE, Untrained

        sized = replace(config, size=TINY_SIZE) if tiny else config
        made = cls(sized, Untrained(sized.size, tiny))
        made.load(device)
        return made

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        from zero3d_novel_views.zero123plus.report import report_zero123plus

        return report_zero123plus(path)

    @classmethod
    def recognize_weights(cls, path: Path) -> str:
        from zero3d_novel_views.zero123plus.report import is_zero123plus

        return cls.family if is_zero123plus(path) else ""

    def weight_files(self) -> list[Path]:
        return self._source.weight_files

    def size(self, device: torch.device) -> tuple[int, int]:
        """Of U-Net and autoencoder, by their configurations; what encodes the subject is freed again."""
        unet, vae = (numbers(self._source.sketch(part)) for part in ("unet", "vae"))
        return unet + vae, unet * precision(self.config, device).itemsize + 4 * vae

    def views(self, subject: Subject) -> Cameras:
        config = self.config
        return ring(subject, AZIMUTHS, config.elevations, config.size, config.fov_deg, config.distance)

    def load(self, device: torch.device) -> None:
        """Load U-Net and autoencoder, frozen; what encodes the subject is loaded by `condition`, and freed.

        Raises:
            RecipeError: weights that do not fit, or cannot be fetched.
        """
        self._source.fetch()
        self._device, self.dtype = device, precision(self.config, device)
        self._network: Any = frozen(self._source.build("unet", self.dtype), device)
        self._autoencoder = Autoencoder(frozen(self._source.build("vae"), device), self._scale)

    @torch.no_grad()
    def condition(self, subject: Subject) -> TileCondition:
        """The first picture before grey, twice: as the reference's latent, and as a token that ramps over those of "".

        The null branch has the latent of a picture of zeros, mid-grey, and "" alone.
        """
        picture = planes(before_grey(subject.pictures[0].picture, self.config.grey)[None])
        empty, token = self._words(), self._embedding(picture)
        ramp = self._source.ramp.to(empty)[None, :, None]
        pixels = self._source.latent(picture)
        encode = self._autoencoder.vae.encode
        latents = {branch: encode(x).latent_dist.mode() for branch, x in ((COND, pixels), (NULL, 0 * pixels))}
        return TileCondition({COND: empty + ramp * token, NULL: empty}, latents, self.views(subject))

    def _words(self) -> Tensor:
        """The context of "", (1, 77, C): the tower ends where Stable Diffusion 2 takes it, its output as it is."""
        encoder = frozen(self._source.build("text_encoder"), self._device)
        encoded: Tensor = encoder(input_ids=self._source.empty_words().to(self._device)).last_hidden_state
        return encoded

    def _embedding(self, picture: Tensor) -> Tensor:
        """CLIP's projected embedding of the picture, (1, 1, C)."""
        encoder = frozen(self._source.build("vision_encoder"), self._device)
        token: Tensor = encoder(pixel_values=self._source.clip(picture)).image_embeds[:, None]
        return token

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: TileCondition, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        """As Denoiser's; all branches run in one batch.

        Raises:
            ValueError: views that are not its own six, or a group at several noise levels.
        """
        at = places(cameras, condition.views, self.name).to(noised.device)
        levels = group_levels(sigma[at.argsort()], self.group, self.name)
        tile = planes(tiled(noised[at.argsort()]))
        t = sigma_to_t(levels.cpu(), self.sigmas)
        noise = {b: torch.cat([self.reference_noise(int(k), b, condition) for k in t]) for b in branches}
        v = self.predict_v(to_variance_preserving(tile, levels), t.to(tile.device), levels, condition, noise)
        made = {branch: x0_from_v(tile, out, levels).permute(0, 2, 3, 1) for branch, out in v.items()}
        return {branch: untiled(x0)[at] for branch, x0 in made.items()}

    def reference_noise(self, t: int, branch: str, condition: TileCondition) -> Tensor:
        """Standard normal, (1, 4, h, w): that of one timestep and branch, always the same."""
        like = condition.latent[branch]
        generator = torch.Generator().manual_seed(2 * t + BRANCHES.index(branch))
        return torch.randn(like.shape, generator=generator).to(like)

    @torch.no_grad()
    def predict_v(
        self, latent: Tensor, t: Tensor, sigma: Tensor, condition: TileCondition, noise: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """v (G, 4, 3h, 2w) of each branch that `noise` (G, 4, h', w') is given for, of variance-preserving tiles.

        Each branch reads a reference of its own, which it sees with its own context: its picture's latent, noised to the
        same levels `sigma` (G,), at the same timesteps `t` (G,).
        """
        tiles, many = len(latent), len(noise)
        told = [condition.context[branch].expand(tiles, -1, -1) for branch in noise]
        references = [
            to_variance_preserving(condition.latent[b] + broadcast(sigma, n) * n, sigma) for b, n in noise.items()
        ]
        rows = latent.repeat(many, 1, 1, 1), t.repeat(many), torch.cat(told), torch.cat(references)
        return dict(zip(noise, self._network(*rows).chunk(many), strict=True))

    def encode(self, image: Tensor) -> Tensor:
        """As Denoiser's: whole groups as tiles, as the network was taught; other numbers of views each alone."""
        scaled = ((image - 0.5) / PICTURE_SCALE + 1) / 2
        return self._by_tile(lambda x: (self._autoencoder.encode(x) - SHIFT) * LATENT_SCALE, scaled)

    def decode(self, latent: Tensor) -> Tensor:
        """As Denoiser's; tiles as in `encode`."""
        out = self._by_tile(lambda z: self._autoencoder.decode(z / LATENT_SCALE + SHIFT), latent)
        return (2 * out - 1) * PICTURE_SCALE + 0.5

    def _by_tile(self, work: Any, views: Tensor) -> Tensor:
        whole = len(views) % self.group == 0
        made: Tensor = untiled(work(tiled(views))) if whole else torch.cat([work(view) for view in views[:, None]])
        return made

    @torch.no_grad()
    def background(self) -> Tensor:
        side = self.picture_resolution
        return self.encode(torch.ones(1, side, side, 3, device=self._device))[0]


def before_grey(picture: Picture, grey: float) -> Tensor:
    """The picture's object before a grey, (H, W, 3); the picture itself stands over white."""
    return picture.rgb + (grey - 1) * (1 - picture.mask)


def tiled(views: Tensor) -> Tensor:
    """(G * 6, h, w, C) -> (G, 3 h, 2 w, C), row by row."""
    cells = views.unflatten(0, (-1, ROWS, COLUMNS)).permute(0, 1, 3, 2, 4, 5)
    return cells.flatten(3, 4).flatten(1, 2)


def untiled(tiles: Tensor) -> Tensor:
    """(G, 3 h, 2 w, C) -> (G * 6, h, w, C)."""
    cells = tiles.unflatten(2, (COLUMNS, -1)).unflatten(1, (ROWS, -1)).permute(0, 1, 3, 2, 4, 5)
    return cells.flatten(0, 2)
