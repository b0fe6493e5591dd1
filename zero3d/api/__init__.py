"""zero3d from Python, in a notebook or a script: `from zero3d import api; api.run("nano", image="cat.png")`.

A user's mistake raises a `zero3d.UserError` of one line. Nothing is imported before it is called.
"""

from typing import TYPE_CHECKING

from zero3d.lazy import lazily

if TYPE_CHECKING:
    from zero3d.api.calls import Planned, check, open_run, plan, reconstruct, run
    from zero3d.api.figures import Figures
    from zero3d.api.mesh import Mesh
    from zero3d.api.opened import Run, export, resume

__getattr__ = lazily(
    __name__,
    {
        "calls": "Planned check open_run plan reconstruct run",
        "figures": "Figures",
        "mesh": "Mesh",
        "opened": "Run export resume",
    },
)

__all__ = ["Figures", "Mesh", "Planned", "Run", "check", "export", "open_run", "plan", "reconstruct", "resume", "run"]
