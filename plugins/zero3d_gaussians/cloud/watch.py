"""What is remembered of a step's renders, until the step is over."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class Seen:
    """One render of a step: leaves whose gradients say how much each Gaussian's centre on the screen wants to move.

    shift (B, N, 2): gradients by pixel. absolute: their absolute sums, if they are asked for. They are leaves, so that only
    the step's own backward pass fills them: an observer's torch.autograd.grad does not.
    """

    step: int
    shift: Tensor
    absolute: Tensor | None
    width: int
    height: int
    visible: Tensor | None = None

    def per_view(self) -> Tensor | None:
        """(B, N): the length of each gradient, for each view alone, in [-1, 1] across the picture; None if there is none."""
        found = self.shift.grad
        if self.absolute is not None and found is not None:
            found = self.absolute.grad
            if found is None:  # gsplat leaves them with the centres
                found = getattr(getattr(self.absolute, "centres", None), "absgrad", None)
        if found is None:
            return None
        halves = found.new_tensor([self.width / 2, self.height / 2])
        length: Tensor = (found * halves).norm(dim=-1) * len(found)  # the loss is a mean over the views
        return length


@dataclass
class Watch:
    """What was rendered since the last step, and the seed of what `follow` draws; no tensor of the model.

    told: whether the user knows that growth is held back.
    """

    seen: list[Seen] = field(default_factory=list)
    seed: int = 0
    told: bool = False
