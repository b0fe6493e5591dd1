"""The exporter: Gaussians -> a file that splat viewers open."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from zero3d.errors import ExportError
from zero3d.files import write_bytes
from zero3d.interfaces import Exporter, ExportSubject, Representation
from zero3d_gaussians.cloud.gaussians import GaussianCloud
from zero3d_gaussians.files.turned import turned
from zero3d_gaussians.files.writing import ply_bytes, splat_bytes

FORMATS = ("ply", "splat")


@dataclass
class SplatFileConfig:
    """Options of `splat_file`.

    format: ply, as 3DGS writes it, with all harmonics; or splat, 32 bytes a Gaussian, one colour each. least_opacity:
    fainter ones are left out, 0 to below 1.
    """

    format: str = "ply"
    least_opacity: float = 1 / 255

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(f"format: {self.format!r}; one of {', '.join(FORMATS)}")
        if not 0 <= self.least_opacity < 1:
            raise ValueError(f"least_opacity: {self.least_opacity}; 0 to below 1")


class SplatFile(Exporter):
    """Gaussians as a PLY of 3DGS's layout or a .splat, in glTF axes (y up), for splat viewers."""

    name: ClassVar[str] = "splat_file"
    accepts: ClassVar[type[Representation]] = GaussianCloud
    Config: ClassVar[type[Any]] = SplatFileConfig

    def filename(self, label: str) -> str:
        return f"{label}.{self.config.format}"

    def export(self, subject: ExportSubject, path: Path) -> dict[str, Any]:
        cloud = subject.representation
        assert isinstance(cloud, GaussianCloud)
        if cloud.channels != 3:
            raise ExportError(
                f"the Gaussians are drawn in a latent of {cloud.channels} channels, a splat file holds colours; set "
                "representation.channels=3"
            )
        least = self.config.least_opacity
        found = cloud.as_start().changed(lambda part: part.cpu())
        assert found.opacity_logits is not None
        broken = sum(int((~torch.isfinite(part)).sum()) for part in found if part is not None)
        if broken:
            raise ExportError(f"{broken:,} numbers of the Gaussians are nan or inf; they diverged, lower optimizer.lr")
        kept = found.opacity_logits.sigmoid() >= least
        if not bool(kept.any()):
            highest = float(cloud.opacities().detach().max()) if len(found.means) else 0.0
            raise ExportError(
                f"no Gaussian is as opaque as {least:.3g} (the highest is {highest:.3g}); optimise for more steps, or "
                "lower the export's least_opacity"
            )
        chosen = turned(found.changed(lambda part: part[kept]), to_gltf=True)
        data = ply_bytes(chosen) if self.config.format == "ply" else splat_bytes(chosen)
        write_bytes(path, data)
        return {"gaussians": int(kept.sum()), "left_out": int((~kept).sum()), "bytes": len(data)}
