"""`zero3d plugins`: list, show, doctor, new."""

from __future__ import annotations

import argparse
from typing import ClassVar

from zero3d.errors import RecipeError
from zero3d.interfaces import Command
from zero3d_authoring.scaffold import KINDS, next_steps, write_plugin


class Plugins(Command):
    """What is installed; `show` a component's options, `doctor` for what is amiss, `new` for a plug-in of your own."""

    name: ClassVar[str] = "plugins"
    examples: ClassVar[str] = """
        zero3d plugins
        zero3d plugins show opaque
        zero3d plugins doctor
        zero3d plugins new roundness --kind regularizer
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="machine-readable (the list alone)")
        actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_in_any_order(type(parser)))
        show = actions.add_parser(
            "show",
            help="a component's options, needs and provides, and a recipe's block of it",
            usage="zero3d plugins show [-h] [KIND] NAME",  # argparse's own repeats the metavar for every word
        )
        show.add_argument("words", nargs="+", metavar="[KIND] NAME", help="for example: regularizer opaque")
        actions.add_parser("doctor", help="broken plug-ins, missing extras, the environment; exit code 1 if any fails")
        new = actions.add_parser("new", help="write a complete small plug-in to start from")
        new.add_argument("name", metavar="NAME", help="of the component, as recipes will call it: a Python identifier")
        new.add_argument("folder", metavar="DIR", nargs="?", help="where to; default ./zero3d_NAME")
        told = (
            f"one of {', '.join(KINDS)}; or several, as guidance,regularizer, for one package with a component of each"
        )
        new.add_argument("--kind", required=True, metavar="KIND[,KIND...]", help=told)

    def run(self, arguments: argparse.Namespace) -> int:
        registry = arguments.registry
        if arguments.json and arguments.action:
            raise RecipeError(f"zero3d plugins {arguments.action}: --json is for the list alone")
        if arguments.action == "show":
            from zero3d_authoring.show import show

            print(show(registry, arguments.words))
        elif arguments.action == "doctor":
            from zero3d_authoring.doctor import doctor

            return doctor(registry)
        elif arguments.action == "new":
            kinds = [kind.strip() for kind in arguments.kind.split(",")]
            folder = write_plugin(registry, arguments.name, kinds, arguments.folder)
            print(next_steps(arguments.name, kinds, folder))
        else:
            from zero3d_authoring.listing import as_json, print_table

            print(as_json(registry)) if arguments.json else print_table(registry)
        return 0


def _in_any_order(base: type[argparse.ArgumentParser]) -> type[argparse.ArgumentParser]:
    """Takes `new NAME --kind KIND DIR`, too: plain argparse gives up an optional positional at the first option."""

    class AnyOrder(base):  # type: ignore[valid-type,misc]
        _inner = False

        def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
            if self._inner:
                return super().parse_known_args(args, namespace)
            self._inner = True
            try:
                return self.parse_known_intermixed_args(args, namespace)
            finally:
                self._inner = False

    return AnyOrder
