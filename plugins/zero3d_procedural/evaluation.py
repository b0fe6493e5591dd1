"""The held-out objects: what trainers never see, each with the one picture that methods are shown."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import torch

from zero3d.geometry import orbit
from zero3d.interfaces import EvaluationObject, EvaluationSet, EvaluationView
from zero3d.mesh_views import MeshScene

FIRST_SEED = 1_000_000
"""Training uses small seeds."""
HIGHEST_DEG = 60.0


@dataclass
class HeldOutConfig:
    """Options of `procedural`. objects: how many, 1 to 100,000. first_seed: of the first; 1,000,000 and on are held out.

    size: pixels of the picture's side, 16 to 2048.
    """

    objects: int = 20
    first_seed: int = FIRST_SEED
    size: int = 256

    def __post_init__(self) -> None:
        for name, low, high in (("objects", 1, 100_000), ("first_seed", 0, 2**31), ("size", 16, 2048)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")


class HeldOutObjects(EvaluationSet):
    """Procedural objects of seeds that no training uses, each seen once from between 0 and 60 degrees."""

    name: ClassVar[str] = "procedural"
    Config: ClassVar[type[Any]] = HeldOutConfig

    def objects(self) -> Sequence[EvaluationObject]:
        first = self.config.first_seed
        return [HeldOut(seed, self.config.size) for seed in range(first, first + self.config.objects)]


class HeldOut(EvaluationObject):
    """Object `seed`: longest side 1, centred; its picture is drawn with a light and a texture of its own."""

    view_names = ("input",)

    def __init__(self, seed: int, size: int) -> None:
        self.name, self.seed, self.size = str(seed), seed, size

    def digest(self) -> str:
        mesh = self.mesh()
        parts = (numpy.round(mesh.vertices, 5).astype("<f4") + 0.0, numpy.asarray(mesh.faces, "<i4"))
        return hashlib.sha256(
            b"".join(part.tobytes() for part in parts) + f"{self.seed} {self.size}".encode()
        ).hexdigest()

    def mesh(self) -> Any:
        from zero3d_procedural.families import make_object

        return make_object(self.seed)

    def view(self, index: int) -> EvaluationView:
        from zero3d_procedural.rendering import straight_rgba

        self.view_names[index]
        elevation_deg, look = self.look()
        camera = orbit(elevation_deg, 0.0, self.size)
        drawn = MeshScene(self.mesh()).draw(camera, **look)
        rgba = straight_rgba(drawn.image.numpy(), drawn.opacity.numpy())[0]
        return EvaluationView(torch.from_numpy(rgba).float() / 255, camera)

    def look(self) -> tuple[float, dict[str, Any]]:
        """The elevation it is seen from, degrees, and its light and texture."""
        from zero3d_procedural.rendering import random_light
        from zero3d_procedural.texture import random_texture

        rng = numpy.random.default_rng([5, self.seed])
        return float(rng.uniform(0, HIGHEST_DEG)), {"light": random_light(rng), "texture": random_texture(rng)}
