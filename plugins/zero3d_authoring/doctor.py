"""`zero3d plugins doctor`: what is amiss with plug-ins, extras and the environment, and what to type about it."""

from __future__ import annotations

import traceback
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec

from zero3d.errors import UserError
from zero3d.registry import BrokenPlugin, Registered, Registry
from zero3d_authoring.environment import environment
from zero3d_authoring.finding import FAIL, NOTE, OK, Finding

FOR_DEVELOPERS = frozenset({"dev", "docs", "test", "tests"})
"""Extras that no component needs."""


def doctor(registry: Registry) -> int:
    """Print every finding and return the exit code: 1 if one of them fails, else 0."""
    findings = [*plugin_findings(registry), *extra_findings(registry), *environment()]
    for finding in findings:
        print(finding)
    failed = sum(finding.state == FAIL for finding in findings)
    print(f"\n{failed} to mend" if failed else "\nall is well")
    return 1 if failed else 0


def plugin_findings(registry: Registry) -> list[Finding]:
    """Every broken plug-in and every name that two of them claim; one line if there are none."""
    entries_of_all = registry.all()  # first: what cannot be imported is known to be broken then
    found = [Finding(FAIL, f"plug-in {b.plugin} ({b.package})", b.error, remedy(b)) for b in registry.broken]
    claims: dict[tuple[str, str], list[Registered]] = defaultdict(list)
    for entry in entries_of_all:
        claims[entry.component.kind, entry.component.name].append(entry)
    for (kind, name), entries in claims.items():
        if len(entries) > 1:
            packages = sorted({entry.package for entry in entries})
            mend = f"pip uninstall {packages[-1]}, or the other, or ask their authors to rename it"
            found.append(Finding(FAIL, f"{kind} {name}", f"claimed by {' and '.join(packages)}", mend))
    plugins = {(entry.package, entry.plugin) for entry in entries_of_all}
    return found or [Finding(OK, "plug-ins", f"{len(plugins)} with {len(claims)} components")]


def remedy(broken: BrokenPlugin) -> str:
    """What to do about a plug-in that does not load."""
    cause, package = broken.cause, broken.package
    if isinstance(cause, UserError):
        return ""  # it says so itself
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        return f"pip install what brings the module {cause.name.partition('.')[0]}, or pip install -U {package}"
    place = ""
    if cause is not None and cause.__traceback__ is not None:
        last = traceback.extract_tb(cause.__traceback__)[-1]
        place = f"raised at {last.filename}:{last.lineno}; "
    if isinstance(cause, SyntaxError) and cause.filename:
        place = f"at {cause.filename}:{cause.lineno}; "
    return f"{place}mend it there, or pip install -U {package}, or pip uninstall {package}"


def extra_findings(registry: Registry) -> list[Finding]:
    """Each extra of the distributions that bring plug-ins: is it there, who needs it, how is it installed."""
    found = []
    for package in sorted({entry.package for entry in registry.all()}):
        for extra in sorted(_extras(package)):
            users = [e for e in registry.all() if e.package == package and extra in e.component.extras]
            modules = {e.component.extras[extra] for e in users}
            who = ", ".join(f"{e.component.kind} {e.component.name}" for e in users) or "no component"
            missing = sorted(module for module in modules if find_spec(module) is None)
            if missing:
                install = f"pip install '{package}[{extra}]'"
                found.append(Finding(NOTE, f"extra {extra}", f"not installed; used by {who}", install))
            else:
                found.append(Finding(OK, f"extra {extra}", f"used by {who}"))
    return found


def _extras(package: str) -> set[str]:
    try:
        declared = distribution(package).metadata.get_all("Provides-Extra") or []
    except PackageNotFoundError:  # a local folder
        return set()
    return set(declared) - FOR_DEVELOPERS
