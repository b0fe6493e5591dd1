"""The published scene's light on matt surfaces, and Blender's Filmic picture, in closed form.

Three lights: the grey world, the area light, and the point light of Blender's startup scene, which the published
rendering script never removed. Left out: highlights and metals, light from one surface to another, and shadows but the point
light's. What drawn pictures differ by from Cycles' is measured by a test (`pytest -m slow`, with bpy at hand).
"""

from __future__ import annotations

import math

import numpy

from zero3d_dataset.renderer import AreaLight

WORLD = 0.05087609
"""Radiance of Blender's startup world."""

LAMP = numpy.array([4.076245307922363, 1.0054539442062378, 5.903861999511719])
LAMP_WATTS = 1000.0
"""Blender's startup light."""

AREA_SIDE = 100.0

GLOSS = 0.04
"""Share of the light that a dielectric's surface throws back uncoloured, as if matt: black is not quite black."""

FILMIC_STOPS = numpy.arange(-10, 4.5, 0.5)
FILMIC = [
    *(0.0159, 0.0220, 0.0297, 0.0394, 0.0515, 0.0666, 0.0853, 0.1082, 0.1360, 0.1694),
    *(0.2090, 0.2551, 0.3076, 0.3662, 0.4297, 0.4967, 0.5642, 0.6310, 0.6950, 0.7541),
    *(0.8072, 0.8534, 0.8923, 0.9241, 0.9494, 0.9688, 0.9832, 0.9932, 0.9997),
]
"""What Filmic, the default view transform of Blender 3.2, shows of a channel of 2^FILMIC_STOPS (read off Blender)."""


def radiance(normals: numpy.ndarray, points: numpy.ndarray, lamp_seen: numpy.ndarray, area: AreaLight) -> numpy.ndarray:
    """What a white matt surface sends out, (N, 1), at `points` (N, 3) with unit `normals` (N, 3).

    lamp_seen (N,): whether nothing stands between the point and LAMP. A Blender point light of P watts gives
    P / (4 pi^2 d^2) cos; an area light of P watts on A square units has radiance P / (pi A), and one as wide as this
    fills the half space above: a share (1 + n_z) / 2 of what the normal sees.
    """
    towards = LAMP.astype(points.dtype) - points
    square = dot(towards, towards)
    cosine = numpy.clip(dot(normals, towards) / numpy.sqrt(square), 0, None)
    lamp = numpy.where(lamp_seen, LAMP_WATTS / (4 * math.pi**2 * square) * cosine, 0)
    sky = area.energy / (math.pi * AREA_SIDE**2) * (1 + normals[:, 2]) / 2
    return (WORLD + lamp + sky)[:, None]


def reflectance(colour: numpy.ndarray) -> numpy.ndarray:
    """Of a surface of this base colour, linear: what its gloss takes, it does not colour."""
    return colour + GLOSS * (1 - colour)


def dot(a: numpy.ndarray, b: numpy.ndarray) -> numpy.ndarray:
    """Row by row, (N, 3) and (N, 3) -> (N,)."""
    product: numpy.ndarray = numpy.einsum("ij,ij->i", a, b)
    return product


def filmic(linear: numpy.ndarray) -> numpy.ndarray:
    """Scene-linear channels, any shape, as shown, in [0, 1]. (Very bright colours also lose saturation; not here.)"""
    stops = numpy.log2(numpy.clip(linear, 2.0**-10, None))
    dark = FILMIC[0] * numpy.clip(linear, 0, None) * 2.0**10
    return numpy.where(linear < 2.0**-10, dark, numpy.interp(stops, FILMIC_STOPS, FILMIC))
