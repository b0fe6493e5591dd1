"""Options of `point_e`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d_point_e.weights.known import BASES, CLIP, TEXT

DTYPES = ("float32", "float16", "bfloat16")
ALIGN = ("azimuth", "silhouette")


@dataclass
class PointEConfig:
    """Options of `point_e`. The defaults of the sampler are the published ones.

    weights: a folder with the published files (base_40m.pt, upsample_40m.pt, sdf.pt; or their tensors as .safetensors), or
    the hub id of a repository of them that is in the hub's cache. model: base40M, base300M and base1B see the picture,
    base40M-imagevec its CLIP embedding alone, base40M-textvec is for words. clip: CLIP ViT-L/14, a folder of transformers'
    or the hub id of one in the cache. steps: of the sampler, 2 to 1000. guidance_scale: 0 to 100; 0 and 1 are the condition
    alone. upsample_steps: the same for the second stage; 0 leaves it out, and 1024 points. upsample_guidance_scale: auto is
    3, from words 0. resolution: samples of the signed distance along the cube's side, 8 to 512; 0 makes no mesh, but a cloud
    that only a representation of points (gaussians) begins from. align: how the cloud is turned to the picture's camera,
    which Point-E does not know: azimuth, by azimuth_deg; silhouette, the azimuth whose outline is the picture's (then
    azimuth_deg is not read). azimuth_deg: where the camera stood in the cloud's own axes, -360 to 360; 270 sees fronts from
    the front. cloud: a cloud in Point-E's layout (.npz, its own axes), taken in place of making one. save_cloud: a file that
    keeps the cloud: .npz (what `cloud` reads) or .ply (turned to the picture, in glTF axes; what gaussians read). dtype:
    what the networks compute in. config: a JSON file {base, upsample or sdf: {entry: value}}, for networks that are not of
    the published size.
    """

    weights: str = ""
    model: str = "base40M"
    clip: str = CLIP
    steps: int = 64
    guidance_scale: float = 3.0
    upsample_steps: int = 64
    upsample_guidance_scale: Any = "auto"
    resolution: int = 128
    align: str = "azimuth"
    azimuth_deg: float = 270.0
    cloud: str = ""
    save_cloud: str = ""
    dtype: str = "float32"
    config: str = ""

    def __post_init__(self) -> None:
        for name, known in (("model", BASES), ("align", ALIGN), ("dtype", DTYPES)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r}; one of {', '.join(known)}")
        for name, off in (("steps", ""), ("upsample_steps", ", or 0 to leave it out")):
            value = getattr(self, name)
            if not (2 <= value <= 1000 or (off and value == 0)):
                raise ValueError(f"{name}: {value}; 2 to 1000{off}")
        if self.resolution and not 8 <= self.resolution <= 512:
            raise ValueError(f"resolution: {self.resolution}; 8 to 512, or 0 for no mesh")
        scale = self.upsample_guidance_scale
        number = isinstance(scale, (int, float)) and not isinstance(scale, bool) and 0 <= scale <= 100
        if scale != "auto" and not number:
            raise ValueError(f"upsample_guidance_scale: {scale!r}; 0 to 100, or auto")
        if not 0 <= self.guidance_scale <= 100:
            raise ValueError(f"guidance_scale: {self.guidance_scale}; 0 to 100")
        if not -360 <= self.azimuth_deg <= 360:
            raise ValueError(f"azimuth_deg: {self.azimuth_deg}; degrees, -360 to 360")
        if self.align == "silhouette" and self.model == TEXT:
            raise ValueError("align: silhouette, but from words there is no picture; set align: azimuth")
        if self.cloud and Path(self.cloud).suffix.lower() != ".npz":
            raise ValueError(f"cloud: {self.cloud!r}; a cloud of Point-E's, .npz")
        if self.save_cloud and Path(self.save_cloud).suffix.lower() not in (".npz", ".ply"):
            raise ValueError(f"save_cloud: {self.save_cloud!r}; a .npz or a .ply")

    @property
    def upsample_scale(self) -> float:
        """`upsample_guidance_scale` as a number."""
        if self.upsample_guidance_scale == "auto":
            return 0.0 if self.model == TEXT else 3.0
        return float(self.upsample_guidance_scale)
