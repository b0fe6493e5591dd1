"""The laws of a command."""

from __future__ import annotations

import argparse
import contextlib
import io

from zero3d.interfaces import Command
from zero3d.registry import Registered, Registry
from zero3d.testing.laws.common import Laws

UNKNOWN = "--no-such-option-of-any-command"


def check_command(component: type[Command]) -> None:
    """The laws of a command. Call it from a test with your class; the first broken one is an AssertionError of one line.

    - The first line of its docstring, its help, is a sentence.
    - It joins the command line of `zero3d`: no argument clashes with the options that every command has.
    - `--help`, its own and its sub-commands', ends with exit code 0; an unknown option ends with 2.
    - Every argument, of its sub-commands too, has a help text.

    Args:
        component: your class; nothing is run.
    """
    from zero3d.cli.parser import make_parser  # which loads plug-ins, of which this may be one

    laws = Laws(component)
    first = str(component.__doc__).strip().splitlines()[0].strip()
    laws("the docstring's first line is a sentence", first.endswith(".") and " " in first, f"it is {first!r}")
    with laws.runs("it can be made", "Config() or the class fails"):
        component(component.Config())
    registry = Registry()
    registry.add(Registered(component, component.name, "tests", "0"))
    with laws.runs("it joins the command line", "its name or its arguments clash with zero3d's own"):
        parser, _ = make_parser(registry)
    told = "; ".join(broken.error for broken in registry.broken)
    laws("it joins the command line", not registry.broken, told)
    own = _sub_commands(parser)[component.name]
    _documented(laws, own, (component.name,))
    _helps(laws, parser, own, (component.name,))
    code, said = _exit(parser, (component.name, UNKNOWN))
    laws("an unknown option ends with exit code 2", code == 2, f"exit code {code}: {said}")


def _sub_commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found |= dict(action.choices)
    return found


def _documented(laws: Laws, parser: argparse.ArgumentParser, words: tuple[str, ...]) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            described = {choice.dest for choice in action._choices_actions if choice.help}
            for name in action.choices:
                place = " ".join((*words, name))
                laws("every argument has a help text", name in described, f"zero3d {place} has none")
        elif action.help is None:
            name = action.option_strings[-1] if action.option_strings else action.dest
            laws.broken("every argument has a help text", f"{name} of zero3d {' '.join(words)} has none")
    for name, below in _sub_commands(parser).items():
        _documented(laws, below, (*words, name))


def _helps(laws: Laws, parser: argparse.ArgumentParser, own: argparse.ArgumentParser, words: tuple[str, ...]) -> None:
    law = "--help ends with exit code 0"
    with laws.runs(law, f"zero3d {' '.join(words)} --help fails; write %% for a per cent sign"):
        code, said = _exit(parser, (*words, "--help"))
    laws(law, code == 0 and "usage" in said, f"zero3d {' '.join(words)}: exit code {code}")
    for name, below in _sub_commands(own).items():
        _helps(laws, parser, below, (*words, name))


def _exit(parser: argparse.ArgumentParser, words: tuple[str, ...]) -> tuple[int, str]:
    """The exit code of parsing these words, and what was printed; 0 if it goes through."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            parser.parse_args(words)
        except SystemExit as ended:
            return int(ended.code or 0), " ".join(said.getvalue().split())
    return 0, ""
