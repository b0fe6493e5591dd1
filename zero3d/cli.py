"""The command line. A user's mistake is one line on stderr and exit code 2; Ctrl-C is exit code 130."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from zero3d.errors import UserError
from zero3d.interfaces import Command
from zero3d.plugins import load_plugins
from zero3d.registry import Registry

DESCRIPTION = """One picture in, a 3D model out.

  zero3d run recipes/nano.yaml image=cat.png out=runs/cat      make a model
  zero3d run recipes/nano.yaml image=cat.png out=runs/cat input.elevation_deg=30 steps=800
  zero3d resume runs/cat                                       go on after Ctrl-C or a crash
  zero3d export runs/cat export.mesh.resolution=256            write the model again
  zero3d plugins                                               what is installed
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `zero3d`. Returns the exit code."""
    try:
        registry = load_plugins()
        parser, commands = _parser(registry)
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help()
            return 0
        if getattr(arguments, "offline", False):
            os.environ["HF_HUB_OFFLINE"] = "1"  # before anything imports the hub's client, which reads it then
        return _dispatch(arguments, registry, commands)
    except UserError as error:
        print(f"zero3d: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0


def _parser(registry: Registry) -> tuple[argparse.ArgumentParser, dict[str, Command]]:
    parser = argparse.ArgumentParser(
        prog="zero3d", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sub = parser.add_subparsers(dest="command", metavar="COMMAND")
    network = argparse.ArgumentParser(add_help=False)
    network.add_argument("--offline", action="store_true", help="take weights that are here, never ask the network")
    run = sub.add_parser(
        "run", parents=[network], help="make a 3D model from a picture", description="Run a recipe from the start."
    )
    run.add_argument("recipe", help="a YAML file, for example recipes/nano.yaml")
    _add_overrides(run)
    resume = sub.add_parser("resume", parents=[network], help="go on with an interrupted run")
    resume.add_argument("run", help="the run's folder (its out)")
    export = sub.add_parser("export", parents=[network], help="write a run's model again, with other options if given")
    export.add_argument("run", help="the run's folder (its out)")
    _add_overrides(export)
    sub.add_parser("plugins", help="list what is installed")
    recipe = sub.add_parser("recipe", help="check a recipe without running it")
    actions = recipe.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", parents=[network], help="is everything spelled right, and do the parts fit?")
    check.add_argument("recipe", help="a YAML file")
    _add_overrides(check)
    commands = {}
    for entry in registry.all():
        if issubclass(entry.component, Command):
            command = entry.component(entry.component.Config())
            own = sub.add_parser(command.name, parents=[network], help=(command.__doc__ or "").splitlines()[0])
            command.add_arguments(own)
            commands[command.name] = command
    return parser, commands


def _add_overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="any key of the recipe, for example steps=500 seed=1"
    )


def _dispatch(arguments: argparse.Namespace, registry: Registry, commands: dict[str, Command]) -> int:
    from zero3d import run as runs

    if arguments.command == "run":
        runs.run(arguments.recipe, registry, arguments.overrides)
    elif arguments.command == "resume":
        runs.resume(arguments.run, registry)
    elif arguments.command == "export":
        runs.export(arguments.run, registry, arguments.overrides)
    elif arguments.command == "plugins":
        _print_plugins(registry)
    elif arguments.command == "recipe":
        _check_recipe(arguments, registry)
    else:
        return commands[arguments.command].run(arguments)
    return 0


def _check_recipe(arguments: argparse.Namespace, registry: Registry) -> None:
    from zero3d.parts import build_parts
    from zero3d.recipe import load_recipe

    recipe = load_recipe(arguments.recipe, registry, arguments.overrides)
    parts = build_parts(recipe)
    weights = {t.label: t.weight for t in parts.guidances} | {t.label: t.weight for t in parts.regularizers}
    terms = [f"{label} (weight {weight.extremes[1]:g})" for label, weight in weights.items()]
    print(f"{recipe.file}: good. {recipe.options.steps} steps on {parts.device}; terms: {', '.join(terms)}")


def _print_plugins(registry: Registry) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "package", "version", "what it is"):
        table.add_column(column, overflow="fold")
    for entry in registry.all():
        line = (entry.component.__doc__ or "").strip().splitlines()[0]
        table.add_row(entry.component.kind, entry.component.name, entry.package, entry.version, line)
    console = Console()
    console.print(table)
    for broken in registry.broken:
        console.print(f"[red]broken[/red]: {broken.plugin} ({broken.package}): {broken.error}", markup=True)


if __name__ == "__main__":
    sys.exit(main())
