"""The command line's arguments: those of the core's commands, and of the plug-ins'."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from zero3d.cli.layout import EXAMPLES, SHELLS, laid_out, shortened
from zero3d.errors import PluginError, one_line
from zero3d.interfaces import Command
from zero3d.registry import BrokenPlugin, Promised, Registry

DESCRIPTION = """One picture in, a 3D model out.

  zero3d run nano image=cat.png                       make a model in runs/nano-cat
  zero3d recipes                                      what else there is to run
  zero3d resume runs/nano-cat                         go on after Ctrl-C or a crash
  zero3d export runs/nano-cat export.mesh.resolution=256     write the model again
"""


class _Parser(argparse.ArgumentParser):
    """A mistake is one line, which names the command that explains. `registry`: says which plug-ins failed to load, one of
    which may bring an unknown command."""

    registry: Registry | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.set_defaults(parser=self)  # of all whose words are on the line the innermost one's stays

    def error(self, message: str) -> NoReturn:
        failed = self.registry.failed if self.registry else ""
        self.exit(2, one_line(f"{self.prog}: {message}; see {self.prog} --help{failed and '.'}{failed}") + "\n")


def common_options() -> _Parser:
    """The options that every command takes, anywhere on the line."""
    parser = _Parser(prog="zero3d", add_help=False, allow_abbrev=False)
    parser.add_argument(
        "--plugin", action="append", default=[], metavar="PATH", help="use the plug-in in this folder or .py file, too"
    )
    parser.add_argument("--offline", action="store_true", help="take weights that are here, never ask the network")
    parser.add_argument("--debug", action="store_true", help="show where in the program an error was raised")
    return parser


def make_parser(registry: Registry, wanted: str | None = None) -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    """The parser, and the plug-ins' commands by name. One that cannot join goes to `registry.broken`.

    `wanted`: the one command whose arguments matter; of the others that wait to be imported (`Lazy`) only name and summary
    are there. None for all.

    Raises:
        PluginError: a command of a plug-in named with `--plugin` cannot join.
    """
    parser = _Parser(
        prog="zero3d",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[common_options()],
    )
    parser.registry = registry
    sub = parser.add_subparsers(dest="command", metavar="COMMAND")
    common = [common_options()]
    run = sub.add_parser(
        "run", parents=common, help="make a 3D model from a picture", description="Run a recipe from the start."
    )
    run.add_argument("recipe", help="a recipe's name (see zero3d recipes), or a YAML file")
    _add_overrides(run)
    run.add_argument("--dry-run", action="store_true", help="say what would be done and stop: the same as zero3d plan")
    resume = sub.add_parser("resume", parents=common, help="go on with an interrupted run")
    resume.add_argument("run", help="the run's folder (its out)")
    further = "go on to another number of steps, or watched otherwise"
    resume.add_argument("overrides", nargs="*", default=[], metavar="steps=N|observers.NAME=...", help=further)
    export = sub.add_parser("export", parents=common, help="write a run's model again, with other options")
    export.add_argument("run", help="the run's folder (its out)")
    _add_overrides(export, "what exporting looks at, for example export.mesh.resolution=256")
    once = sub.add_parser(
        "reconstruct",
        parents=common,
        help="make a 3D model at once by a reconstructor",
        description="Make a run's folder with what a reconstructor (see zero3d plugins) makes of a picture.",
    )
    once.add_argument("name", help="a reconstructor, for example nano_lift")
    _add_overrides(
        once, "image=PICTURE out=FOLDER, the reconstructor's options as start.KEY=value, any key of a recipe"
    )
    shell = sub.add_parser(
        "completion",
        parents=common,
        help="print a shell's script for completion",
        description="Print the script with which a shell completes zero3d's commands, recipes, keys and values.",
    )
    shell.add_argument("shell", choices=SHELLS, help="which shell")
    for own, examples in zip((run, resume, export, once, shell), EXAMPLES.values(), strict=True):
        laid_out(own, examples)
    commands: dict[str, Command] = {}
    waiting = {e.name: e.lazy.summary for e in registry.brought() if isinstance(e, Promised)} if wanted else {}
    for name in registry.names(Command.kind):
        if waiting.get(name) and name != wanted:
            sub.add_parser(name, parents=common, help=shortened(waiting[name]))
            continue
        for entry in registry.all(Command.kind, name)[:1]:  # two plug-ins may claim it
            try:
                command = entry.component(entry.component.Config())
                assert isinstance(command, Command)
                command.add_arguments(argparse.ArgumentParser(parents=common))  # tried, before it is offered
                line = "".join((command.__doc__ or "").strip().splitlines()[:1])
                own = sub.add_parser(name, parents=common, help=shortened(line), description=line.replace("%", "%%"))
                command.add_arguments(own)
                laid_out(own, command.examples)
                commands[name] = command
            except Exception as error:  # somebody else's code: the other commands must still work
                reason = f"command {name!r}: {type(error).__name__}: {error}"
                if entry.path:
                    raise PluginError(f"--plugin {entry.path}: {reason}") from error
                registry.broken.append(BrokenPlugin(entry.plugin, entry.package, reason, error))
    return parser, commands


def _add_overrides(
    parser: argparse.ArgumentParser, text: str = "any key of the recipe, for example steps=500 seed=1"
) -> None:
    parser.add_argument("overrides", nargs="*", default=[], metavar="key=value", help=text)
