"""SV3D's single file -> a folder in the layout of Stable Video Diffusion's."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zero3d.weights import Conversion, Published, check_new, new_folder, save_json, save_part
from zero3d_novel_views.sv3d.source import SingleFile

COMPONENTS = {
    "unet": ["diffusers", "UNetSpatioTemporalConditionModel"],
    "vae": ["diffusers", "AutoencoderKLTemporalDecoder"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
}


def convert(conversion: Conversion, known: Sequence[Published]) -> None:
    """Write `conversion.out`, whole or not at all. Stock diffusers loads its parts; how SV3D runs its U-Net is ours to know.

    Raises:
        RunError: `conversion.out` exists and is not empty, or cannot be written.
        RecipeError: a part that does not fit its configuration.
    """
    check_new(conversion.out)
    source = SingleFile(conversion.path, known, conversion.config)
    source.check()
    dtype: torch.dtype = getattr(torch, conversion.dtype)
    with new_folder(conversion.out) as folder:
        for part in COMPONENTS:
            conversion.tell(f"{part} …")
            module, prefix = source.sketch(part), "unet." if part == "unet" else ""
            state = {name.removeprefix(prefix): tensor for name, tensor in source.state(part).items()}
            save_part(folder / part, module.unet if part == "unet" else module, state, dtype)
        index = {"_class_name": "StableVideoDiffusionPipeline", "_source": conversion.path.name, **COMPONENTS}
        save_json(folder / "model_index.json", index)
