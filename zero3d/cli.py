"""The command line. A user's mistake is one line on stderr and exit code 2; Ctrl-C is exit code 130."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from zero3d.errors import PluginError, UserError
from zero3d.interfaces import Command
from zero3d.plugins import load_plugins
from zero3d.registry import BrokenPlugin, Registry

DESCRIPTION = """One picture in, a 3D model out.

  zero3d run recipes/nano.yaml image=cat.png out=runs/cat      make a model
  zero3d run recipes/nano.yaml image=cat.png out=runs/cat input.elevation_deg=30 steps=800
  zero3d resume runs/cat                                       go on after Ctrl-C or a crash
  zero3d export runs/cat export.mesh.resolution=256            write the model again
  zero3d plugins                                               what is installed; show NAME, doctor, new NAME
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `zero3d`. Returns the exit code."""
    try:
        local, rest = _local_plugins().parse_known_args(argv)  # first: they may bring commands
        registry = load_plugins(local.plugin)
        parser, commands = _parser(registry)
        arguments, late = parser.parse_known_args(rest)
        if late and (not hasattr(arguments, "overrides") or any(text.startswith("-") for text in late)):
            parser.error(f"unrecognized arguments: {' '.join(late)}")
        elif late:  # argparse takes no more of key=value after an option
            arguments.overrides += late
        arguments.registry = registry
        if arguments.command is None:
            parser.print_help()
            return 0
        if getattr(arguments, "offline", False):
            os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client, which reads it then
        return _dispatch(arguments, registry, commands)
    except UserError as error:
        print(f"zero3d: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


class _Parser(argparse.ArgumentParser):
    """Says with an unknown command which plug-ins failed to load: one of them may bring it."""

    failed = ""

    def error(self, message: str) -> NoReturn:
        super().error(message + self.failed)


def _local_plugins() -> argparse.ArgumentParser:
    """The option that every command takes, anywhere on the line."""
    parser = argparse.ArgumentParser(prog="zero3d", add_help=False)
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="PATH",
        help="use the plug-in of a folder (with pyproject.toml) or .py file without installing it; may be repeated",
    )
    return parser


def _parser(registry: Registry) -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    parser = _Parser(
        prog="zero3d",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_local_plugins()],
    )
    parser.failed = registry.failed
    sub = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=argparse.ArgumentParser)
    network = argparse.ArgumentParser(add_help=False, parents=[_local_plugins()])
    network.add_argument("--offline", action="store_true", help="take weights that are here, never ask the network")
    run = sub.add_parser(
        "run", parents=[network], help="make a 3D model from a picture", description="Run a recipe from the start."
    )
    run.add_argument("recipe", help="a YAML file, for example recipes/nano.yaml")
    _add_overrides(run)
    run.add_argument("--dry-run", action="store_true", help="say what would be done and stop: the same as zero3d plan")
    resume = sub.add_parser("resume", parents=[network], help="go on with an interrupted run")
    resume.add_argument("run", help="the run's folder (its out)")
    resume.add_argument("overrides", nargs="*", metavar="steps=N", help="go on to another number of steps")
    export = sub.add_parser("export", parents=[network], help="write a run's model again, with other options if given")
    export.add_argument("run", help="the run's folder (its out)")
    _add_overrides(export)
    recipe = sub.add_parser("recipe", help="check a recipe without running it")
    actions = recipe.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", parents=[network], help="is everything spelled right, and do the parts fit?")
    check.add_argument("recipe", help="a YAML file")
    _add_overrides(check)
    commands: dict[str, Command] = {}
    for entry in registry.all():
        if issubclass(entry.component, Command) and entry.component.name not in commands:
            try:
                command = entry.component(entry.component.Config())
                command.add_arguments(argparse.ArgumentParser(parents=[network]))  # tried, before it is offered
                line = str(command.__doc__).strip().splitlines()[0].replace("%", "%%")
                own = sub.add_parser(command.name, parents=[network], help=line)
                command.add_arguments(own)
                commands[command.name] = command
            except Exception as error:  # somebody else's code: the other commands must still work
                reason = f"command {entry.component.name!r}: {type(error).__name__}: {error}"
                if entry.path:
                    raise PluginError(f"--plugin {entry.path}: {reason}") from error
                registry.broken.append(BrokenPlugin(entry.plugin, entry.package, reason, error))
                parser.failed = registry.failed
    return parser, commands


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="any key of the recipe, for example steps=500 seed=1"
    )


def _dispatch(arguments: argparse.Namespace, registry: Registry, commands: dict[str, Command]) -> int:
    from zero3d import run as runs

    if getattr(arguments, "dry_run", False):
        arguments.command = "plan"
    if arguments.command == "run":
        runs.run(arguments.recipe, registry, arguments.overrides)
    elif arguments.command == "resume":
        runs.resume(arguments.run, registry, overrides=arguments.overrides)
    elif arguments.command == "export":
        runs.export(arguments.run, registry, arguments.overrides)
    elif arguments.command == "recipe":
        _check_recipe(arguments, registry)
    else:
        registry.entry("command", arguments.command, "zero3d")  # two plug-ins may claim it
        return commands[arguments.command].run(arguments)
    return 0


def _check_recipe(arguments: argparse.Namespace, registry: Registry) -> None:
    from zero3d.parts import build_stages
    from zero3d.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, registry, arguments.overrides)
    for stage, parts in zip((recipe, *recipe.later), build_stages(recipe), strict=True):
        weights = {t.label: t.weight for t in parts.guidances} | {t.label: t.weight for t in parts.regularizers}
        terms = [f"{label} (weight {weight.extremes[1]:g})" for label, weight in weights.items()]
        print(f"{stage.file}: good. {stage.options.steps} steps on {parts.device}; terms: {', '.join(terms)}")


if __name__ == "__main__":
    sys.exit(main())
