"""EvaluationSet: objects whose truth is known, read from the layout that a dataset is published in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from zero3d.interfaces.component import Component

if TYPE_CHECKING:  # torch would cost every worker of an executor a second
    from torch import Tensor

    from zero3d.values import Cameras


@dataclass(frozen=True)
class EvaluationView:
    """One true picture and where it was taken from.

    rgba: (H, W, 4) in [0, 1], straight alpha, sRGB. camera: one, in world axes, of that height and width.
    """

    rgba: Tensor
    camera: Cameras


class EvaluationObject(ABC):
    """One object or scene. Cheap to hold: files are read by the methods, each time anew."""

    name: str
    """Unique in its set; also a file's name."""
    category: str = ""
    placed: bool = False
    """Whether the set puts the mesh where it is to be scored (normalised, turned): it is not moved or scaled again."""
    view_names: Sequence[str] = ()
    """The data's own pictures with known cameras, in the data's order; () if views must be rendered from the mesh."""

    @abstractmethod
    def digest(self) -> str:
        """SHA-256 in hex of what it is read from (meshes, textures, cameras), for manifests and cached renders."""

    def mesh(self) -> Any | None:
        """The true surface (trimesh.Trimesh) in world axes (z up), of the size that the data has; None if there is none.

        Raises:
            UserError: a file is missing or damaged; the line names it.
        """
        return None

    def view(self, index: int) -> EvaluationView:
        """The picture `view_names[index]`."""
        raise IndexError(index)

    def depth(self, index: int) -> Tensor | None:
        """(H, W) of `view(index)`: distance along the pixels' unit rays, world units, inf beside it; None if unknown."""
        return None


class EvaluationSet(Component):
    """A dataset to measure on. Its options hold where the user's copy lies; nothing is fetched."""

    kind: ClassVar[str] = "evaluation_set"

    @abstractmethod
    def objects(self) -> Sequence[EvaluationObject]:
        """All of them, always in the same order; reads names and small lists alone.

        Raises:
            UserError: no such folder, or another layout; the line says what was found and what was expected.
        """
