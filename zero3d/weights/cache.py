"""Folders of the Hugging Face hub's cache: models--ORG--NAME/{refs,blobs,snapshots/COMMIT}, or one of its snapshots."""

from __future__ import annotations

from pathlib import Path

from zero3d.errors import RecipeError
from zero3d.weights.hub_folder import HUB_ID

PREFIX = "models--"


def snapshot(folder: Path, revision: str = "", place: str = "denoiser.weights") -> Path:
    """The folder itself, or if it is a repository's in the cache, its snapshot: of `revision` (main), else the only one.

    Raises:
        RecipeError: the cache as a whole, or a repository whose snapshots leave a choice or are not there.
    """
    if (folder / "snapshots").is_dir():
        held = sorted(entry.name for entry in (folder / "snapshots").iterdir() if entry.is_dir())
        ref = folder / "refs" / (revision or "main")
        wanted = ref.read_text(encoding="utf-8", errors="replace").strip() if ref.is_file() else revision
        if not wanted and len(held) == 1:
            (wanted,) = held
        if wanted in held:
            return folder / "snapshots" / wanted
        raise RecipeError(
            f"{place}: {folder} is a repository in the hub's cache without the snapshot of "
            f"{revision or 'main'}; it has {', '.join(held) or 'none'}: give {folder / 'snapshots'}/COMMIT, or fetch it"
        )
    repositories = sorted(entry.name for entry in folder.glob(f"{PREFIX}*--*") if entry.is_dir())
    if repositories:
        raise RecipeError(f"{place}: {folder} is the hub's cache; name one of {', '.join(repositories[:5])} in it")
    return folder


def local_folder(named: str, place: str, remedy: str) -> Path:
    """A folder, or a repository in the hub's cache by its id; nothing is fetched.

    Raises:
        RecipeError: neither is there; the line ends with `remedy`.
    """
    path = Path(named).expanduser()
    if named and path.is_dir():
        return snapshot(path, place=place)
    if HUB_ID.fullmatch(named):
        from huggingface_hub import constants

        cached = Path(constants.HF_HUB_CACHE) / f"models--{named.replace('/', '--')}"
        if cached.is_dir():
            return snapshot(cached, place=place)
        raise RecipeError(
            f"{place}: {named!r} is neither a folder nor in the hub's cache, and nothing is fetched; {remedy}"
        )
    raise RecipeError(f"{place}: {named!r} is no folder; {remedy}" if named else f"{place}: missing; {remedy}")


def repository(folder: Path) -> str:
    """Its name: a snapshot's is that of its repository, not of its commit."""
    above = folder.parent.parent.name
    if folder.parent.name == "snapshots" and above.startswith(PREFIX):
        return above.removeprefix(PREFIX).replace("--", "/")
    return folder.name
