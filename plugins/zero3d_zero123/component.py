"""The component `zero123`: which weights decide which network is built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d.errors import RecipeError
from zero3d.interfaces import Denoiser
from zero3d.weights import Conversion, Published
from zero3d_zero123.nano.denoiser import TEMPERATURE, NanoDenoiser
from zero3d_zero123.nano.weights import check
from zero3d_zero123.one2345.denoiser import EstimatingDenoiser
from zero3d_zero123.published.denoiser import PublishedDenoiser
from zero3d_zero123.published.known import KNOWN
from zero3d_zero123.published.original import is_original, is_zero123

if TYPE_CHECKING:
    import torch

NANO = "nano"
DTYPES = ("auto", "float32", "float16", "bfloat16")
POSES = ("auto", "zero123", "stable")
ASSUMED, ONE2345 = "assumed", "one2345"
HASH = re.compile(r"auto|none|[0-9a-fA-F]{64}")


@dataclass
class Zero123Config:
    """Options of `zero123`.

    weights: nano (embedded, 64x64 pixels); a .safetensors file of nano's that `zero3d train` wrote; an original
    checkpoint, .ckpt or .safetensors; a folder in diffusers' layout; or a hub id (`zero3d weights list`).
    temperature: of nano alone, above 0 to 1: how far its pictures stray from the drawing of the solid it lifts; at 1 as
    in training (a random sample has twice the mean's error), towards 0 only the drawing. dtype: what the U-Net computes
    in, float32, float16 or bfloat16; auto is float32, but for published weights on CUDA, float16. A processor that has
    no instructions for the shorter two emulates them, many times slower. Those that follow are of published weights.
    ema: the averaged U-Net (true, as the paper's code) or the raw one, where both are there; many folders do not say
    which they hold.
    variant: of a folder's files, for example fp16_ema; empty finds it from ema and dtype. pose: zero123, stable (the
    input's elevation in place of the distance), or auto: stable if the weights' name says so. config: a JSON file
    {part: {entry: value}} for an original checkpoint that is not of the published size. revision: of a hub id, a
    commit or branch. elevation: where the recipe gives none, assumed (20 degrees), or one2345: estimated from four views
    that the denoiser draws first, as in One-2-3-45; needs OpenCV. offline: take what was fetched before, never the network.
    sha256: of a single file: auto (checked where the published one is known), none, or 64 hex digits.
    """

    weights: str = NANO
    temperature: float = TEMPERATURE
    ema: bool = True
    dtype: str = "auto"
    variant: str = ""
    pose: str = "auto"
    elevation: str = ASSUMED
    config: str = ""
    revision: str = ""
    offline: bool = False
    sha256: str = "auto"

    def __post_init__(self) -> None:
        for name, allowed in (("dtype", DTYPES), ("pose", POSES), ("elevation", (ASSUMED, ONE2345))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: {getattr(self, name)!r}; one of {', '.join(allowed)}")
        if not 0 < self.temperature <= 1:
            raise ValueError(f"temperature: {self.temperature}; above 0, at most 1")
        if self.elevation == ONE2345 and self.weights == NANO:
            raise ValueError("elevation: one2345; nano tells the elevation by itself, leave it out")
        if self.elevation == ONE2345 and self.pose == "stable":
            raise ValueError("elevation: one2345; with pose=stable the elevation must be given: input.elevation_deg=…")
        if not HASH.fullmatch(self.sha256):
            raise ValueError(f"sha256: {self.sha256!r}; auto, none, or 64 hex digits")


class Zero123(Denoiser):
    """Draws the pictured object from elsewhere: the embedded nano, or the published Zero-1-to-3."""

    name: ClassVar[str] = "zero123"
    Config: ClassVar[type[Any]] = Zero123Config
    published: ClassVar[Sequence[Published]] = KNOWN
    family: ClassVar[str] = "Zero-1-to-3"

    @classmethod
    def build(cls, config: Zero123Config) -> Denoiser:
        """NanoDenoiser or PublishedDenoiser.

        Raises:
            UserError: the weights are not there, or not Zero-1-to-3's.
        """
        if config.weights == NANO:
            return NanoDenoiser(config)
        path = Path(config.weights).expanduser()
        if path.suffix == ".safetensors" and not (path.is_file() and is_original(path)):
            check(path)
            if config.elevation == ONE2345:
                raise RecipeError(
                    f"denoiser.elevation: one2345, but {path} is nano's, which tells the elevation by itself"
                )
            return NanoDenoiser(config, path)
        return EstimatingDenoiser(config) if config.elevation == ONE2345 else PublishedDenoiser(config)

    @classmethod
    def untrained(cls, config: Any, device: torch.device, tiny: bool = False) -> PublishedDenoiser:
        from zero3d_zero123.published.untrained import Untrained

        made, source = PublishedDenoiser(config, Untrained(tiny)), Untrained(tiny)
        made.use(source.load(made.precision(device)), device)
        return made

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        from zero3d_zero123.published.report import report_file, report_folder

        if not is_zero123(path):
            return None
        return report_folder(path) if path.is_dir() else report_file(path, config)

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        import torch

        from zero3d_zero123.published.export import convert
        from zero3d_zero123.published.original import Original

        if not is_zero123(asked.path):
            return False
        source = Original(asked.path, asked.config, ema=asked.ema)
        stable = source.stable if asked.pose == "auto" else asked.pose == "stable"
        convert(source, asked.out, getattr(torch, asked.dtype), stable, tell=asked.tell)
        return True
