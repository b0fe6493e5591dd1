"""Textures and materials of a mesh, sampled in linear light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from zero3d.mesh_files import srgb_to_linear

LINEAR = srgb_to_linear(numpy.arange(256) / 255).astype(numpy.float32)
"""sRGB bytes in linear light."""

GREY = 0.8
"""Of a surface that says nothing of its colour, linear, as in Blender."""


@dataclass(frozen=True)
class Material:
    """Matt colour: `factor` (4,) linear RGBA times `texture` (H, W, 4) sRGB bytes times the vertices' colours.

    cutoff: None, or opacity below it is a hole, above it solid (glTF's MASK). opaque: opacity says nothing.
    glow: `glow` (3,) linear times `glow_texture` is sent out besides.
    """

    factor: numpy.ndarray
    texture: numpy.ndarray | None = None
    opaque: bool = True
    cutoff: float | None = None
    glow: numpy.ndarray | None = None
    glow_texture: numpy.ndarray | None = None

    def colour(self, uv: numpy.ndarray, vertex_colour: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Linear RGB (N, 3) and opacity (N, 1) at `uv` (N, 2), with linear RGBA `vertex_colour` (N, 4)."""
        value = self.factor * vertex_colour
        if self.texture is not None:
            value = value * sample(self.texture, uv)
        alpha = value[:, 3:]
        if self.opaque:
            alpha = numpy.ones_like(alpha)
        elif self.cutoff is not None:
            alpha = (alpha >= self.cutoff).astype(value.dtype)
        return value[:, :3], alpha

    def emission(self, uv: numpy.ndarray) -> numpy.ndarray | float:
        """Linear RGB (N, 3) that the surface sends out by itself, or 0."""
        if self.glow is None:
            return 0.0
        return self.glow if self.glow_texture is None else self.glow * sample(self.glow_texture, uv)[:, :3]


def sample(texture: numpy.ndarray, uv: numpy.ndarray) -> numpy.ndarray:
    """Bilinear, repeated: linear RGBA (N, 4) of an sRGB texture (H, W, 4) uint8 at uv (N, 2), v up from the bottom."""
    height, width = texture.shape[:2]
    x = (uv[:, 0] % 1.0) * width - 0.5
    y = ((1 - uv[:, 1]) % 1.0) * height - 0.5
    left, top = numpy.floor(x).astype(numpy.int64), numpy.floor(y).astype(numpy.int64)
    right_share, below_share = (x - left)[:, None], (y - top)[:, None]

    def row(down: int) -> numpy.ndarray:
        rows = (top + down) % height
        here, there = (_linear(texture[rows, (left + across) % width]) for across in (0, 1))
        return here + right_share * (there - here)

    above = row(0)
    return above + below_share * (row(1) - above)


def _linear(texels: numpy.ndarray) -> numpy.ndarray:
    value = LINEAR[texels]
    value[:, 3] = texels[:, 3] / numpy.float32(255)
    return value


def read_material(material: Any, max_texture: int) -> Material:
    """From trimesh's; a texture that cannot be read counts as absent, a larger one than `max_texture` is shrunk."""
    if material is None:
        return plain()
    if type(material).__name__ == "PBRMaterial":
        mode = str(material.alphaMode or "OPAQUE").upper()
        cutoff = 0.5 if material.alphaCutoff is None else float(material.alphaCutoff)
        return Material(
            factor=_factor(material.baseColorFactor),
            texture=read_texture(material.baseColorTexture, max_texture),
            opaque=mode == "OPAQUE",
            cutoff=cutoff if mode == "MASK" else None,
            glow=None if material.emissiveFactor is None else numpy.asarray(material.emissiveFactor, numpy.float32),
            glow_texture=read_texture(material.emissiveTexture, max_texture),
        )
    said, image = getattr(material, "kwargs", None) or {}, getattr(material, "image", None)
    texture = read_texture(image, max_texture)
    if texture is not None:
        return Material(numpy.ones(4, numpy.float32), texture)
    diffuse = said.get("kd")
    return plain() if diffuse is None else plain(numpy.clip(diffuse, 0, 1))  # linear, as Blender takes it


def plain(colour: Any = GREY) -> Material:
    """A material of one linear colour."""
    factor = numpy.ones(4, numpy.float32)
    factor[:3] = colour
    return Material(factor)


def read_texture(image: Any, max_side: int) -> numpy.ndarray | None:
    """A PIL picture as (H, W, 4) uint8; None where it is absent or unreadable."""
    if image is None:
        return None
    try:
        image = image.convert("RGBA")
        shrink = -(-max(image.size) // max_side)
        return numpy.asarray(image.reduce(shrink) if shrink > 1 else image)
    except Exception:  # Pillow's decoders raise whatever they met
        return None


def _factor(value: Any) -> numpy.ndarray:
    """glTF's base-colour factor, linear, which trimesh keeps as bytes."""
    if value is None:
        return numpy.ones(4, numpy.float32)
    value = numpy.asarray(value)
    whole = 255.0 if value.dtype.kind in "ui" else 1.0
    return (value / whole).astype(numpy.float32)
