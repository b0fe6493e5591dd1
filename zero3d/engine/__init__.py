"""The optimisation: one step, the loop over it, and the optimizer."""

from zero3d.engine.engine import Engine, Look, fit, input_camera_at
from zero3d.engine.optimizer import Optimizer

__all__ = ["Engine", "Look", "Optimizer", "fit", "input_camera_at"]
