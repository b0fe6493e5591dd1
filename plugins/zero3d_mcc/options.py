"""Options of `mcc`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

DTYPES = ("float32", "float16", "bfloat16")
KINDS = ("auto", "metric", "relative")
ALONG = ("axis", "ray")
AXES = ("opengl", "opencv", "pytorch3d")
ALIGN = ("picture", "unit", "none")
PLACES = ("depth", "depth_model", "points")
"""Options that say where the pixels' points are; one of them is given."""


@dataclass
class MccConfig:
    """Options of `mcc`.

    weights: co3dv2_all_categories.pth (or its tensors as .safetensors), or a folder that holds it. One of the next
    three says where the pixels' points lie; files show the picture as it was given, before it is framed, at any size of
    its shape. depth: a file of depths: .npy (H, W), a grey PNG of 16 bits, or an EXR; 0, nan and inf are unknown.
    depth_model: a depth estimator in transformers' layout, a folder or the hub id of one in the cache, which sees the
    framed picture. points: a .npy (H, W, 3) or an EXR of points in the camera's axes, nan or inf where unknown, or an
    .obj or .ply with a vertex for each pixel, row by row. depth_kind: metric, distances by an unknown factor; relative,
    inverse distances by an unknown factor and shift (DPT, MiDaS, Depth Anything), of which the mask's 2nd and 98th
    percentile are put at `far` and `near`; auto, a file is metric and a model is what it says. depth_scale: of a PNG,
    the length that 1 of its numbers counts. depth_along: axis, along the camera's axis, or ray, along each pixel's ray.
    near, far: of relative depths, world units; auto is 0.5 before the camera's distance and 0.1 behind it. points_axes:
    opengl (x right, y up, z back), opencv (x right, y down, z ahead) or pytorch3d (x left, y up, z ahead). erode:
    pixels, of 512, that the mask loses at its edge, where depths mix object and background, 0 to 16. granularity:
    between the places that are asked, normalised units of a grid 6 wide, 0.02 to 1. coarse: every coarse-th place is
    asked first, and all of them where the surface is, 1 to 16; 1 asks all at once. threshold: the probability above
    which a place is occupied, 0.01 to 0.99. temperature: of the colours' softmax, 0.01 to 10. align: picture, scaled
    from the camera until the middle is as far away as the origin, so that its view is the picture; unit, centred, the
    longest side 1; none, lengths are world units already. save_cloud: a .ply that keeps the occupied places of the
    surface (glTF axes). dtype: what the networks compute in. config: a JSON file {mcc: {entry: value}}, for networks
    that are not of the published size.
    """

    weights: str = ""
    depth: str = ""
    depth_model: str = ""
    points: str = ""
    depth_kind: str = "auto"
    depth_scale: float = 0.001
    depth_along: str = "axis"
    near: Any = "auto"
    far: Any = "auto"
    points_axes: str = "opengl"
    erode: int = 1
    granularity: float = 0.05
    coarse: int = 4
    threshold: float = 0.1
    temperature: float = 0.1
    align: str = "picture"
    save_cloud: str = ""
    dtype: str = "float32"
    config: str = ""

    def __post_init__(self) -> None:
        choices = {"depth_kind": KINDS, "depth_along": ALONG, "points_axes": AXES, "align": ALIGN, "dtype": DTYPES}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r}; one of {', '.join(known)}")
        given = [name for name in PLACES if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{given[1]}: given beside {given[0]}; take one of {', '.join(PLACES)}")
        ranges = {"granularity": (0.02, 1), "threshold": (0.01, 0.99), "temperature": (0.01, 10)}
        for name, (low, high) in {**ranges, "coarse": (1, 16), "erode": (0, 16), "depth_scale": (1e-9, 1e9)}.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low:g} to {high:g}")
        for name in ("near", "far"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= 1e4
            if value != "auto" and not number:
                raise ValueError(f"{name}: {value!r}; a distance above 0, or auto")
        if "auto" not in (self.near, self.far) and self.near >= self.far:
            raise ValueError(f"near: {self.near}; less than far, {self.far}")
        if self.save_cloud and Path(self.save_cloud).suffix.lower() != ".ply":
            raise ValueError(f"save_cloud: {self.save_cloud!r}; a .ply")
