"""A recipe: YAML and key=value overrides -> checked blocks. Nothing is built and no weight is read here."""

from zero3d.recipe.blocks import VIEWS, Block, make_block
from zero3d.recipe.load import BLOCK_MAPS, SINGLE_BLOCKS, Recipe, load_recipe
from zero3d.recipe.options import CheckpointOptions, InputOptions, OptimizerOptions, RunOptions
from zero3d.recipe.reading import read_yaml
from zero3d.recipe.schema import typed

__all__ = [
    "BLOCK_MAPS",
    "Block",
    "CheckpointOptions",
    "InputOptions",
    "OptimizerOptions",
    "Recipe",
    "RunOptions",
    "SINGLE_BLOCKS",
    "VIEWS",
    "load_recipe",
    "make_block",
    "read_yaml",
    "typed",
]
