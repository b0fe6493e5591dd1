"""A recipe: YAML and key=value overrides -> checked blocks. Nothing is built and no weight is read here."""

from zero3d.files.recipe_names import recipe_file, recipes, run_name
from zero3d.recipe.blocks import VIEWS, Block, Placed, make_block
from zero3d.recipe.images import file_source
from zero3d.recipe.load import BLOCK_MAPS, EXPORT_KEYS, SINGLE_BLOCKS, Recipe, load_recipe, look_over
from zero3d.recipe.options import AUTO, CheckpointOptions, InputOptions, OptimizerOptions, RunOptions
from zero3d.recipe.reading import RecipeText, check_keys, read_yaml
from zero3d.recipe.schema import typed

__all__ = [
    "AUTO",
    "BLOCK_MAPS",
    "Block",
    "CheckpointOptions",
    "EXPORT_KEYS",
    "InputOptions",
    "OptimizerOptions",
    "Placed",
    "Recipe",
    "RecipeText",
    "RunOptions",
    "SINGLE_BLOCKS",
    "VIEWS",
    "check_keys",
    "file_source",
    "load_recipe",
    "look_over",
    "make_block",
    "read_yaml",
    "recipe_file",
    "recipes",
    "run_name",
    "typed",
]
