"""`zero3d train RECIPE`: fit a denoiser to rendered objects; under `accelerate launch -m zero3d train`, on many GPUs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from zero3d.errors import RecipeError, RunError
from zero3d.files import remove_leftovers
from zero3d.interfaces import Command

if TYPE_CHECKING:
    from zero3d_training.options import TrainRecipe


class Train(Command):
    """Train a denoiser on rendered objects, for example by the recipe train-nano."""

    name: ClassVar[str] = "train"
    examples: ClassVar[str] = """
        zero3d train train-nano out=runs/nano
        zero3d train train-zero123 dataset.root=views_release
        zero3d train train-nano out=runs/nano --resume
    """

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("recipe", help="a recipe's name (train-nano, train-zero123), or a YAML file")
        parser.add_argument(
            "overrides", nargs="*", default=[], metavar="key=value", help="for example stages.lift.steps=100"
        )
        parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in the out folder")

    def run(self, arguments: argparse.Namespace) -> int:
        from zero3d.files.lock import only_writer
        from zero3d.interfaces import Dataset
        from zero3d_training.options import load_train_recipe
        from zero3d_training.processes import Processes
        from zero3d_training.report import Bar, check_tensorboard
        from zero3d_training.trainer import Trainer

        recipe = load_train_recipe(arguments.recipe, arguments.registry, arguments.overrides)
        if recipe.options.tensorboard:
            check_tensorboard()
        out = _folder(recipe, arguments.resume)
        denoiser = _denoiser(recipe)
        dataset: Dataset = recipe.dataset.build()
        processes = Processes(recipe.options)
        if processes.main:
            dataset.prepare()
        processes.wait()
        if not processes.main:
            dataset.prepare(progress=False)  # what the first has made or found
        trainer = Trainer(denoiser, dataset, recipe.stages, recipe.options, processes)
        if not processes.main:
            trainer.run(out, arguments.resume)
            return 0
        out.mkdir(parents=True, exist_ok=True)
        with only_writer(out, f"out: {out}"):
            remove_leftovers(out)
            _write_source(recipe, out)
            written = trainer.run(out, arguments.resume, [Bar()])
        print(f"written to {written}")
        return 0


def _folder(recipe: TrainRecipe, resume: bool) -> Path:
    """The out folder, new or to be resumed.

    Raises:
        RunError: it holds files and is not to be resumed, or is to be and holds no training.
    """
    from zero3d_training.state import is_training

    out = Path(str(recipe.options.out))
    if resume and not is_training(out):
        raise RunError(f"out: {out} holds no training to go on with; train without --resume, or name another folder")
    free = not out.exists() or (out.is_dir() and all(_means_nothing(entry.name) for entry in out.iterdir()))
    if not resume and not free:
        remedy = "go on with --resume, or take another folder" if is_training(out) else "take another folder"
        raise RunError(f"out: {out} is not empty; {remedy}")
    return out


def _means_nothing(name: str) -> bool:
    """Whether a killed process left a file of this name before it wrote anything whole."""
    from zero3d.files import LEFTOVER
    from zero3d.files.lock import NAME

    return name == NAME or LEFTOVER.fullmatch(name) is not None


def _denoiser(recipe: TrainRecipe):  # type: ignore[no-untyped-def]
    """The denoiser, untrained.

    Raises:
        RecipeError: it cannot be trained, or knows no such stage.
    """
    from zero3d.errors import did_you_mean
    from zero3d.interfaces import TrainableDenoiser

    denoiser = recipe.denoiser.build()
    if not isinstance(denoiser, TrainableDenoiser):
        raise RecipeError(f"{recipe.denoiser.place}: {recipe.denoiser.label!r} cannot be trained here")
    for name in recipe.stages:
        if name not in denoiser.stages:
            raise RecipeError(f"{recipe.file}: stages.{name}: no such stage.{did_you_mean(name, denoiser.stages)}")
    return denoiser


def _write_source(recipe: TrainRecipe, out: Path) -> None:
    import yaml

    from zero3d.files import write_text
    from zero3d.folder import RECIPE

    write_text(out / RECIPE, yaml.safe_dump(recipe.source, sort_keys=False))
