"""Published weights: what there is, where, and reading it without running what is pickled in it; of no model library.

A recipe names weights as a file, a folder in diffusers' layout or a hub id. All errors are RecipeErrors of one line that
begins with `place`, the recipe's key ("denoiser.weights").
"""

from zero3d.interfaces.published import Conversion, Published, find, hub
from zero3d.weights.autoencoder import VAE_SCALE, Autoencoder, planes
from zero3d.weights.cache import local_folder, repository, snapshot
from zero3d.weights.configs import Configs, changed_configs
from zero3d.weights.folder import Choice, choose, index_of, local_files, part_config, read_json, variants
from zero3d.weights.hub_folder import HUB_ID, HubFolder
from zero3d.weights.impostors import impostor, is_pickled, refuse_impostor
from zero3d.weights.modules import aligned, check_fit, filled, without_bars
from zero3d.weights.pickled import PickledTensors, one_line
from zero3d.weights.tensors import SafeTensors, open_tensors
from zero3d.weights.writing import (
    CLIP_MEAN,
    CLIP_STD,
    check_new,
    new_folder,
    save_image_processor,
    save_json,
    save_part,
    save_scheduler,
    save_tensors,
    save_tokenizer,
)

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "HUB_ID",
    "VAE_SCALE",
    "Autoencoder",
    "Choice",
    "Configs",
    "Conversion",
    "HubFolder",
    "PickledTensors",
    "Published",
    "SafeTensors",
    "aligned",
    "changed_configs",
    "check_fit",
    "check_new",
    "choose",
    "filled",
    "find",
    "hub",
    "impostor",
    "index_of",
    "is_pickled",
    "local_files",
    "local_folder",
    "new_folder",
    "one_line",
    "open_tensors",
    "part_config",
    "planes",
    "read_json",
    "refuse_impostor",
    "repository",
    "save_image_processor",
    "save_json",
    "save_part",
    "save_scheduler",
    "save_tensors",
    "save_tokenizer",
    "snapshot",
    "variants",
    "without_bars",
]
