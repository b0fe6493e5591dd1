"""`run`, `resume` and `export`: from a recipe to a folder with a model in it."""

from zero3d.run.exports import export
from zero3d.run.one_shot import one_shot
from zero3d.run.opening.opened import check_target, field_drawer, open_representation, renderer_for
from zero3d.run.opening.session import Session, open_session, say
from zero3d.run.opening.subject import DEFAULT_ELEVATION_DEG, FramedSubject
from zero3d.run.starting.new_folder import free_out, reserving
from zero3d.run.starting.resume import resume
from zero3d.run.starting.start import Plan, check, check_lines, elevation_of, nothing_given, plan, plans, run

__all__ = [
    "DEFAULT_ELEVATION_DEG",
    "FramedSubject",
    "Plan",
    "Session",
    "check",
    "check_lines",
    "check_target",
    "elevation_of",
    "export",
    "field_drawer",
    "free_out",
    "nothing_given",
    "one_shot",
    "open_representation",
    "open_session",
    "plan",
    "plans",
    "renderer_for",
    "reserving",
    "resume",
    "run",
    "say",
]
