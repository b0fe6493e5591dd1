"""`zero3d batch`: a recipe over many pictures."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import ClassVar

from zero3d.errors import UserError
from zero3d.interfaces import Command

OVERRIDE = re.compile(r"[\w.\[\]-]+=")
OWN_KEYS = ("image", "images")


class Batch(Command):
    """Run a recipe over many pictures: a run's folder for each, tables, a page; again, it goes on where it ended."""

    name: ClassVar[str] = "batch"
    examples: ClassVar[str] = """
        zero3d batch nano pictures/
        zero3d batch nano 'pictures/*.png' out=runs/all --workers 2
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        from zero3d_batch.many.call import add_executor_arguments

        add = parser.add_argument
        add("recipe", help="a recipe's name (see zero3d recipes) or file, for example nano or my.yaml")
        add(
            "pictures",
            nargs="+",
            metavar="PICTURES",
            help="a folder, pictures, a pattern in quotes, a .txt with a path a line, or a .csv with columns image and any "
            "keys; NAME.yaml beside NAME.png holds keys for it alone",
        )
        add(
            "overrides",
            nargs="*",
            default=[],
            metavar="key=value",
            help="out=FOLDER, and any key of the recipe for all runs",
        )
        add("--shard", metavar="I/N", help="run the I-th of N shares alone, for example 1/4 on the first of 4 machines")
        add_executor_arguments(parser)

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d_batch.many.call import carry_out
        from zero3d_batch.many.naming import folder_of, subject_of, without_out
        from zero3d_batch.pages.gallery import write_gallery
        from zero3d_batch.pictures import wanted_pictures

        words = [*arguments.pictures, *arguments.overrides]
        pictures = [word for word in words if not OVERRIDE.match(word) or Path(word).exists()]
        overrides = [word for word in words if word not in pictures]
        common = without_out(overrides)
        for override in common:
            if override.partition("=")[0].partition(".")[0] in OWN_KEYS:
                raise UserError(f"override {override!r}: the pictures are given without image=; leave it out")
        if not pictures:
            raise UserError("batch: no pictures; give a folder, for example: zero3d batch RECIPE pictures/")
        wanted = wanted_pictures(pictures)
        with folder_of(self.name, arguments, overrides, {"image": subject_of(pictures)}) as place:
            return carry_out(arguments, place, common, wanted, write_gallery)
