"""From what a recipe names as weights to something that can be checked now and loaded later."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch

from zero3d import RecipeError
from zero3d.weights import HUB_ID, Choice, HubFolder, find, local_files, snapshot
from zero3d_zero123.published.configs import Configs
from zero3d_zero123.published.known import KNOWN, is_stable, where_to_get
from zero3d_zero123.published.layout import PARTS, Layout
from zero3d_zero123.published.original import SUFFIXES, Original

if TYPE_CHECKING:
    from zero3d_zero123.published.network import Network


class Source(Protocol):
    """Checked weights, not yet loaded."""

    @property
    def configs(self) -> Configs: ...

    @property
    def weight_files(self) -> list[Path]: ...

    @property
    def stable(self) -> bool:
        """Whether it is of the Stable Zero123 family, which has another pose vector."""

    def load(self, dtype: torch.dtype) -> Network:
        """The four parts; the U-Net in `dtype`, the others in float32."""


class HubSource:
    """A repository of the hub; its weights are fetched when they are loaded."""

    def __init__(self, hub: HubFolder, choice: Choice) -> None:
        self._hub = hub
        self.layout = Layout(hub.root, hub.files, choice)
        self.configs = self.layout.configs
        self.stable = self.layout.stable or is_stable(hub.name)

    @property
    def weight_files(self) -> list[Path]:
        """The files that are loaded, once they are fetched."""
        return self.layout.weight_files

    def load(self, dtype: torch.dtype) -> Network:
        """Fetch what is missing and load it."""
        self._hub.fetch(self.layout.files)
        return self.layout.load(dtype)


def open_source(config: Any, half: bool) -> Source:
    """A checkpoint file, a folder, or a repository of the hub. `half`: a half-precision variant is preferred.

    Raises:
        RecipeError: nothing is there, or it is not Zero-1-to-3.
    """
    path = Path(config.weights).expanduser()
    if path.suffix in SUFFIXES or path.is_file():
        return Original(path, config.config, config.ema)
    choice = Choice(config.ema, half, config.variant)
    if path.is_dir():
        folder = snapshot(path, config.revision)
        return Layout(folder, local_files(folder), choice)
    if HUB_ID.fullmatch(config.weights):
        return HubSource(HubFolder(config.weights, config.revision, config.offline, KNOWN), choice)
    raise RecipeError(
        f"denoiser.weights: {config.weights!r} is neither nano nor a file, a folder (subfolders {', '.join(PARTS)}, "
        f"cc_projection) or a hub id; {where_to_get(path.name)}"
    )


def check_hash(source: Source, wanted: str) -> None:
    """Hold a single file against its sha256: `auto` the published one where it is known, `none`, or 64 hex digits.

    Raises:
        RecipeError: another hash.
    """
    from zero3d.folder import file_sha256

    (file, *others) = source.weight_files
    if wanted == "auto":
        entry = find(file.name, KNOWN)
        wanted = entry.sha256 if entry else ""
    if not wanted or wanted == "none" or others:
        return
    found = file_sha256(file)
    if found != wanted.lower():
        raise RecipeError(
            f"denoiser.weights: {file}: its sha256 is {found[:12]}…, {wanted[:12]}… is right for {file.name}; "
            "download it again, or set denoiser.sha256=none if it is a file of your own"
        )
