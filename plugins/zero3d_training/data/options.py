"""What both forms of the published data may be told."""

from __future__ import annotations

from dataclasses import dataclass

from zero3d.errors import did_you_mean
from zero3d_training.data.picture import MATTES


@dataclass
class ViewsOptions:
    """size: pixels of a view's side, 8 to 1024; pictures of other sizes are resized. views: how many each object has,
    000 to views - 1; two or more. matte: what stands behind the object, over (composited) or published (as the original
    loader: only pixels without any alpha become white). workers: processes that read ahead, in each training process;
    0 reads in the process itself.
    """

    size: int = 256
    views: int = 12
    matte: str = "over"
    workers: int = 2

    def __post_init__(self) -> None:
        for name, low, high in (("size", 8, 1024), ("views", 2, 1000), ("workers", 0, 256)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")
        if self.matte not in MATTES:
            raise ValueError(f"matte: {self.matte!r}.{did_you_mean(self.matte, MATTES)}")
