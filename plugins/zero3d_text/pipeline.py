"""Loading a text-to-image pipeline of diffusers, once, for one picture; each fault in one line."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d import PictureError
from zero3d.parts import choose_device
from zero3d.weights import HUB_ID


def draw(config: Any) -> numpy.ndarray:
    """The picture, (H, W, 4) uint8, opaque. `config`: see TextConfig. The model is freed before it returns.

    Raises:
        PictureError: see PictureFromText.load.
        RunError: no such device.
    """
    device = choose_device(config.device)
    automatic = torch.float16 if device.type == "cuda" else torch.float32
    dtype = automatic if config.dtype == "auto" else getattr(torch, config.dtype)
    pipeline = _load(config, dtype).to(device)
    pipeline.set_progress_bar_config(disable=None)  # where stderr is no terminal
    options: dict[str, Any] = {"num_inference_steps": config.steps, "guidance_scale": config.guidance_scale}
    options |= {name: getattr(config, name) for name in ("height", "width", "negative_prompt") if getattr(config, name)}
    # a generator of the CPU: the same seed starts from the same noise on every device
    generator = torch.Generator().manual_seed(config.seed)
    try:
        with torch.no_grad():
            result = pipeline(prompt=config.prompt + config.suffix, generator=generator, **options)
    except (TypeError, ValueError, RuntimeError) as error:  # an option it has not, a size it cannot, no memory left
        raise PictureError(
            f"image.model: {config.model}: it cannot draw this ({_first_line(error)}); change height, width or the model"
        ) from None
    finally:
        del pipeline
        if device.type == "cuda":
            torch.cuda.empty_cache()
    if any(getattr(result, "nsfw_content_detected", None) or []):
        raise PictureError(
            f"image.prompt: {config.prompt!r}: the model's safety checker refused the picture; change prompt or seed"
        )
    rgba: numpy.ndarray = numpy.array(result.images[0].convert("RGBA"))
    return rgba


def _load(config: Any, dtype: torch.dtype) -> Any:
    """The pipeline in `dtype`: safetensors alone, and no code of the model's."""
    folder = Path(config.model).expanduser()
    if folder.is_dir() and not (folder / "model_index.json").is_file():
        raise PictureError(
            f"image.model: {folder} has no model_index.json; give a text-to-image model in diffusers' layout"
        )
    if not folder.is_dir() and not HUB_ID.fullmatch(config.model):
        raise PictureError(
            f"image.model: {config.model!r} is neither a folder nor a hub id; give a text-to-image model in diffusers' "
            "layout (model_index.json)"
        )
    try:
        with _quiet():
            from diffusers import AutoPipelineForText2Image

            return AutoPipelineForText2Image.from_pretrained(
                folder if folder.is_dir() else config.model,
                torch_dtype=dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=config.offline,
                revision=config.revision or None,
                variant=config.variant or None,
            )
    except Exception as error:  # diffusers, transformers and the hub's client raise a dozen types for what is not there
        raise PictureError(f"image.model: {config.model}: {_remedy(config, folder, error)}") from None


@contextmanager
def _quiet() -> Iterator[None]:
    """No advice, retries or bars of the libraries' own (but for downloads): what is wrong is told in one line."""
    from diffusers.utils import logging as diffusers_logging
    from huggingface_hub.utils import logging as hub_logging
    from transformers.utils import logging as transformers_logging

    talkers: tuple[Any, ...] = (diffusers_logging, transformers_logging, hub_logging)
    with_bars = talkers[:2]
    levels = [library.get_verbosity() for library in talkers]
    for library in talkers:
        library.set_verbosity_error()
    for library in with_bars:
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for library, level in zip(talkers, levels, strict=True):
            library.set_verbosity(level)
        for library in with_bars:
            library.enable_progress_bar()


def _remedy(config: Any, folder: Path, error: Exception) -> str:
    reason = _first_line(error)
    if "can't find a pipeline" in str(error):
        return "is no text-to-image model of diffusers; give another one"
    if folder.is_dir():
        return f"cannot be loaded ({reason}); download it again, with safetensors"
    where = f"https://huggingface.co/{config.model}"
    return f"not in the cache, and not to be had from the hub ({reason}); see {where}, or give a folder"


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__
