"""The command line. A user's mistake is one line on stderr and exit code 2, all else that fails one line and 1; Ctrl-C is
130."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Sequence

from zero3d.cli.failure import failure
from zero3d.cli.parser import common_options, make_parser
from zero3d.cli.streams import Output
from zero3d.errors import UserError
from zero3d.interfaces import Command
from zero3d.plugins import load_plugins
from zero3d.processes import import_torch
from zero3d.registry import Registry

UNUSABLE_NAMES = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
"""Errors of the system that only a name given by the user brings."""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `zero3d`. Returns the exit code; with `argv`, the streams of the process stay as they are."""
    if argv is not None:
        return _main(argv)
    if "_ARGCOMPLETE" in os.environ:  # the shell asks what may follow
        from zero3d.cli.completion import complete

        complete()
    output = Output()
    code = _main(sys.argv[1:])
    lost = output.lost()
    if lost:
        print(f"zero3d: output: {lost}; what was to be shown is lost", file=sys.stderr)
    return code or int(bool(lost))


def _main(argv: Sequence[str]) -> int:
    registry, debug = None, "--debug" in argv
    try:
        _check_surroundings(argv)
        common, rest = common_options().parse_known_args(argv)  # first: they may bring commands
        debug = common.debug
        if common.offline:
            os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client, which reads it then
        registry = load_plugins(common.plugin)
        wanted = next((word for word in rest if not word.startswith("-")), "-")
        parser, commands = make_parser(registry, None if wanted == "plugins" else wanted)  # which tells of all of them
        arguments, late = parser.parse_known_args(rest)
        if late and (not hasattr(arguments, "overrides") or any(text.startswith("-") for text in late)):
            arguments.parser.error(f"unrecognized arguments: {' '.join(late)}")
        elif late:  # argparse takes no more of key=value after an option
            arguments.overrides += late
        vars(arguments).update(vars(common), registry=registry)
        if arguments.command is None:
            parser.print_help()
            return 0
        return _dispatch(arguments, registry, commands)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        if isinstance(error, UserError):
            line, code = str(error), error.exit_code
        else:
            line, code = failure(error, argv, registry), 2 if getattr(error, "errno", None) in UNUSABLE_NAMES else 1
        print(f"zero3d: {line}", file=sys.stderr)
        return code


def _check_surroundings(argv: Sequence[str]) -> None:
    """What every command stands on: text for arguments, and a working folder."""
    for argument in argv:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise UserError(f"{argument!r} is no UTF-8 text; rename what it names, or type it in UTF-8") from None
    try:
        os.getcwd()
    except FileNotFoundError:
        raise UserError("the working folder has been deleted; change to another one") from None


def _dispatch(arguments: argparse.Namespace, registry: Registry, commands: dict[str, Command]) -> int:
    if getattr(arguments, "dry_run", False):
        arguments.command = "plan"
    if arguments.command == "completion":
        from zero3d.cli.completion import script

        print(script(arguments.shell))
        return 0
    if arguments.command in ("run", "resume", "export", "reconstruct"):
        return _own(arguments, registry)
    entry = registry.entry("command", arguments.command, "zero3d")  # two plug-ins may claim it
    command = commands.get(arguments.command) or entry.component(entry.component.Config())  # plan, for run --dry-run
    assert isinstance(command, Command)
    return command.run(arguments)


def _own(arguments: argparse.Namespace, registry: Registry) -> int:
    if arguments.command == "run":
        from zero3d.recipe import look_over

        look_over(arguments.recipe, registry, arguments.overrides)
    import_torch()  # which other commands, and mistakes, need not wait for
    from zero3d import run as runs

    if arguments.command == "run":
        runs.run(arguments.recipe, registry, arguments.overrides)
    elif arguments.command == "reconstruct":
        runs.run(runs.one_shot(arguments.name, registry), registry, arguments.overrides)
    elif arguments.command == "resume":
        runs.resume(arguments.run, registry, overrides=arguments.overrides)
    else:
        runs.export(arguments.run, registry, arguments.overrides)
    return 0
