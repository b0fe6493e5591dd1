"""`zero3d studio`: the page is served until Ctrl-C, which ends the runs as it would end each of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from zero3d.errors import RunError, UserError
from zero3d.interfaces import Command

PACKAGES = ("fastapi", "uvicorn")


class Studio(Command):
    """Serve a page to make models in: drop a picture, correct its mask, choose a recipe, watch it, download it."""

    name: ClassVar[str] = "studio"
    extras: ClassVar[Mapping[str, str]] = {"studio": "fastapi"}
    examples: ClassVar[str] = """
        zero3d studio
        zero3d studio --folder runs/mine --port 0 --open
        zero3d studio --host 0.0.0.0     the address that is printed has the token
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        add = parser.add_argument
        add(
            "--folder",
            type=Path,
            default=Path("runs/studio"),
            help="where the runs go, and all that is shown (%(default)s)",
        )
        add(
            "--recipes",
            type=Path,
            metavar="FOLDER",
            help="with recipes of your own, beside those that came with zero3d",
        )
        add("--host", default="127.0.0.1", help="the address to serve at; others than the loopback one have a token")
        add("--port", type=int, default=8000, help="0 for a free one (%(default)s)")
        add("--viewer-port", type=int, default=0, metavar="PORT", help="of the live view, for tunnels (a free one)")
        add("--token", default="", help="what visitors must know: 16 characters or more, or auto")
        add("--jobs", type=int, default=1, metavar="N", help="runs at once (%(default)s)")
        add("--queue", type=int, default=20, metavar="N", help="runs that wait or run, at most (%(default)s)")
        add("--megabytes", type=float, default=20, metavar="N", help="of a picture's file, at most (%(default)s)")
        add("--megapixels", type=float, default=50, metavar="N", help="of a picture, at most (%(default)s)")
        add("--open", action="store_true", help="open the page in a browser")

    def run(self, arguments: argparse.Namespace) -> int:
        missing = [name for name in PACKAGES if find_spec(name) is None]
        if missing:
            raise RunError(
                f"studio: needs the package {missing[0]}, which is not installed; pip install 'zero3d[studio]'"
            )
        from zero3d.gate import Address, is_loopback_address, open_page

        _check(arguments)
        guarded = arguments.token or ("" if is_loopback_address(arguments.host) else "auto")
        address = Address(arguments.host, arguments.port, guarded)
        try:
            address.check()
        except ValueError as error:
            raise UserError(f"studio: --{error}") from None
        from zero3d_studio.serving import serve

        def ready(url: str) -> None:
            print(url, flush=True)
            print("Ctrl-C ends it", file=sys.stderr, flush=True)
            if arguments.open:
                open_page(url)

        always = [word for path in arguments.plugin for word in ("--plugin", path)]
        always += ["--offline"] if arguments.offline else []
        serve(arguments, address, always, ready)
        return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises UserError: an option is out of range."""
    for name, least, most in (
        ("jobs", 1, 64),
        ("queue", 1, 1000),
        ("megabytes", 0.001, 1000),
        ("megapixels", 0.001, 64),
    ):
        value = getattr(arguments, name)
        if not least <= value <= most:
            raise UserError(f"studio: --{name}: {value:g}; {least:g} to {most:g}")
    port = arguments.viewer_port
    if not 0 <= port < 2**16 or (port and (arguments.jobs > 1 or port == arguments.port)):
        raise UserError(
            f"studio: --viewer-port: {port}; 1 to 65535, not --port, and for --jobs 1 alone; or leave it out"
        )
    if arguments.recipes is not None and not any(arguments.recipes.glob("*.yaml")):
        raise UserError(f"studio: --recipes: {arguments.recipes}: no folder with recipes (*.yaml); name another")
    folder = arguments.folder
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise UserError(f"studio: --folder: {folder}: a link or a file; name a folder")
