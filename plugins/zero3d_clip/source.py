"""From what a recipe names as weights to a CLIP that can be checked now and loaded later: a folder, a hub id or a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.weights import HUB_ID, HubFolder, open_tensors, read_json, snapshot, variants
from zero3d_clip.known import KNOWN, where_to_get
from zero3d_clip.names import original, renamed, sizes

FILES = (".safetensors", ".pt", ".pth", ".bin", ".ckpt")
SMALL = ("config.json", "tokenizer*.json", "vocab.json", "merges.txt", "special_tokens_map.json")
"""Files of kilobytes: configuration and tokenizer."""
ALONE = "clip_vision_model"
"""transformers' name for a vision tower without its text tower."""
PLACE = "encoder.weights"


@dataclass(frozen=True)
class Source:
    """A CLIP that was found at `path`. `config`: as in transformers' config.json. `files`: of tensors, in `path`'s folder.

    `tokenizer`: its folder, None if there is none. `fetch`: brings the files that are not here yet.
    """

    path: Path
    config: Mapping[str, Any]
    files: list[Path]
    tokenizer: Path | None
    fetch: Callable[[], None] = lambda: None

    @property
    def alone(self) -> bool:
        """A vision tower without its text tower."""
        return self.config.get("model_type") == ALONE

    @property
    def vision(self) -> dict[str, Any]:
        """The vision tower's configuration, with the width of the space that it is projected to."""
        if self.alone:
            return dict(self.config)
        return {**(self.config.get("vision_config") or {}), "projection_dim": self.config.get("projection_dim", 512)}

    def sketch(self, texts: bool = True) -> Any:
        """The network on the meta device; the vision tower alone if it has no other, or `texts` is false."""
        from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModelWithProjection

        with torch.device("meta"):
            if texts and not self.alone:
                return CLIPModel(CLIPConfig(**self.config))
            return CLIPVisionModelWithProjection(CLIPVisionConfig(**self.vision))

    def fitting(self, sketch: Any) -> dict[str, Tensor]:
        """The tensors that a network has use for; files hold more, the other tower.

        Raises:
            RecipeError: as `load`.
        """
        state = self.load()
        return {name: state[name] for name in sketch.state_dict() if name in state}

    def load(self) -> dict[str, Tensor]:
        """The tensors by transformers' names, mapped.

        Raises:
            RecipeError: the hub does not answer, or a file cannot be read.
        """
        self.fetch()
        state: dict[str, Tensor] = {}
        for file in self.files:
            state |= open_tensors(file, PLACE)
        return renamed(state) if original(state) else state


def open_source(config: Any) -> Source:
    """Look at what `config.weights` names; of a hub id the small files are fetched.

    Raises:
        RecipeError: nothing is there, it is no CLIP, or the hub does not answer.
    """
    path = Path(config.weights).expanduser()
    tokenizer = Path(config.tokenizer).expanduser() if config.tokenizer else None
    if tokenizer:
        check_tokenizer(tokenizer)
    if path.suffix in FILES:
        return open_file(path, config.config, tokenizer)
    if path.is_dir():
        folder = snapshot(path, config.revision, PLACE)
        return open_folder(folder, tokenizer)
    if HUB_ID.fullmatch(config.weights):
        hub = HubFolder(config.weights, config.revision, config.offline, KNOWN, SMALL, PLACE)
        listed = {*hub.files, *(file.name for file in hub.root.iterdir())}
        found = _folder(hub.root, sorted(listed), tokenizer)
        return Source(
            found.path, found.config, found.files, found.tokenizer, lambda: hub.fetch([f.name for f in found.files])
        )
    raise RecipeError(
        f"{PLACE}: {config.weights!r} is neither a folder (config.json, model.safetensors), a file nor a hub id; "
        f"{where_to_get()}"
    )


def open_file(path: Path, config: str, tokenizer: Path | None = None) -> Source:
    """One file with OpenAI's or OpenCLIP's names. `config`: a config.json of transformers, or empty: as its tensors tell.

    Raises:
        RecipeError: it is not there, or its configuration cannot be told.
    """
    if not path.is_file():
        raise RecipeError(f"{PLACE}: {path}: no such file; {where_to_get()}")
    return Source(path, _checked(Path(config).expanduser()) if config else _told_by(path), [path], tokenizer)


def open_folder(folder: Path, tokenizer: Path | None = None) -> Source:
    """A CLIP as transformers saves it.

    Raises:
        RecipeError: it is none, or without weights.
    """
    return _folder(folder, [file.name for file in folder.iterdir()], tokenizer)


def check_tokenizer(folder: Path) -> None:
    """Raises RecipeError unless `has_tokenizer`."""
    if not has_tokenizer(folder):
        raise RecipeError(
            f"encoder.tokenizer: {folder}: no tokenizer.json, nor vocab.json with merges.txt; give CLIP's"
        )


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds what turns words into numbers."""
    return (folder / "tokenizer.json").is_file() or all((folder / n).is_file() for n in ("vocab.json", "merges.txt"))


def _folder(folder: Path, listed: list[str], tokenizer: Path | None) -> Source:
    config = _checked(folder / "config.json")
    found = variants("", [f"/{name}" for name in listed])
    if not found:
        raise RecipeError(f"{PLACE}: {folder}: no model.safetensors or pytorch_model.bin; download it again")
    files = [folder / name.removeprefix("/") for name in found[min(found, key=len)]]
    return Source(folder, config, files, tokenizer or (folder if has_tokenizer(folder) else None))


def _checked(file: Path) -> dict[str, Any]:
    """A config.json of a CLIP."""
    if not file.is_file():
        raise RecipeError(f"{PLACE}: {file}: missing; give a CLIP of transformers: {where_to_get()}")
    config = read_json(file, PLACE)
    kind = config.get("model_type")
    if kind not in ("clip", ALONE):
        raise RecipeError(f"{PLACE}: {file}: model_type {kind!r} is no CLIP (clip, {ALONE}); {where_to_get()}")
    return config


def _told_by(path: Path) -> dict[str, Any]:
    """The configuration that a file's tensors tell."""
    state = open_tensors(path, PLACE)
    if not original(state):
        raise RecipeError(f"{PLACE}: {path}: has not OpenAI's or OpenCLIP's names; give its folder, or encoder.config")
    try:
        return sizes(state)
    except (ValueError, KeyError) as error:
        raise RecipeError(f"{PLACE}: {path}: {error}; give encoder.config, a config.json of transformers") from None
