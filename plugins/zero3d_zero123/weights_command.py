"""`zero3d weights`: look into, convert and find Zero-1-to-3's published weights."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import ClassVar

from zero3d.errors import RecipeError
from zero3d.interfaces import Command


class Weights(Command):
    """List, inspect or convert Zero-1-to-3's published weights."""

    name: ClassVar[str] = "weights"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="list|inspect|convert")
        actions.add_parser("list", help="the published weights: where, how large, which licence")
        inspect = actions.add_parser("inspect", help="what a checkpoint or folder holds; no pickled code is run")
        inspect.add_argument("path", type=Path, help="a .ckpt, a .safetensors or a diffusers folder")
        convert = actions.add_parser("convert", help="an original checkpoint to a diffusers folder")
        convert.add_argument("path", type=Path, help="a .ckpt or .safetensors in the original layout")
        convert.add_argument("out", type=Path, help="the folder to write")
        convert.add_argument(
            "--dtype", choices=("float32", "float16", "bfloat16"), default="float32", help="what is written (float32)"
        )
        convert.add_argument("--raw", action="store_true", help="the raw U-Net, not the averaged one (EMA)")
        convert.add_argument("--pose", choices=("auto", "zero123", "stable"), default="auto", help="of Stable Zero123?")
        for action in (inspect, convert):
            action.add_argument(
                "--config", default="", help="JSON {part: {entry: value}}, if not of the published size"
            )

    def run(self, arguments: argparse.Namespace) -> int:
        return {"list": _list, "inspect": _inspect, "convert": _convert}[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.table import Table

    from zero3d_zero123.published.known import KNOWN

    table = Table("weights", "GB", "licence", "where", "note", box=None)
    for entry in KNOWN:
        table.add_row(
            entry.name, f"{entry.gigabytes or '?'}", entry.licence, entry.where.removeprefix("https://"), entry.note
        )
    Console(width=None if Console().is_terminal else 200).print(table)
    return 0


def _inspect(arguments: argparse.Namespace) -> int:
    from zero3d_zero123.published.report import report_file, report_folder

    path: Path = arguments.path
    for line in report_folder(path) if path.is_dir() else report_file(path, arguments.config):
        print(line)
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    import torch

    from zero3d_zero123.published.export import convert
    from zero3d_zero123.published.original import Original

    if arguments.path.is_dir():
        raise RecipeError(f"{arguments.path}: is a folder already; a run takes it as denoiser.weights")
    source = Original(arguments.path, arguments.config, ema=not arguments.raw)
    stable = source.stable if arguments.pose == "auto" else arguments.pose == "stable"
    convert(source, arguments.out, getattr(torch, arguments.dtype), stable, tell=print)
    print(f"written to {arguments.out}; use it as denoiser.weights={arguments.out}")
    return 0
